"""Model calls that are plain, as they are read: parsed and held to types and bounds at once, by msgspec.

Whatever it refuses is left to the contracts' own validation, which says what is wrong, and takes what is only rare. To
make a JSON object of each call first, and look at its values then, takes twice as long.
"""

from __future__ import annotations

import sys
from typing import Annotated, Generic, Literal, TypeVar, cast

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType

from schemas.events import TOKEN_CALL
from streams.core.usage.quick import LONGEST_ID, LONGEST_NAME

SHORTEST_TIME = len("2026-11-02T09:00:00Z")
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Tags = TypeVar("Tags")


class Said(msgspec.Struct, Generic[Tags], gc=False):
    """What a plain call says, by the names of `schemas.events.TokenCall`.

    Its names and tags are not looked at any further here: they are the same for very many calls, and held to the
    contract once for all of these. Tags come as the JSON that they are written in. The order is the contract's, and
    mostly the producers': msgspec looks for a name from behind the last one on.
    """

    provider: str
    model: str
    operation: str = "chat"
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_input_tokens: Count = 0
    cache_creation_input_tokens: Count = 0
    cache_creation_1h_input_tokens: Count = 0
    reasoning_output_tokens: Count = 0
    service_tier: str | None = None
    batch: bool = False
    requests: Annotated[int, Meta(ge=1, le=10**12)] = 1
    duration_ms: Annotated[float, Meta(ge=0, le=sys.float_info.max)] | None = None
    status: Name | None = None
    principal: str | None = None
    account: str | None = None
    region: str | None = None
    tags: Tags | Raw = Raw(b"{}")
    # A provider's own body, and what few calls are billed for: who says one of these is not plain.
    usage: UnsetType = UNSET
    counts: UnsetType = UNSET
    price_context: UnsetType = UNSET


class PlainCall(msgspec.Struct, Generic[Tags], gc=False):
    """The event of a plain call."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
    source: str
    type: Literal["spendstream.token_call.v1"]
    time: Annotated[str, Meta(min_length=SHORTEST_TIME, max_length=LONGEST_ID)]
    data: Said[Tags]


SAID = tuple(field.name for field in msgspec.structs.fields(Said))
_decoder = msgspec.json.Decoder(list[PlainCall[Raw]] | PlainCall[Raw])
_Parsed = PlainCall[dict[str, str]]


def plain_calls(value: bytes) -> list[PlainCall[Raw]] | PlainCall[Raw] | None:
    """The JSON in `value` where all events in it are plain calls; None where that isn't so or can't be told here."""
    try:
        if not value.isascii():
            value.decode()  # what is not asked for is passed over as JSON, but not as UTF-8
        calls: list[PlainCall[Raw]] | PlainCall[Raw] = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return calls


def plain_call(item: object) -> PlainCall[Raw] | None:
    """The plain call that a parsed event is, None where it is none."""
    if not isinstance(item, dict) or item.get("type") != TOKEN_CALL:
        return None  # said at less cost than by a refusal
    try:
        call = msgspec.convert(item, _Parsed)
        if isinstance(call.data.tags, dict):
            call.data.tags = Raw(orjson.dumps(call.data.tags))
    except (msgspec.MsgspecError, orjson.JSONEncodeError, RecursionError):
        return None
    return cast(PlainCall[Raw], call)
