"""Runs variants over histories: each history is priced and rolled once, then only detection is repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import orjson

from replay.backtest.detect import PRODUCT, Plan, Raised, Seen, run
from replay.backtest.histories import History, Points
from replay.backtest.score import METRIC
from replay.backtest.tape import Recorded, Tape, recorded, windows
from replay.readers.together import pieces
from replay.run import Replay
from streams import build
from streams.core.alert import Alerter
from streams.core.detect.detectors import DETECTORS
from streams.core.detect.merge import Merger
from streams.core.windows.roll import Roller
from streams.core.windows.sums import utc
from streams.settings import Settings

TOGETHER = 8  # variants in one pass: each holds the state of a whole deployment
METRIC_DETECTOR = "spend"  # what the product's watch does to a plain series of values
FORMAT = 2  # of the tapes


@dataclass(frozen=True, slots=True)
class Job:
    """Some variants over one history. A history of spend has a tape, a metric its points."""

    plans: tuple[Plan, ...]
    tape: Path | None
    points: Points
    until: datetime | None

    def run(self) -> list[Seen]:
        """What each plan saw."""
        if self.tape is not None:
            return run(self.plans, windows(self.tape), self.until)
        return [_watched(plan, self.points) for plan in self.plans]


def record(history: History, settings: Settings, folder: Path, *, reuse: bool) -> tuple[Path, Recorded]:
    """The history's tape under these settings: an earlier one where `reuse`, else priced and rolled now.

    Raises ReaderError when a file can't be read.
    """
    tape = folder / f"{_fingerprint(history, settings) if reuse else history_digest(history, settings)}.ndjson.zst"
    known = recorded(tape) if reuse else None
    if known is not None:
        return tape, known
    writer = Tape(tape, settings.roll.max_cells)
    replay = Replay(
        build.charger(settings),
        Roller(build.roll_rules(settings)),
        Merger(settings.roll.max_cells),
        writer,
        Alerter(build.alert_rules(settings)),
    )
    names = {path: path.name for path in history.files}
    if len(set(names.values())) < len(names):
        names = {path: str(path) for path in history.files}
    for _ in replay.take((names[path], piece) for path, piece in pieces(history.files)):
        pass
    replay.finish()
    return tape, writer.close(replay.totals)


def rolled_by(settings: Settings) -> bytes:
    """All settings that windows depend on: variants that differ in others share a tape."""
    parts = (settings.limits, settings.prices, settings.roll)
    return orjson.dumps([part.model_dump(mode="json") for part in parts], option=orjson.OPT_SORT_KEYS)


def history_digest(history: History, settings: Settings) -> str:
    """A name for the tape, unlike that of any other history or roll settings of this run."""
    paths = "\0".join(str(path.resolve()) for path in history.files)
    return blake2b(paths.encode() + rolled_by(settings), digest_size=12).hexdigest()


def _fingerprint(history: History, settings: Settings) -> str:
    """The same for the same content, prices, rules, roll settings and release, whenever it is asked for."""
    digest = blake2b(rolled_by(settings) + version("spendstream").encode() + bytes([FORMAT]), digest_size=12)
    prices = settings.prices
    books = [path for path in (prices.rules_file, prices.owners_file, prices.fx_file) if path is not None]
    if prices.rates_dir is not None:
        books += sorted(path for path in prices.rates_dir.rglob("*") if path.is_file())
    for path in (*history.files, *books):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def jobs(plans: Sequence[Plan], tape: Path | None, points: Points, until: datetime | None) -> list[Job]:
    """The plans over one history, some at a time."""
    return [
        Job(tuple(plans[first : first + TOGETHER]), tape, points, until) for first in range(0, len(plans), TOGETHER)
    ]


def carry_out(work: Sequence[Job], processes: int, done: Callable[[], None]) -> Iterator[list[Seen]]:
    """The results in the order of the jobs, whatever process each ran in; `done` is called after each."""
    if processes == 1 or len(work) == 1:
        for job in work:
            yield job.run()
            done()
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for seen in pool.map(Job.run, work):
            yield seen
            done()


def _watched(plan: Plan, points: Points) -> Seen:
    """A metric has no dollars: what alerts is told."""
    detector = DETECTORS[METRIC_DETECTOR if plan.detector == PRODUCT else plan.detector]()
    nothing = Decimal(0)
    alerts = tuple(
        Raised(str(number), "anomaly", {}, METRIC, utc(at), nothing, nothing)
        for number, (at, value) in enumerate(points)
        if detector.update(at, value).alert
    )
    return Seen(alerts, alerts)


def span(history: History, known: Recorded | None) -> tuple[datetime, datetime] | None:
    """From the first event to behind the last; None for a history without events."""
    if history.points:
        return utc(history.points[0][0]), utc(history.points[-1][0]) + timedelta(seconds=1)
    if known is None or known.first is None or known.last is None:
        return None
    return known.first, known.last + timedelta(seconds=1)
