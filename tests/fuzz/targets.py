"""Everything that takes bytes from outside, with good bytes to begin from. A target returns, whatever it is given.

What a decoder documents as its answer to nonsense is caught here and nowhere else; anything more escapes, and fails.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from replay.readers import ReaderError, read
from schemas.records import Position, Reason
from streams import build
from streams.core.columns.packed import pack, unpack
from streams.core.columns.reading import Unreadable
from streams.core.detect.feedback import feedback_from_json
from streams.core.landing.land import TABLES
from streams.core.usage.charge import Charger
from streams.core.usage.decode import RawRecord
from streams.core.usage.redrive import NotRedrivableError, again
from streams.core.windows.ticks_json import from_json
from streams.io.checkpoints import CheckpointError, Checkpoints
from streams.io.rates import RatesError, load_pricer
from streams.io.rules import load_tagger
from streams.settings import Settings, SettingsError, load
from tests.support import records
from tests.support.examples import valid

SHIPPED = Path(__file__).parents[2] / "schemas"
NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
MOST_ROWS = 200


@dataclass(frozen=True)
class Target:
    """A decoder. `take` raises only when it is broken."""

    name: str
    take: Callable[[bytes], None]
    seeds: Sequence[bytes]


@cache
def charger() -> Charger:
    return build.charger(Settings())


def events(value: bytes) -> None:
    """A record on `usage.*`, in structured and in binary mode: charges or dead letters, all of which can be written."""
    binary = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", value[:40]), ("ce_time", value[-30:]),
              ("ce_type", b"spendstream.token_call.v1"))  # fmt: skip
    for headers in ((), binary):
        position = Position("usage.token-calls", 0, 1)
        charged = charger().charge(RawRecord(value, headers, position, NOW))
        written = pack(charged.batch([position]))
        assert list(unpack(written).block) == charged.charges
        assert charged.events or charged.dead_letters
        for letter in charged.dead_letters:
            assert letter.reason is not Reason.INTERNAL_ERROR, letter.problem
            letter.model_dump_json().encode()
        assert len({letter.dead_letter_id for letter in charged.dead_letters}) == len(charged.dead_letters)
        TABLES["spend.charges"].read(written)


def landed(value: bytes) -> None:
    """Any record that `land` reads."""
    for table in TABLES.values():
        try:
            table.read(value)
        except Unreadable:
            continue


def ticks(value: bytes) -> None:
    """A record on `spend.ticks`, as `detect` takes it."""
    try:
        if feedback_from_json(value) is None:
            from_json(value)
    except (ValueError, LookupError, TypeError):
        return


def redriven(value: bytes) -> None:
    """A record that is to be sent again."""
    for places in ([None], [0], [0, 7]):
        try:
            again(value, places)
        except NotRedrivableError:
            continue


def checkpoint(value: bytes) -> None:
    """A checkpoint's file; also one whose digest is right, for the digest is no secret."""
    with TemporaryDirectory() as folder:
        store = Checkpoints(Path(folder))
        path = store.path("roll", "spend.charges", 0)
        path.parent.mkdir(parents=True)
        packed = zlib.compress(value, 1)
        digest = hashlib.sha256(packed).hexdigest()
        header = {"format": "spendstream-checkpoint", "version": 1, "offset": 5, "sha256": digest}
        for content in (value, orjson.dumps(header) + b"\n" + packed, orjson.dumps(header) + b"\n" + value):
            path.write_bytes(content)
            try:
                store.load("roll", "spend.charges", 0)
            except CheckpointError:
                continue


def history(value: bytes) -> None:
    """A file for `replay`, whatever reader its content asks for."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "history"
        path.write_bytes(value)
        try:
            items = list(itertools.islice(read(path), MOST_ROWS))
        except ReaderError:
            return
        for item in items:
            if item.fault is None:
                charger().charge(RawRecord(item.raw, (), Position("history", 0, item.row), None), item.event)


def settings_file(value: bytes) -> None:
    """`spendstream.toml`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "spendstream.toml"
        path.write_bytes(value)
        try:
            load(path)
        except SettingsError:
            return


