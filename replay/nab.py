"""The regression gate on metrics: a detector over every series of the Numenta Anomaly Benchmark.

    python -m replay.nab --data ../shared/data/nab --out R
    python -m replay.nab --data ../shared/data/nab --scorer ../shared/nab/score.py --jitter 150

The first writes one 0/1 alert stream per series for a scorer to read. The second writes nothing: it scores neighbours
of the product's parameters, because what only the exact values reach is luck. One pass, one frozen parameter set;
a detector sees one point at a time and neither the series' length nor its future.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.progress import track

from replay.jitter import PROFILES, jittered, load_scorer, summary
from streams.core.detect.detectors import DETECTORS, Detector
from streams.core.detect.detectors.drift_record import DriftRecord
from streams.core.detect.detectors.parameters import PARAMETERS

Series = tuple[
    str, list[str], list[tuple[float, float]]
]  # path below data/, the stamps as written, (seconds UTC, value)

app = typer.Typer(add_completion=False)


def read(data: Path) -> Iterator[Series]:
    """Every series below `data`/data, in the order of their paths. Times without a zone are UTC."""
    root = data / "data"
    for path in sorted(root.rglob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows = [(row["timestamp"], float(row["value"])) for row in csv.DictReader(file)]
        points = [(seconds(stamp), value) for stamp, value in rows]
        yield path.relative_to(root).as_posix(), [stamp for stamp, _ in rows], points


def seconds(stamp: str) -> float:
    """Epoch seconds of an ISO time, taken as UTC if it names no zone."""
    time = datetime.fromisoformat(stamp)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def alerts(detector: Detector, points: list[tuple[float, float]]) -> list[int]:
    """1 where the detector alerts, else 0."""
    return [int(detector.update(at, value).alert) for at, value in points]


def write(out: Path, series: Series, stream: list[int]) -> None:
    name, stamps, points = series
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("timestamp", "value", "anomaly_score"))
        writer.writerows((stamp, point[1], alert) for stamp, point, alert in zip(stamps, points, stream, strict=True))


def run(corpus: list[Series], out: Path, make: Callable[[], Detector]) -> int:
    """Write one alert stream per series, each from a detector of its own; the number of alerts."""
    count = 0
    for series in corpus:
        stream = alerts(make(), series[2])
        write(out, series, stream)
        count += sum(stream)
    return count


@app.command()
def main(
    *,
    data: Annotated[Path, typer.Option(help="Folder that holds data/**/*.csv with timestamp,value.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write alert streams to.")] = None,
    detector: Annotated[str, typer.Option(help=f"One of {', '.join(DETECTORS)}.")] = DriftRecord.name,
    jitter: Annotated[int, typer.Option(min=0, help="Score this many neighbours of the parameters instead.")] = 0,
    seed: Annotated[int, typer.Option(help="Which neighbours.")] = 0,
    scorer: Annotated[Path | None, typer.Option(help="The benchmark's score.py, needed for --jitter.")] = None,
) -> None:
    """Run a detector over the benchmark."""
    if detector not in DETECTORS:
        raise typer.BadParameter(f"no detector {detector!r}", param_hint="--detector")
    corpus = list(read(data))
    if not corpus:
        raise typer.BadParameter(f"no data/**/*.csv below {data}", param_hint="--data")
    if jitter:
        _jitter(corpus, jitter, seed, scorer)
    elif out is None:
        raise typer.BadParameter("is needed, unless --jitter is given", param_hint="--out")
    else:
        count = run(corpus, out, DETECTORS[detector])
        points = sum(len(series[2]) for series in corpus)
        typer.echo(f"{detector}: {count} alerts on {points} points of {len(corpus)} series, written to {out}")


def _jitter(corpus: list[Series], draws: int, seed: int, scorer: Path | None) -> None:
    if scorer is None:
        raise typer.BadParameter("is needed for --jitter", param_hint="--scorer")
    score = load_scorer(scorer)
    scores = []
    with TemporaryDirectory() as folder:
        for draw in track(range(draws), description="neighbours", transient=True):
            neighbour = partial(DriftRecord, jittered(PARAMETERS, seed * 100_000 + draw))
            run(corpus, Path(folder), neighbour)
            scores.append(score(Path(folder)))
    for profile in PROFILES:
        typer.echo(summary(profile, [each[profile] for each in scores]))


if __name__ == "__main__":
    app()
