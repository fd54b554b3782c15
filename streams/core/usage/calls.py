"""Model calls by column: many plain events are checked, priced and given an owner at once.

What is plain is taken here and comes out exactly as the contracts' own validation, the pricer and the tagger would have
it, event by event. Whatever is out of the ordinary, wrong or rare is left to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import compress
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
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
    identities_of,
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
from streams.core.usage.quick import LONGEST_ID, LONGEST_NAME

FEW = 8  # events for which columns are not worth their while
MOST_PROFILES = 50_000  # names and tags are the producers': a flood of new ones must not fill the memory
MOST_UNITS = 2**63 - 1
UNKNOWN = -1  # for when a record came to the broker
MOST_COUNT, MOST_REQUESTS = 10**15, 10**12
TOKENS = (
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "cache_creation_1h_input_tokens", "reasoning_output_tokens",
)  # fmt: skip
NAMES = ("provider", "model", "operation")
OPTIONAL = ("service_tier", "principal", "account", "region", "status")
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys((*NAMES, *OPTIONAL, "duration_ms")), "operation": "chat", **dict.fromkeys(TOKENS, 0), "requests": 1,
    "batch": False, "tags": {},
}  # fmt: skip
"""The fields that a plain call may have, with what stands for one that is missing; None where there is no default."""
PROFILE = ("source", *NAMES, "batch", *OPTIONAL[:-1], "tags")
"""What a call's profile depends on."""
NOT_PLAIN = ("usage", "counts", "price_context")  # a provider's own body, and what few calls are billed for
_envelope = itemgetter("specversion", "type", "source", "id", "time", "data")


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


