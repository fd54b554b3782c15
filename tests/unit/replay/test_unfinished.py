"""A replay that is cut off, wherever, and run again leaves the bytes of one that was not."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from replay import run as replay_run
from replay.outputs import FILES, SUMMARY, UNFINISHED, Folder
from replay.readers import sorting
from replay.run import Replay
from replay.seen import Seen
from streams.commands import replay as command
from streams.commands.common import Failed, UserError
from tests.bench.bills import write_bill
from tests.support.bills import bill

TIMES = {"wall_seconds", "events_per_second"}
RUN = """
import typer
import streams.commands.replay as command
from replay.readers import sorting

command.EVERY, sorting.GIVEN = 400, 100
typer.run(command.replay)
"""


class Cut(BaseException):
    """The end of a process, as far as a test can have it without one."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "EVERY", 400)
    monkeypatch.setattr(sorting, "GIVEN", 100)
    monkeypatch.setattr(replay_run, "BATCH_ROWS", 70)


@pytest.fixture
def inputs(tmp_path: Path) -> list[Path]:
    """Two bills side by side, one with an incident that is told and rows that are odd, with duplicates between them."""
    events = bill(tmp_path / "events.ndjson")
    write_bill(tmp_path / "a.csv", 1_500)
    header, *lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    lines[40:900:90] = [line.replace("USD", "usd") for line in lines[40:900:90]]
    (tmp_path / "a.csv").write_text("".join([header, *lines]), encoding="utf-8")
    (tmp_path / "b.csv").write_text("".join([header, *lines[200:500]]), encoding="utf-8")
    return [events, tmp_path / "a.csv", tmp_path / "b.csv"]


def replay(inputs: list[Path], out: Path, **options: Any) -> None:
    command.replay(inputs, out, overrides=["alerts.min_excess_usd=1", *options.pop("overrides", [])], **options)


def contents(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {name: (folder / name).read_bytes() for name in FILES}
    summary = json.loads(found.pop(SUMMARY))
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    return found | {name: value for name, value in summary.items() if name not in TIMES}


def cut_off(inputs: list[Path], out: Path, adds: int) -> None:
    """A replay whose process ends when so many pieces have been written."""
    add, left = Folder.add, [adds]

    def counted(self: Folder, *args: Any) -> None:
        if not left[0]:
            raise Cut
        left[0] -= 1
        add(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Folder, "add", counted)
        with pytest.raises(Cut):
            replay(inputs, out)


def test_wherever_it_is_cut_off_the_same_bytes_come(inputs: list[Path], tmp_path: Path) -> None:
    replay(inputs, tmp_path / "whole")
    whole = contents(tmp_path / "whole")
    assert whole["alerts"] == 1
    assert whole["dead_lettered"] > 5
    assert whole["duplicates"] > 200
    rng = random.Random(4)
    went_on = 0
    for number in range(8):
        out = tmp_path / f"cut-{number}"
        for adds in (rng.randrange(1, 30), rng.randrange(0, 12)):
            cut_off(inputs, out, adds)
            went_on += (out / UNFINISHED / "state.json").exists()
        replay(inputs, out)
        assert contents(out) == whole
    assert went_on > 8


def test_killed_again_and_again_the_same_bytes_come(tmp_path: Path) -> None:
    write_bill(tmp_path / "bill.csv", 12_000)
    arguments = [str(tmp_path / "bill.csv"), "--out", str(tmp_path / "out"), "--set", "roll.series=[[]]"]
    state = tmp_path / "out" / UNFINISHED / "state.json"
    kills = 0
    for _ in range(3):
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], stderr=subprocess.DEVNULL)  # noqa: S603
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            if state.exists() and state.stat().st_mtime_ns != before:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait(timeout=120)
    assert kills
    command.replay([tmp_path / "bill.csv"], tmp_path / "out", overrides=["roll.series=[[]]"])
    command.replay([tmp_path / "bill.csv"], tmp_path / "whole", overrides=["roll.series=[[]]"])
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_differs_is_refused(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    cut_off(inputs, out, 20)
    with pytest.raises(UserError, match="under other settings"):
        replay(inputs, out, overrides=["alerts.min_excess_usd=2"])
    with pytest.raises(UserError, match="of other inputs"):
        replay(inputs[:2], out)
    inputs[1].touch()
    with pytest.raises(UserError, match="they have changed since; --afresh begins anew"):
        replay(inputs, out)
    replay(inputs, out, afresh=True)
    assert contents(out)["events_read"] > 1_500


def test_what_was_written_is_not_what_it_was(inputs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    cut_off(inputs, out, 20)
    (out / UNFINISHED / "charges-0.parquet").write_bytes(b"")
    with pytest.raises(UserError, match="charges are not what they were"):
        replay(inputs, out)


def test_ctrl_c_says_from_where_it_goes_on(inputs: list[Path], tmp_path: Path) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Replay, "finish", interrupted)
        with pytest.raises(Failed, match=r"goes on after [\d,]+ of them"):
            replay(inputs, tmp_path / "out")
    replay(inputs, tmp_path / "out")
    assert contents(tmp_path / "out")["alerts"] == 1


def test_events_that_were_written_down_are_known_again(tmp_path: Path) -> None:
    one, two = bytes(16), bytes([1] * 16)
    with (tmp_path / "seen").open("w+b") as file:
        seen = Seen()
        seen.journal = file
        assert seen.new([one, one, two], [-5, -5, 7]) == [True, False, True]
        file.seek(0)
        again = Seen()
        again.recall(file)
        assert again.new([one, two, two], [-5, 7, 8]) == [False, False, True]
