"""Model calls by column: many plain events are checked, priced and given an owner at once.

What is plain is taken here and comes out exactly as the contracts' own validation, the pricer and the tagger would have
it, event by event. Whatever is out of the ordinary, wrong or rare is left to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import orjson
import pyarrow as pa
from pydantic import ValidationError

from schemas.events import TOKEN_CALL, TokenCall, UsageEvent
from schemas.records import PriceStatus
from streams.core.columns.amounts import of_counts, of_units
from streams.core.columns.block import (
    EPOCH,
    MICROSECOND,
    TIME,
    Block,
    Mask,
    Whole,
    mapping_text,
    micros,
    moment,
)  # fmt: skip
from streams.core.price.priced import PLACES
from streams.core.price.rate import Level
from streams.core.price.schedule import Schedule
from streams.core.price.tokens import Terms
from streams.core.tag import OWNED, Owner
from streams.core.usage.bounds import Bounds
from streams.core.usage.rows import COUNTS, PROFILE, Key, Reading, Rows

FEW = 8  # events for which columns are not worth their while
MOST_PROFILES = 50_000  # names and tags are the producers': a flood of new ones must not fill the memory
MOST_UNITS = 2**63 - 1
UNKNOWN = -1  # for when a record came to the broker
NOWHERE = np.zeros(0, dtype=np.int64)


class Prices(Protocol):
    """What calls by column need of a pricer."""

    def terms(self, call: TokenCall) -> Schedule[Terms]: ...


class Owners(Protocol):
    """What they need of a tagger. `version` changes whenever the same event may get another owner."""

    version: int

    def owner(self, event: UsageEvent) -> Owner | None: ...


@dataclass(frozen=True, slots=True)
class Profile:
    """What is the same for all calls that agree in every text: the charge's fields, and the terms of its price."""

    fields: dict[str, Any]
    terms: Schedule[Terms]


class _Calls:
    """Plain calls while they are charged. `good` says which of them are plain still; times are in microseconds."""

    def __init__(self, rows: Rows, good: Mask) -> None:
        self.rows = rows
        self.good = good
        self.counts = dict(zip(COUNTS, rows.counts, strict=True))
        self.times = np.zeros(len(good), dtype=np.int64)

    def refuse(self, which: Whole) -> None:
        """These are not plain."""
        self.good[which] = False


@dataclass(slots=True)
class _Money:
    """The costs of each call in units of 10**-18 USD, and the number of what its price is made from."""

    listed: Whole
    contracted: Whole
    effective: Whole
    billed: Whole
    rates: Whole
    known: list[tuple[Level, Terms]] = field(default_factory=list)


