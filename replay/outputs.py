"""What a replay leaves in its folder: charges, findings, alerts, dead letters, and a summary.

The same input gives the same bytes, the summary's `wall_seconds` and `events_per_second` apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from replay.run import Replay
from schemas.base import Contract, plain_decimal
from schemas.records import DeadLetter
from streams.core.block import SCHEMA, Block

ROWS_PER_GROUP = 50_000

SUMMARY = "summary.json"
FILES = ("charges.parquet", "dead_letters.ndjson", "findings.ndjson", "alerts.ndjson", SUMMARY)


class Folder:
    """Writes the outputs of one replay into a folder, made when it is not there.

    They have their names only when the replay is finished, the summary last: what was cut off leaves what was there
    before, and nothing that looks whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._charges = pq.ParquetWriter(self._under_way("charges.parquet"), SCHEMA, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._dead_letters = self._under_way("dead_letters.ndjson").open("w", encoding="utf-8")
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._finished and kind is None:
                self._flush()
        finally:
            self._charges.close()
            self._dead_letters.close()
            self._name(whole=self._finished and kind is None)

    def add(self, charges: Block, dead_letters: Iterable[DeadLetter]) -> None:
        """Write what came of some rows."""
        if charges.count:
            self._waiting.append(charges.table())
        if sum(rows.num_rows for rows in self._waiting) >= ROWS_PER_GROUP:
            self._flush()
        for letter in dead_letters:
            self._dead_letters.write(letter.model_dump_json() + "\n")

    def finish(self, replay: Replay, wall_seconds: float) -> dict[str, object]:
        """Write findings, alerts and the summary, which is returned."""
        findings = sorted(replay.findings.values(), key=lambda f: (f.detected_at, f.finding_id))
        alerts = sorted(replay.alerts.values(), key=lambda a: (a.detected_at, a.alert_id))
        _write_lines(self._under_way("findings.ndjson"), findings)
        _write_lines(self._under_way("alerts.ndjson"), alerts)
        totals = replay.totals
        summary: dict[str, object] = {
            "events_read": totals.events_read,
            "charged": totals.charged,
            "duplicates": totals.duplicates,
            "dead_lettered": totals.dead_lettered,
            "late": replay.late,
            "unpriced": totals.unpriced,
            "findings": len(findings),
            "alerts": len(alerts),
            "effective_cost": {
                currency: plain_decimal(amount) for currency, amount in sorted(totals.effective_cost.items())
            },
            "first_event_time": _iso(totals.first_event_time),
            "last_event_time": _iso(totals.last_event_time),
            "wall_seconds": round(wall_seconds, 3),
            "events_per_second": round(totals.events_read / wall_seconds, 1) if wall_seconds else None,
        }
        self._under_way(SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        self._finished = True
        return summary

    def _under_way(self, name: str) -> Path:
        return self.path / f".{name}.part"

    def _name(self, *, whole: bool) -> None:
        if whole:  # a summary that stands beside the outputs of another replay would be a lie
            (self.path / SUMMARY).unlink(missing_ok=True)
        for name in FILES:
            if whole:
                self._under_way(name).replace(self.path / name)
            else:
                self._under_way(name).unlink(missing_ok=True)

    def _flush(self) -> None:
        if not self._waiting:
            return
        rows = pa.Table.from_batches(self._waiting)
        self._charges.write_table(rows, row_group_size=rows.num_rows)
        self._waiting.clear()


def _write_lines(path: Path, records: Iterable[Contract]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(record.model_dump_json() + "\n" for record in records)


def _iso(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None
