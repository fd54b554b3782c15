"""What a stage knows, kept together with the offset that it has come to: one file per stage and partition.

A file is one line of JSON (format, version, offset, sha256 of the rest) and the zstd-compressed JSON of the checkpoint
(zlib in version 1).
It is written beside, synced, and moved into place, so that a reader sees the whole old or the whole new one, whatever
is killed in between. No pickle: a checkpoint can't run code, and another version can read it.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol

import orjson
import pyarrow as pa

from schemas.wire import IncompatibleError

FORMAT = "spendstream-checkpoint"
VERSION = 2
HEADER_BYTES = 1_024
# States are mostly digits and identities: higher levels, and zlib at any, cost much time for few bytes.
ZSTD = pa.Codec("zstd", compression_level=1)

State = dict[str, Any]
"""What JSON can hold, with text keys. Money goes in as text, times as RFC 3339 text."""


class CheckpointError(Exception):
    """A checkpoint can't be written or read. The message names the file and the mend."""


class CheckpointVersionError(CheckpointError, IncompatibleError):
    """Another release wrote it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`state` includes every record before `offset`, and none from `offset` on."""

    offset: int
    state: State


class CheckpointStore(Protocol):
    """Where checkpoints are kept. Both calls may block (disk, network): call them from a thread, one per partition."""

    def save(self, stage: str, topic: str, partition: int, *, offset: int, state: State) -> None:
        """Replace the checkpoint; durable when this returns. Raises CheckpointError, and the old one then stands.

        A checkpoint never goes back: below the offset of the one that stands it is refused, because then another
        worker has the partition, and this one hasn't heard of it.
        """

    def load(self, stage: str, topic: str, partition: int) -> Checkpoint | None:
        """The newest checkpoint, None when there never was one. Raises CheckpointError when it can't be trusted."""


class Checkpoints:
    """Checkpoints as files below `root`, which is created when first needed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, stage: str, topic: str, partition: int) -> Path:
        """Where the checkpoint of a partition stands."""
        return self.root / stage / f"{topic}-{partition}.checkpoint"

    def save(self, stage: str, topic: str, partition: int, *, offset: int, state: State) -> None:
        """Replace the checkpoint; a TypeError says that `state` isn't JSON, which is a fault of the stage."""
        path = self.path(stage, topic, partition)
        body = {"stage": stage, "topic": topic, "partition": partition, "offset": offset, "state": state}
        try:
            newer = _offset_of(path)
            if newer is not None and newer > offset:
                raise CheckpointError(
                    f"checkpoint {path}: it stands at {newer}, beyond {offset}: another worker has the partition"
                )
            _replace(path, _encode(body))
        except OSError as error:
            raise CheckpointError(
                f"checkpoint {path}: can't be written ({error.strerror or error}); free space or mend the permissions"
            ) from error

    def load(self, stage: str, topic: str, partition: int) -> Checkpoint | None:
        """The checkpoint of a partition, or None when the file isn't there."""
        path = self.path(stage, topic, partition)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"checkpoint {path}: can't be read ({error.strerror or error})") from error
        body = _decode(data, path)
        if (body.get("stage"), body.get("topic"), body.get("partition")) != (stage, topic, partition):
            raise _unusable(path, "it belongs to another stage or partition")
        return Checkpoint(offset=body["offset"], state=body["state"])


def _encode(body: State) -> bytes:
    packed: bytes = ZSTD.compress(orjson.dumps(body), asbytes=True)
    digest = hashlib.sha256(packed).hexdigest()
    header = {"format": FORMAT, "version": VERSION, "offset": body["offset"], "sha256": digest}
    return orjson.dumps(header) + b"\n" + packed


def _decode(data: bytes, path: Path) -> State:
    head, _, packed = data.partition(b"\n")
    try:
        header = orjson.loads(head)
    except orjson.JSONDecodeError:
        raise _unusable(path, "its header can't be read") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _unusable(path, "it is no checkpoint")
    if header.get("version") not in range(1, VERSION + 1):
        raise CheckpointVersionError(
            f"checkpoint {path}: it has version {header.get('version')}, and this release reads 1 to {VERSION}: "
            "run the release that wrote it, or move it away to go on from the committed offset without what was learnt"
        )
    if header.get("sha256") != hashlib.sha256(packed).hexdigest():
        raise _unusable(path, "its content doesn't match its sha256")
    try:
        whole = zlib.decompress(packed) if header["version"] == 1 else _unzipped(packed)
        body: State = orjson.loads(whole)
    except (zlib.error, OSError, orjson.JSONDecodeError):
        raise _unusable(path, "its content can't be read") from None
    if not isinstance(body, dict) or not {"offset", "state"} <= body.keys() or not isinstance(body["state"], dict):
        raise _unusable(path, "its content is not a state")
    if body["offset"] != header.get("offset"):
        raise _unusable(path, "its header and its content name different offsets")
    return body


def _unzipped(packed: bytes) -> bytes:
    with pa.CompressedInputStream(pa.py_buffer(packed), "zstd") as stream:
        return bytes(stream.read())


def _offset_of(path: Path) -> int | None:
    """The offset in a file's header; None where there is none that can be read."""
    try:
        with path.open("rb") as file:
            offset = orjson.loads(file.readline(HEADER_BYTES))["offset"]
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return offset if isinstance(offset, int) else None


def _unusable(path: Path, fault: str) -> CheckpointError:
    return CheckpointError(
        f"checkpoint {path}: {fault}; restore it from a backup, or move it away to go on from the committed offset "
        "without what was learnt"
    )


def _replace(path: Path, data: bytes) -> None:
    """Write beside, sync, move, sync the folder: power may fail after any step and one whole file stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
