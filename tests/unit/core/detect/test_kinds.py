"""Drops, creeps, new series, idle GPUs, lost owners, unknown prices."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from math import exp, sin, tau
from random import Random

import pytest

from schemas.watch import FindingKind
from streams.core.detect.creep import Creep
from streams.core.detect.rules import WatchRules
from streams.core.windows.sums import SeriesKey, Sums, utc
from tests.support.watching import MINUTE, Stream, gpus, key, steady, tokens

HOUR, DAY = 3600, 86_400
KEY = key(principal="key-1")
SILENCE = tokens(0)


def hourly(days: int, growth_per_hour: float = 1.0, seed: int = 1) -> list[Sums]:
    """A key by the hour with a daily rhythm, some noise, and growth."""
    rng = Random(seed)
    return [
        tokens(round((3000 + 800 * sin(hour / 24 * tau)) * growth_per_hour**hour * rng.gauss(1, 0.05)))
        for hour in range(days * 24)
    ]


class TestDrop:
    def test_a_steady_key_that_falls_silent_is_told_after_an_outage_would_be_over(self) -> None:
        stream = Stream()
        stream.feed(KEY, steady(1600))
        began = stream.now
        (finding,) = stream.feed(KEY, [SILENCE] * 90)[:1]
        assert finding.kind is FindingKind.DROP
        assert finding.opened_at == utc(began)
        assert finding.detected_at == utc(began + 45 * MINUTE)
        assert finding.excess_usd < 0
        assert finding.cause == "drop"
        assert "meter" in finding.explanation
        assert stream.feed(KEY, steady(6))[-1].status == "closed"

    def test_a_habit_of_silence_is_no_drop(self) -> None:
        stream = Stream()
        habit = [*steady(120), *[SILENCE] * 60] * 12
        stream.feed(KEY, habit)
        assert stream.feed(KEY, [*steady(120), *[SILENCE] * 60]) == []

    def test_silences_that_ended_by_themselves_twice_are_how_the_key_is(self) -> None:
        """Two broken meters within some days do happen; after that it is told of a longer silence only."""
        stream = Stream()
        stream.feed(KEY, steady(1600))
        told = [bool(stream.feed(KEY, [*[SILENCE] * 90, *steady(300)])) for _ in range(3)]
        assert told == [True, True, False]
        assert stream.feed(KEY, [SILENCE] * 200)

    def test_short_silences_make_no_habit_of_one_that_was_told(self) -> None:
        stream = Stream()
        stream.feed(KEY, steady(1600))
        assert stream.feed(KEY, [*[SILENCE] * 90, *steady(60)])
        assert stream.feed(KEY, [*[SILENCE, *steady(60)] * 5]) == []
        assert stream.feed(KEY, [SILENCE] * 90)

    @pytest.mark.parametrize(("evening", "told"), [(5, True), (1, False)])
    def test_a_key_that_came_down_to_what_it_is_every_evening_has_not_faded(self, evening: int, told: bool) -> None:
        stream = Stream()
        stream.feed(KEY, [*steady(720), *steady(720, level=5)] * 3)
        stream.feed(KEY, [*steady(720), *[tokens(evening)] * 30])
        assert bool(stream.feed(KEY, [SILENCE] * 60)) is told

    def test_a_key_that_faded_away_has_come_to_an_end(self) -> None:
        stream = Stream()
        stream.feed(KEY, [*steady(1600), *[tokens(1)] * 30])
        assert stream.feed(KEY, [SILENCE] * 120) == []

    @pytest.mark.parametrize("series", [key(model="gpt-4o"), key(team="search")])
    def test_silence_of_a_model_or_a_tag_is_told_by_the_keys(self, series: tuple[tuple[str, str], ...]) -> None:
        cell = key(team="search", model="gpt-4o", principal="key-1")
        stream = Stream()
        stream.feed(series, [{cell: sums} for sums in steady(1600)])
        assert stream.feed(series, [SILENCE] * 120) == []


class TestCreep:
    def test_growth_that_no_window_shows_is_found(self) -> None:
        stream = Stream(seconds=HOUR, meter="line_item")
        service = key(service="db")
        stream.feed(service, hourly(6))
        told = stream.feed(
            service, [tokens(round(sums.requests * 1.06**hour)) for hour, sums in enumerate(hourly(1, seed=2))]
        )
        creep = next(finding for finding in told if finding.kind is FindingKind.CREEP)
        assert creep.detected_at <= utc(stream.now - 10 * HOUR)  # before it has more than doubled
        assert creep.drivers[0].series == {"service": "db"}

    @pytest.mark.parametrize(("series", "creeps"), [(key(principal="k"), True), (key(principal="k", model="m"), False)])
    def test_a_key_creeps_and_not_its_use_of_a_model(self, series: SeriesKey, creeps: bool) -> None:
        stream = Stream(seconds=HOUR)
        stream.feed(series, hourly(6))
        rising = [tokens(round(sums.requests * 1.06**hour)) for hour, sums in enumerate(hourly(1, seed=2))]
        assert any(finding.kind is FindingKind.CREEP for finding in stream.feed(series, rising)) == creeps

    def test_healthy_growth_is_not(self) -> None:
        stream = Stream(seconds=HOUR, meter="line_item")
        service = key(service="db")
        stream.feed(service, hourly(6))
        growing = hourly(3, growth_per_hour=1.25 ** (1 / 72), seed=2)  # a quarter in three days
        assert stream.feed(service, growing) == []

    def test_a_weekend_that_ends_early_and_busy_is_not(self) -> None:
        """Below the usual for most of a day, then above it, and then a little more: it comes back, by two steps."""
        stream = Stream(seconds=HOUR, meter="line_item")
        service = key(service="db")
        stream.feed(service, hourly(6))
        low, back, more = [0.6] * 16, [1.7] * 9, [2.1] * 7
        weekend = [
            tokens(round(sums.requests * level))
            for level, sums in zip([*low, *back, *more], hourly(2, seed=2), strict=False)
        ]
        told = stream.feed(service, weekend)
        assert FindingKind.CREEP not in {finding.kind for finding in told}

    @pytest.mark.parametrize(("last_week", "told"), [(True, False), (False, True)])
    def test_a_day_that_fills_as_the_same_day_did_a_week_ago_is_not(self, last_week: bool, told: bool) -> None:
        rising, plain = [1.06**hour for hour in range(24)], [1.0] * 24
        levels = [*(rising if last_week else plain), *plain * 6, *rising]
        stream = Stream(seconds=HOUR, meter="line_item")
        found = stream.feed(
            key(service="db"),
            [tokens(round(sums.requests * level)) for level, sums in zip(levels, hourly(8), strict=True)],
        )
        assert (FindingKind.CREEP in {finding.kind for finding in found}) is told

    @pytest.mark.parametrize("seed", range(5))
    def test_a_step_is_left_to_spikes_for_as_long_as_it_lasts(self, seed: int) -> None:
        creep, rng = Creep(), Random(seed)
        for hour in range(96):
            assert creep.hour(rng.gauss(1, 0.1) * (1.0 if hour < 60 else 3.0), 1.0, 0.02) <= 1.0
            creep.learn()

    @pytest.mark.parametrize(("night", "told"), [(1.0, True), (0.6, False)])
    def test_what_falls_for_long_may_rise_as_far(self, night: float, told: bool) -> None:
        creep, rng = Creep(), Random(4)
        rise = [1.06**hour for hour in range(12)]
        scores = []
        for level in [*[1.0] * 96, *[night] * 10, *[1.0] * 14, *rise]:
            scores.append(creep.hour(level * rng.gauss(1, 0.05), 1.0, 0.02))
            creep.learn()
        assert (max(scores) > 1.0) is told

    @pytest.mark.parametrize(("known", "told"), [(60, False), (120, True)])
    def test_what_strays_by_half_from_hour_to_hour_is_told_when_that_is_known(self, known: int, told: bool) -> None:
        creep, rng = Creep(), Random(3)
        strays = [rng.choice([-0.4, 0.4]) for _ in range(142)]
        scores = []
        for hour, stray in enumerate(strays[-known - 22 :]):
            scores.append(creep.hour(exp(stray) * 1.06 ** max(0, hour - known), 1.0, 0.02))
            creep.learn()
        assert max(scores[: known + 10]) <= 1.0
        assert (max(scores) > 1.0) is told

    def test_what_strays_by_days_is_told_when_it_costs_twice_what_it_ever_did(self) -> None:
        """And it does not hide in the height that it has come to, hour by hour."""
        creep, rng = Creep(), Random(4)
        days = [0.3, 2.5, 0.3, 2.5, 0.3, 2.5, 0.3, 2.5, 1.0, 1.0]
        for level in [level for level in days for _ in range(24)]:
            assert creep.hour(level * rng.gauss(1, 0.1), 1.0, 0.02) <= 1.0
            creep.learn()
        spent = 1.0
        while creep.hour(spent * rng.gauss(1, 0.1), 1.0, 0.02) <= 1.0:
            creep.learn()
            spent *= 1.12
            assert spent < 8.0
        assert spent > 5.0


class TestNewSeries:
    RULES = WatchRules(min_excess_usd=1.0, new_series_usd=5.0)
    THIEF = key(principal="key-9")

    def test_a_stranger_is_told_when_it_has_spent_what_matters(self) -> None:
        stream = Stream(rules=self.RULES)
        stream.feed(KEY, steady(1500))
        began = stream.now
        told = stream.feed(self.THIEF, [tokens(400)] * 5)  # 2.40 USD a minute
        assert (told[0].kind, told[0].series) == (FindingKind.NEW_SERIES, {"principal": "key-9"})
        assert told[0].opened_at == utc(began)
        assert told[0].detected_at == utc(began + 3 * MINUTE)
        assert told[0].excess_usd == Decimal("7.2")
        assert told[0].cause == "volume"
        assert told[0].drivers[0].share == 1.0

    def test_its_mere_existence_is_no_news(self) -> None:
        stream = Stream(rules=self.RULES)
        stream.feed(KEY, steady(1500))
        assert stream.feed_all({KEY: steady(120, seed=2), self.THIEF: [tokens(1)] * 120}) == []

    def test_at_the_cold_start_of_everything_nothing_is_new(self) -> None:
        stream = Stream(rules=self.RULES)
        stream.feed(KEY, steady(60))
        assert stream.feed(self.THIEF, [tokens(400)] * 20) == []

    def test_a_new_pair_of_known_names_is_judged_by_those(self) -> None:
        stream = Stream(rules=self.RULES)
        stream.feed(KEY, steady(1500))
        assert stream.feed(key(principal="key-1", model="gpt-5"), [tokens(400)] * 5) == []


class TestIdle:
    CLUSTER = key(cluster="train", accelerator="h100")

    def test_gpus_paid_for_and_unused_are_told_with_what_they_waste(self) -> None:
        stream = Stream(meter="gpu_usage", seconds=300)
        stream.feed(self.CLUSTER, [gpus(400)] * 100)
        began = stream.now
        told = stream.feed(self.CLUSTER, [gpus(400, used=0.0)] * 4)
        assert told[0].kind is FindingKind.IDLE
        assert told[0].detected_at == utc(began + 600)
        # 400 GPU-minutes at 6 USD an hour: 40 USD a window, all of it wasted.
        assert told[0].excess_usd == Decimal(40)
        assert told[-1].excess_usd == Decimal(120)
        assert stream.feed(self.CLUSTER, [gpus(400)] * 5)[-1].status == "closed"

    def test_unmetered_gpus_are_not_idle(self) -> None:
        stream = Stream(meter="gpu_usage", seconds=300)
        unmetered = Sums(usd=Decimal(40), events=1, gpu_minutes=Decimal(400))
        assert stream.feed(self.CLUSTER, [unmetered] * 100) == []


class TestUnallocated:
    @staticmethod
    def untagged(sums: Sums) -> Sums:
        sums.unallocated_usd = sums.usd
        return sums

    def test_lost_tags_are_told(self) -> None:
        stream = Stream()
        stream.feed(KEY, steady(120))
        told = stream.feed(KEY, [self.untagged(sums) for sums in steady(5, seed=2)])
        assert (told[0].kind, told[0].expected_usd_per_hour) == (FindingKind.UNALLOCATED, Decimal(0))

    def test_what_never_had_an_owner_is_no_news(self) -> None:
        stream = Stream()
        assert stream.feed(KEY, [self.untagged(sums) for sums in steady(300)]) == []


class TestUnpriced:
    def test_an_unknown_price_is_told_once_by_its_model_with_what_is_at_risk(self) -> None:
        model = key(model="brand-new-1")
        unknown = Sums(events=3, requests=3, unpriced_events=3, at_risk_usd=Decimal("0.5"))
        stream = Stream()
        pair = key(model="brand-new-1", team="search")
        told = stream.feed_all({model: [unknown] * 3, KEY: [unknown] * 3, pair: [unknown] * 3})
        assert {finding.kind for finding in told} == {FindingKind.UNPRICED}
        assert {tuple(finding.series.items()) for finding in told} == {model}
        assert told[-1].excess_usd == Decimal("1.5")
        assert told[-1].detected_at - told[-1].opened_at == timedelta(seconds=MINUTE)
