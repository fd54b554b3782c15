"""Keeps from ijson what it does not bear: a number of thousands of digits ends the process (ijson 3.6 on yajl2_c),
and each level of nesting is kept with the names of all above it, so that 200 kB of `[` take all memory there is.
"""

from __future__ import annotations

import re

import ijson  # type: ignore[import-untyped]

DEEPEST = 200  # levels
LONGEST_NUMBER = 1_000  # digits
LONGEST_STRING = 64 << 20  # bytes
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_DIGITS = re.compile(rb"[0-9.+\-eE]{%d}" % LONGEST_NUMBER)
_LEVELS = bytes(set(range(256)) - set(b"[]{}"))


class JsonGuard:
    """Looks at JSON as it passes, piece by piece. `look` raises ijson.JSONError on what must not be parsed."""

    def __init__(self) -> None:
        self._depth = 0
        self._open = b""  # a string that is not closed yet
        self._number = b""  # what a number may go on from

    def look(self, piece: bytes) -> None:
        """Take the next piece."""
        text = _STRING.sub(b"", self._open + piece)
        quote = text.find(b'"')
        self._open = text[quote:] if quote >= 0 else b""
        if len(self._open) > LONGEST_STRING:
            raise ijson.JSONError(f"a string of more than {LONGEST_STRING} bytes")
        outside = self._number + (text[:quote] if quote >= 0 else text)
        if _DIGITS.search(outside):
            raise ijson.JSONError(f"a number of more than {LONGEST_NUMBER} digits")
        self._number = b"" if quote >= 0 else outside[-LONGEST_NUMBER:].translate(None, b"[]{}")
        for sign in (text[:quote] if quote >= 0 else text).translate(None, _LEVELS):
            self._depth += 1 if sign in b"[{" else -1
            if self._depth > DEEPEST:
                raise ijson.JSONError(f"more than {DEEPEST} levels")
