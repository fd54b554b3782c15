"""Plain events checked in a few microseconds; whatever is out of the ordinary is left to the contracts' own validation.

`quick_event` says either exactly what the full validation would say of an event, or nothing. A bill's rows repeat the
same few times, names and tags, in the same few types, and the full validation asks each of them anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.base import UtcTime, maker
from schemas.events import LINE_ITEM, LineItem, UsageEvent

CACHED = 16_384
LONGEST_NAME, LONGEST_TEXT, LONGEST_ID = 256, 2048, 512
AMOUNT = re.compile(r"-?[0-9]{1,17}(\.[0-9]{1,18})?").fullmatch  # within every bound, and never rounded
CATEGORIES = frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"})
ALIASES = {"ProviderName": "ServiceProviderName", "PublisherName": "HostProviderName"}

usage_event = maker(UsageEvent)
_line_item = maker(LineItem)
_time = TypeAdapter(UtcTime)
NO = object()
"""What a check gives for a value that it does not know to be good."""


@lru_cache(CACHED)
def _moment(text: str) -> object:
    try:
        return _time.validate_python(text)
    except ValidationError:
        return NO


def _a_time(value: object) -> object:
    return _moment(value) if type(value) is str else NO


def _an_amount(value: object) -> object:
    return Decimal(value) if type(value) is str and AMOUNT(value) else NO


def _a_name(value: object) -> object:
    return value if type(value) is str and len(value) <= LONGEST_NAME else NO


def _a_text(value: object) -> object:
    return value if type(value) is str and len(value) <= LONGEST_TEXT else NO


def _some_tags(value: object) -> object:
    if type(value) is not dict:
        return NO
    for key, one in value.items():
        if type(key) is not str or (type(one) is not str and one is not None):
            return NO
    return dict(value)


def _a_category(value: object) -> object:
    return value if type(value) is str and value in CATEGORIES else NO


def _a_currency(value: object) -> object:
    good = type(value) is str and len(value) == 3 and value.isascii() and value.isalpha() and value.isupper()
    return value if good else NO


def _a_correction(value: object) -> object:
    return value if value == "Correction" else NO


Check = Callable[[object], object]
_KINDS: dict[Check, tuple[str, ...]] = {
    _an_amount: (
        "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ListUnitPrice", "ContractedUnitPrice",
        "ConsumedQuantity", "PricingQuantity",
    ),
    _a_time: ("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodStart", "BillingPeriodEnd"),
    _a_text: ("ResourceId", "ResourceName", "ChargeDescription", "CommitmentDiscountId"),
    _a_category: ("ChargeCategory",),
    _a_currency: ("BillingCurrency",),
    _some_tags: ("Tags",),
    _a_correction: ("ChargeClass",),
}  # fmt: skip
_CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(LineItem.model_fields, _a_name),
    **{name: check for check, names in _KINDS.items() for name in names},
}
AMOUNTS, TIMES, TEXTS = (frozenset(_KINDS[check]) for check in (_an_amount, _a_time, _a_text))


def check_of(field: str) -> Check:
    """How a value of this field of a line item is held to its contract; NO where that can't tell."""
    return _CHECKS[field]


_REQUIRED = frozenset(name for name, field in LineItem.model_fields.items() if field.is_required())


def quick_event(item: object) -> UsageEvent | None:
    """The event of a line item, or None where only the full validation can tell. Its time is not held to bounds."""
    if type(item) is not dict or item.get("type") != LINE_ITEM or item.get("specversion") != "1.0":
        return None
    source, name, data = item.get("source"), item.get("id"), item.get("data")
    if type(source) is not str or type(name) is not str or type(data) is not dict:
        return None
    time = _a_time(item.get("time"))
    if time is NO or not 0 < len(source) <= LONGEST_ID or not 0 < len(name) <= LONGEST_ID:
        return None
    content = _quick_line_item(data)
    if content is None:
        return None
    return usage_event({"source": source, "id": name, "type": LINE_ITEM, "time": time, "data": content})


def _quick_line_item(data: Mapping[str, Any]) -> LineItem | None:
    values: dict[str, Any] = {}
    for (name, check), value in zip(_shape(tuple(data)), data.values(), strict=True):
        if check is None:
            continue
        good = check(value)
        if good is NO:
            return None
        values[name] = good
    if not values.keys() >= _REQUIRED or not values["ServiceName"]:
        return None
    start: datetime = values["ChargePeriodStart"]
    return _line_item(values) if values["ChargePeriodEnd"] >= start else None


@lru_cache(CACHED)
def _shape(names: tuple[str, ...]) -> tuple[tuple[str, Check | None], ...]:
    """Under which field each of these goes and how it is checked: the rows of a file name the same few sets. What is no
    field, or stands under its name of today as well, is kept out."""
    today = [ALIASES.get(name, name) for name in names]
    return tuple(
        (field, _CHECKS.get(field) if field == name or field not in names else None)
        for name, field in zip(names, today, strict=True)
    )
