"""What is compared: detectors and settings, each a named variant; and the grid that a search goes through."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from replay.backtest.detect import PRODUCT, Plan
from streams import build
from streams.core.detect.detectors import DETECTORS
from streams.settings import Settings

KNOWN_DETECTORS = (PRODUCT, *DETECTORS)
AS_CONFIGURED = "as configured"
GRID: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("detect.sensitivity", ("0.5", "0.7", "1", "1.4")),
    ("alerts.min_excess_usd", ("1", "5", "20")),
)
"""What a search goes through unless it is told: how touchy every series is, and what an incident must cost to page."""


class VariantError(ValueError):
    """A variant can't be understood: the message names where, the field and the problem."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A detector and what it changes in the settings, as `--set` would."""

    name: str
    detector: str = PRODUCT
    overrides: tuple[str, ...] = ()

    def plan(self, settings: Settings) -> Plan:
        """Ready to run under its settings."""
        return Plan(self.name, self.detector, build.watch_rules(settings), build.alert_rules(settings))


def of_detectors(names: Iterable[str]) -> list[Variant]:
    """One variant a detector, otherwise as configured. Raises VariantError on one that there is not."""
    return [Variant(name, _known(f"--detector {name}", name)) for name in names]


def of_file(path: Path) -> list[Variant]:
    """The variants of a TOML file: `[name]` with `detector = "..."` and `set = ["alerts.min_excess_usd=20"]`.

    Raises VariantError.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise VariantError(f"{path}: can't be read ({error})") from None
    return [_of_table(f"{path}: [{name}]", name, table) for name, table in tables.items()]


def _of_table(where: str, name: str, table: Any) -> Variant:
    if not isinstance(table, dict):
        raise VariantError(f"{where}: must be a table")
    unknown = sorted(table.keys() - {"detector", "set"})
    if unknown:
        raise VariantError(f"{where}: no such field: {', '.join(unknown)}; a variant has detector and set")
    overrides = table.get("set", [])
    if not isinstance(overrides, list) or not all(isinstance(one, str) for one in overrides):
        raise VariantError(f'{where}: set: must be a list like ["alerts.min_excess_usd=20"]')
    return Variant(name, _known(where, table.get("detector", PRODUCT)), tuple(map(_whole, overrides)))


def grid(searches: Sequence[str]) -> list[Variant]:
    """Every combination of `key=value,value,...`, in the order given; GRID when there is none. Raises VariantError."""
    axes = [_axis(text) for text in searches] or list(GRID)
    variants = []
    for values in product(*(values for _, values in axes)):
        chosen = [f"{key}={value}" for (key, _), value in zip(axes, values, strict=True)]
        variants.append(Variant(" ".join(chosen), PRODUCT, tuple(map(_whole, chosen))))
    return variants


def _axis(text: str) -> tuple[str, tuple[str, ...]]:
    key, separator, listed = text.partition("=")
    values = tuple(value.strip() for value in listed.split(",") if value.strip())
    if not separator or not key.strip() or not values:
        raise VariantError(f"--search {text}: must be key=value,value,... such as alerts.min_excess_usd=1,5,20")
    return key.strip(), values


def _whole(override: str) -> str:
    """`detect.sensitivity=0.7` stands for the rule that makes every series so touchy."""
    key, _, value = override.partition("=")
    if key.strip() != "detect.sensitivity" or value.strip().startswith("["):
        return override
    return f"detect.sensitivity=[{{series={{}}, factor={value.strip()}}}]"


def _known(where: str, name: object) -> str:
    if name not in KNOWN_DETECTORS:
        raise VariantError(f"{where}: no detector {name!r}; there are {', '.join(KNOWN_DETECTORS)}")
    return str(name)
