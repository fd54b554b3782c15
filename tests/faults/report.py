"""What a run came to, for people (docs/faults.md, between its markers) and for machines (build/faults.json)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.faults.judge import Outcome
from tests.support.commit import CHANGED

BEGIN, END = "<!-- faults: begin, written by `make faults` -->", "<!-- faults: end -->"
HEAD = (
    "| fault | times | events | lost | counted twice | unaccounted | looks | wrong totals | false findings "
    "| missing findings | undelivered alerts | repeated deliveries | ended by itself | recovery s |"
)


def table(outcomes: Sequence[Outcome]) -> str:
    """The table as Markdown, with a line of sums."""
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    lines += [_row(outcome, outcome.fault) for outcome in outcomes]
    sums = Outcome("**all**", 0, 0)
    for name in ("times", "events", "lost", "duplicated", "unaccounted", "looks", "wrong_totals", "false_findings",
                 "missing_findings", "undelivered", "repeated_deliveries", "restarts_of_its_own"):  # fmt: skip
        setattr(sums, name, sum(getattr(outcome, name) for outcome in outcomes))
    sums.recovery_seconds = max(outcome.recovery_seconds for outcome in outcomes)
    return "\n".join([*lines, _row(sums, "**all**")])


def merged(outcomes: Sequence[Outcome], names: Sequence[str], file: Path) -> list[Outcome]:
    """`outcomes` over those of `file` from earlier runs, in the order of `names`."""
    rows = {outcome.fault: outcome for outcome in [*read(file), *outcomes]}
    return [rows[name] for name in names if name in rows]


def held(outcomes: Sequence[Outcome], commit: str) -> set[str]:
    """The faults that need not be done again on this code. Changes that are in no commit may be others each time."""
    if commit.endswith(CHANGED):
        return set()
    return {outcome.fault for outcome in outcomes if outcome.holds and outcome.commit == commit}


def read(file: Path) -> list[Outcome]:
    """What earlier runs came to."""
    return [Outcome(**row) for row in json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []


def write_json(outcomes: Sequence[Outcome], file: Path) -> None:
    """For machines."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps([outcome.as_json() for outcome in outcomes], indent=1) + "\n", encoding="utf-8")


def write_page(outcomes: Sequence[Outcome], page: Path) -> None:
    """For people: the table between its markers."""
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    commits = ", ".join(sorted({outcome.commit for outcome in outcomes}))
    page.write_text(f"{head}{BEGIN}\n\n{table(outcomes)}\n\nMade at {commits}.\n\n{END}{tail}", encoding="utf-8")


def _row(outcome: Outcome, name: str) -> str:
    cells = (
        name, f"{outcome.times:,}", f"{outcome.events:,}", outcome.lost, outcome.duplicated, outcome.unaccounted,
        f"{outcome.looks:,}", outcome.wrong_totals, outcome.false_findings, outcome.missing_findings,
        outcome.undelivered, outcome.repeated_deliveries, outcome.restarts_of_its_own,
        f"{outcome.recovery_seconds:.1f}",
    )  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
