"""What a replay leaves in its folder: charges, findings, alerts, dead letters, and a summary.

The same input gives the same bytes, the summary's `wall_seconds` and `events_per_second` apart.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from replay.run import Replay
from schemas.base import Contract, plain_decimal
from schemas.records import DeadLetter
from streams.core.columns.block import SCHEMA, Block

ROWS_PER_GROUP = 50_000

SUMMARY = "summary.json"
FILES = ("charges.parquet", "dead_letters.ndjson", "findings.ndjson", "alerts.ndjson", SUMMARY)


UNFINISHED = ".unfinished"


class Folder:
    """Writes the outputs of one replay into a folder, made when it is not there.

    They have their names only when the replay is finished, the summary last: what was cut off leaves what was there
    before, and nothing that looks whole. What it had come to is in a folder of its own, to go on from what `so_far`
    said; without that it is thrown away.
    """

    def __init__(self, path: Path, so_far: dict[str, Any] | None = None) -> None:
        """Raises ValueError where what there was `so_far` is not there as it was."""
        self.path = path
        self.unfinished = path / UNFINISHED
        self._parts: list[int] = so_far["parts"] if so_far else []  # the sizes in bytes of those that are whole
        self._kept = so_far is not None
        if so_far is None:
            shutil.rmtree(self.unfinished, ignore_errors=True)
        elif any(_size(self._part(number)) != size for number, size in enumerate(self._parts)):
            raise ValueError("its charges are not what they were")
        self.unfinished.mkdir(parents=True, exist_ok=True)
        self._charges: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._dead_letters = _cut_to(self._under_way("dead_letters.ndjson"), so_far["dead_letters"] if so_far else 0)
        self.seen = _cut_to(self.unfinished / "seen", so_far["seen"] if so_far else 0)
        self._finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        whole = self._finished and kind is None
        try:
            if whole:
                self._close_part()
        finally:
            if self._charges is not None:
                self._charges.close()
            self._dead_letters.close()
            self.seen.close()
            if whole:
                self._name()
            if whole or not self._kept:
                shutil.rmtree(self.unfinished)

    def add(self, charges: Block, dead_letters: Iterable[DeadLetter]) -> None:
        """Write what came of some rows."""
        if charges.count:
            self._waiting.append(charges.table())
        if sum(rows.num_rows for rows in self._waiting) >= ROWS_PER_GROUP:
            self._flush()
        for letter in dead_letters:
            self._dead_letters.write(letter.model_dump_json().encode() + b"\n")

    @property
    def is_kept(self) -> bool:
        """Whether what was written stays when the replay is cut off."""
        return self._kept

    def so_far(self) -> dict[str, Any]:
        """Put all that was added into the files; returns what a later `Folder` needs to go on from here."""
        self._close_part()
        self._kept = True
        for file in (self._dead_letters, self.seen):
            file.flush()
        return {"parts": list(self._parts), "dead_letters": self._dead_letters.tell(), "seen": self.seen.tell()}

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
        return self.unfinished / name

    def _part(self, number: int) -> Path:
        return self.unfinished / f"charges-{number}.parquet"

    def _name(self) -> None:
        """Give the outputs their names. A summary that stands beside the outputs of another replay would be a lie."""
        self._join_parts()
        (self.path / SUMMARY).unlink(missing_ok=True)
        for name in FILES:
            self._under_way(name).replace(self.path / name)

    def _join_parts(self) -> None:
        if len(self._parts) == 1:
            self._part(0).replace(self._under_way("charges.parquet"))
            return
        with _writer(self._under_way("charges.parquet")) as whole:
            for number in range(len(self._parts)):
                with pq.ParquetFile(self._part(number)) as part:
                    for group in range(part.num_row_groups):
                        _write(whole, part.read_row_group(group))

    def _flush(self) -> None:
        if self._charges is None:
            self._charges = _writer(self._part(len(self._parts)))
        if self._waiting:
            _write(self._charges, pa.Table.from_batches(self._waiting))
            self._waiting.clear()

    def _close_part(self) -> None:
        if self._waiting or self._charges is not None or not self._parts:
            self._flush()
        if self._charges is not None:
            self._charges.close()
            self._charges = None
            self._parts.append(_size(self._part(len(self._parts))))


def _writer(path: Path) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, SCHEMA, compression="zstd")


def _write(file: pq.ParquetWriter, rows: pa.Table) -> None:
    """One group of rows. In one piece, so that the same rows give the same bytes in whatever pieces they came."""
    file.write_table(rows.combine_chunks(), row_group_size=max(1, rows.num_rows))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1


def _cut_to(path: Path, size: int) -> IO[bytes]:
    """The file, to be written on behind its first `size` bytes. Raises ValueError where it has fewer."""
    path.touch()
    if path.stat().st_size < size:
        raise ValueError(f"{path.name} is shorter than it was")
    file = path.open("r+b")
    file.truncate(size)
    file.seek(size)
    return file


def _write_lines(path: Path, records: Iterable[Contract]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(record.model_dump_json() + "\n" for record in records)


def _iso(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None
