"""Wrong rule files and owner directories stop the start with one clear error each."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.io.rates import RatesError
from streams.io.rules import load_tagger

RULE = '[[rule]]\nname = "a"\nmatch = { provider = "aws" }\n'
SPLIT = '[[split]]\nname = "s"\n'
SPLIT_ROW = "[[split]] row 1, field row: "
RULE_ROW = "[[rule]] row 1, field row: "
FIELD = "[[rule]] row 1, field "

WRONG = {
    "shares below 1": (SPLIT + "shares = { x = 0.5, y = 0.4 }", SPLIT_ROW + "shares sum to 0.9, not to 1"),
    "shares above 1": (SPLIT + "shares = { x = 0.7, y = 0.4 }", SPLIT_ROW + "shares sum to 1.1, not to 1"),
    "negative share": (SPLIT + "shares = { x = 1, y = -0.5 }", "[[split]] row 1, field shares.y:"),
    "no share": (SPLIT, SPLIT_ROW + "exactly one of shares and measured"),
    "a cycle in a split": (
        SPLIT + 'shares = { "split:t" = 1 }\n[[split]]\nname = "t"\nshares = { "split:s" = 1 }',
        "split s: cycle s -> t -> s",
    ),
    "a split of itself": (SPLIT + 'shares = { x = 0.5, "split:s" = 0.5 }', "split s: cycle s -> s"),
    "an unknown split inside": (SPLIT + 'shares = { "split:t" = 1 }', "split s: t is not a split"),
    "an unknown split": (RULE + 'split = "nowhere"', "row 1, field split: nowhere is not a split"),
    "unknown field of an event": (
        RULE.replace("provider", "colour") + 'team = "x"', FIELD + "match: colour is not a field of an event",
    ),
    "unknown field of a rule": (RULE + 'team = "x"\nteem = "y"', "[[rule]] row 1, field teem: unknown field"),
    "no owner": (RULE, RULE_ROW + "exactly one of team and split"),
    "matches everything": ('[[rule]]\nname = "a"\nmatch = {}\nteam = "x"', "[[rule]] row 1, field match:"),
    "duplicate name": (RULE + 'team = "x"\n' + RULE + 'team = "y"', "row 2, field name: a is given twice"),
    "reserved name": (RULE.replace('"a"', '"unallocated"') + 'team = "x"', FIELD + "name: unallocated is reserved"),
    "unknown dimension": ('[tags]\ntem = ["t"]', "field tags: tem is not a dimension"),
    "bad date": (SPLIT + 'from = "yesterday"\nshares = { x = 1 }', "[[split]] row 1, field from:"),
    "overlapping splits": (
        SPLIT + "from = 2026-01-01\nuntil = 2026-06-01\nshares = { x = 1 }\n"
        + SPLIT + "from = 2026-05-01\nshares = { y = 1 }",
        "[[split]] row 2, field from: 2026-05-01 overlaps",
    ),
    "not TOML": ("[[rule", "is not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_rules_file_gives_one_clear_error(case: str, tmp_path: Path) -> None:
    text, message = WRONG[case]
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(RatesError) as caught:
        load_tagger(file)
    assert len(caught.value.faults) == 1, caught.value.faults
    assert caught.value.faults[0].startswith("rules.toml")
    assert message in caught.value.faults[0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("o.csv", "principal,team\nk,a\nk,b\n", "row 3, field principal: k is given twice"),
        ("o.csv", "principal,team\nk,\n", "row 2, field team: Field required"),
        ("o.csv", "principal,team,tem\nk,a,b\n", "row 2, field tem: unknown field"),
        ("o.toml", '[[owner]]\nprincipal = "k"\n', "[[owner]] row 1, field team: Field required"),
        ("o.toml", '[[owners]]\nprincipal = "k"\n', "owners: must be [[owner]]"),
    ],
)
def test_a_wrong_directory_gives_one_clear_error(name: str, text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(RatesError) as caught:
        load_tagger(None, file)
    assert len(caught.value.faults) == 1
    assert message in caught.value.faults[0]


def test_a_directory_may_be_toml(tmp_path: Path) -> None:
    file = tmp_path / "o.toml"
    file.write_text('[[owner]]\nprincipal = "k"\nteam = "a"\n')
    assert load_tagger(None, file)
