"""A run of the faults that was cut off goes on: what it has to do again, and what stays."""

from __future__ import annotations

from pathlib import Path

from tests.faults.judge import Outcome
from tests.faults.report import held, merged, read, write_json
from tests.support.commit import CHANGED


def row(fault: str, commit: str, lost: int = 0, undelivered: int = 0) -> Outcome:
    return Outcome(fault, 1, 100, lost=lost, undelivered=undelivered, commit=commit)


def test_what_held_on_this_code_is_not_done_again() -> None:
    rows = [
        row("held", "abc"),
        row("lost", "abc", lost=1),
        row("of other code", "def"),
        row("undelivered", "abc", undelivered=1),
    ]
    assert held(rows, "abc") == {"held"}


def test_of_changes_in_no_commit_nothing_is_known() -> None:
    commit = f"abc{CHANGED}"
    assert held([row("held", commit), row("held too", "abc")], commit) == set()


def test_each_fault_is_written_down_as_it_is_done(tmp_path: Path) -> None:
    """In the order of the table, over the row of the run before, and without those that are no more."""
    file, names = tmp_path / "faults.json", ("one", "two", "three")
    for done in (row("three", "abc"), row("two", "abc", lost=5), row("gone", "abc"), row("two", "def")):
        write_json(merged([done], names, file), file)
    assert [(one.fault, one.commit, one.lost) for one in read(file)] == [("two", "def", 0), ("three", "abc", 0)]
