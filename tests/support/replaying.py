"""Replay for tests: run a file through it and compare what it wrote with rows of ClickHouse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from replay.outputs import Folder
from replay.readers.together import pieces, rows
from schemas.watch import Finding
from streams.commands.replay import new_replay
from streams.settings import Settings


@dataclass(frozen=True)
class Replayed:
    """The outputs of a replay."""

    folder: Path
    summary: dict[str, Any]

    def charges(self, columns: list[str]) -> list[dict[str, Any]]:
        """The charges, as rows sorted by identity."""
        table = pq.read_table(self.folder / "charges.parquet", columns=columns)
        found: list[dict[str, Any]] = table.to_pylist()
        return sorted(found, key=lambda row: (row["source"], row["id"], row["part"]))

    def findings(self, columns: list[str]) -> list[dict[str, Any]]:
        """The findings in their last state, sorted by id."""
        found = [Finding.model_validate_json(line) for line in self._lines("findings.ndjson")]
        return [
            {name: getattr(finding, name) for name in columns} for finding in sorted(found, key=lambda f: f.finding_id)
        ]

    def alert_titles(self) -> list[tuple[str, str, list[str]]]:
        """Id, title and grouped findings of each alert, sorted by id."""
        alerts = [json.loads(line) for line in self._lines("alerts.ndjson")]
        return sorted((a["alert_id"], a["title"], sorted(a["findings"])) for a in alerts)

    def _lines(self, name: str) -> list[str]:
        return (self.folder / name).read_text(encoding="utf-8").splitlines()


def replayed(settings: Settings, file: Path, out: Path, *, by_column: bool = True) -> Replayed:
    """Replay one file offline, as the command does or row by row."""
    read = pieces if by_column else rows
    run = new_replay(settings)
    with Folder(out) as folder:
        for charges, dead_letters in run.take((file.name, item) for _, item in read([file])):
            folder.add(charges, dead_letters)
        run.finish()
        summary = folder.finish(run, 1.0)
    return Replayed(out, dict(summary))
