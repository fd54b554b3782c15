"""What a run came to, for people (docs/faults.md, between its markers) and for machines (build/faults.json)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tests.faults.judge import Outcome

BEGIN, END = "<!-- faults: begin, written by `make faults` -->", "<!-- faults: end -->"
HEAD = (
    "| fault | times | events | lost | counted twice | unaccounted | looks | wrong totals | false findings "
    "| missing findings | undelivered alerts | repeated deliveries | recovery s |"
)


def table(outcomes: Sequence[Outcome]) -> str:
    """The table as Markdown, with a line of sums."""
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    lines += [_row(outcome, outcome.fault) for outcome in outcomes]
    sums = Outcome("**all**", 0, 0)
    for name in ("times", "events", "lost", "duplicated", "unaccounted", "looks", "wrong_totals", "false_findings",
                 "missing_findings", "undelivered", "repeated_deliveries"):  # fmt: skip
        setattr(sums, name, sum(getattr(outcome, name) for outcome in outcomes))
    sums.recovery_seconds = max(outcome.recovery_seconds for outcome in outcomes)
    return "\n".join([*lines, _row(sums, "**all**")])


def write(outcomes: Sequence[Outcome], root: Path, *, docs: bool) -> None:
    """The JSON, and the table where `docs`."""
    (root / "build").mkdir(exist_ok=True)
    body = json.dumps([outcome.as_json() for outcome in outcomes], indent=1)
    (root / "build" / "faults.json").write_text(body + "\n", encoding="utf-8")
    if docs:
        page = root / "docs" / "faults.md"
        text = page.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        tail = rest.partition(END)[2]
        page.write_text(f"{head}{BEGIN}\n\n{table(outcomes)}\n\n{END}{tail}", encoding="utf-8")


def _row(outcome: Outcome, name: str) -> str:
    cells = (
        name, f"{outcome.times:,}", f"{outcome.events:,}", outcome.lost, outcome.duplicated, outcome.unaccounted,
        f"{outcome.looks:,}", outcome.wrong_totals, outcome.false_findings, outcome.missing_findings,
        outcome.undelivered, outcome.repeated_deliveries, f"{outcome.recovery_seconds:.1f}",
    )  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
