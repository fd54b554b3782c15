"""Types that the contracts share: exact numbers, aware times, bounded text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, DefaultContext, getcontext
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

# Bills carry up to 18 decimals: with the default 28 digits a sum of a large bill would be rounded without a word.
DIGITS = 60
DefaultContext.prec = DIGITS  # of threads to come
getcontext().prec = DIGITS  # of this one

SCALE = 18
SMALLEST = Decimal(1).scaleb(-SCALE)
MOST = Decimal(10) ** 18  # beyond any bill, within Decimal(38, 18) even as a sum


def _number(value: Any) -> Any:
    """Refuse text and booleans where a number is meant, so that "12" is an error and not a guess."""
    if isinstance(value, bool | str | bytes):
        raise ValueError("must be a number, not text or a boolean")
    return value


def _rfc3339(value: Any) -> Any:
    """Refuse epoch numbers: seconds, milliseconds and nanoseconds can't be told apart."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError("must be an RFC 3339 time in text")
    if _EPOCH(value):  # pydantic takes a number for an epoch in text too
        raise ValueError("must be an RFC 3339 time, not a number in text")
    return value


_EPOCH = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?").fullmatch


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("must have a time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:  # the first or last day there is, in a zone where it is still or already another
        raise ValueError("is out of range") from None


def plain_decimal(value: Decimal) -> str:
    """The decimal in plain digits: `1E-7` is written `0.0000001`, so that every reader takes it."""
    return format(value, "f")


def _within_scale(value: Decimal) -> Decimal:
    """Round what is finer than `SCALE` half to even, at the door, so that every sum after it is exact."""
    if value.is_finite() and value != value.quantize(SMALLEST):
        return value.quantize(SMALLEST, ROUND_HALF_EVEN)
    return value


UtcTime = Annotated[datetime, BeforeValidator(_rfc3339), AfterValidator(_utc)]
"""A moment, given with its zone in RFC 3339, kept in UTC."""

Amount = Annotated[
    Decimal,
    Field(allow_inf_nan=False, gt=-MOST, lt=MOST),
    AfterValidator(_within_scale),
    PlainSerializer(plain_decimal, when_used="json"),
]
"""Money or a price. Exact to 18 decimals; JSON carries it as text, and a JSON number is accepted too."""

Money = Annotated[Decimal, Field(allow_inf_nan=False), PlainSerializer(plain_decimal, when_used="json")]
"""An amount of ours, made of amounts that were checked at the door."""

Quantity = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=0, le=10**15, allow_inf_nan=False),
    AfterValidator(_within_scale),
    PlainSerializer(plain_decimal, when_used="json"),
]
"""How much was used: a JSON number, finite, not negative, and bounded as counts are."""

Count = Annotated[int, Field(strict=True, ge=0, le=10**15)]
"""A count of tokens or requests. The bound stops one absurd event from swallowing a budget."""

Name = Annotated[str, Field(strict=True, min_length=1, max_length=256)]
"""A short identifier such as a model, a team, a region."""

OptionalName = Annotated[str, Field(strict=True, max_length=256)] | None
Text = Annotated[str, Field(strict=True, max_length=2048)]
Tags = Annotated[
    dict[Annotated[str, Field(max_length=128)], Annotated[str, Field(strict=True, max_length=256)]],
    Field(max_length=64),
]


class Contract(BaseModel):
    """Base of every record: immutable, its errors never repeat the input (it may hold a secret or a prompt)."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


M = TypeVar("M", bound=Contract)


def maker(model: type[M]) -> Callable[[dict[str, Any]], M]:
    """Makes instances from values that are checked already, by field name: what `model_construct` gives, at a tenth of
    its time, for it is done for every event. All required fields must be there, and nothing that is no field; each
    counts as set."""
    defaults = {name: field.default for name, field in model.model_fields.items()}
    # None of our factories asks for the other fields, as pydantic lets them.
    given = (
        (name, cast("Callable[[], Any] | None", field.default_factory)) for name, field in model.model_fields.items()
    )
    factories = tuple((name, factory) for name, factory in given if factory is not None)
    fields = set(model.model_fields)
    new, put = model.__new__, object.__setattr__

    def make(values: dict[str, Any]) -> M:
        content = defaults | values
        for name, factory in factories:
            if name not in values:
                content[name] = factory()
        made = new(model)
        put(made, "__dict__", content)
        put(made, "__pydantic_fields_set__", fields)
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", None)
        return made

    return make
