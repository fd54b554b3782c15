"""Files that mean harm, or look like it: read as far as they go, in bounded memory, without ending the process."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import ijson  # type: ignore[import-untyped]
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.readers import ReaderError, base, read
from replay.readers.json_guard import DEEPEST, LONGEST_NUMBER, JsonGuard

READ = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
from replay.readers import ReaderError, read
try:
    print(sum(1 for _ in read(Path(sys.argv[1]))))
except ReaderError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'[{"a":' + b'{"b":' * 100_000 + b"1" + b"}" * 100_000 + b"}]",
        b'{"specversion":' + b"9" * 10_000 + b"}",
        b'[{"a":1},{"a":-' + b"9" * 10_000 + b"}]",
    ],
    ids=["arrays", "objects", "closed arrays", "within a row", "number", "number in a row"],
)
def test_json_that_ended_the_process(tmp_path: Path, content: bytes) -> None:
    """In a process of its own: what the parser in C does not bear is a segmentation fault, or all memory."""
    path = tmp_path / "history"
    path.write_bytes(content)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, pack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BOMB_BYTES", 4 << 20)
    path = tmp_path / "bomb"
    plain = b"{}\n" * (16 << 20)
    path.write_bytes(gzip.compress(plain, 9) if pack == "gzip" else pa.compress(plain, "zstd", asbytes=True))
    with pytest.raises(ReaderError, match="unpacks to more than 500 times its size"):
        list(read(path))


@pytest.mark.parametrize("pack", ["gzip", "zstd"])
def test_a_bill_that_repeats_itself_is_no_bomb(tmp_path: Path, pack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "BOMB_BYTES", 1 << 16)
    event = {"specversion": "1.0", "source": "/s", "type": "spendstream.token_call.v1", "data": {"model": "gpt-4o"}}
    chance = random.Random(5)
    lines = b"\n".join(json.dumps({**event, "id": f"{chance.random()}"}).encode() for _ in range(20_000))
    path = tmp_path / "history"
    path.write_bytes(gzip.compress(lines) if pack == "gzip" else pa.compress(lines, "zstd", asbytes=True))
    assert sum(1 for _ in read(path)) == 20_000


def look_at_all(guard: JsonGuard, pieces: list[bytes]) -> None:
    for piece in pieces:
        guard.look(piece)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=40,
)


@given(JSON, st.integers(1, 40))
def test_the_guard_lets_every_ordinary_document_pass_in_any_pieces(document: object, size: int) -> None:
    guard, text = JsonGuard(), json.dumps(document, ensure_ascii=False).encode()
    for at in range(0, len(text), size):
        guard.look(text[at : at + size])


@pytest.mark.parametrize("size", [1, 7, 4_096, 1 << 20])
@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (b"[" * DEEPEST, True),
        (b"[" * (DEEPEST + 1), False),
        (b'["' + b"[" * 5_000 + b'\\"' + b"{" * 5_000 + b'"]', True),
        (b"[1," + b"9" * (LONGEST_NUMBER - 1) + b"]", True),
        (b"[1," + b"9" * LONGEST_NUMBER + b"]", False),
        (b'["' + b"9" * 5_000 + b'"]', True),
        (b'[1, "\\\\", ' + b"8" * 2_000 + b"]", False),
        (b"[]" * 5_000, True),
    ],
)
def test_the_guard_s_bounds_hold_whatever_the_pieces(text: bytes, fine: bool, size: int) -> None:
    guard = JsonGuard()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    if fine:
        look_at_all(guard, pieces)
    else:
        with pytest.raises(ijson.JSONError):
            look_at_all(guard, pieces)
