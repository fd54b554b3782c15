"""Shared costs: how each named split falls on teams at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction

from schemas.rules import Split

NESTED = "split:"
Parts = tuple[tuple[str, Fraction], ...]


class Splits:
    """Every split, with those inside others taken apart, so that each is a list of teams."""

    def __init__(self, rows: Iterable[Split]) -> None:
        self._rows: dict[str, list[Split]] = {}
        for row in sorted(rows, key=lambda r: r.starts):
            self._rows.setdefault(row.name, []).append(row)

    def parts(self, name: str, day: date) -> Parts:
        """Teams and their fractions of `name` on `day`, which sum to 1; empty where no row holds that day."""
        return tuple(sorted(self._flat(name, day).items()))

    def _flat(self, name: str, day: date) -> dict[str, Fraction]:
        row = self._row(name, day)
        if row is None:
            return {}
        flat: dict[str, Fraction] = {}
        for key, fraction in _fractions(row).items():
            if not key.startswith(NESTED):
                flat[key] = flat.get(key, Fraction(0)) + fraction
                continue
            inner = self._flat(key.removeprefix(NESTED), day)
            if not inner:  # a part that nobody is known for on that day leaves the whole undecided
                return {}
            for team, part in inner.items():
                flat[team] = flat.get(team, Fraction(0)) + fraction * part
        return flat

    def _row(self, name: str, day: date) -> Split | None:
        rows = self._rows.get(name, [])
        at = bisect_right([row.starts for row in rows], day)
        row = rows[at - 1] if at else None
        return None if row is None or (row.until is not None and row.until <= day) else row


def _fractions(row: Split) -> dict[str, Fraction]:
    if row.shares:
        return {key: Fraction(share) for key, share in row.shares.items() if share}
    total = sum(map(Fraction, row.measured.values()))
    return {key: Fraction(amount) / total for key, amount in row.measured.items()}


def split_faults(rows: Sequence[Split]) -> list[str]:
    """Splits that name one that doesn't exist, or come back to themselves."""
    inside: dict[str, set[str]] = {}
    for row in rows:
        keys = (*row.shares, *row.measured)
        inside.setdefault(row.name, set()).update(k.removeprefix(NESTED) for k in keys if k.startswith(NESTED))
    faults = [
        f"split {name}: {inner} is not a split" for name in inside for inner in sorted(inside[name] - inside.keys())
    ]
    for name in inside:
        path = _cycle(name, inside)
        if path:
            faults.append(f"split {name}: cycle {' -> '.join(path)}")
            break  # one line for the cycle, not one for every split on it
    return faults


def _cycle(start: str, inside: dict[str, set[str]]) -> list[str]:
    """The way from `start` back to itself, if there is one."""
    ways = [[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for inner in sorted(inside.get(way[-1], ())):
            if inner == start:
                return [*way, inner]
            if inner not in seen:
                seen.add(inner)
                ways.append([*way, inner])
    return []
