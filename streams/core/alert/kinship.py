"""Whether two findings speak of the same trouble: by what their series name, and by where their excess lies."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.watch import Driver, Finding, FindingKind

Series = Mapping[str, str]

ENTITIES = (
    "principal", "cluster", "account", "feature", "project", "service", "team",
    "model", "accelerator", "provider", "region", "environment", "capacity_type",
)  # fmt: skip
"""Who or what can be held to account, the most particular first."""

OWNERS = frozenset(ENTITIES[:7])
"""What names one owner may well have one cause for all its parts; everything, a provider or a model has not."""

ALONE = frozenset({FindingKind.IDLE, FindingKind.BUDGET_BURN})
"""Kinds whose dollars are not an excess over the expected: they are grouped with their own kind only."""

MOST = 0.5


def agree(a: Series, b: Series) -> bool:
    """No dimension that both name differs."""
    return all(a[name] == b[name] for name in a.keys() & b.keys())


def within(inner: Series, outer: Series) -> bool:
    """`inner` names all that `outer` names, and the same: everything is within the empty series."""
    return all(inner.get(name) == value for name, value in outer.items())


def is_owned(series: Series) -> bool:
    """Whether the series names somebody."""
    return not OWNERS.isdisjoint(series)


def names_one(series: Series) -> bool:
    """Whether the series names one key or one cluster."""
    return "principal" in series or "cluster" in series


def may_meet(a: Finding, b: Finding) -> bool:
    """Whether their kinds can be of one incident."""
    return a.kind == b.kind or ALONE.isdisjoint((a.kind, b.kind))


def rank(series: Series) -> tuple[int, int]:
    """Smaller is more particular: whom it names, then how few names that takes (a key before a key's model)."""
    named = [at for at, name in enumerate(ENTITIES) if name in series]
    return min(named, default=len(ENTITIES)), len(series)


def share_inside(finding: Finding, series: Series) -> float | None:
    """Which part of a finding's excess lies in `series`, 0 to 1 by its drivers; None when they don't tell."""
    if within(finding.series, series):
        return 1.0
    if not agree(finding.series, series):
        return 0.0
    known, share = False, 0.0
    for driver in _apart(finding.drivers):
        place = {**finding.series, **driver.series}
        if within(place, series):
            known, share = True, share + driver.share
        elif not agree(place, series):
            known = True
    return min(share, 1.0) if known else None


def kinship(a: Finding, b: Finding) -> float:
    """How much of the wider finding's excess the narrower one explains, 0 to 1. Symmetric."""
    if not may_meet(a, b) or not agree(a.series, b.series):
        return 0.0
    if (a.excess_usd < 0) != (b.excess_usd < 0):
        return _opposite(a, b)
    if a.series == b.series:
        return 1.0
    wide, narrow = _by_width(a, b)
    back = share_inside(narrow, wide.series)
    if back is not None and back < MOST:
        return 0.0  # two cuts that cross, and the smaller one's excess lies elsewhere
    share = share_inside(wide, narrow.series)
    return _ratio(wide, narrow) if share is None else share


def _opposite(a: Finding, b: Finding) -> float:
    """Less here and more there is one trouble only within one owner: a key that went over to another model."""
    for part, whole in ((a, b), (b, a)):
        if is_owned(whole.series) and (share_inside(part, whole.series) or 0.0) >= MOST:
            return 1.0
    return 0.0


def _by_width(a: Finding, b: Finding) -> tuple[Finding, Finding]:
    """(wider, narrower): by what they contain; where they cross, by dollars."""
    if within(a.series, b.series):
        return b, a
    if within(b.series, a.series):
        return a, b
    return (a, b) if abs(a.excess_usd) >= abs(b.excess_usd) else (b, a)


def _ratio(wide: Finding, narrow: Finding) -> float:
    whole, part = abs(wide.excess_usd), abs(narrow.excess_usd)
    return 1.0 if part >= whole else float(part / whole)


def _apart(drivers: list[Driver]) -> list[Driver]:
    """The drivers without those that repeat another's part more finely or more widely."""
    kept: list[Driver] = []
    for driver in drivers:
        if not any(within(driver.series, other.series) or within(other.series, driver.series) for other in kept):
            kept.append(driver)
    return kept
