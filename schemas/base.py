"""Types that the contracts share: exact numbers, aware times, bounded text."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, DefaultContext, getcontext
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer


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
    return value


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("must have a time zone")
    return value.astimezone(UTC)


def plain_decimal(value: Decimal) -> str:
    """The decimal in plain digits: `1E-7` is written `0.0000001`, so that every reader takes it."""
    return format(value, "f")


UtcTime = Annotated[datetime, BeforeValidator(_rfc3339), AfterValidator(_utc)]
"""A moment, given with its zone in RFC 3339, kept in UTC."""

Amount = Annotated[Decimal, Field(allow_inf_nan=False), PlainSerializer(plain_decimal, when_used="json")]
"""Money or a price. Exact; JSON carries it as text, and a JSON number is accepted too."""

Quantity = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=0, allow_inf_nan=False),
    PlainSerializer(plain_decimal, when_used="json"),
]
"""How much was used: a JSON number, finite, not negative."""

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


# Bills carry up to 18 decimals: with the default 28 digits a sum of a large bill would be rounded without a word.
DIGITS = 60
DefaultContext.prec = DIGITS  # of threads to come
getcontext().prec = DIGITS  # of this one


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
