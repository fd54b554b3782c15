"""The labelled incidents: made by their generator, or given as folders of `events.ndjson.gz` and `labels.json`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from schemas.records import Meter
from streams.core.detect.rules import DAY, HOUR

ARGUMENTS = {"tokens": (), "gpu": ("--days", "14"), "bill": ()}
PACES: dict[str, tuple[Meter, int]] = {
    "tokens": ("token_call", 60),
    "gpu": ("gpu_usage", 300),
    "bill": ("line_item", HOUR),
}
"""What each benchmark is made of: its meter, and the buckets (seconds) that its sources report by."""


class BenchmarkError(Exception):
    """A folder that is no benchmark, or one that could not be made. The message names it."""


@dataclass(frozen=True, slots=True)
class Label:
    """An injected incident, or a stretch that must stay quiet. Times in epoch seconds UTC."""

    id: str
    kind: str
    start: int
    end: int
    series: dict[str, str]
    excess_usd: float
    expect: str  # alert, finding, silence


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One file of events with its labels. `days`: what is judged, the warm-up left out."""

    folder: Path
    kind: str
    days: float
    labels: tuple[Label, ...]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def events(self) -> Path:
        return self.folder / "events.ndjson.gz"

    @property
    def meter(self) -> Meter:
        return PACES[self.kind][0]

    @property
    def pace(self) -> int:
        """Seconds of a bucket."""
        return PACES[self.kind][1]


def read(folder: Path) -> Benchmark:
    """The benchmark in a folder. Raises BenchmarkError."""
    path = folder / "labels.json"
    try:
        wire = json.loads(path.read_text(encoding="utf-8"))
        labels = tuple(_label(one) for one in wire["labels"])
        days = (epoch(wire["end"]) - epoch(wire["start"])) / DAY - wire["warmup_days"]
        kind = wire["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: is no file of labels ({type(error).__name__}: {error})") from None
    if kind not in PACES:
        raise BenchmarkError(f"{path}: kind {kind!r} is none of {', '.join(PACES)}")
    benchmark = Benchmark(folder, kind, days, labels)
    if not benchmark.events.is_file():
        raise BenchmarkError(f"{benchmark.events}: is not there")
    return benchmark


def make(generator: Path, kind: str, seed: int, into: Path) -> Path:
    """The folder of one seed, made when it is not there. Raises BenchmarkError with what the generator said."""
    out = into / f"{kind}-{seed}"
    if (out / "labels.json").is_file():
        return out
    command = [sys.executable, str(generator), kind, "--seed", str(seed), *ARGUMENTS[kind], "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  the user's own script
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise BenchmarkError(f"{generator} {kind} --seed {seed}: {said[-1]}")
    return out


def scorer_beside(generator: Path | None) -> Path:
    """The benchmarks' score.py. Raises BenchmarkError without a generator to look beside."""
    if generator is None:
        raise BenchmarkError("--scorer: is needed where no --generator is given")
    return generator.parent / "score.py"


def epoch(text: str) -> float:
    """Epoch seconds of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def _label(wire: dict[str, Any]) -> Label:
    return Label(
        id=wire["id"],
        kind=wire["kind"],
        start=int(epoch(wire["start"])),
        end=int(epoch(wire["end"])),
        series={name: value or "" for name, value in wire["series"].items()},
        excess_usd=wire.get("excess_usd") or 0.0,
        expect=wire["expect"],
    )
