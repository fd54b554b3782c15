"""One benchmark from its events to everybody's scores.

The events are priced and summed once for all. What took long is kept below a folder, with a stamp of the code, settings
and events that made it: the windows, what the rivals told, and what we told. So a change of detection is scored within
a minute a history, and the rivals, whom it does not touch, are not run again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from replay.backtest import tape
from replay.backtest.tape import Tape
from replay.compare import scoring
from replay.compare.benchmarks import Benchmark
from replay.compare.episodes import Desk, Ledger, desk_of
from replay.compare.rivals import RIVALS
from replay.compare.scenes import Scene, key_of, scenes
from replay.compare.scoring import Outcome, Score
from replay.compare.traces import Traces
from replay.readers.together import rows
from replay.run import Replay
from schemas.watch import Mark
from streams import build
from streams.core.alert import Alerter
from streams.core.detect.merge import Complete, Merger
from streams.core.detect.watch import Watch
from streams.core.windows.roll import Roller
from streams.core.windows.sums import utc
from streams.settings import Settings, load

OURS = "spendstream"
ROOT = Path(__file__).parents[2]
DETECTION = ("streams/core/detect", "streams/core/alert")
WINDOWS = ("schemas", "streams/core", "replay/readers", "replay/run.py", "replay/backtest/tape.py")
"""The code that makes windows of events, but for `DETECTION`."""
MERGED = ("streams/core/detect/merge.py",)
JUDGED = ("replay/compare", *MERGED, "streams/core/alert", "streams/core/detect/detectors")
"""What the rivals depend on, beside the windows."""
DRAWN_ONLY = {"__main__.py", "pages.py", "plots.py", "published.py", "tables.py", "theme.py", "ours.py"}


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


def settings() -> Settings:
    """The product's, with the minimum impact that the benchmarks' labels are made for. Raises SettingsError."""
    return load(None, ["alerts.min_excess_usd=1"])


def run(benchmark: Benchmark, sensitivities: tuple[float, ...], scorer: Path, work: Path) -> Result:
    """Everybody's scores; alerts and findings stay below `work`. Sensitivity 1 is always among ours."""
    folder = work / benchmark.name
    folder.mkdir(parents=True, exist_ok=True)
    stamps = _Stamps(benchmark, tuple(sorted({1.0, *sensitivities})), scorer)
    ours, rivals = saved(folder / "ours.json", stamps.ours), saved(folder / "rivals.json", stamps.rivals)
    if ours is None:
        ours = run_ours(benchmark, stamps.sensitivities, scorer, work)
        save(ours, folder / "ours.json", stamps.ours)
    if rivals is None:
        rivals = _run_rivals(benchmark, scorer, folder)
        save(rivals, folder / "rivals.json", stamps.rivals)
    return Result(benchmark.kind, {**ours.scores, **rivals.scores}, ours.scenes)


def windows_of(benchmark: Benchmark, folder: Path) -> Iterator[Complete]:
    """What every detector looks at, in order: made of the events, or as it was kept in `folder`."""
    path, stamp = folder / "windows.zst", folder / "windows.stamp"
    made_of = _digest(WINDOWS, MERGED, benchmark.events, but=DETECTION)
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == made_of):
        stamp.unlink(missing_ok=True)
        _record(benchmark, path)
        stamp.write_text(made_of, encoding="utf-8")
    return tape.windows(path)


def _record(benchmark: Benchmark, path: Path) -> None:
    deployment = settings()
    recorder = Tape(path, deployment.roll.max_cells)
    history = Replay(
        build.charger(deployment),
        Roller(build.roll_rules(deployment)),
        Merger(deployment.roll.max_cells),
        recorder,
        Alerter(build.alert_rules(deployment)),
    )
    for _ in history.take((benchmark.events.name, item) for _, item in rows([benchmark.events])):
        pass
    history.finish()
    recorder.close(history.totals)


def run_ours(benchmark: Benchmark, sensitivities: Iterable[float], scorer: Path, work: Path) -> Result:
    """Our scores by sensitivity, with what is drawn of the one at 1."""
    deployment = settings()
    rules = build.watch_rules(deployment)
    entrants = {
        factor: Entrant(
            Watch(replace(rules, sensitivity=(((), factor),)) if factor != 1.0 else rules),
            Desk(Alerter(build.alert_rules(deployment))),
        )
        for factor in sensitivities
    }
    traces = _traces(benchmark)
    folder = work / benchmark.name
    for complete in windows_of(benchmark, folder):
        traces.window(complete)
        for entrant in entrants.values():
            entrant.window(complete)
    score = scoring.load(scorer)
    scores: dict[tuple[str, float], Score | None] = {}
    drawn: dict[str, Scene] = {}
    for factor, entrant in entrants.items():
        desk = entrant.desk
        desk.close()
        scores[OURS, factor] = scoring.score(score, benchmark, _write(folder / f"{OURS}-{factor:g}", desk))
        if factor == 1.0:
            drawn = scenes(benchmark, traces, desk.findings.values(), desk.alerts.values())
    return Result(benchmark.kind, scores, drawn)


def _run_rivals(benchmark: Benchmark, scorer: Path, folder: Path) -> Result:
    score = scoring.load(scorer)
    traces = _traces(benchmark)
    for complete in windows_of(benchmark, folder):
        traces.window(complete)
    scores: dict[tuple[str, float], Score | None] = {}
    for name, threshold, rival in _rivals(benchmark, settings(), traces):
        if rival is None:
            scores[name, threshold] = None
            continue
        out = _write(folder / f"{name}-{threshold:.15g}", rival)
        scores[name, threshold] = scoring.score(score, benchmark, out)
    return Result(benchmark.kind, scores, {})


def _traces(benchmark: Benchmark) -> Traces:
    return Traces(benchmark.pace, (key_of(label, benchmark.kind) for label in benchmark.labels))


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
    return Score(**{**wire, "outcomes": outcomes, "false": tuple(wire["false"])})


class _Stamps:
    """What the results depend on: the code, the settings, the events and the scorer. Another stamp, another result."""

    def __init__(self, benchmark: Benchmark, sensitivities: tuple[float, ...], scorer: Path) -> None:
        self.sensitivities = sensitivities
        given = (benchmark.events, benchmark.folder / "labels.json", scorer)
        self.ours = _digest(WINDOWS, JUDGED, DETECTION, *given, text=repr(sensitivities))
        self.rivals = _digest(WINDOWS, JUDGED, *given, but=DETECTION)


def _digest(code: tuple[str, ...], *more: tuple[str, ...] | Path, but: tuple[str, ...] = (), text: str = "") -> str:
    """Of the settings, a text, files, and the code below some folders of the project: `but` what lies there in `code`,
    not in `more`."""
    digest = hashlib.sha256(repr((settings().model_dump(mode="json"), text)).encode())
    found = {path for path in _files(code) if not any(path.is_relative_to(ROOT / folder) for folder in but)}
    for names in more:
        found.update(_files(names) if isinstance(names, tuple) else [names])
    for path in sorted(found):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _files(names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        whole = ROOT / name
        for path in [whole] if whole.is_file() else whole.rglob("*"):
            if path.suffix in {".py", ".toml"} and path.name not in DRAWN_ONLY:
                yield path
