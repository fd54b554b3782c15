"""SQL is never put together from values: ruff's S608 refuses it, and each exception says why it is none."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
OURS = [path for folder in ("streams", "replay", "schemas") for path in (ROOT / folder).rglob("*.py")]
LEAVE = re.compile(r"#\s*noqa:[^#\n]*S608(?:,\s*[A-Z]+\d+)*(?P<why>.*)")


def test_the_linter_looks_for_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    selected = re.search(r"^select = \[(.*)\]$", text, re.MULTILINE)
    assert selected is not None
    assert '"S"' in selected[1]
    ignored = re.search(r"^ignore = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert ignored is not None
    assert "S608" not in ignored[1]
    assert not re.search(r'"(streams|replay|schemas)[^"]*" = \[[^]]*"S(608)?"', text)


def test_every_leave_to_build_sql_says_why() -> None:
    assert len(OURS) > 100
    for path in OURS:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            leave = LEAVE.search(line)
            if leave is not None:
                assert len(leave["why"].split()) >= 3, f"{path.relative_to(ROOT)}:{number} gives no reason"
