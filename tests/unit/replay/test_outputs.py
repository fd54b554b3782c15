"""A replay's folder holds a whole replay, or what it held before."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay.outputs import FILES, UNFINISHED, Folder
from replay.readers.together import rows
from streams.commands.replay import new_replay
from streams.settings import Settings
from tests.bench.bills import write_bill
from tests.support.replaying import replayed

COMMAND = Path(sys.executable).with_name("spendstream")
WHOLE = Settings.model_validate({"roll": {"series": [[]]}})


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    write_bill(tmp_path / "bill.csv", 300)
    return tmp_path / "bill.csv"


def test_a_finished_replay_leaves_its_files_and_no_other(bill: Path, tmp_path: Path) -> None:
    folder = replayed(WHOLE, bill, tmp_path / "out").folder
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_one_that_fails_half_way_leaves_what_was_there(bill: Path, tmp_path: Path) -> None:
    folder = replayed(WHOLE, bill, tmp_path / "out").folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run = new_replay(WHOLE)

    def fails() -> None:
        with Folder(folder) as half:
            for charges, dead_letters in run.take(("bill.csv", item) for _, item in rows([bill])):
                half.add(charges, dead_letters)
            half.finish(run, 1.0)
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fails()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_ctrl_c_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    write_bill(tmp_path / "bill.csv", 150_000)
    out = tmp_path / "out"
    process = subprocess.Popen(  # noqa: S603  our own command
        [COMMAND, "replay", tmp_path / "bill.csv", "--out", out], stderr=subprocess.PIPE, text=True
    )
    try:
        until = time.monotonic() + 60
        charges = out / UNFINISHED / "charges-0.parquet"
        while not charges.exists() and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1, said
    assert "interrupted after" in said
    assert "Traceback" not in said
    assert list(out.iterdir()) == []


def test_the_same_input_gives_the_same_bytes(bill: Path, tmp_path: Path) -> None:
    first, second = (replayed(WHOLE, bill, tmp_path / name).folder for name in ("a", "b"))
    for name in FILES[:-1]:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    timed = {"wall_seconds", "events_per_second"}
    told = [json.loads((folder / FILES[-1]).read_text()) for folder in (first, second)]
    assert {k: v for k, v in told[0].items() if k not in timed} == {k: v for k, v in told[1].items() if k not in timed}
