"""The examples of the pages are files that load."""

from __future__ import annotations

import re
from pathlib import Path

from streams.io.rates import load_cards
from streams.io.rules import load_tagger

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str) -> list[str]:
    return re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_examples_of_money_load(tmp_path: Path) -> None:
    cards, rules = blocks("money.md")
    (tmp_path / "cards.toml").write_text(cards)
    (tmp_path / "rules").write_text(rules)
    loaded, _ = load_cards(tmp_path)
    assert next(row.source for row in loaded.gpu if row.capacity_type == "owned") == "asset 4711"
    assert [row.percent for row in loaded.discount] == [12.5]
    assert load_tagger(tmp_path / "rules")
