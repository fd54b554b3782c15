"""Negotiated discounts, provisioned and prepaid throughput: the four costs differ where they should."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from schemas.records import PriceStatus
from streams.core.price import Priced, Pricer
from streams.io.rates import load_pricer
from tests.support.pricing import call, utc

CARD = """
[[discount]]
provider = "openai"
model = "gpt-4o"
from = 2026-01-01
percent = 10
source = "contract 17"

[[discount]]
provider = "openai"
model = "gpt-4o"
from = 2026-07-01
percent = 12.5
source = "contract 17, amendment 1"

[[discount]]
provider = "anthropic"
account = "prod-*"
from = 2026-01-01
until = 2026-10-01
percent = 20
source = "contract 18"

[[commitment]]
kind = "provisioned"
provider = "azure"
model = "gpt-4o*"
account = "ptu-eastus"
from = 2026-01-01
usd_per_hour = 100
planned_mtok_per_hour = 50
source = "PTU reservation 3"

[[commitment]]
kind = "prepaid"
provider = "google"
from = 2026-01-01
source = "commit 2026"

[[token]]
provider = "onprem"
model = "llama-*"
from = 2026-01-01
prices = { input_mtok = 0.20, output_mtok = 0.60 }
source = "cost model 4"

[[token]]
provider = "openai"
model = "gpt-4.1"
from = 2026-01-01
prices = { input_mtok = 1, output_mtok = 2 }
override = true
source = "contract 17"
"""


@pytest.fixture
def pricer(tmp_path: Path) -> Pricer:
    (tmp_path / "mine.toml").write_text(CARD)
    return load_pricer(tmp_path)


def costs(priced: Priced) -> tuple[Decimal | None, ...]:
    assert priced.status is PriceStatus.PRICED
    return priced.list_cost, priced.contracted_cost, priced.effective_cost, priced.billed_cost


def million(pricer: Pricer, **data: object) -> Priced:
    return pricer.price(call(**{"input_tokens": 1_000_000, "output_tokens": 0, **data}))  # type: ignore[arg-type]


def test_a_discount_lowers_contracted_effective_and_billed_but_not_list(pricer: Pricer) -> None:
    assert costs(million(pricer, at=utc(2026, 2, 1))) == (Decimal("2.5"), *[Decimal("2.25")] * 3)


def test_a_newer_row_supersedes_from_its_day_and_leaves_the_past_alone(pricer: Pricer) -> None:
    assert million(pricer, at=utc(2025, 12, 31)).contracted_cost == Decimal("2.5")
    assert million(pricer, at=utc(2026, 6, 30)).contracted_cost == Decimal("2.25")
    assert million(pricer, at=utc(2026, 7, 1)).contracted_cost == Decimal("2.1875")


def test_a_discount_is_for_its_accounts_and_its_time(pricer: Pricer) -> None:
    claude = {"provider": "anthropic", "model": "claude-sonnet-4-5", "input_tokens": 100_000}
    assert million(pricer, account="prod-eu", at=utc(2026, 9, 30), **claude).contracted_cost == Decimal("0.24")
    assert million(pricer, account="prod-eu", at=utc(2026, 10, 1), **claude).contracted_cost == Decimal("0.3")
    assert million(pricer, account="dev", at=utc(2026, 9, 30), **claude).contracted_cost == Decimal("0.3")


def test_provisioned_throughput_is_not_priced_by_the_token(pricer: Pricer) -> None:
    covered = million(pricer, provider="azure", account="ptu-eastus", service_tier="provisioned")
    # 100 USD an hour for 50 million tokens planned: 2 USD a million; the invoice shows the units, not the call.
    assert costs(covered) == (Decimal("2.5"), Decimal("2.5"), Decimal(2), Decimal(0))
    other = million(pricer, provider="azure", account="else")
    assert costs(other) == (Decimal("2.5"),) * 4


def test_prepaid_spend_is_drawn_down_and_billed_once(pricer: Pricer) -> None:
    drawn = million(pricer, provider="google", model="gemini-2.5-flash")
    assert costs(drawn) == (Decimal("0.3"), Decimal("0.3"), Decimal("0.3"), Decimal(0))


def test_own_prices_fill_and_override(pricer: Pricer) -> None:
    assert million(pricer, provider="onprem", model="llama-3-70b").list_cost == Decimal("0.2")
    assert million(pricer, provider="onprem", model="llama-3-70b", at=utc(2025, 1, 1)).list_cost is None
    assert million(pricer, model="gpt-4.1").list_cost == 1
    assert million(pricer, model="gpt-4.1", at=utc(2025, 12, 1)).list_cost == 2  # genai-prices' own, before the row
