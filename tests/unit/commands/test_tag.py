"""`spendstream tag`: explain one event; try the rules on many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.commands.tag import app
from tests.support.examples import valid

RULES = """
[[rule]]
name = "bots"
match = { "tags.app" = "bot" }
team = "support"

[[rule]]
name = "gateway"
match = { principal = "gw" }
split = "all"

[[split]]
name = "all"
shares = { search = 0.75, ads = 0.25 }
"""


def event(number: int, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": str(number), "source": "/g", "type": "spendstream.token_call.v1",
        "time": "2026-11-02T00:00:00Z",
        "data": {"provider": "openai", "model": "gpt-4o", "input_tokens": 400_000, **data},
    }  # fmt: skip


@pytest.fixture
def rules(tmp_path: Path) -> list[str]:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    return ["--set", f"prices.rules_file={file}"]


def test_explain_says_which_rules_were_asked_and_why(tmp_path: Path, rules: list[str]) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event(1, principal="gw"), indent=2))
    result = CliRunner().invoke(app, ["explain", str(file), *rules])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "/g 1",
        "  passed   tags: no tag names a team",
        "  passed   bots: tags.app is empty, not bot",
        "  decided  gateway: principal is gw",
        "    25.00%  team=ads, principal=gw, allocation=gateway",
        "    75.00%  team=search, principal=gw, allocation=gateway",
    ]


def test_explain_as_json_from_standard_input(rules: list[str]) -> None:
    text = json.dumps(event(1, tags={"app": "bot"}))
    result = CliRunner().invoke(app, ["explain", "-", "--json", *rules], input=text)
    content = json.loads(result.stdout)
    assert content["owners"][0]["team"] == "support"
    assert content["asked"][-1] == {"name": "bots", "decided": True, "why": "tags.app is bot"}


def test_try_shows_dollars_by_rule_and_what_is_allocated(tmp_path: Path, rules: list[str]) -> None:
    events = [event(1, tags={"team": "ads"}), event(2, principal="gw"), event(3), event(4, principal="gw")]
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(map(json.dumps, events)))
    result = CliRunner().invoke(app, ["try", str(file), "--json", *rules])
    content = json.loads(result.stdout)
    assert float(content["usd"]) == 4  # 400,000 tokens at 2.50 USD per million, four times
    assert content["coverage"] == 0.75
    owners = {(row["allocation"], row["team"]): float(row["usd"]) for row in content["owners"]}
    assert owners == {
        ("gateway", "search"): 1.5, ("gateway", "ads"): 0.5, ("tags", "ads"): 1, ("unallocated", ""): 1,
    }  # fmt: skip
    assert "75.0% of them allocated" in CliRunner().invoke(app, ["try", str(file), *rules]).stdout


def test_try_says_what_no_exchange_rate_puts_into_dollars(tmp_path: Path) -> None:
    example = next(e for e in valid() if e.name == "line-item--other-currency")
    file = tmp_path / "event.json"
    file.write_bytes(example.value)
    assert json.loads(CliRunner().invoke(app, ["try", str(file), "--json"]).stdout)["not_in_usd"] == 1
    assert "1 events in currencies without" in CliRunner().invoke(app, ["try", str(file)]).stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}', "missing_field specversion"),
        ("not json\n", "line 1: not_json"),
        ("", "empty"),
        (json.dumps(event(1, input_tokens=-1)), "negative data.input_tokens"),
    ],
)
def test_an_event_that_is_none_is_named(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(content)
    result = CliRunner().invoke(app, ["explain", str(file)])
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_wrong_rules_are_the_user_s_mistake(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[[rule]]\n")
    result = CliRunner().invoke(app, ["explain", "-", "--set", f"prices.rules_file={file}"], input="{}")
    assert result.exit_code == 2
    assert "rules.toml: [[rule]] row 1, field name: Field required" in result.stderr
