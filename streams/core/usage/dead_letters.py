"""When dead letters are no longer the odd bad event but a fault of ours: the stage must stop, not eat the stream.

A rate card, a rule or a decoder gone wrong rejects what was good yesterday. Each of those events could be brought back
one day, but nobody would know until somebody looked. So the share of dead letters among the newest events is bounded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from schemas.records import Reason


@dataclass(frozen=True, slots=True)
class Limit:
    """More than `share` (0 to 1) of the newest `window` events, and at least `minimum` of them, are too many.

    `share` 1 means that there is no limit.
    """

    share: float = 0.5
    window: int = 5_000
    minimum: int = 1_000


class Verdict(Enum):
    """What the newest events say of this deployment."""

    WELL = auto()
    DOUBTFUL = auto()  # most are dead letters, and they are too few to be sure
    STOP = auto()


class Tally:
    """Counts the newest events of one topic by what became of them. Whole records leave the window at a time."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._records: deque[tuple[int, Sequence[Reason]]] = deque()
        self.events = 0
        self.reasons: Counter[Reason] = Counter()

    @property
    def dead(self) -> int:
        """Dead letters in the window."""
        return self.reasons.total()

    def add(self, charged: int, reasons: Sequence[Reason]) -> Verdict:
        """Take a record: how many of its events were charged, and why the others were not."""
        self._records.append((charged + len(reasons), reasons))
        self.events += charged + len(reasons)
        self.reasons.update(reasons)
        while self.events - self._records[0][0] >= self._limit.window:
            events, old = self._records.popleft()
            self.events -= events
            self.reasons.subtract(old)
        if self.dead <= self._limit.share * self.events:
            return Verdict.WELL
        return Verdict.STOP if self.dead >= self._limit.minimum else Verdict.DOUBTFUL

    def words(self, topic: str) -> str:
        """What is wrong and what mends it, in one line without anything of an event."""
        why = ", ".join(f"{reason.value} {count}" for reason, count in self.reasons.most_common(5) if count > 0)
        return (
            f"{self.dead} of the newest {self.events} events of {topic} are dead letters ({why}), which is more than "
            f"dead_letters.stop_share {self._limit.share:g}: take back the last change of settings, rate cards, rules "
            "or release and start again (nothing is lost: these events are read again); if the producers do send "
            "this, start with --set dead_letters.stop_share=1"
        )
