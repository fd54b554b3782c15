"""The page on detection: its settings load, its places for figures are there, and what it shows exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from replay.compare.pages import END, begin
from streams import build
from streams.settings import load

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "detection.md").read_text(encoding="utf-8")
BLOCKS = ("sensitivities", "comparison", "curves", "kinds", "incidents", "nab")


def test_its_settings_load(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "s.toml").write_text(example)
    rules = build.watch_rules(load(tmp_path / "s.toml"))
    assert len(rules.maintenance) == len(tomllib.loads(example)["detect"]["maintenance"]) == 2
    assert rules.sensitivity == (((("team", "research"),), 0.7),)
    assert len(rules.budgets) == 1


def test_every_figure_has_its_place() -> None:
    for name in BLOCKS:
        assert PAGE.count(begin(name)) == 1, name
    assert PAGE.count(END) == len(BLOCKS)


def test_every_picture_is_there_and_small() -> None:
    for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE):
        assert (DOCS / name).is_file(), name
        assert (DOCS / name).stat().st_size < 80_000, name
