"""`spendstream price`: models, tiers, GPUs and workloads side by side; mistakes in one line, exit status 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from streams.commands.price import price

app = typer.Typer()
app.command()(price)

CARD = """
[[discount]]
provider = "openai"
from = 2026-01-01
percent = 10
source = "contract"
"""
PLAN = """
days = 10

[[calls]]
name = "bot"
models = ["gpt-4o", "anthropic/claude-haiku-4-5"]
tiers = ["standard", "batch"]
calls_per_day = 100
input_tokens = 1000
output_tokens = 100
cache_share = 0.5

[[gpus]]
name = "training"
provider = "aws"
accelerator = "H100"
gpus = 8
hours_per_day = 12
"""


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json", "--at", "2026-11-01"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def fails(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_model_on_a_date() -> None:
    result = CliRunner().invoke(
        app, ["o3", "--input-tokens", "1000000", "--output-tokens", "1000000", "--at", "2025-03-01", "--json"]
    )
    (quote,) = json.loads(result.stdout)
    assert (quote["list_cost"], quote["currency"], quote["provider"]) == ("50", "USD", "openai")
    assert quote["unit_prices"]["output_mtok"] == "40"


def test_models_and_tiers_side_by_side() -> None:
    found = run(
        "gpt-5", "google/gemini-2.5-pro", "--input-tokens", "1000000", "--tier", "standard", "--tier", "batch",
        "--calls", "2",
    )  # fmt: skip
    assert [(q["model"], q["tier"], q["list_cost"]) for q in found] == [
        ("gpt-5", "standard", "2.5"),
        ("gpt-5", "batch", "1.25"),
        ("gemini-2.5-pro", "standard", "5"),  # above 200,000 tokens
        ("gemini-2.5-pro", "batch", "2.5"),
    ]


def test_cached_tokens_and_batch() -> None:
    (quote,) = run("gpt-5", "--input-tokens", "1000000", "--cached", "1000000", "--batch")
    assert (quote["tier"], quote["list_cost"]) == ("batch", "0.0625")


def test_a_workload_list_and_negotiated(tmp_path: Path) -> None:
    plan, cards = tmp_path / "plan.toml", tmp_path / "rates"
    plan.write_text(PLAN)
    cards.mkdir()
    (cards / "mine.toml").write_text(CARD)
    found = run("--workload", str(plan), "--set", f"prices.rates_dir={cards}")
    assert [(q["name"], q["model"], q["tier"], q["units"]) for q in found] == [
        ("bot", "gpt-4o", "standard", "1000"),
        ("bot", "gpt-4o", "batch", "1000"),
        ("bot", "claude-haiku-4-5", "standard", "1000"),
        ("bot", "claude-haiku-4-5", "batch", "1000"),
        ("training", "H100", "on_demand", "960"),
    ]
    # 500 fresh at 2.50, 500 cached at 1.25, 100 out at 10 USD per million, a thousand times.
    assert (found[0]["list_cost"], found[0]["contracted_cost"]) == ("2.875", "2.5875")
    assert found[4]["effective_cost"] == "6604.8"  # 960 x 6.88


def test_an_unknown_model_is_an_estimate_and_never_nothing() -> None:
    (quote,) = run("acme/road-runner", "--input-tokens", "1000000")
    assert (quote["status"], quote["list_cost"], quote["estimated_cost"]) == ("unpriced", None, "5")
    assert "unknown provider" in quote["price_source"]


def test_the_table_shows_every_number() -> None:
    result = CliRunner().invoke(
        app, ["gpt-4o", "acme/x", "--input-tokens", "123456789", "--gpu", "aws/H100", "--at", "2026-11-01"]
    )
    assert result.exit_code == 0
    for text in ("openai/gpt-4o", "308.64", "~617.28", "aws/H100", "6.88 USD", "genai-prices"):
        assert text in result.stdout, text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a model"),
        (["weirdo"], "weirdo: whose model is it? write provider/weirdo"),
        (["gpt-4o", "--at", "nonsense"], "--at nonsense: must be a date"),
        (["gpt-4o", "--input-tokens", "-5"], "input_tokens"),
        (["gpt-4o", "--input-tokens", "5", "--cached", "6"], "cached tokens are more than input_tokens"),
        (["gpt-4o", "--calls", "many"], "calls_per_day"),
        (["--gpu", "H100"], "must be provider/accelerator"),
        (["--gpu", "aws/H100", "--capacity", "free"], "capacity_type"),
        (["--workload", "nowhere.toml"], "nowhere.toml: can't be read"),
    ],
)
def test_mistakes_are_named_in_one_line(arguments: list[str], message: str) -> None:
    assert message in fails(*arguments)


def test_wrong_rate_cards_and_workloads_are_the_user_s_mistake(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[[discount]]\n")
    assert "bad.toml: [[discount]] row 1" in fails("gpt-4o", "--set", f"prices.rates_dir={tmp_path}")
    plan = tmp_path / "plan.toml"
    plan.write_text("days = 10")
    assert "has neither [[calls]] nor [[gpus]]" in fails("--workload", str(plan))
