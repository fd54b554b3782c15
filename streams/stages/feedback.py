"""From `alert`, or whoever hears people, to `detect`: feedback goes to the partition that its series lives in."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from schemas.topics import TICKS
from schemas.watch import Alert, Feedback, Finding, Says
from streams.core.windows.state import FLOOD
from streams.core.windows.sums import series_key
from streams.io import kafka
from streams.io.topics import partition_counts
from streams.settings import Settings
from streams.stages.roll import series_partition
from streams.stages.sending import Outgoing, Send


def feedback_on(about: Finding | Alert, says: Says, *, by: str, at: datetime) -> Feedback:
    """What `by` says of a finding, or of the finding that an alert names."""
    return Feedback(
        finding_id=about.finding_id,
        meter=about.meter,
        series=about.series,
        kind=about.kind,
        says=says,
        by=by,
        at=at,
    )


def feedback_sends(feedback: Feedback, *, topic: str, partitions: int) -> list[Send]:
    """The record for the partition of the series; a stage adds it to what it sends. `topic` is that of the cluster.

    What was summed up for want of room has no partition of its own: all of them hear of it, and one knows the series.
    Raises KeyError on a series of a dimension that there is none of.
    """
    value = feedback.model_dump_json().encode()
    key = series_key(feedback.series)
    if any(named == FLOOD for _, named in key):
        return [Send(topic, None, value, partition) for partition in range(partitions)]
    return [Send(topic, None, value, series_partition(key, partitions))]


async def send_feedback(settings: Settings, feedback: Feedback) -> None:
    """Send it by a producer of its own, and wait until the broker has confirmed it. Harmless to repeat.

    For commands and handlers of requests. Raises TopicsError where no broker answers, KafkaError where it refuses.
    """
    partitions = (await partition_counts(settings))[TICKS.name]
    outgoing = Outgoing(partial(kafka.make_producer, settings, client_id="spendstream-feedback"), in_flight=partitions)
    try:
        await outgoing.deliver(feedback_sends(feedback, topic=kafka.topic_name(settings, TICKS), partitions=partitions))
    finally:
        await outgoing.stop()
