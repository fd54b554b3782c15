"""Only ours, at one sensitivity: what a change of detection does, and to which incidents.

    python -m replay.compare.ours tokens-1 gpu-3 --generator ../shared/incidents/generate.py --work build/compare

Windows are kept below `--work`, so a history that was scored before takes no more than detection itself: half a minute
for ten days of 14 keys. What it came to lies there in `findings.ndjson` and `alerts.ndjson`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated

import typer

from replay.compare import contest
from replay.compare.benchmarks import PACES, Benchmark, BenchmarkError, make, read, scorer_beside
from replay.compare.contest import OURS
from replay.compare.scoring import Score

app = typer.Typer(add_completion=False)


@app.command()
def main(
    histories: Annotated[list[str], typer.Argument(help="KIND-SEED, or folders of events.ndjson.gz and labels.json")],
    *,
    work: Annotated[Path, typer.Option(help="keep windows, findings and alerts here")],
    generator: Annotated[Path | None, typer.Option(help="the benchmarks' generate.py, for KIND-SEED")] = None,
    scorer: Annotated[Path | None, typer.Option(help="score.py (default: the one beside the generator)")] = None,
    sensitivity: Annotated[float, typer.Option(min=0.1, max=10.0)] = 1.0,
    jobs: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    verbose: Annotated[bool, typer.Option(help="name what was missed, late or false")] = False,
) -> None:
    """Score our detection on labelled incidents."""
    try:
        judge = scorer or scorer_beside(generator)
        benchmarks = [_benchmark(name, generator, work) for name in histories]
        with ProcessPoolExecutor(jobs) as pool:
            run = partial(_score, sensitivity=sensitivity, scorer=judge, work=work)
            scores = list(pool.map(run, benchmarks))
    except BenchmarkError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    for benchmark, score in zip(benchmarks, scores, strict=True):
        typer.echo(line(benchmark.name, score))
        if verbose:
            _details(benchmark, score)
    for kind in PACES:
        mine = [score for benchmark, score in zip(benchmarks, scores, strict=True) if benchmark.kind == kind]
        if len(mine) > 1:
            typer.echo(together(kind, mine))


def line(name: str, score: Score) -> str:
    """The figures of one history, or of several summed up."""
    quiet, recorded = score.expecting("silence"), score.expecting("finding")
    return (
        f"{name}: recall {score.recall:.3f}, false {score.false_per_day:.2f} a day, "
        f"alerts per incident {score.alerts_per_incident or 0:.2f}, median {score.median_delay} s, "
        f"spent {'-' if score.spent_share is None else f'{score.spent_share:.1%}'}, "
        f"quiet {sum(o.ok for o in quiet)}/{len(quiet)}, recorded {sum(o.ok for o in recorded)}/{len(recorded)}"
    )


def together(kind: str, scores: Sequence[Score]) -> str:
    """Of several histories: summed up, and the mean of their shares, in which each counts alike."""
    shares = [score.spent_share for score in scores if score.spent_share is not None]
    mean = f"; mean of spent {fmean(shares):.1%}" if shares else ""
    return f"{line(f'{kind}, {len(scores)} histories', Score.summed(scores))}{mean}"


def _benchmark(name: str, generator: Path | None, work: Path) -> Benchmark:
    if Path(name).is_dir():
        return read(Path(name))
    kind, _, seed = name.partition("-")
    if generator is None or kind not in PACES or not seed.isdigit():
        raise BenchmarkError(f"{name}: is no folder, and no KIND-SEED for a --generator")
    return read(make(generator, kind, int(seed), work / "incidents"))


def _score(benchmark: Benchmark, *, sensitivity: float, scorer: Path, work: Path) -> Score:
    (work / benchmark.name).mkdir(parents=True, exist_ok=True)
    score = contest.run_ours(benchmark, (sensitivity,), scorer, work).scores[OURS, sensitivity]
    if score is None:
        raise AssertionError("ours is always scored")
    return score


def _details(benchmark: Benchmark, score: Score) -> None:
    for label, outcome in zip(benchmark.labels, score.outcomes, strict=True):
        share = abs(label.excess_usd) / score.at_stake_usd if score.at_stake_usd else 0.0
        gone = share * (1.0 if outcome.delay is None else min(1.0, outcome.delay / (label.end - label.start)))
        costly = label.expect == "alert" and gone > 0.01
        if not outcome.ok or costly or outcome.alerts > 1:
            typer.echo(
                f"    {'' if outcome.ok else 'MISSED '}{label.id} ({label.expect}), {label.excess_usd:.2f} USD, "
                f"{outcome.alerts} alerts, delay {outcome.delay}, {gone:.1%} of all gone"
            )
    for false in score.false:
        typer.echo(f"    false alert {false}")


if __name__ == "__main__":
    app()
