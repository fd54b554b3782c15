"""Looks at every table and view all the time: what is there may lag behind the truth, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from streams.io.clickhouse import ClickHouseStore, StoreError
from tests.faults.beside import Beside
from tests.faults.stream import Truth

LOOK_SECONDS = 0.5
# Each table and view by what it counts and what it adds up to; where one says only dollars, or only counts, it is that.
TOTALS = {
    "charges": ("count()", "sum(effective_cost_usd)"),
    "spend_by_minute": ("sum(events)", "sum(effective_cost_usd)"),
    "spend_by_hour": ("sum(events)", "sum(effective_cost_usd)"),
    "charges_current": ("count()", "sum(effective_cost_usd)"),
    "spend_per_minute_by_team": ("sum(events)", "sum(effective_cost_usd)"),
    "spend_per_hour_by_model": ("sum(events)", "sum(effective_cost_usd)"),
    "spend_per_day_by_owner": ("sum(events)", "sum(effective_cost_usd)"),
    "costs_per_day_by_currency": ("sum(charges)", "sum(effective_cost)"),
    "totals_per_day_by_currency": ("sum(charges)", "sum(effective_cost_usd)"),
    "totals_per_day_in_usd": ("sum(charges)", "sum(effective_cost_usd)"),
    "allocation_coverage": ("-1", "sum(effective_cost_usd)"),
    "allocation_by_team": ("-1", "sum(effective_cost_usd)"),
}
# Rows and events by one scan: between two of them a batch may land.
STATE = """
SELECT count() AS charges, uniqExact(source, id) AS distinct,
       (SELECT count() FROM (SELECT batch FROM land_intents GROUP BY batch HAVING max(closed) = 0)) AS open_intents
FROM charges
"""
TEAMS = "SELECT team, sum(events) AS events, sum(effective_cost_usd) AS usd FROM spend_by_minute GROUP BY team"


class Sum(NamedTuple):
    """What a table or view says: events (-1 where it says none) and USD."""

    events: int
    usd: Decimal


@dataclass(slots=True)
class Seen:
    """What came of looking."""

    looks: int = 0
    away: int = 0
    landed: int = 0
    wrong: list[str] = field(default_factory=list)
    history: list[tuple[float, int]] = field(default_factory=list)  # (time.monotonic, landed)


class Looker(Beside):
    """`offered` gives the truth of what was sent by now: nothing may ever be above it."""

    def __init__(self, store: ClickHouseStore, offered: Callable[[], Truth]) -> None:
        self._store = store
        self._offered = offered
        self.seen = Seen()

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Once. A ClickHouse that is away shows nobody anything wrong."""
        try:
            before, totals, teams, after = await asyncio.to_thread(self._ask)
        except StoreError:
            self.seen.away += 1
            return
        self.seen.looks += 1
        self.seen.landed = before["charges"]
        self.seen.history.append((time.monotonic(), before["charges"]))
        truth = self._offered()
        for state in (before, after):
            if state["charges"] != state["distinct"]:
                self._wrong(f"charges holds {state['charges']} rows of {state['distinct']} events")
        for name, total in totals.items():
            self._judge(name, total, Sum(truth.all.events, truth.all.usd), "the truth")
        for team, total in teams.items():
            known = truth.teams[team]
            self._judge(f"team {team!r}", total, Sum(known.events, known.usd), "the truth")
        if before == after and not before["open_intents"]:  # nothing was under way, so all have to agree
            for name, total in totals.items():
                if total.events not in {-1, before["charges"]} or total.usd != totals["charges"].usd:
                    self._wrong(f"{name} says {total}, while charges holds {totals['charges']}")

    def _judge(self, name: str, total: Sum, most: Sum, what: str) -> None:
        if total.events > most.events or total.usd > most.usd:
            self._wrong(f"{name} says {total}, above {what} of {most}")

    def _wrong(self, what: str) -> None:
        if len(self.seen.wrong) < 100:
            self.seen.wrong.append(what)

    def _ask(self) -> tuple[dict[str, Any], dict[str, Sum], dict[str, Sum], dict[str, Any]]:
        before = self._store.query(STATE)[0]
        totals = totals_of(self._store)
        teams = {row["team"]: Sum(row["events"], row["usd"]) for row in self._store.query(TEAMS)}
        return before, totals, teams, self._store.query(STATE)[0]


def totals_of(store: ClickHouseStore) -> dict[str, Sum]:
    """What each table and view says now, in one query."""
    parts = (
        f"SELECT '{name}' AS name, toInt64({events}) AS events, "  # noqa: S608  our own words
        f"toDecimal128(ifNull({usd}, 0), 18) AS usd FROM {name}"
        for name, (events, usd) in TOTALS.items()
    )
    rows = store.query(" UNION ALL ".join(parts))
    return {row["name"]: Sum(row["events"], row["usd"]) for row in rows}
