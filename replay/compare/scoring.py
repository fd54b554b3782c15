"""What the benchmark's own scorer says of a folder of alerts, and sums of it over many folders."""

from __future__ import annotations

import importlib.util
import io
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from replay.compare.benchmarks import Benchmark, BenchmarkError

ROW = re.compile(r"^(ok|MISS)\s+(\S+)\s+expect=(\w+)\s+delay=\s*(\S+)\s+alerts=(\d+) findings=(\d+)")
FALSE = re.compile(r"^false alert (.+)")
FIGURE = re.compile(r"^(\w+): (\S+)")

Scorer = Callable[[Path, Path], str]
"""(labels, folder of alerts) -> what it prints."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one label. `delay` in seconds of event time, None when it was not found."""

    kind: str
    expect: str
    ok: bool
    delay: float | None
    alerts: int


@dataclass(frozen=True, slots=True)
class Score:
    """Of one way to detect, over one or several benchmarks."""

    outcomes: tuple[Outcome, ...]
    alerts: int
    false_alerts: int
    days: float
    at_stake_usd: float  # of the incidents that must page
    spent_usd: float  # of it before the alert
    false: tuple[str, ...] = ()  # what the scorer says of false alerts: when, and whose

    @classmethod
    def summed(cls, scores: Iterable[Score]) -> Score:
        """Of several benchmarks together."""
        parts = list(scores)
        return cls(
            tuple(outcome for part in parts for outcome in part.outcomes),
            sum(part.alerts for part in parts),
            sum(part.false_alerts for part in parts),
            sum(part.days for part in parts),
            sum(part.at_stake_usd for part in parts),
            sum(part.spent_usd for part in parts),
            tuple(false for part in parts for false in part.false),
        )

    def expecting(self, expect: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.expect == expect]

    @property
    def caught(self) -> list[Outcome]:
        return [outcome for outcome in self.expecting("alert") if outcome.ok]

    @property
    def recall(self) -> float:
        return len(self.caught) / max(1, len(self.expecting("alert")))

    @property
    def precision(self) -> float | None:
        """Alerts that belong to an incident, of all; None without an alert."""
        return 1.0 - self.false_alerts / self.alerts if self.alerts else None

    @property
    def false_per_day(self) -> float:
        return self.false_alerts / self.days

    @property
    def alerts_per_incident(self) -> float | None:
        return sum(outcome.alerts for outcome in self.expecting("alert")) / len(self.caught) if self.caught else None

    @property
    def median_delay(self) -> float | None:
        delays = [outcome.delay for outcome in self.expecting("alert") if outcome.delay is not None]
        return median(delays) if delays else None

    @property
    def spent_share(self) -> float | None:
        """Dollars of the incidents that were gone before the alert; all of those that were missed."""
        return self.spent_usd / self.at_stake_usd if self.at_stake_usd else None


def load(path: Path) -> Scorer:
    """The benchmark's scorer. Raises BenchmarkError when the file is none."""
    spec = importlib.util.spec_from_file_location("incident_scorer", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise BenchmarkError(f"{path}: is no scorer")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "main"):
        raise BenchmarkError(f"{path}: is no scorer")

    def score(labels: Path, out: Path) -> str:
        mine, sys.argv = sys.argv, [path.name, str(labels), str(out)]  # it is a command, and starting one takes longer
        try:
            with redirect_stdout(io.StringIO()) as said:
                module.main()
        finally:
            sys.argv = mine
        return said.getvalue()

    return score


def score(scorer: Scorer, benchmark: Benchmark, out: Path) -> Score:
    """Score the alerts in a folder."""
    kinds = {label.id: label.kind for label in benchmark.labels}
    figures: dict[str, str] = {}
    outcomes, false = [], []
    for line in scorer(benchmark.folder / "labels.json", out).splitlines():
        if row := ROW.match(line):
            verdict, label, expect, delay, alerts, _ = row.groups()
            seconds = None if delay == "-" else float(delay.rstrip("s"))
            outcomes.append(Outcome(kinds[label], expect, verdict == "ok", seconds, int(alerts)))
        elif told := FALSE.match(line):
            false.append(told[1])
        elif figure := FIGURE.match(line):
            figures[figure[1]] = figure[2]
    stake = sum(abs(label.excess_usd) for label in benchmark.labels if label.expect == "alert")
    share = figures["usd_spent_before_alert_share"]
    spent = 0.0 if share == "None" else float(share) * stake
    alerts, wrong = int(figures["alerts"]), int(figures["false_alerts"])
    return Score(tuple(outcomes), alerts, wrong, benchmark.days, stake, spent, tuple(false))
