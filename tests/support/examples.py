"""The example events of `schemas/examples`: the corpus that every test of a stage runs through."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from schemas.records import Position, Reason
from streams.core.usage.decode import Headers, RawRecord

FOLDER = Path(__file__).parents[2] / "schemas" / "examples"


@dataclass(frozen=True)
class Example:
    """One record value; `reason` is what its dead letter must say, None for a valid one."""

    name: str
    value: bytes
    headers: Headers
    reason: Reason | None

    def record(self, topic: str = "usage.token-calls", partition: int = 0, offset: int = 0) -> RawRecord:
        """The example as it would come from Kafka."""
        return RawRecord(self.value, self.headers, Position(topic, partition, offset), None)


def valid() -> list[Example]:
    """All valid examples."""
    return [_valid(path) for path in sorted((FOLDER / "valid").iterdir())]


def invalid() -> list[Example]:
    """All invalid examples, with the reason that their file name says."""
    paths = sorted((FOLDER / "invalid").iterdir())
    return [Example(path.stem, path.read_bytes(), (), Reason(path.name.partition("--")[0])) for path in paths]


def _valid(path: Path) -> Example:
    if path.stem == "binary-mode":
        whole = json.loads(path.read_text())
        headers = tuple((name, text.encode()) for name, text in whole["headers"].items())
        return Example(path.stem, json.dumps(whole["data"]).encode(), headers, None)
    return Example(path.stem, path.read_bytes(), (), None)
