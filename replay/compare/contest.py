"""One benchmark from its events to everybody's scores. The events are priced and summed once for all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from replay.compare import scoring
from replay.compare.benchmarks import Benchmark
from replay.compare.episodes import Desk, Ledger, desk_of
from replay.compare.rivals import RIVALS
from replay.compare.scenes import Scene, key_of, scenes
from replay.compare.scoring import Outcome, Score
from replay.compare.traces import Traces
from replay.readers.together import rows
from replay.run import Replay
from schemas.watch import Finding, Mark
from streams import build
from streams.core.alert import Alerter
from streams.core.detect.merge import Complete, Merger
from streams.core.detect.watch import Watch, WatchRules
from streams.core.roll import Roller
from streams.core.sums import utc
from streams.settings import Settings, load

OURS = "spendstream"
ROOT = Path(__file__).parents[2]
CODE = ("schemas", "streams/core", "replay/readers", "replay/run.py", "replay/compare")
DRAWN_ONLY = {"__main__.py", "pages.py", "plots.py", "published.py", "tables.py", "theme.py"}


@dataclass(frozen=True, slots=True)
class Result:
    """Of one benchmark: the score of each (method, threshold), None where it told too much; and what is drawn."""

    kind: str
    scores: dict[tuple[str, float], Score | None]
    scenes: dict[str, Scene]


class Entrant:
    """Our detection at one sensitivity, with alerting behind it."""

    def __init__(self, watch: Watch, desk: Desk) -> None:
        self.watch = watch
        self.desk = desk

    def window(self, complete: Complete) -> None:
        findings = self.watch.window(complete)
        mark = Mark(meter=complete.meter, window_seconds=complete.seconds, partition=0, time=utc(complete.end))
        self.desk.take(findings, mark)


class Audience(Watch):
    """Stands where a replay has its watch, and lets many look."""

    def __init__(self, entrants: list[Entrant], traces: Traces) -> None:
        super().__init__(WatchRules())
        self._entrants = entrants
        self._traces = traces

    def window(self, complete: Complete) -> list[Finding]:
        self._traces.window(complete)
        for entrant in self._entrants:
            entrant.window(complete)
        return []


def settings() -> Settings:
    """The product's, with the minimum impact that the benchmarks' labels are made for. Raises SettingsError."""
    return load(None, ["alerts.min_excess_usd=1"])


def run(benchmark: Benchmark, sensitivities: tuple[float, ...], scorer: Path, work: Path) -> Result:
    """Everybody's scores; alerts and findings stay below `work`. Sensitivity 1 is always among ours."""
    deployment = settings()
    score = scoring.load(scorer)
    traces = Traces(benchmark.pace, (key_of(label, benchmark.kind) for label in benchmark.labels))
    scores: dict[tuple[str, float], Score | None] = {}
    drawn: dict[str, Scene] = {}
    for sensitivity, desk in _ours(benchmark, deployment, {1.0, *sensitivities}, traces).items():
        out = _write(work / benchmark.name / f"{OURS}-{sensitivity:g}", desk)
        scores[OURS, sensitivity] = scoring.score(score, benchmark, out)
        if sensitivity == 1.0:
            drawn = scenes(benchmark, traces, desk.findings.values(), desk.alerts.values())
    for name, threshold, rival in _rivals(benchmark, deployment, traces):
        if rival is None:
            scores[name, threshold] = None
            continue
        out = _write(work / benchmark.name / f"{name}-{threshold:.15g}", rival)
        scores[name, threshold] = scoring.score(score, benchmark, out)
    return Result(benchmark.kind, scores, drawn)


def _ours(benchmark: Benchmark, deployment: Settings, factors: set[float], traces: Traces) -> Mapping[float, Desk]:
    rules = build.watch_rules(deployment)
    entrants = {
        factor: Entrant(
            Watch(replace(rules, sensitivity=(((), factor),)) if factor != 1.0 else rules),
            Desk(Alerter(build.alert_rules(deployment))),
        )
        for factor in sorted(factors)
    }
    history = Replay(
        build.charger(deployment),
        Roller(build.roll_rules(deployment)),
        Merger(deployment.roll.max_cells),
        Audience(list(entrants.values()), traces),
        Alerter(build.alert_rules(deployment)),
    )
    for _ in history.take((benchmark.events.name, item) for _, item in rows([benchmark.events])):
        pass
    history.finish()
    for entrant in entrants.values():
        entrant.desk.close()
    return {factor: entrant.desk for factor, entrant in entrants.items()}


def _rivals(benchmark: Benchmark, deployment: Settings, traces: Traces) -> Iterator[tuple[str, float, Desk | None]]:
    ledger = Ledger(traces, benchmark.meter)
    rules = build.alert_rules(deployment)
    series = traces.series()
    for rival in RIVALS:
        scores = {
            key: rival.scores(values, int(values.nonzero()[0][0]), traces.start, traces.pace)
            for key, values in sorted(series.items())
            if values.any()
        }
        for threshold in rival.thresholds:
            yield rival.name, threshold, desk_of(ledger, scores, threshold, rules)


def _write(out: Path, desk: Desk) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    for name, records in (("findings", desk.findings.values()), ("alerts", desk.alerts.values())):
        lines = "".join(record.model_dump_json() + "\n" for record in records)
        (out / f"{name}.ndjson").write_text(lines, encoding="utf-8")
    return out


def save(result: Result, path: Path, stamp: str) -> None:
    """Keep a result with the stamp of what made it."""
    wire = {
        "stamp": stamp,
        "kind": result.kind,
        "scores": [[*of, asdict(score) if score else None] for of, score in result.scores.items()],
        "scenes": [asdict(scene) for scene in result.scenes.values()],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(wire), encoding="utf-8")


def saved(path: Path, stamp: str) -> Result | None:
    """A kept result; None when there is none of that stamp."""
    if not path.is_file():
        return None
    wire = json.loads(path.read_text(encoding="utf-8"))
    if wire["stamp"] != stamp:
        return None
    scores = {(name, threshold): _score(score) for name, threshold, score in wire["scores"]}
    return Result(wire["kind"], scores, {scene["kind"]: Scene(**scene) for scene in wire["scenes"]})


def _score(wire: dict[str, Any] | None) -> Score | None:
    if wire is None:
        return None
    outcomes = tuple(Outcome(**outcome) for outcome in wire["outcomes"])
    return Score(**{**wire, "outcomes": outcomes})


def stamp_of(benchmark: Benchmark, sensitivities: tuple[float, ...], scorer: Path) -> str:
    """What a result depends on: the code, the settings, the events and the scorer. Another stamp, another result."""
    digest = hashlib.sha256(repr((settings().model_dump(mode="json"), sorted(sensitivities))).encode())
    found = [path for name in CODE for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*"))]
    code = sorted(path for path in found if path.suffix in {".py", ".toml"} and path.name not in DRAWN_ONLY)
    for path in [*code, benchmark.events, benchmark.folder / "labels.json", scorer]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