@dataclass(slots=True)
class _Rows:
    """Plain calls by column. `good` says which of them are plain still, `places` where they stand among the events.

    What no call says may have no column: its default stands for it.
    """

    places: Whole
    columns: dict[str, list[Any]]
    good: Mask
    counts: dict[str, Whole] = field(default_factory=dict)
    times: Whole = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def refuse(self, which: Iterable[int]) -> None:
        """These are not plain."""
        self.good[list(which)] = False


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
        self._profiles: dict[tuple[str, ...], dict[tuple[Any, ...], int]] = {}  # by what is said, then by its values
        self._known: list[Profile | None] = []
        self._version = owners.version

    def charge(self, items: Sequence[object], received: Whole) -> tuple[Block, Whole]:
        """The charges of the plain calls among parsed events, and where these stand.

        `received` is when each event's record came to the broker, in microseconds; UNKNOWN when a file is replayed.
        """
        rows = _rows(items)
        if len(rows.places) < FEW:
            return Block(0), rows.places[:0]
        try:
            return self._charge(rows, received)
        except (
            pa.ArrowException,
            UnicodeEncodeError,
            OverflowError,
        ):  # the full validation says whose fault it is
            return Block(0), rows.places[:0]

    def _charge(self, rows: _Rows, received: Whole) -> tuple[Block, Whole]:
        _check_texts(rows)
        _check_counts(rows)
        arrived = self._check_times(rows, received[rows.places])
        profiles = self._profiles_of(rows)
        money = _Money(*np.zeros((5, len(rows.places)), dtype=np.int64))
        self._price(rows, profiles, money)
        at = np.flatnonzero(rows.good)
        if not len(at):
            return Block(0), rows.places[:0]
        block = _block(rows, at, arrived, [self._known[code] for code in profiles[at].tolist()], profiles[at], money)
        return block, rows.places[at]

    def _check_times(self, rows: _Rows, received: Whole) -> Whole:
        """Leave what has no plain time within the bounds; gives the arrivals, where there are none the times."""
        rows.times = times = _micros(rows.columns["time"], rows.good)
        arrived = np.where(received == UNKNOWN, times, received)
        late = times > arrived + self._future
        rows.good &= (times >= self._oldest) & (times < self._latest) & ~late
        return arrived

    def _profiles_of(self, rows: _Rows) -> Whole:
        """The number of each call's profile."""
        if self._version != self._owners.version or len(self._known) > MOST_PROFILES:
            self._version = self._owners.version
            self._profiles.clear()
            self._known.clear()
        names = tuple(name for name in PROFILE if name in rows.columns)
        known = self._profiles.setdefault(names, {})
        columns = [rows.columns[name] for name in names]
        try:
            found = list(map(known.get, zip(*columns, strict=True)))
        except TypeError:  # a list or an object where a text should be: whose it is shows below
            found = [None] * len(rows.places)
        if None in found:
            good = rows.good.tolist()
            for number, key in enumerate(zip(*columns, strict=True)):
                found[number] = self._number_of(names, key, known) if good[number] else 0
            rows.refuse(number for number, code in enumerate(found) if code is None)
        codes = np.array([code or 0 for code in found], dtype=np.int64)
        usable = np.array([profile is not None for profile in self._known], dtype=np.bool_)
        rows.good &= usable[codes] if len(usable) else False
        return codes

    def _number_of(self, names: Sequence[str], key: tuple[Any, ...], known: dict[tuple[Any, ...], int]) -> int | None:
        """The number of the profile of what is said under these names; None where it can't be looked up."""
        try:
            code = known.get(key)
        except TypeError:
            return None
        if code is None:
            code = known[key] = len(self._known)
            self._known.append(self._profile({**DEFAULTS, **dict(zip(names, key, strict=True))}))
        return code

    def _profile(self, said: dict[str, Any]) -> Profile | None:
        """What these texts come to, None where that depends on more than they say."""
        texts = {name: said[name] for name in PROFILE if name != "tags"}
        tags = dict(said["tags"])
        if not all(type(value) is str for value in tags.values()):
            return None
        try:
            data = TokenCall.model_validate({**texts, "tags": tags})
            event = UsageEvent(source=texts["source"], id="any", type=TOKEN_CALL, time=EPOCH, data=data)
        except ValidationError:
            return None
        owner = self._owners.owner(event)
        if owner is None:
            return None
        return Profile(
            {
                "source": texts["source"],
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

    def _price(self, rows: _Rows, profiles: Whole, money: _Money) -> None:
        """Price the calls, and leave those whose price takes more than their rates: unpriced, at a change of prices."""
        numbers: dict[int, int] = {}
        schedules: list[Schedule[Terms]] = []
        offers = np.full(len(self._known), -1, dtype=np.int64)
        for code in np.unique(profiles[rows.good]).tolist():
            profile = self._known[code]
            if profile is None:
                continue
            offers[code] = number = numbers.setdefault(id(profile.terms), len(schedules))
            if number == len(schedules):
                schedules.append(profile.terms)
        offered = offers[profiles] if len(offers) else profiles
        for number, schedule in enumerate(schedules):
            at = np.flatnonzero(rows.good & (offered == number))
            first, last = int(rows.times[at].min()), int(rows.times[at].max())
            terms = schedule.between(moment(first), moment(last))
            if terms is None or terms.stand is not None:
                rows.refuse(at)
                continue
            inputs, requests = rows.counts["input_tokens"][at], rows.counts["requests"][at]
            levels = np.searchsorted(terms.rates.thresholds, -(-inputs // requests), side="left")
            for place in np.unique(levels).tolist():
                _price_at(rows, at[levels == place], terms, terms.rates.levels[place], money)


def _rows(items: Sequence[Any]) -> _Rows:
    """The columns of what look like model calls."""
    try:
        places, envelopes = list(range(len(items))), list(map(_envelope, items))
    except (KeyError, TypeError, IndexError):  # most portions have no such item
        places, envelopes = _with_envelopes(items)
    calls = [one[1] == TOKEN_CALL and one[0] == "1.0" and type(one[5]) is dict for one in envelopes]
    if not all(calls):
        places, envelopes = list(compress(places, calls)), list(compress(envelopes, calls))
    rows = _Rows(np.array(places, dtype=np.int64), {}, np.ones(len(places), dtype=np.bool_))
    if not places:
        return rows
    _, _, source, name, time, content = (list(column) for column in zip(*envelopes, strict=True))
    found, odd = _fields(content)
    rows.columns = {**found, "source": source, "id": name, "time": time}  # not what its data calls so
    rows.refuse(odd)
    return rows


def _with_envelopes(items: Sequence[Any]) -> tuple[list[int], list[tuple[Any, ...]]]:
    """Which items have an event's attributes, and these."""
    places, envelopes = [], []
    for place, item in enumerate(items):
        with suppress(KeyError, TypeError, IndexError):
            envelopes.append(_envelope(item))
            places.append(place)
    return places, envelopes


def _fields(contents: Sequence[dict[str, Any]]) -> tuple[dict[str, list[Any]], list[int]]:
    """The fields that a plain call may have, by column, and which calls have others."""
    names = tuple(contents[0])
    if all(tuple(data) == names for data in contents):  # a program writes the same fields each time: half the work
        filled = dict(zip(names, map(list, zip(*map(dict.values, contents), strict=True)), strict=True))
        odd = not filled.keys().isdisjoint(NOT_PLAIN)
        return filled, list(range(len(contents))) if odd else []
    columns = {one: [data.get(one, default) for data in contents] for one, default in DEFAULTS.items()}
    return columns, [at for at, data in enumerate(contents) if not data.keys().isdisjoint(NOT_PLAIN)]


def _check_texts(rows: _Rows) -> None:
    """Leave what has a text that may be none of the contract's, of those that make no profile: these are checked there.

    Tags are made into what can be looked up.
    """
    columns = rows.columns
    _texts(rows, "id", LONGEST_ID, least=1)
    _texts(rows, "time", LONGEST_ID, least=_SHORTEST_TIME)
    _texts(rows, "status", LONGEST_NAME, optional=True)
    if "batch" in columns and set(map(type, columns["batch"])) != {bool}:
        rows.refuse(at for at, value in enumerate(columns["batch"]) if type(value) is not bool)
        columns["batch"] = [value if type(value) is bool else False for value in columns["batch"]]
    _durations(rows)
    if "tags" not in columns:
        return
    if set(map(type, columns["tags"])) != {dict}:
        rows.refuse(at for at, value in enumerate(columns["tags"]) if type(value) is not dict)
        columns["tags"] = [value if type(value) is dict else {} for value in columns["tags"]]
    columns["tags"] = [tuple(tags.items()) for tags in columns["tags"]]


def _durations(rows: _Rows) -> None:
    """Leave what has a duration that is none. No charge says how long a call took."""
    column = rows.columns.get("duration_ms")
    if column is None:
        return
    if not set(map(type, column)) <= {float, int, type(None)}:
        rows.refuse(at for at, value in enumerate(column) if type(value) not in {float, int, type(None)})
        column = [value if type(value) in {float, int} else None for value in column]
    numbers = np.array([0 if value is None else value for value in column], dtype=np.float64)
    rows.good &= (numbers >= 0) & (numbers < np.inf)


def _texts(rows: _Rows, name: str, longest: int, *, least: int = 0, optional: bool = False) -> None:
    column = rows.columns.get(name)
    if column is None:
        return
    types = {str, type(None)} if optional else {str}
    if not set(map(type, column)) <= types:
        rows.refuse(at for at, value in enumerate(column) if type(value) not in types)
        column = rows.columns[name] = [value if type(value) in types else "" for value in column]
    sizes = {len(value) for value in column if value is not None}
    if sizes and not least <= min(sizes) <= max(sizes) <= longest:
        rows.refuse(at for at, value in enumerate(column) if value is not None and not least <= len(value) <= longest)


def _check_counts(rows: _Rows) -> None:
    """Leave what has a count that is none, or a part that is more than its whole."""
    for name in (*TOKENS, "requests"):
        least, most = (1, MOST_REQUESTS) if name == "requests" else (0, MOST_COUNT)
        column = rows.columns.get(name)
        if column is None:
            rows.counts[name] = np.full(len(rows.places), DEFAULTS[name], dtype=np.int64)
            continue
        if set(map(type, column)) != {int} or min(column) < least or max(column) > most:
            good = [type(value) is int and least <= value <= most for value in column]
            rows.refuse(at for at, is_good in enumerate(good) if not is_good)
            column = [value if is_good else least for value, is_good in zip(column, good, strict=True)]
        rows.counts[name] = np.array(column, dtype=np.int64)
    for whole, parts in TokenCall.PARTS.items():
        total = sum((rows.counts[part] for part in parts), start=np.zeros(len(rows.places), dtype=np.int64))
        rows.good &= total <= rows.counts[whole]


_SHORTEST_TIME = len("2026-11-02T09:00:00Z")


def _micros(texts: list[str], good: Mask) -> Whole:
    """Times in microseconds since 1970; what is written in another way than most is no longer good."""
    try:
        return np.asarray(pa.array(texts, type=pa.string()).cast(TIME).view(pa.int64()).to_numpy())
    except pa.ArrowInvalid:
        out = []
        for at, text in enumerate(texts):
            try:
                out.append(pa.scalar(text).cast(TIME).value)
            except pa.ArrowInvalid:
                good[at] = False
                out.append(0)
        return np.array(out, dtype=np.int64)


def _price_at(rows: _Rows, at: Whole, terms: Terms, level: Level, money: _Money) -> None:
    """Price the calls at these places, which all pay by one level of prices."""
    base, counts = level.base, rows.counts
    if base is None or base.scale != PLACES:
        rows.refuse(at)
        return
    columns = [counts[name][at] for name in (*TOKENS, "requests")]
    most = sum(
        abs(coefficient) * int(column.max()) for coefficient, column in zip(base.coefficients, columns, strict=True)
    )
    if most > MOST_UNITS:
        rows.refuse(at)
        return
    for has, column in ((level.has_input, columns[0]), (level.has_output, columns[1])):
        if not has:
            rows.refuse(at[column > 0])
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


def _block(
    rows: _Rows, at: Whole, arrived: Whole, profiles: list[Profile | None], codes: Whole, money: _Money
) -> Block:
    """The charges of the calls at these places."""
    names, sources = rows.columns["id"], rows.columns["source"]
    if len(at) < len(names):
        names, sources = [names[place] for place in at.tolist()], [sources[place] for place in at.tolist()]
    block = Block(len(at), records=rows.places[at], identities=identities_of(sources, names))
    block.put("id", pa.array(names, type=pa.string()))
    times = pa.array(rows.times[at]).cast(TIME)
    for name in ("time", "period_start", "period_end"):
        block.put(name, times)
    block.put("received_at", times if arrived is rows.times else pa.array(arrived[at]).cast(TIME))
    _put_profiles(block, profiles, codes)
    for name in (*TOKENS, "requests"):
        block.put(name, pa.array(rows.counts[name][at]))
    block.put("quantity", of_counts(rows.counts["input_tokens"][at] + rows.counts["output_tokens"][at]))
    _put_money(block, at, money)
    block.same |= {"type": TOKEN_CALL, "unit": "Tokens", "price_status": PriceStatus.PRICED}
    return block


def _put_profiles(block: Block, profiles: list[Profile | None], codes: Whole) -> None:
    _, first, at = np.unique(codes, return_index=True, return_inverse=True)
    contents = [profile.fields for profile in (profiles[place] for place in first.tolist()) if profile is not None]
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
