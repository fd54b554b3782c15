"""Every Kafka topic, once, as data."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.base import Contract
from schemas.events import UsageEvent
from schemas.oncall import AlertAction, AlertChange, RemedyChange
from schemas.records import ChargeRecord, DeadLetter
from schemas.rules import OwnerRecord
from schemas.watch import Alert, Feedback, Finding, Mark, Ticks, Watermark

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's contract. `partitions` is what `init` creates; a topic that has more already is left as it is."""

    name: str
    purpose: str
    key: str
    partitions: int
    retention_ms: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    values: tuple[type[Contract], ...]
    compacted: bool = False
    max_message_bytes: int = 1_048_576  # Kafka's own default; a record above it is refused at the producer


TOKEN_CALLS = Topic(
    name="usage.token-calls",
    purpose="Model calls, or buckets of them, as CloudEvents: one event or a JSON array of them.",
    key="free: the principal, so that one key's events stay in order",
    partitions=4,
    retention_ms=7 * DAY_MS,
    producers=("applications", "gateways", "spendstream send"),
    consumers=("price",),
    values=(UsageEvent,),
)
GPU = Topic(
    name="usage.gpu",
    purpose="GPU-minutes used or held, as CloudEvents.",
    key="free: the cluster",
    partitions=4,
    retention_ms=7 * DAY_MS,
    producers=("cluster exporters", "spendstream send"),
    consumers=("price",),
    values=(UsageEvent,),
)
LINE_ITEMS = Topic(
    name="usage.line-items",
    purpose="Rows of cloud bills under FOCUS names, as CloudEvents.",
    key="free: the sub-account",
    partitions=4,
    retention_ms=30 * DAY_MS,
    producers=("bill exporters", "spendstream send"),
    consumers=("price",),
    values=(UsageEvent,),
)
CHARGES = Topic(
    name="spend.charges",
    purpose="Priced and tagged usage by column: what came of source records, each charge naming its own; and pulses.",
    key="none: an event's partition goes by its source and id, so that all copies of it meet",
    partitions=4,
    retention_ms=7 * DAY_MS,
    producers=("price",),
    consumers=("land", "roll"),
    values=(ChargeRecord,),
    max_message_bytes=16 * 1_048_576,  # a source record of 1 MiB may hold thousands of events
)
TICKS = Topic(
    name="spend.ticks",
    purpose="Closed windows by series and partition of charges (upserts), watermarks behind them, and what people say.",
    key="none: a series lives in the partition that its name hashes to",
    partitions=4,
    retention_ms=2 * DAY_MS,
    producers=("roll", "alert"),
    consumers=("detect",),
    values=(Ticks, Watermark, Feedback),
    max_message_bytes=16 * 1_048_576,  # a window of a busy partition holds thousands of series
)
FINDINGS = Topic(
    name="spend.findings",
    purpose="Findings, each record a whole state; marks that say how far detection has come; and what people ask for.",
    key="the finding's id; of an action the alert's",
    partitions=1,  # grouping needs every finding of an incident in one place; there are few
    retention_ms=30 * DAY_MS,
    producers=("detect", "console", "spendstream alerts", "spendstream api"),
    consumers=("alert", "land"),
    values=(Finding, Mark, AlertAction),  # actions too: one log gives them a place among what detection says
)
ALERTS = Topic(
    name="spend.alerts",
    purpose="Alerts, each record a whole state.",
    key="the alert's id",
    partitions=1,
    retention_ms=30 * DAY_MS,
    producers=("alert",),
    consumers=("land",),
    values=(Alert,),
)
ALERT_CHANGES = Topic(
    name="spend.alert-changes",
    purpose="Every change of an alert's state, with who and when.",
    key="the alert's id",
    partitions=1,
    retention_ms=30 * DAY_MS,
    producers=("alert",),
    consumers=("land",),
    values=(AlertChange,),
)
REMEDIES = Topic(
    name="spend.remedies",
    purpose="Every change of a remedy: proposed, approved, started, done, undone, measured.",
    key="the remedy's id",
    partitions=1,
    retention_ms=30 * DAY_MS,
    producers=("alert",),
    consumers=("land",),
    values=(RemedyChange,),
)
DEAD_LETTERS = Topic(
    name="spend.dead-letters",
    purpose="Events that could not be charged: position and reason, never content.",
    key="the dead letter's id",
    partitions=1,
    retention_ms=30 * DAY_MS,
    producers=("price", "spendstream send"),
    consumers=("land",),
    values=(DeadLetter,),
)
OWNERS = Topic(
    name="spend.owners",
    purpose="The owner directory: whom each principal works for. The newest record of a principal holds; none removes.",
    key="the principal",
    partitions=1,
    retention_ms=-1,  # compacted: what is newest stays
    producers=("spendstream owners", "identity systems"),
    consumers=("price",),
    values=(OwnerRecord,),
    compacted=True,
)

TOPICS: tuple[Topic, ...] = (TOKEN_CALLS, GPU, LINE_ITEMS, CHARGES, TICKS, FINDINGS, ALERTS, ALERT_CHANGES, REMEDIES,
                             DEAD_LETTERS, OWNERS)  # fmt: skip
USAGE_TOPICS: tuple[Topic, ...] = (TOKEN_CALLS, GPU, LINE_ITEMS)
TOPIC_BY_EVENT_TYPE: dict[str, Topic] = {
    "spendstream.token_call.v1": TOKEN_CALLS,
    "spendstream.gpu_usage.v1": GPU,
    "spendstream.line_item.v1": LINE_ITEMS,
}
