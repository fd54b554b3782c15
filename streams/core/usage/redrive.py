"""What of a record is to be sent again: the events that became dead letters, in their own bytes, without the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

HEADER = "spendstream-redrive"
"""On a record that was sent again: the run's id. For people; nothing is decided by it."""


class NotRedrivableError(Exception):
    """The record can't be sent again. The text is one of a few, and holds nothing of the record."""


def is_same(value: bytes | None, payload_sha256: str) -> bool:
    """Whether the record that stands there is the one that was rejected: a topic may have been made anew."""
    return hashlib.sha256(value or b"").hexdigest() == payload_sha256


def again(value: bytes | None, places: Sequence[int | None]) -> bytes:
    """The value to send for the dead letters at `places` of a record. Raises NotRedrivableError.

    None is the whole record, as it is. Else an array of the elements at these places, each in its own bytes: a number
    that was parsed and written anew might not be the same number.
    """
    if not value:
        raise NotRedrivableError("the record has no value")
    if None in places:
        return value
    elements = _elements(value)
    wanted = sorted({place for place in places if place is not None})
    if wanted[-1] >= len(elements):
        raise NotRedrivableError("the record has no such element")
    return ("[" + ",".join(elements[place] for place in wanted) + "]").encode()


def _elements(value: bytes) -> list[str]:
    """The texts of an array's elements."""
    decoder = json.JSONDecoder()
    try:
        text = value.decode()
        at = _after(text, 0, "[")
        elements: list[str] = []
        while True:
            at = _space(text, at)
            _, end = decoder.raw_decode(text, at)
            elements.append(text[at:end])
            at = _space(text, end)
            if text[at : at + 1] == "]":
                return elements
            at = _after(text, at, ",")
    except (ValueError, RecursionError):
        raise NotRedrivableError("the record is no JSON array") from None


def _space(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t", "\n", "\r"}:
        at += 1
    return at


def _after(text: str, at: int, sign: str) -> int:
    at = _space(text, at)
    if text[at : at + 1] != sign:
        raise ValueError(sign)
    return at + 1
