"""The contracts hold together: topics, stages, reasons and examples name each other and nothing is left out."""

from __future__ import annotations

from schemas.events import DATA_BY_TYPE
from schemas.records import METER_BY_TYPE, Reason
from schemas.topics import TOPIC_BY_EVENT_TYPE, TOPICS, USAGE_TOPICS
from streams.app import STAGES
from streams.core.landing.land import TABLES
from tests.support.examples import FOLDER, invalid

# They ask for changes, or say what they could not send; what comes of it is a stage's.
PEOPLE = {"console", "spendstream alerts", "spendstream api", "spendstream send"}
WITHOUT_EXAMPLE = {Reason.TOO_LARGE, Reason.INTERNAL_ERROR}  # too big for a file; not a fault of the event


def test_every_topic_is_described_in_full() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)
    for topic in TOPICS:
        assert topic.purpose
        assert topic.key
        assert topic.producers
        assert topic.consumers
        assert topic.values
        assert topic.partitions >= 1
        assert topic.retention_ms > 0 or topic.compacted


def test_what_reads_and_writes_our_topics_are_our_stages() -> None:
    for topic in TOPICS:
        assert set(topic.consumers) <= set(STAGES), topic.name
        if topic.name.startswith("spend.") and topic.name != "spend.owners":
            assert set(topic.producers) <= set(STAGES) | PEOPLE, topic.name


def test_every_stage_reads_something() -> None:
    assert {stage for topic in TOPICS for stage in topic.consumers} == set(STAGES)


def test_what_lands_is_what_the_topics_say() -> None:
    assert set(TABLES) == {topic.name for topic in TOPICS if "land" in topic.consumers}


def test_every_event_type_has_a_topic_and_a_meter() -> None:
    assert set(DATA_BY_TYPE) == set(METER_BY_TYPE) == set(TOPIC_BY_EVENT_TYPE)
    assert set(TOPIC_BY_EVENT_TYPE.values()) == set(USAGE_TOPICS)


def test_every_reason_has_an_example() -> None:
    assert {example.reason for example in invalid()} == set(Reason) - WITHOUT_EXAMPLE


def test_the_examples_are_a_folder_of_files() -> None:
    assert len(list((FOLDER / "valid").iterdir())) >= 12
    assert all("--" in path.name for path in (FOLDER / "invalid").iterdir())
