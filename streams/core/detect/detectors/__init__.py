"""The detectors, by the name that their snapshots carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from streams.core.detect.detectors.base import Detector, Snapshot, SnapshotError, State, Verdict
from streams.core.detect.detectors.drift_record import DriftRecord
from streams.core.detect.detectors.half_space_trees import HalfSpaceTrees
from streams.core.detect.detectors.ready_made import AbsoluteDeviation, Gaussian
from streams.core.detect.detectors.rules import StaticThreshold, TimesTrailingMean
from streams.core.detect.detectors.spend import OrderedSpend, RequestedSpend, Spend

# What may watch a tenant's series: held to the limits of time and memory.
PRODUCT: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {made.name: made for made in (DriftRecord, Spend, RequestedSpend, OrderedSpend)}
)

# What the product is compared with: held to the laws, not to the limits (River's trees are objects by the hundred).
COMPARED: Mapping[str, Callable[[], Detector]] = MappingProxyType(
    {made.name: made for made in (Gaussian, AbsoluteDeviation, HalfSpaceTrees, StaticThreshold, TimesTrailingMean)}
)

DETECTORS: Mapping[str, Callable[[], Detector]] = MappingProxyType({**PRODUCT, **COMPARED})


def restored(snapshot: Mapping[str, Any]) -> Detector:
    """A detector of default configuration that continues from a snapshot. Raises `SnapshotError` if there is none."""
    name = snapshot.get("detector")
    if not isinstance(name, str) or name not in DETECTORS:
        raise SnapshotError(f"unknown detector {name!r}")
    detector = DETECTORS[name]()
    detector.restore(snapshot)
    return detector


__all__ = ["COMPARED", "DETECTORS", "PRODUCT", "Detector", "Snapshot", "SnapshotError", "State", "Verdict", "restored"]
