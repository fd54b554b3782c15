"""How a replay that was cut off goes on: every so many rows, what it has come to is written beside its outputs.

The same command reads the inputs again up to there, which is a part of the work, and goes on as if nothing had been.
What stands in this folder belongs to one release, one set of inputs and one set of settings; any other is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from replay.readers.base import ReaderError

FORMAT = 1
EVERY = 500_000  # rows between two times that the state is written
PACKAGES = ("spendstream", "genai-prices")  # whose release may change what comes of a row


class OtherReplay(ValueError):  # noqa: N818  an outcome, not an error of ours
    """The folder holds a replay of other inputs, settings or another release. The text says which."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a replay depends on: digests of its files (name, size, time of change), its settings and the release."""

    files: str
    settings: str
    release: str

    @classmethod
    def of(cls, files: Sequence[Path], settings: dict[str, Any]) -> Inputs:
        """`settings` by name, with the paths of what they name in files; their content counts too.

        Raises ReaderError where a file is not there.
        """
        named = sorted(path for path in _paths(settings) if path.exists())
        return cls(
            _digest([_looks(path) for path in files]),
            _digest([json.dumps(settings, default=str, sort_keys=True), [_looks(path) for path in named]]),
            ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        )


def _paths(value: Any) -> list[Path]:
    if isinstance(value, Path):
        return [value]
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [path for one in inside for path in _paths(one)]


def _looks(path: Path) -> list[object]:
    try:
        stat = path.stat()
    except OSError as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else f"can't be read ({error})"
        raise ReaderError(f"{path}: {why}") from None
    return [str(path), stat.st_size, stat.st_mtime_ns]


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


class Unfinished:
    """The state of a replay in the folder of its unfinished outputs."""

    def __init__(self, folder: Path, inputs: Inputs) -> None:
        self._path = folder / "state.json"
        self._inputs = inputs

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None where nothing was. Raises OtherReplay where it is of something else."""
        try:
            saved = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        if saved.get("format") != FORMAT or saved["release"] != self._inputs.release:
            raise OtherReplay("was begun by another release")
        if saved["files"] != self._inputs.files:
            raise OtherReplay("is of other inputs, or they have changed since")
        if saved["settings"] != self._inputs.settings:
            raise OtherReplay("was begun under other settings, rates or rules")
        state: dict[str, Any] = saved["state"]
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write the state; the one before stands until this one is whole."""
        inputs = {name: getattr(self._inputs, name) for name in ("files", "settings", "release")}
        new = self._path.with_suffix(".new")
        new.write_bytes(orjson.dumps({"format": FORMAT, **inputs, "state": state}))
        new.replace(self._path)
