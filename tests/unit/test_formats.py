"""What this release wrote once it can read for ever, and what a newer one adds it can leave out.

The files of `tests/support/formats/v1` were written by the release 0.1 and are not to be written anew: a change that
makes one of them unreadable is a new format, and needs a reader for the old one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from schemas.rules import OwnerRecord
from schemas.wire import FORMAT, HEADER, HEADERS, IncompatibleError, check_format
from streams.core.columns.packed import unpack
from streams.core.detect.feedback import feedback_from_json
from streams.core.landing.land import TABLES
from streams.core.windows.ticks_json import from_json
from streams.io.checkpoints import CheckpointError, Checkpoints, CheckpointVersionError
from streams.stages.alert import RECORD

V1 = Path(__file__).parents[1] / "support" / "formats" / "v1"
READERS: dict[str, Callable[[bytes], Any]] = {
    "charges": unpack,
    "charges-by-column": unpack,
    "ticks": from_json,
    "watermark": from_json,
    "feedback": feedback_from_json,
    "finding": RECORD.validate_json,
    "mark": RECORD.validate_json,
    "alert": TABLES["spend.alerts"].read,
    "dead-letter": TABLES["spend.dead-letters"].read,
    "owner": OwnerRecord.model_validate_json,
}
every_record = pytest.mark.parametrize("name", READERS)


def recorded(name: str) -> bytes:
    return (V1 / f"{name}.json").read_bytes()


def with_more(tree: Any) -> Any:
    """The same with a field that nobody knows in every object that holds fields, as a newer release may write it."""
    if isinstance(tree, list):
        return [with_more(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    more = {name: value if name in FREE else with_more(value) for name, value in tree.items()}
    return {**more, "of_a_newer_release": {"a": [1, "x"]}}


FREE = {"series", "tags", "counts", "price_context", "unit_prices", "aligned", "like", "numbered", "columns"}
"""Objects whose keys are values of users, not fields."""


def test_every_recorded_file_has_a_reader() -> None:
    assert {path.stem for path in V1.glob("*.json")} == set(READERS)


@every_record
def test_what_0_1_wrote_is_read(name: str) -> None:
    assert READERS[name](recorded(name))


def test_both_forms_of_charges_say_the_same() -> None:
    by_column, by_charge = unpack(recorded("charges-by-column")), unpack(recorded("charges"))
    assert by_column == by_charge
    assert [charge.id for charge in by_charge.block] == ["call-1", "call-2", "call-2"]


@every_record
def test_what_a_newer_release_adds_is_left_out(name: str) -> None:
    """Workers of two releases run side by side while one after the other is started anew."""
    newer = orjson.dumps(with_more(orjson.loads(recorded(name))))
    assert newer != recorded(name)
    assert READERS[name](newer) == READERS[name](recorded(name))


def test_a_checkpoint_of_0_1_is_read(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    path = store.path("roll", "spend.charges", 0)
    path.parent.mkdir()
    path.write_bytes((V1 / "roll.checkpoint").read_bytes())
    found = store.load("roll", "spend.charges", 0)
    assert found is not None
    assert (found.offset, found.state) == (41, {"money": "1.50", "open": [1, 2]})


def test_a_checkpoint_of_a_newer_release_is_refused_with_its_mend(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    path = store.path("roll", "spend.charges", 0)
    path.parent.mkdir()
    path.write_bytes((V1 / "roll.checkpoint").read_bytes().replace(b'"version":1', b'"version":3'))
    with pytest.raises(CheckpointVersionError, match="run the release that wrote it, or move it away") as caught:
        store.load("roll", "spend.charges", 0)
    assert isinstance(caught.value, CheckpointError)
    assert isinstance(caught.value, IncompatibleError)


def test_a_record_says_its_format_and_a_newer_one_is_refused() -> None:
    check_format("spend.charges", 1, 7, HEADERS)
    check_format("spend.charges", 1, 7, ())  # written before there was a header
    check_format("spend.charges", 1, 7, [("traceparent", b"00-1"), (HEADER, b"1")])
    for value in (str(FORMAT + 1).encode(), b"", b"one", None):
        with pytest.raises(IncompatibleError, match=r"spend\.charges:1:7 has format .*nothing was skipped"):
            check_format("spend.charges", 1, 7, [(HEADER, value)])
