"""What it takes to claim a batch's events when many are claimed already: `python -m tests.bench.claims`.

The table `seen` is filled with so many claims of two days ago, merged to one part; then batches of new events are
claimed as `land` does it. Prints one JSON object a line; times are of the process, with the ClickHouse engine in it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from schemas.topics import CHARGES
from streams.core.landing.batches import Intent, Span
from streams.io import clickhouse
from streams.io.clickhouse import ClickHouseStore
from streams.settings import ClickHouse, Land

BATCHES = 5
AT_ONCE = 5_000_000  # claims that are written in one insert
FILL = """
INSERT INTO seen (key, batch, claimed_at)
SELECT sipHash128(number), 0, now() - INTERVAL 2 DAY FROM numbers({first:UInt64}, {count:UInt64})
"""


def fill(store: ClickHouseStore, first: int, upto: int) -> None:
    """Claims from number `first` to `upto`, as of long ago."""
    for at in range(first, upto, AT_ONCE):
        store.command(FILL, {"first": at, "count": min(AT_ONCE, upto - at)})
    store.command("OPTIMIZE TABLE seen FINAL")


def claim(store: ClickHouseStore, number: int, events: int) -> tuple[float, float]:
    """Claim a batch of new events; CPU-seconds and seconds."""
    intent = Intent(CHARGES.name, (Span(0, number, number),), number, "", datetime.now(UTC))
    keys = [blake2b(f"{number}:{event}".encode(), digest_size=16).digest() for event in range(events)]
    took, began = time.process_time(), time.monotonic()
    if store.claim(intent, keys):
        raise RuntimeError("new events were taken for old ones")
    return time.process_time() - took, time.monotonic() - began


def measure(identities: list[int], events: int) -> None:
    """One line for each number of identities, in rising order."""
    with (
        tempfile.TemporaryDirectory() as folder,
        clickhouse.connect(ClickHouse(url=f"chdb://{Path(folder) / 'clickhouse'}")) as store,
    ):
        store.migrate()
        filled = batch = 0
        for count in sorted(identities):
            fill(store, filled, count)
            filled = count
            took = []
            for _ in range(BATCHES + 1):
                batch += 1
                took.append(claim(store, batch, events))
            cpu, seconds = min(took[1:])  # the first one opens what was merged
            line = {"identities": count, "events": events, "cpu_us_per_event": cpu / events * 1e6, "seconds": seconds}
            print(json.dumps(line), flush=True)  # noqa: T201  its output


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--identities", type=int, action="append")
    options.add_argument("--events", type=int, default=Land().batch_rows)
    given = options.parse_args()
    measure(given.identities or [1_000_000, 10_000_000, 100_000_000], given.events)
