"""From settings to the core's objects: the live stages and `replay` get theirs here, so that they get the same."""

from __future__ import annotations

from datetime import timedelta

from schemas.records import Meter
from streams.core.charge import Charger
from streams.core.decode import Bounds
from streams.core.roll import RollRules
from streams.io.rates import load_pricer
from streams.io.rules import load_tagger
from streams.settings import Settings


def charger(settings: Settings) -> Charger:
    """Prices and owners, read from their files. Raises SettingsError or ValueError naming the file and the fault."""
    limits, prices = settings.limits, settings.prices
    bounds = Bounds(
        max_record_bytes=limits.max_record_bytes,
        max_future=timedelta(seconds=limits.max_future_seconds),
        oldest_year=limits.oldest_year,
        latest_year=limits.latest_year,
    )
    return Charger(
        load_pricer(prices.rates_dir, prices.fx_file), load_tagger(prices.rules_file, prices.owners_file), bounds
    )


def roll_rules(settings: Settings) -> RollRules:
    """Windows, graces and series."""
    roll = settings.roll
    windows: dict[Meter, int] = {
        "token_call": roll.token_call_window_seconds,
        "gpu_usage": roll.gpu_usage_window_seconds,
    }
    graces: dict[Meter, float] = {
        "token_call": roll.token_call_grace_seconds,
        "gpu_usage": roll.gpu_usage_grace_seconds,
        "line_item": roll.line_item_grace_seconds,
    }
    return RollRules(
        windows=windows,
        graces=graces,
        series=roll.series,
        dedup_seconds=roll.dedup_seconds,
        max_cells=roll.max_cells,
        max_leaves=roll.max_leaves,
    )
