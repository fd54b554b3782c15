"""What every reader gives, and how files are opened: plain, gzip, zstd, or `-` for standard input."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as pa

from streams.core.usage.decode import Rejection


class ReaderError(ValueError):
    """A file can't be replayed. The message names the file and what is wrong with it."""


class Item(NamedTuple):
    """One event of a history: `raw` as it stood (NDJSON), an `event` that the reader made of a row, or the `fault` that
    makes a row no event. A row of a bill may give several (its credits), a job one for each hour.

    `time` (epoch seconds) orders the rows of several files; None leaves the row where it is.
    """

    row: int
    raw: bytes | None = None
    event: dict[str, object] | None = None
    time: float | None = None
    fault: Rejection | None = None


GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BOMB_BYTES, BOMB_RATIO = 256 << 20, 500  # so much out of so little is no bill; bills shrink to a fiftieth at most


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file's bytes, decompressed where its first bytes say so. Raises ReaderError when it can't be read to its end:
    what is compressed and cut off has lost rows that nobody can name."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            if magic.startswith(GZIP):
                with gzip.open(file) as plain:
                    yield _bounded(path, plain)
            elif magic == ZSTD:
                with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as plain:
                    yield _bounded(path, plain)
            else:
                yield file
    except FileNotFoundError:
        raise ReaderError(f"{path}: does not exist") from None
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise ReaderError(f"{path}: can't be read ({error})") from None


def _bounded(path: Path, plain: Any) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(_Bounded(path, plain), 1 << 20))


class _Bounded(io.RawIOBase):
    """What comes out of a compressed file, as long as there is some proportion between the two."""

    def __init__(self, path: Path, plain: Any) -> None:
        super().__init__()
        self._path = path
        self._plain = plain
        self._most = max(BOMB_BYTES, path.stat().st_size * BOMB_RATIO)
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        chunk: bytes = self._plain.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._given += len(chunk)
        if self._given > self._most:
            raise ReaderError(f"{self._path}: unpacks to more than {BOMB_RATIO} times its size")
        return len(chunk)
