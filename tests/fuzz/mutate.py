"""Bytes to feed a decoder: random ones, and good ones with something wrong in their bytes or in one place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

# What has broken decoders before, here or elsewhere.
TOKENS = [
    b"null", b"NaN", b"-Infinity", b"1e9999999999999999999", b"1E-999999999999999999999", b"-0", b"\\ud800", b"\\u0000",
    b"\xed\xa0\x80", b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"[" * 2_000, b'{"a":' * 2_000, b'"' + b"x" * 70_000 + b'"',
    b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59.999999999-12:00", b"2026-02-30", b"9" * 400, b"9" * 5_000,
    b",,,", b"\r", b"\n\n", b'"\n"', b"''", b"1" * 40 + b"." + b"1" * 40,
]  # fmt: skip
VALUES: list[Any] = [
    None, True, -1, 0, 1.5, 2**53 + 1, 2**63, -(2**63) - 1, 10**400, 1e308, "", "x" * 10_000, "\x00", "\u202e", [], {},
    [[]], {"": None}, "1E+1000000", "1E-1000000", "-1", "NaN", "2026-01-01", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00", "2026-01-01T00:00:00", {"a": {"b": {}}}, [None], -0.0, 5e-324, "USD", "usd",
]  # fmt: skip


def mutations(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Values for a decoder that takes `seeds`."""
    seed = st.sampled_from(list(seeds))
    return st.one_of(st.binary(max_size=300), _cut(seed), _spliced(seed), _placed(seed))


@st.composite
def _cut(draw: st.DrawFn, seed: st.SearchStrategy[bytes]) -> bytes:
    """A seed with a piece left out, doubled, or reversed."""
    value = draw(seed)
    first, last = sorted((draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))))
    piece = value[first:last]
    return value[:first] + draw(st.sampled_from([b"", piece + piece, piece[::-1]])) + value[last:]


@st.composite
def _spliced(draw: st.DrawFn, seed: st.SearchStrategy[bytes]) -> bytes:
    """A seed with some bytes replaced: by a token that has broken decoders, by another seed's, or by any."""
    value = draw(seed)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(value)))
        width = draw(st.integers(0, 8))
        value = value[:at] + draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8))) + value[at + width :]
    return value


@st.composite
def _placed(draw: st.DrawFn, seed: st.SearchStrategy[bytes]) -> bytes:
    """JSON with another value in one place; what is no JSON stays as it is."""
    value = draw(seed)
    try:
        tree = json.loads(value)
    except ValueError:
        return value
    places = list(_places(tree))
    if not places:
        return value
    holder, key = draw(st.sampled_from(places))
    if draw(st.booleans()):
        holder[key] = draw(st.sampled_from(VALUES))
    else:
        del holder[key]
    return json.dumps(tree).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])