def rate_cards(value: bytes) -> None:
    """A rate card and a file of exchange rates."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "own.toml").write_bytes(value)
        (Path(folder) / "fx.csv").write_bytes(value)
        for rates, fx in ((Path(folder), None), (None, Path(folder) / "fx.csv")):
            try:
                load_pricer(rates, fx)
            except RatesError:
                continue


def rules(value: bytes) -> None:
    """A rules file, and an owner directory in both its forms."""
    with TemporaryDirectory() as folder:
        for name in ("rules.toml", "owners.toml", "owners.csv"):
            path = Path(folder) / name
            path.write_bytes(value)
            try:
                load_tagger(path if name == "rules.toml" else None, path if name != "rules.toml" else None)
            except RatesError:
                continue


def _wire() -> list[bytes]:
    """A record of each kind that stands on an internal topic, of both forms where there are two."""
    charge = records.charges(records.charge(), *records.split(2, ["0.1", "0.2"]))
    wires = [records.finding(), records.alert(), records.dead_letter()]
    return [charge, pack(unpack(charge)), *(wire.model_dump_json().encode() for wire in wires)]


TICK = b"""{"type": "ticks", "meter": "token_call", "window_start": "2026-11-21T08:00:00+00:00", "window_seconds": 10,
"topic": "usage.token-calls", "partition": 0, "parts": [{"series": {"team": "a"}, "sums": ["1.5", 0, 0, 0, 0, 0, 0, 0,
1, 1, 10, 5, 0, 0]}], "ticks": [{"series": {}, "sums": ["1.5", 0, 0, 0, 0, 0, 0, 0, 1, 1, 10, 5, 0, 0], "parts": [0],
"aligned": {"60": 1}}]}"""
COLUMNS = b"""{"type": "ticks", "meter": "token_call", "window_start": "2026-11-21T08:00:00+00:00",
"window_seconds": 10, "topic": "spend.charges", "partition": 0, "piece": 0, "names": [[], ["team"]],
"parts": ["0,1||||||a|||||||", "0||||||||||k~1|||"],
"sums": {"usd": [15, 2], "at_risk_usd": ["1.5", "0"], "events": [1, 1]}, "places": {"usd": 12},
"aligned": {"60": [1, 0]}}"""
WATERMARK = b"""{"type": "watermark", "meter": "gpu_usage", "window_seconds": 60, "topic": "usage.gpu", "partition": 1,
"time": "2026-11-21T08:00:00+00:00", "idle": false}"""
FEEDBACK = b"""{"type": "feedback", "finding_id": "f-1", "meter": "token_call", "series": {"team": "a"}, "kind":
"spike", "says": "expected", "by": "ann", "at": "2026-11-21T08:00:00Z"}"""
CONFIG = b"""[kafka]\nbootstrap_servers = "k:9092"\n[limits]\nlatest_year = 2050\n[[detect.budgets]]
series = {team = "a"}\namount = 100.5\nthresholds = [0.5, 1]\n[[alerts.receivers]]\nname = "chat"\nurl_env = "X"
[roll]\nseries = [["team"], []]
"""
RULES = b"""[[rule]]\nname = "r"\nteam = "a"\n[rule.when]\nprincipal = "key-*"\n[[split]]\nname = "s"
from = 2026-01-01\nsource = "x"\n[split.shares]\na = 0.5\nb = 0.5\n"""
CSVS = [
    b"date,currency,usd\n2026-01-01,EUR,1.1\n2026-01-02,EUR,1.2\n",
    b"principal,team,project,environment,feature,cost_center\nkey-1,a,,,,\n",
    b"BilledCost,EffectiveCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,ServiceName,Tags\n"
    b'1.5,1.5,USD,Usage,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,Compute,"{""team"": ""a""}"\n',
]
EVENTS = [example.value for example in valid()]
SNAPSHOT = b'{"stage": "roll", "topic": "spend.charges", "partition": 0, "offset": 5, "state": {"a": [1, "2"]}}'
CARDS = [(SHIPPED / "rates" / name).read_bytes()[:3_000] for name in ("gpu.toml", "token-overlay.toml")]

TARGETS = (
    Target("events", events, EVENTS),
    Target("landed", landed, _wire()),
    Target("ticks", ticks, [TICK, COLUMNS, WATERMARK, FEEDBACK]),
    Target("redriven", redriven, EVENTS),
    Target("checkpoint", checkpoint, [SNAPSHOT]),
    Target("history", history, [*EVENTS, *CSVS[2:], b"\n".join(line.replace(b"\n", b" ") for line in EVENTS[:5])]),
    Target("settings_file", settings_file, [CONFIG]),
    Target("rate_cards", rate_cards, [*CARDS, CSVS[0]]),
    Target("rules", rules, [RULES, CSVS[1]]),
)
