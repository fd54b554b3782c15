"""The examples of the page are files that load."""

from __future__ import annotations

import re
from pathlib import Path

from replay.backtest.labels import Truth, load
from replay.backtest.variants import of_file

PAGE = Path(__file__).parents[4] / "docs" / "backtest.md"


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    (variants,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "variants.toml").write_text(variants)
    assert [one.name for one in of_file(tmp_path / "variants.toml")] == ["quiet", "touchy", "gaussian"]
    known = re.search(r"( +series,start,end,kind.*?)```", text, re.DOTALL)
    assert known
    lines = [line.strip() for line in known.group(1).splitlines() if line.strip()]
    (tmp_path / "known.csv").write_text("\n".join(lines) + "\n")
    truth = load(tmp_path / "known.csv")
    assert isinstance(truth, Truth)
    assert [label.expect for label in truth.labels] == ["alert", "silence"]
