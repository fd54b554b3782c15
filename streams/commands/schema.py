"""`spendstream schema`: write the contracts as JSON Schema, for producers in any language."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from schemas.base import Contract
from schemas.events import DATA_BY_TYPE
from schemas.topics import TOPICS


def contracts() -> dict[str, type[Contract]]:
    """Every contract by the name of its file: the data of each event type, and the values of each topic."""
    found: dict[str, type[Contract]] = {
        kind.removeprefix("spendstream."): model for kind, model in DATA_BY_TYPE.items()
    }
    for topic in TOPICS:
        for model in topic.values:
            found[model.__name__] = model
    return found


def schema(out: Annotated[Path, typer.Option("--out", help="the folder to write into")]) -> None:
    """Write one JSON Schema a contract, and `topics.json` with every topic's description."""
    out.mkdir(parents=True, exist_ok=True)
    for name, model in contracts().items():
        text = json.dumps(model.model_json_schema(), indent=1, sort_keys=True)
        (out / f"{name}.schema.json").write_text(text + "\n", encoding="utf-8")
    topics = [
        {
            "name": topic.name,
            "purpose": topic.purpose,
            "key": topic.key,
            "partitions": topic.partitions,
            "retention_ms": topic.retention_ms,
            "cleanup_policy": "compact" if topic.compacted else "delete",
            "max_message_bytes": topic.max_message_bytes,
            "producers": topic.producers,
            "consumers": topic.consumers,
            "values": [f"{model.__name__}.schema.json" for model in topic.values],
        }
        for topic in TOPICS
    ]
    (out / "topics.json").write_text(json.dumps(topics, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"{len(contracts())} schemas and topics.json are in {out}")
