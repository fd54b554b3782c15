"""What a backtest runs over: histories of spend by any reader, or the metrics of the Numenta benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from replay import nab
from replay.backtest.labels import Label, LabelError, Truth, Windows, load
from replay.readers.together import expand
from streams.core.windows.sums import utc

OUR_LABELS = "labels.json"
NUMENTA_LABELS = Path("labels") / "combined_windows.json"
PROBATION = 0.15  # of a metric, in which the benchmark counts nothing

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class History:
    """One history: files of usage that belong together, or the points of one metric."""

    name: str
    files: tuple[Path, ...]
    truth: Truth | None
    points: Points = ()


def histories(inputs: Sequence[Path], labels: Sequence[Path]) -> Iterator[History]:
    """Each input is one history. A folder of labelled histories is as many as it holds; Numenta's is one a metric.

    `labels` are one for all inputs or one for each; without them, those that lie beside an input count. Raises
    LabelError and ReaderError.
    """
    if len(labels) not in {0, 1, len(inputs)}:
        raise LabelError(f"--labels: {len(labels)} files for {len(inputs)} inputs; give one for all, or one for each")
    for number, path in enumerate(inputs):
        given = labels[min(number, len(labels) - 1)] if labels else None
        if path.is_dir() and (path / NUMENTA_LABELS).is_file():
            yield from _metrics(path, given or path / NUMENTA_LABELS)
        elif path.is_dir() and not (path / OUR_LABELS).is_file() and (inside := _labelled(path)) and given is None:
            yield from (_spend(folder, None) for folder in inside)
        else:
            yield _spend(path, given)


def _labelled(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if (folder / OUR_LABELS).is_file())


def _spend(path: Path, given: Path | None) -> History:
    beside = (path if path.is_dir() else path.parent) / OUR_LABELS
    source = given or (beside if beside.is_file() else None)
    files = [file for file in expand([path]).files if file != source and file.name != OUR_LABELS]
    if not files:
        raise LabelError(f"{path}: holds labels and no history")
    truth = load(source) if source is not None else None
    if truth is not None and not isinstance(truth, Truth):
        raise LabelError(f"{source}: these are labels of the Numenta benchmark's metrics, and {path} is none of them")
    return History(path.name or str(path), tuple(files), truth)


def _metrics(path: Path, source: Path) -> Iterator[History]:
    windows = load(source)
    if isinstance(windows, Truth):
        raise LabelError(f"{source}: must be the Numenta benchmark's windows, as its metrics are below {path}")
    for name, _, points in nab.read(path):
        yield History(name, (path / "data" / name,), _truth(windows, name, points), tuple(points))


def _truth(windows: Windows, name: str, points: Sequence[tuple[float, float]]) -> Truth:
    labels: tuple[Label, ...] = windows.get(name, ())
    span = utc(points[-1][0]) - utc(points[0][0]) if points else timedelta(0)
    return Truth(labels, PROBATION * span / timedelta(days=1))
