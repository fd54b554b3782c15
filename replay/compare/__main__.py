"""The command; see the package."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from replay.compare import contest, pages, plots, tables
from replay.compare.benchmarks import PACES, Benchmark, BenchmarkError, make, read, scorer_beside
from replay.compare.contest import Result
from replay.compare.published import line as published_line
from replay.compare.scenes import Scene
from streams.settings import SettingsError

PAGE = "detection.md"
SENSITIVITIES = (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0)

app = typer.Typer(add_completion=False)


@app.command()
def main(
    incidents: Annotated[list[Path] | None, typer.Argument(help="folders of events.ndjson.gz and labels.json")] = None,
    *,
    out: Annotated[Path, typer.Option(help=f"the folder of {PAGE}; plots go into plots/ below it")],
    generator: Annotated[Path | None, typer.Option(help="the benchmarks' generate.py, to make incidents with")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="how many of each kind to make")] = 2,
    scorer: Annotated[Path | None, typer.Option(help="score.py (default: the one beside the generator)")] = None,
    work: Annotated[
        Path | None, typer.Option(help="keep events, alerts and results here, and use again what still holds")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="processes")] = 2,
    nab: Annotated[Path | None, typer.Option(help="the Numenta benchmark's data, for its line")] = None,
    nab_scorer: Annotated[Path | None, typer.Option(help="its score.py")] = None,
    sensitivity: Annotated[list[float] | None, typer.Option(help="of the curve; may be repeated")] = None,
) -> None:
    """Compare our detection with ready-made detectors and plain rules, and write tables and plots into a page."""
    console = Console(stderr=True)
    try:
        with TemporaryDirectory() as scratch:
            folder = work or Path(scratch)
            benchmarks = _benchmarks(incidents or [], generator, seeds, folder, console)
            judge = scorer or scorer_beside(generator)
            results = _contests(benchmarks, tuple(sensitivity or SENSITIVITIES), judge, folder, jobs, console)
            blocks = _blocks(results, out)
            if nab and nab_scorer:
                blocks["nab"] = published_line(nab, nab_scorer)
        pages.fill(out / PAGE, blocks)
    except (BenchmarkError, pages.PageError, SettingsError) as error:
        console.print(f"error: {error}", highlight=False, markup=False)
        raise typer.Exit(2) from None
    typer.echo(f"{len(results)} benchmarks; written into {out / PAGE} and {out / 'plots'}")


def _benchmarks(
    folders: Sequence[Path], generator: Path | None, seeds: int, work: Path, console: Console
) -> list[Benchmark]:
    found = [read(folder) for folder in folders]
    if generator is not None:
        for kind in PACES:
            for seed in range(1, seeds + 1):
                console.print(f"making {kind}-{seed}", highlight=False)
                found.append(read(make(generator, kind, seed, work / "incidents")))
    if not found:
        raise BenchmarkError("no incidents: give folders, or a --generator")
    return found


def _contests(
    benchmarks: Sequence[Benchmark],
    sensitivities: tuple[float, ...],
    scorer: Path,
    work: Path,
    jobs: int,
    console: Console,
) -> list[Result]:
    """The results, in the order of the benchmarks; those that are kept and still hold are not made again."""
    results: dict[str, Result] = {}
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(jobs) as pool:
        task = progress.add_task("benchmarks", total=len(benchmarks))
        waiting = {pool.submit(contest.run, one, sensitivities, scorer, work): one.name for one in benchmarks}
        for done in as_completed(waiting):
            results[waiting[done]] = done.result()
            progress.update(task, advance=1, description=f"benchmarks, last {waiting[done]}")
    return [results[one.name] for one in benchmarks]


def _blocks(results: Sequence[Result], out: Path) -> dict[str, str]:
    """Draw everything; returns the page's blocks by name."""
    folder = out / "plots"
    kinds = [kind for kind in PACES if any(result.kind == kind for result in results)]
    for kind in kinds:
        plots.curve(results, kind, folder / f"recall-{kind}.svg")
    scenes: dict[str, Scene] = {}
    for result in results:
        for kind, scene in result.scenes.items():
            scenes.setdefault(kind, scene)
    for scene in scenes.values():
        plots.incident(scene, folder / f"{scene.kind.replace('_', '-')}.svg")
    pictures = [f"![{_title(kind)}](plots/{kind.replace('_', '-')}.svg)" for kind in scenes]
    return {
        "comparison": tables.comparison(results),
        "curves": "\n\n".join(f"![Recall against false alerts a day, {k}](plots/recall-{k}.svg)" for k in kinds),
        "sensitivities": tables.sensitivities(results),
        "kinds": tables.kinds(results),
        "incidents": "\n\n".join(pictures),
    }


def _title(kind: str) -> str:
    return f"Expected, actual and found: {kind.replace('_', ' ')}"


if __name__ == "__main__":
    app()
