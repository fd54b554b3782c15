"""Price, volume and mix; and who."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.watch import Finding
from streams.core.detect.decompose import NAMES, decompose
from streams.core.detect.parts import Part, Parts
from streams.core.windows.sums import Sums
from tests.support.watching import Stream, key, steady, tokens

KEY = key(principal="key-1")
MINI, LARGE = key(principal="key-1", model="mini"), key(principal="key-1", model="large")
CACHED = [tokens(sums.requests, fresh=500, cached=500) for sums in steady(200)]


def part(sums: Sums) -> Part:
    made = Part()
    made.add(sums)
    return made


def split(actual: dict[object, Sums], usual: dict[object, Sums], expected: str) -> dict[str, Decimal]:
    now: Parts = {name: part(sums) for name, sums in actual.items()}  # type: ignore[misc]
    was: Parts = {name: part(sums) for name, sums in usual.items()}  # type: ignore[misc]
    paid = sum((sums.usd for sums in actual.values()), Decimal(0))
    made = decompose(now, was, float(expected), paid - Decimal(expected))
    assert sum((getattr(made, name) for name in NAMES), Decimal(0)) == paid - Decimal(expected)
    return {name: round(getattr(made, name), 3) for name in NAMES if getattr(made, name)}


# One request: 1,000 tokens in at 3 USD and 200 out at 15 USD a million, so 0.003 + 0.003 = 0.006 USD.
def test_more_requests_are_volume() -> None:
    assert split({MINI: tokens(300)}, {MINI: tokens(100)}, "0.6") == {"volume": Decimal("1.2")}


def test_longer_prompts_are_tokens_per_request() -> None:
    assert split({MINI: tokens(100, fresh=5000)}, {MINI: tokens(100)}, "0.6") == {"tokens_per_request": Decimal("1.2")}


def test_a_longer_prompt_beside_a_steady_cache_is_not_a_dearer_price() -> None:
    actual, usual = tokens(100, fresh=5500, cached=500), tokens(100, fresh=500, cached=500)
    assert split({MINI: actual}, {MINI: usual}, "0.465") == {"tokens_per_request": Decimal("1.5")}


def test_a_lost_cache_is_a_dearer_price() -> None:
    """500 tokens of a request cost 3 instead of 0.3 USD a million: 0.00135 USD more for each of 100."""
    actual, usual = tokens(100, fresh=1000), tokens(100, fresh=500, cached=500)
    assert split({MINI: actual}, {MINI: usual}, "0.465") == {"unit_price": Decimal("0.135")}


def test_a_raised_price_is_a_dearer_price() -> None:
    assert split({MINI: tokens(100, price=3)}, {MINI: tokens(100)}, "0.6") == {"unit_price": Decimal("1.2")}


def test_another_model_is_mix() -> None:
    assert split({LARGE: tokens(100, price=5)}, {MINI: tokens(100)}, "0.6") == {"mix": Decimal("2.4")}


def test_a_stranger_s_requests_are_volume_whatever_model_they_use() -> None:
    thief = key(principal="key-9", model="large")
    made = split({MINI: tokens(100), thief: tokens(100, price=5)}, {MINI: tokens(100)}, "0.6")
    assert made == {"volume": Decimal(3)}


amounts = st.decimals("-1e9", "1e9", places=6)
sizes = st.integers(0, 10_000)
some = st.builds(tokens, st.integers(0, 5000), fresh=sizes, cached=sizes, answer=sizes, price=st.integers(0, 50))


@given(
    st.dictionaries(st.sampled_from([MINI, LARGE, KEY]), some),
    st.dictionaries(st.sampled_from([MINI, LARGE, KEY]), some),
    st.floats(0, 1e6),
    amounts,
)
def test_the_four_sum_to_the_excess_exactly(actual: dict, usual: dict, expected: float, excess: Decimal) -> None:  # type: ignore[type-arg]
    parts = [{name: part(sums) for name, sums in cells.items()} for cells in (actual, usual)]
    made = decompose(parts[0], parts[1], expected, excess)
    assert sum((getattr(made, name) for name in NAMES), Decimal(0)) == excess


def first(stream: Stream, sums: list[Sums]) -> Finding:
    told = stream.feed(KEY, sums)
    assert told
    return stream.found[told[0].finding_id]


@pytest.mark.parametrize(
    ("incident", "cause"),
    [
        (tokens(500, fresh=500, cached=500), "volume"),
        (tokens(50, fresh=8000, cached=500), "tokens_per_request"),
        (tokens(50, fresh=500, cached=500, answer=3000), "tokens_per_request"),
        (tokens(50, fresh=1000), "unit_price"),
        (tokens(400, fresh=1000), "volume"),  # a retry storm loses the cache too
    ],
)
def test_the_cause_of_an_incident_is_named(incident: Sums, cause: str) -> None:
    stream = Stream()
    stream.feed(KEY, CACHED)
    assert first(stream, [incident] * 8).cause == cause


def test_a_lost_cache_shows_long_before_the_spend_gives_it_away() -> None:
    """29 % dearer, in a key whose requests stray by 10 % and more."""
    stream = Stream()
    stream.feed(KEY, CACHED)
    finding = first(stream, [tokens(sums.requests, fresh=1000) for sums in steady(5, seed=7)])
    assert finding.detected_at - finding.opened_at <= timedelta(minutes=3)
    assert finding.cause == "unit_price"
    assert finding.excess_usd < Decimal("0.5")


def test_the_largest_driver_comes_first_and_shares_sum_to_one() -> None:
    keys = [key(principal=f"key-{n}") for n in range(3)]
    calm = [dict(zip(keys, row, strict=True)) for row in zip(*(steady(120, seed=n) for n in range(3)), strict=True)]
    stream = Stream()
    stream.feed(key(team="search"), calm)
    told = stream.feed(key(team="search"), [{keys[0]: tokens(50), keys[1]: tokens(500), keys[2]: tokens(700)}])
    assert [driver.series["principal"] for driver in told[0].drivers] == ["key-2", "key-1"]
    assert sum(driver.share for driver in told[0].drivers) == pytest.approx(1.0, abs=0.02)
