"""A backtest's result as JSON and as Markdown. The same result gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from replay.backtest import tables
from replay.backtest.compare import Result


@dataclass(frozen=True, slots=True)
class About:
    """A history in the result. Times are RFC 3339 texts; None: it has no events, or nothing of it was judged."""

    name: str
    files: tuple[str, ...]
    events: int
    dead_lettered: int
    first: str | None
    last: str | None
    judged_from: str | None
    held_out_from: str | None
    labels: int | None
    note: str


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that a backtest says."""

    histories: Sequence[About]
    results: Sequence[Result]
    overrides: dict[str, tuple[str, ...]]  # by variant
    budget: float | None = None  # alerts a week; None: nothing was searched
    chosen: str | None = None

    def to_json(self) -> str:
        """Sorted by nothing but the order of the work."""
        whole: dict[str, Any] = {
            "histories": [asdict(history) for history in self.histories],
            "variants": [self._variant(one) for one in self.results],
        }
        if self.budget is not None:
            whole["search"] = {"alerts_per_week": self.budget, "tried": len(self.results), "chosen": self.chosen}
        return json.dumps(whole, indent=1) + "\n"

    def _variant(self, one: Result) -> dict[str, Any]:
        return {
            "name": one.plan.name,
            "detector": one.plan.detector,
            "set": list(self.overrides.get(one.plan.name, ())),
            "whole": one.whole.to_json(),
            "tuned_on": one.tuned.to_json() if one.tuned else None,
            "held_out": one.held_out.to_json() if one.held_out else None,
            "by_history": {name: found.to_json() for name, found in one.by_history.items()},
        }

    @property
    def labelled(self) -> bool:
        return any(history.labels is not None for history in self.histories)

    def best(self) -> Result | None:
        """The one to show in detail: the chosen one, else the first."""
        named = [one for one in self.results if one.plan.name == self.chosen]
        return next(iter([*named, *self.results]), None)

    def shown(self) -> list[tuple[str, tables.Row, list[tables.Row]]]:
        """Title, columns and rows of each table that a person reads."""
        columns = tables.header(labelled=self.labelled)
        best = self.best()
        found: list[tuple[str, tables.Row, list[tables.Row]]] = []
        if self.budget is None:
            title = "Variants, over the whole of each history"
            found.append((title, columns, [self._row(one) for one in self.results]))
        else:
            every = [tables.row(one.plan.name, one.tuned, labelled=self.labelled) for one in self.results if one.tuned]
            found.append(("Tried, on the time that was tuned on", columns, every))
        if self.budget is not None and best is not None and best.tuned and best.held_out and self.chosen:
            pair = [
                tables.row("tuned on", best.tuned, labelled=self.labelled),
                tables.row("held out", best.held_out, labelled=self.labelled),
            ]
            found.append((f"Chosen: {best.plan.name}", columns, pair))
        if best is not None:
            if best.by_history:
                rows = [tables.row(name, one, labelled=self.labelled) for name, one in best.by_history.items()]
                found.append((f"By history: {best.plan.name}", columns, rows))
            if best.whole.per_kind:
                found.append((f"By kind of incident: {best.plan.name}", tables.KINDS, tables.kinds(best.whole)))
            if best.whole.per_series:
                found.append((f"Alerts by series: {best.plan.name}", tables.SERIES, tables.series(best.whole)))
        return found

    def to_markdown(self) -> str:
        """For a ticket or a wiki."""
        lines = ["# Backtest", ""]
        for history in self.histories:
            span = f"{history.first} to {history.last}" if history.first else "no events"
            known = "no labels" if history.labels is None else f"{history.labels} labels"
            judged = f", judged from {history.judged_from}" if history.judged_from else ""
            held = f", held out from {history.held_out_from}" if history.held_out_from else ""
            note = f" ({history.note})" if history.note else ""
            lines.append(f"- {history.name}: {history.events:,} events, {span}, {known}{judged}{held}{note}")
        for title, columns, rows in self.shown():
            lines += ["", f"## {title}", "", tables.markdown(columns, rows)]
        if self.budget is not None:
            lines += ["", self.verdict()]
        return "\n".join(lines) + "\n"

    def verdict(self) -> str:
        """One sentence on the search."""
        if self.chosen is None:
            return f"None of {len(self.results)} settings keeps to {self.budget:g} alerts a week."
        return (
            f"Chosen of {len(self.results)} settings for at most {self.budget:g} alerts a week: {self.chosen}. "
            "It was chosen by the time tuned on; the figure to quote is the one held out."
        )

    def write(self, out: Path) -> None:
        """`backtest.json` and `backtest.md`."""
        out.mkdir(parents=True, exist_ok=True)
        (out / "backtest.json").write_text(self.to_json(), encoding="utf-8")
        (out / "backtest.md").write_text(self.to_markdown(), encoding="utf-8")

    def _row(self, one: Result) -> tables.Row:
        return tables.row(one.plan.name, one.whole, labelled=self.labelled)