class Calls:
    """Charges plain model calls by column. Pure: the same events give the same charges."""

    def __init__(self, prices: Prices, owners: Owners, bounds: Bounds) -> None:
        self._prices = prices
        self._owners = owners
        self._oldest = micros(datetime(bounds.oldest_year, 1, 1, tzinfo=UTC))
        self._latest = micros(datetime(bounds.latest_year, 1, 1, tzinfo=UTC))
        self._future = bounds.max_future // MICROSECOND
        self._profiles = _Profiles(self._profile)
        self._version = owners.version

    def reading(self) -> Reading:
        """Takes events in, for one `charge`."""
        if self._version != self._owners.version or len(self._profiles) > MOST_PROFILES:
            self._version = self._owners.version
            self._profiles = _Profiles(self._profile)
        return Reading(self._profiles.__getitem__)

    def charge(self, reading: Reading, received: Whole) -> tuple[Block, Whole]:
        """The charges of the plain calls among the events that were taken in, and where these stand.

        `received` is when each event's record came to the broker, in microseconds; UNKNOWN when a file is replayed.
        """
        read = reading.rows(least=FEW)
        if read is None:
            return Block(0), NOWHERE
        rows, places = read
        try:
            return self._charge(rows, places, received[places])
        except (pa.ArrowException, UnicodeEncodeError, OverflowError):  # the full validation says whose it is
            return Block(0), NOWHERE

    def _charge(self, rows: Rows, places: Whole, received: Whole) -> tuple[Block, Whole]:
        usable = np.array([profile is not None for profile in self._profiles.known], dtype=np.bool_)
        calls = _Calls(rows, usable[rows.profiles])
        _check_parts(calls)
        arrived = self._check_times(calls, received)
        money = _Money(*np.zeros((5, len(places)), dtype=np.int64))
        self._price(calls, money)
        at = np.flatnonzero(calls.good)
        if not len(at):
            return Block(0), NOWHERE
        block = _block(calls, at, arrived, self._profiles.known, money)
        block.records = places[at]
        return block, block.records

    def _check_times(self, calls: _Calls, received: Whole) -> Whole:
        """Leave what has no plain time within the bounds; gives the arrivals, where there are none the times."""
        calls.times = times = _micros(calls.rows.times, calls.good)
        arrived = np.where(received == UNKNOWN, times, received)
        late = times > arrived + self._future
        calls.good &= (times >= self._oldest) & (times < self._latest) & ~late
        return arrived

    def _profile(self, said: dict[str, Any]) -> Profile | None:
        """What these texts come to, None where that depends on more than they say."""
        try:
            tags = orjson.loads(said["tags"])
            if type(tags) is not dict or not all(type(value) is str for value in tags.values()):
                return None
            data = TokenCall.model_validate(said | {"tags": tags})
            event = UsageEvent(source=said["source"], id="any", type=TOKEN_CALL, time=EPOCH, data=data)
        except (ValidationError, orjson.JSONDecodeError):
            return None
        owner = self._owners.owner(event)
        if owner is None:
            return None
        return Profile(
            {
                "source": said["source"],
                "provider": data.provider,
                "model": data.model,
                "operation": data.operation,
                "service_tier": data.service_tier or "",
                "batch": data.batch,
                "account": data.account or "",
                "region": data.region or "",
                "tags": mapping_text(data.tags),
                **{name: getattr(owner, name) for name in OWNED},
            },
            self._prices.terms(data),
        )

    def _price(self, calls: _Calls, money: _Money) -> None:
        """Price the calls, and leave those whose price takes more than their rates: unpriced, at a change of prices."""
        numbers: dict[int, int] = {}
        schedules: list[Schedule[Terms]] = []
        profiles, known = calls.rows.profiles, self._profiles.known
        offers = np.full(len(known), -1, dtype=np.int64)
        for code in np.unique(profiles[calls.good]).tolist():
            profile = known[code]
            if profile is None:
                continue
            offers[code] = number = numbers.setdefault(id(profile.terms), len(schedules))
            if number == len(schedules):
                schedules.append(profile.terms)
        offered = offers[profiles]
        for number, schedule in enumerate(schedules):
            at = np.flatnonzero(calls.good & (offered == number))
            first, last = int(calls.times[at].min()), int(calls.times[at].max())
            terms = schedule.between(moment(first), moment(last))
            if terms is None or terms.stand is not None:
                calls.refuse(at)
                continue
            inputs, requests = calls.counts["input_tokens"][at], calls.counts["requests"][at]
            levels = np.searchsorted(terms.rates.thresholds, -(-inputs // requests), side="left")
            for place in np.unique(levels).tolist():
                _price_at(calls, at[levels == place], terms, terms.rates.levels[place], money)


class _Profiles(dict[Key, int]):
    """The numbers of profiles, by what is said. One that is new is made, and gets the next number."""

    def __init__(self, make: Callable[[dict[str, Any]], Profile | None]) -> None:
        super().__init__()
        self._make = make
        self.known: list[Profile | None] = []

    def __missing__(self, key: Key) -> int:
        self.known.append(self._make(dict(zip(PROFILE, key, strict=True))))
        number = self[key] = len(self.known) - 1
        return number


def _check_parts(calls: _Calls) -> None:
    """Leave what has a part that is more than its whole."""
    for whole, parts in TokenCall.PARTS.items():
        total = sum((calls.counts[part] for part in parts), start=np.zeros(len(calls.good), dtype=np.int64))
        calls.good &= total <= calls.counts[whole]


def _micros(texts: pa.Array, good: Mask) -> Whole:
    """Times in microseconds since 1970; what is written in another way than most is no longer good."""
    try:
        return np.asarray(texts.cast(TIME).view(pa.int64()).to_numpy())
    except pa.ArrowInvalid:
        out = []
        for at, text in enumerate(texts):
            try:
                out.append(text.cast(TIME).value)
            except pa.ArrowInvalid:
                good[at] = False
                out.append(0)
        return np.array(out, dtype=np.int64)


def _price_at(calls: _Calls, at: Whole, terms: Terms, level: Level, money: _Money) -> None:
    """Price the calls at these places, which all pay by one level of prices."""
    base, counts = level.base, calls.counts
    if base is None or base.scale != PLACES:
        calls.refuse(at)
        return
    columns = [counts[name][at] for name in COUNTS]
    most = sum(
        abs(coefficient) * int(column.max()) for coefficient, column in zip(base.coefficients, columns, strict=True)
    )
    if most > MOST_UNITS:
        calls.refuse(at)
        return
    for has, column in ((level.has_input, columns[0]), (level.has_output, columns[1])):
        if not has:
            calls.refuse(at[column > 0])
    listed = np.zeros(len(at), dtype=np.int64)
    for coefficient, column in zip(base.coefficients, columns, strict=True):
        if coefficient:
            listed += coefficient * column
    contracted = listed if terms.discount is None else _times(listed, terms.discount)
    effective = contracted
    if terms.per_token is not None:
        effective = _times(columns[0] + columns[1], terms.per_token * 10**PLACES)
    money.listed[at], money.contracted[at], money.effective[at] = listed, contracted, effective
    money.billed[at] = 0 if terms.covered else contracted
    money.rates[at] = len(money.known)
    money.known.append((level, terms))


def _times(whole: Whole, factor: Decimal) -> Whole:
    """The exact products, rounded half to even. Raises OverflowError where one does not fit."""
    ratio = Fraction(factor)
    products = [round(Fraction(number * ratio.numerator, ratio.denominator)) for number in whole.tolist()]
    return np.array(products, dtype=np.int64)


def _block(calls: _Calls, at: Whole, arrived: Whole, known: Sequence[Profile | None], money: _Money) -> Block:
    """The charges of the calls at these places."""
    rows = calls.rows
    ids, identities = rows.ids, rows.identities
    if len(at) < len(ids):
        ids, identities = ids.take(pa.array(at)), identities.take(pa.array(at))
    block = Block(len(at), identities=identities)
    block.put("id", ids)
    times = pa.array(calls.times[at]).cast(TIME)
    for name in ("time", "period_start", "period_end"):
        block.put(name, times)
    block.put("received_at", pa.array(arrived[at]).cast(TIME))
    _put_profiles(block, known, rows.profiles[at])
    for name in COUNTS:
        block.put(name, pa.array(calls.counts[name][at]))
    block.put("quantity", of_counts(calls.counts["input_tokens"][at] + calls.counts["output_tokens"][at]))
    _put_money(block, at, money)
    block.same |= {"type": TOKEN_CALL, "unit": "Tokens", "price_status": PriceStatus.PRICED}
    return block


def _put_profiles(block: Block, known: Sequence[Profile | None], codes: Whole) -> None:
    used, at = np.unique(codes, return_inverse=True)
    contents = [profile.fields for profile in (known[code] for code in used.tolist()) if profile is not None]
    for name in contents[0]:
        block.put_coded(name, [content[name] for content in contents], at)
    if "provider" in block.columns:
        block.columns["service"] = block.columns["provider"]
    else:
        block.same["service"] = block.same["provider"]


def _put_money(block: Block, at: Whole, money: _Money) -> None:
    listed = of_units(money.listed[at])
    made = [(money.listed, listed)]

    def column(units: Whole) -> pa.Array:
        known = next((array for other, array in made if np.array_equal(units[at], other[at])), None)
        if known is None:
            known = of_units(units[at])
            made.append((units, known))
        return known

    block.put("list_cost", listed)
    block.put("contracted_cost", column(money.contracted))
    block.put("effective_cost", column(money.effective))
    block.put("billed_cost", column(money.billed))
    block.put("effective_cost_usd", block.columns.get("effective_cost", column(money.effective)))
    rates = money.rates[at]
    used, codes = np.unique(rates, return_inverse=True)
    known = [money.known[number] for number in used.tolist()]
    block.put_coded("unit_prices", [mapping_text(level.prices) for level, _ in known], codes)
    block.put_coded("price_source", [terms.found.source for _, terms in known], codes)
    block.put_coded("price_version", [terms.found.version for _, terms in known], codes)
