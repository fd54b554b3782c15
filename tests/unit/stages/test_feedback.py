"""Feedback goes where its series lives, takes effect between two windows, and does so again on every re-run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from pydantic import ValidationError

from schemas.records import Meter
from schemas.topics import CHARGES
from schemas.watch import Feedback, Finding, FindingKind, Says
from streams.core.detect.feedback import feedback_from_json
from streams.core.detect.watch import WatchRules
from streams.core.windows.state import FLOOD
from streams.core.windows.sums import SeriesKey, Sums
from streams.core.windows.ticks import Origin, Part, PartName, Parts, Ticks, Watermark, leaf_of
from streams.core.windows.ticks_json import Writer, watermark_to_json
from streams.io.checkpoints import Checkpoints
from streams.metrics import Metrics
from streams.settings import Settings
from streams.stages.detect import DetectService
from streams.stages.feedback import feedback_on, feedback_sends
from streams.stages.roll import Layout, series_partition
from tests.support.watching import MINUTE, START, key, steady, tokens

ORIGIN = Origin(CHARGES.name, 0)
METER: Meter = "token_call"
KEY = key(principal="key-1")
TP = TopicPartition("spend.ticks", 0)
WHEN = datetime(2027, 1, 15, 9, 0, tzinfo=UTC)


@dataclass
class Record:
    """What `process` looks at of a Kafka record."""

    value: bytes
    offset: int
    partition: int = 0


def service(tmp_path: Path) -> DetectService:
    settings = Settings().model_copy(
        update={"roll": Settings().roll.model_copy(update={"token_call_window_seconds": MINUTE})}
    )
    return DetectService(
        settings,
        Metrics(),
        topics=["spend.ticks"],
        make_consumer=pytest.fail,
        make_producer=pytest.fail,
        checkpoints=Checkpoints(tmp_path),
        clock=lambda: WHEN,
        rules=WatchRules(min_excess_usd=1.0),
        layout=Layout({"usage.token-calls": 1}, 1, 1),
        findings_topic="spend.findings",
    )


def windows(usual: int, loop: int) -> list[bytes]:
    """An ordinary key that then goes into a loop: its ticks and watermarks as they stand on the topic."""
    rows = [*steady(usual), *(tokens(900) for _ in range(loop))]
    return [value for number, sums in enumerate(rows) for value in _window(START + number * MINUTE, KEY, sums)]


def _window(start: int, series: SeriesKey, sums: Sums) -> list[bytes]:
    part = Part(PartName(leaf_of(series), series, (series,)), sums)
    window = Ticks(METER, MINUTE, start, ORIGIN, Parts.of([part]))
    mark = Watermark(METER, MINUTE, ORIGIN, start + MINUTE)
    return [Writer().whole(window), watermark_to_json(mark)]


def run(tmp_path: Path, values: Sequence[bytes], *, restarts: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Take records through the stage, one by one, with a restart from a snapshot before each of `restarts`."""
    stage = service(tmp_path)
    state = stage.open(TP, None)
    said: list[dict[str, Any]] = []
    for offset, value in enumerate(values):
        if offset in restarts:
            state = stage.open(TP, stage.snapshot(state))
        sends = stage.process(state, [Record(value, offset)])
        said += [
            Finding.model_validate_json(send.value).model_dump() for send in sends if b'"finding_id"' in send.value
        ]
    return said


def says(what: Says, found: dict[str, Any]) -> bytes:
    finding = Finding.model_validate(found)
    return feedback_sends(feedback_on(finding, what, by="ada", at=WHEN), topic="spend.ticks", partitions=1)[0].value


def test_it_comes_through_the_wire() -> None:
    one = Feedback(
        finding_id="f", meter=METER, series=dict(KEY), kind=FindingKind.SPIKE, says="expected", by="ada", at=WHEN
    )
    assert feedback_from_json(one.model_dump_json().encode()) == one


def test_a_team_of_that_name_is_no_feedback() -> None:
    assert feedback_from_json(_window(START, key(team="feedback"), tokens(1))[0]) is None


def test_what_is_no_judgement_is_refused() -> None:
    with pytest.raises(ValidationError):
        feedback_from_json(b'{"type": "feedback", "says": "maybe"}')


def test_it_goes_where_its_windows_go() -> None:
    for number in range(20):
        series = key(principal=f"key-{number}", model="m")
        one = Feedback(
            finding_id="f", meter=METER, series=dict(series), kind=FindingKind.SPIKE, says="expected", by="a", at=WHEN
        )
        sends = feedback_sends(one, topic="x.spend.ticks", partitions=7)
        assert [(send.topic, send.partition) for send in sends] == [("x.spend.ticks", series_partition(series, 7))]


def test_what_was_summed_up_for_want_of_room_is_looked_for_everywhere() -> None:
    one = Feedback(
        finding_id="f", meter=METER, series={"principal": FLOOD}, kind=FindingKind.NEW_SERIES, says="expected",
        by="a", at=WHEN,
    )  # fmt: skip
    assert [send.partition for send in feedback_sends(one, topic="t", partitions=3)] == [0, 1, 2]


def test_what_is_said_closes_the_finding_with_the_next_window(tmp_path: Path) -> None:
    values = windows(300, 20)
    found = run(tmp_path, values)
    assert [finding["kind"] for finding in found][:1] == ["spike"]
    assert all(finding["status"] == "open" for finding in found)
    judged = [*values[:-20], says("expected", found[0]), *values[-20:]]
    after = run(tmp_path, judged)
    assert after[-1]["status"] == "closed"
    assert len({finding["finding_id"] for finding in after}) == 1, "the level is the usual one now"


def test_it_is_not_taken_for_a_later_finding(tmp_path: Path) -> None:
    values = windows(300, 20)
    found = run(tmp_path, values)
    earlier = says("expected", {**found[0], "finding_id": "an earlier one"})
    assert run(tmp_path, [*values[:-20], earlier, *values[-20:]]) == found


def test_a_restart_anywhere_comes_to_the_same(tmp_path: Path) -> None:
    values = windows(300, 20)
    judged = [*values[:-20], says("false_positive", run(tmp_path, values)[0]), *values[-20:]]
    at = len(values) - 20
    whole = run(tmp_path, judged)
    assert run(tmp_path, judged, restarts=[at, at + 1, at + 2]) == whole
    assert whole[-1]["status"] == "closed"


def test_what_makes_no_sense_is_skipped(tmp_path: Path) -> None:
    values = windows(300, 5)
    wrong = [
        b'{"type": "feedback"}',
        b'{"type": "feedback", "finding_id": "f", "meter": "token_call", "series": {"planet": "mars"},'
        b' "kind": "spike", "says": "expected", "by": "a", "at": "2027-01-15T09:00:00Z"}',
        b'{"type": "feedback", "finding_id": "f", "meter": "token_call", "series": {"principal": "never-seen"},'
        b' "kind": "spike", "says": "expected", "by": "a", "at": "2027-01-15T09:00:00Z"}',
    ]
    assert run(tmp_path, [*values[:-6], *wrong, *values[-6:]]) == run(tmp_path, values)
