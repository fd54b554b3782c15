"""Re-pricing a period in ClickHouse, a piece at a time. It is run by a command, not by the worker.

A piece's corrections go through these steps, each of which may be repeated. What a crash just after each leaves:

1. They are staged, under the batch's number. Crash: they mean nothing yet; another run makes its own.
2. An intent is saved. Crash: the next run completes exactly this batch first.
3. Each event's correction is claimed by (source, id, revision): of two runs at the same time one may correct an event.
   Crash: as 2.
4. What the batch owns is inserted as one block: an event's old rows taken back, and its new rows. Crash: as 2; the
   token makes the repeated insert add nothing.
5. The intent is closed. Crash: nothing is left to do; a further run finds the events right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from schemas.records import Correction
from streams.core.corrections.reprice import TABLE, Moves, Repricer
from streams.core.landing.batches import Intent, Record, Span, digest, read_record
from streams.io.standing import Piece, Queries, staged, standing
from streams.stages.landing import Store, put

TOPIC = "reprice"  # under which the intents of re-prices are kept, beside those of Kafka's topics
ROWS = 20_000  # of charges in memory at a time


@dataclass(slots=True)
class Repriced:
    """What came of a run. `contended` counts events that another run corrected at the same time."""

    events: int = 0
    corrected: int = 0
    contended: int = 0
    moves: Moves = field(default_factory=Moves)


class Repricing:
    """One run over a period. `store` takes what lands, `queries` is asked; both block and raise StoreError."""

    def __init__(
        self, store: Store, queries: Queries, repricer: Repricer, reprice_id: str, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._queries = queries
        self._repricer = repricer
        self._id = reprice_id
        self._clock = clock
        self.done = Repriced()

    def resume(self) -> int:
        """Complete what an earlier run was cut off in. Returns how many batches that were."""
        intents = self._store.open_intents(TOPIC, [0])
        for intent in intents:
            records = _records(staged(self._queries, intent.batch))
            if records:
                put(self._store, TABLE, records, intent, intent.saved_at)
            else:  # both have outlived the time for which claims stand: nothing of it can be said any more
                self._store.close_intent(intent)
        return len(intents)

    def reprice(self, piece: Piece, *, land: bool) -> None:
        """Correct the events of a piece; without `land` only say what that would move."""
        corrections: list[Correction] = []
        for event in standing(self._queries, piece):
            self.done.events += 1
            correction = self._repricer.correct(event)
            if correction is not None:
                corrections.append(correction)
                self.done.moves.add(correction)
        if corrections and land:
            self._land(piece, corrections)
        else:
            self.done.corrected += len(corrections)

    def _land(self, piece: Piece, corrections: Sequence[Correction]) -> None:
        name = f"{self._id}:{piece.start}:{piece.bucket}"
        batch = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
        values = [correction.model_dump_json(exclude_defaults=True) for correction in corrections]
        columns: dict[str, Sequence[Any]] = {
            "batch": [batch] * len(values),
            "number": list(range(len(values))),
            "value": values,
        }
        self._store.insert("reprice_staged", columns, name)
        records = _records([value.encode() for value in values])
        intent = Intent(TOPIC, (Span(0, 0, len(values) - 1),), batch, digest(records), self._clock())
        landed = put(self._store, TABLE, records, intent, intent.saved_at)
        self.done.corrected += landed.landed
        self.done.contended += landed.duplicate


def _records(values: Sequence[bytes]) -> list[Record]:
    return [read_record(TABLE, number, value) for number, value in enumerate(values)]
