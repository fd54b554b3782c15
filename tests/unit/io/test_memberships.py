"""A process that dies leaves its memberships to the next one on its machine, and to nobody while it lives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.io.memberships import Memberships

MEMBERS = {"spendstream.land": "land-1", "spendstream.roll": "roll-1"}


def died(one: Memberships) -> None:
    """What the system does when a process ends, however it does."""
    assert one._file is not None
    os.close(one._file)


def test_the_next_one_learns_who_died(tmp_path: Path) -> None:
    first = Memberships(tmp_path)
    assert first.left == {}
    first.write({"spendstream.land": "an id of before, that was much longer than the one after it" * 9})
    first.write(MEMBERS)
    died(first)
    assert Memberships(tmp_path).left == MEMBERS


def test_who_lives_is_not_taken_for_dead(tmp_path: Path) -> None:
    first = Memberships(tmp_path)
    first.write(MEMBERS)
    second = Memberships(tmp_path)
    assert second.left == {}
    second.write({"spendstream.land": "land-2"})
    died(first)
    assert Memberships(tmp_path).left == MEMBERS
    died(second)
    assert Memberships(tmp_path).left == {"spendstream.land": "land-2"}


def test_who_left_in_order_is_not_missed(tmp_path: Path) -> None:
    first = Memberships(tmp_path)
    first.write(MEMBERS)
    first.close()
    first.write(MEMBERS)
    assert Memberships(tmp_path).left == {}


def test_what_was_cut_off_in_the_writing_is_nothing(tmp_path: Path) -> None:
    first = Memberships(tmp_path)
    first.write(MEMBERS)
    died(first)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    assert Memberships(tmp_path).left == {}


def test_a_folder_that_knows_no_locks_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    one = Memberships(tmp_path)
    one.write(MEMBERS)
    one.close()
    assert one.left == {}
