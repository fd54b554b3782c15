"""Neighbours of a parameter set, and what the benchmark's own scorer says of them."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from random import Random
from statistics import fmean, quantiles, stdev
from typing import Any, TypeVar

PROFILES = ("standard", "low_fp", "low_fn")
THRESHOLD = 0.5  # what counts as an alert in a stream of 0 and 1

P = TypeVar("P")


def jittered(parameters: P, seed: int) -> P:
    """All constants moved at once, each log-normally and independently, by 20-40 % (one spread per draw)."""
    rng = Random(seed)  # noqa: S311 - repeatable on purpose
    return _moved(parameters, rng, rng.uniform(0.2, 0.4))


def _moved(parameters: P, rng: Random, spread: float) -> P:
    changes: dict[str, Any] = {}
    for field in fields(parameters):  # type: ignore[arg-type]
        value = getattr(parameters, field.name)
        if is_dataclass(value):
            changes[field.name] = _moved(value, rng, spread)
            continue
        moved = value * math.exp(rng.gauss(0.0, spread))
        if isinstance(value, int):
            moved = max(1, round(moved))
        elif field.name.endswith("rate"):
            moved = min(moved, 1.0)
        changes[field.name] = moved
    return replace(parameters, **changes)  # type: ignore[type-var]


def load_scorer(path: Path) -> Callable[[Path], Mapping[str, float]]:
    """The scorer in a file: from a folder of alert streams to the score of each profile."""
    spec = importlib.util.spec_from_file_location("nab_scorer", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    scorer: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)

    def score(results: Path) -> Mapping[str, float]:
        found = {}
        loaded = scorer.load(results)
        for profile in PROFILES:
            thresholds, values = scorer.sweep(*loaded, *scorer.PROFILES[profile])
            alerting = values[thresholds >= THRESHOLD]
            found[profile] = float(alerting[-1]) if len(alerting) else 0.0
        return found

    return score


def summary(profile: str, scores: list[float]) -> str:
    """Mean, spread and the 5 and 95 % points of a profile's scores."""
    if len(scores) < 2:
        return f"{profile:9} {scores[0]:.1f}"
    cuts = quantiles(scores, n=20, method="inclusive")
    return f"{profile:9} mean {fmean(scores):.1f}, sd {stdev(scores):.1f}, 5-95 % {cuts[0]:.1f}-{cuts[-1]:.1f}"
