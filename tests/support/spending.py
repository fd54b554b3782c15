"""A small history of every kind of usage, chargers by what is mended in between, and how it comes to ClickHouse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from schemas.events import UsageEvent
from schemas.records import Charge
from schemas.topics import CHARGES
from streams.core.columns.packed import pack
from streams.core.landing.batches import read_record
from streams.core.landing.land import TABLES, columns
from streams.core.usage.bounds import Bounds
from streams.core.usage.charge import Charger
from streams.io.rates import load_pricer
from streams.io.rules import load_tagger
from tests.support import records
from tests.support.pricing import NOON, call, gpu, line

RATES = """
[[token]]
provider = "onprem"
model = "llama-*"
from = 2026-01-01
prices = {{ input_mtok = {llama}, output_mtok = 0.60 }}
source = "cost model 4"
"""
RULES = """
[[rule]]
name = "gateway"
match = {{ principal = "gateway" }}
split = "gateway"

[[rule]]
name = "training"
match = {{ {training} }}
team = "research"

[[rule]]
name = "savings plans"
match = {{ commitment = "sp-*" }}
team = "{commitments}"

[[split]]
name = "gateway"
from = 2026-01-01
shares = {{ {gateway} }}
"""
FX = "date,currency,usd\n2026-01-01,EUR,{euro}\n"


@dataclass(frozen=True)
class Books:
    """Everything that can be mended."""

    llama: str = "0.20"
    training: str = 'cluster = "train-*"'
    commitments: str = "platform"
    gateway: str = "search = 0.5, ads = 0.3, ops = 0.2"
    euro: str = "1.10"
    cards: str = ""  # further rate cards

    def charger(self, folder: Path) -> Charger:
        """The charger of these books, from files as an operator writes them."""
        rates = folder / "rates"
        rates.mkdir(parents=True, exist_ok=True)
        (rates / "own.toml").write_text(RATES.format(llama=self.llama) + self.cards)
        (folder / "rules.toml").write_text(
            RULES.format(training=self.training, commitments=self.commitments, gateway=self.gateway)
        )
        (folder / "fx.csv").write_text(FX.format(euro=self.euro))
        return Charger(load_pricer(rates, folder / "fx.csv"), load_tagger(folder / "rules.toml"), Bounds())


def history(copies: int = 3) -> list[UsageEvent]:
    """Every kind of event some times, over three days and two months."""
    kinds: list[UsageEvent] = [
        call(tags={"team": "search"}, cache_read_input_tokens=300, reasoning_output_tokens=20),
        call(provider="onprem", model="llama-70b", principal="key-1", tags={"App": "chat"}),
        call(provider="onprem", model="llama-70b", principal="gateway", requests=7, input_tokens=1_000_003),
        call(provider="nobody", model="secret-1", tags={"team": "ads"}),
        call(principal="gateway", batch=True, input_tokens=3_333_331),
        call(provider="anthropic", model="claude-sonnet-4-5", cache_creation_input_tokens=500,
             cache_creation_1h_input_tokens=200, service_tier="standard"),
        call(principal="gateway", counts={"web_searches": 3}, price_context={"speed": "standard"}),
        gpu(cluster="train-1", utilization=0.7, region="us-east-1", instance_type="p5.48xlarge"),
        gpu(accelerator="unheard-of-x1", principal="gateway", namespace="n", workload="w"),
        gpu(capacity_type="spot", tags={"team": "risk"}, account="a-1"),
        line(SubAccountId="1", SubAccountName="prod", ResourceName="db-1", SkuId="sku-1", SkuMeter="meter-1",
             Tags={"team": "ads", "empty": None}, ConsumedQuantity=3, ConsumedUnit="Hours", ListCost="2",
             ContractedCost="1.5", ListUnitPrice="0.7"),
        line(BilledCost="-0.4", EffectiveCost="-0.4", ChargeClass="Correction"),
        line(BillingCurrency="EUR", BilledCost="7", EffectiveCost="6.5", ChargeCategory="Tax"),
        line(BilledCost="0", EffectiveCost="3", CommitmentDiscountId="sp-9", CommitmentDiscountStatus="Unused"),
    ]  # fmt: skip
    return [
        event.model_copy(update={
            "id": f"{copy}-{number}",
            "time": event.time + timedelta(days=copy * 14, hours=number, microseconds=number),
        })
        for copy in range(copies)
        for number, event in enumerate(kinds)
    ]  # fmt: skip


def charges_of(charger: Charger, events: Iterable[UsageEvent]) -> list[Charge]:
    """The charges of events, in order."""
    return [charge for event in events for charge in charger.charge_event(event, NOON)]


def land(store: Any, charges: Iterable[Charge], batch: str = "landed") -> None:
    """Insert charges by the way that they take from Kafka on."""
    table = TABLES[CHARGES.name]
    value = pack(records.batch(*charges, offset=7))
    store.insert(table.name, columns(table, [read_record(table, 7, value).content], NOON), batch)
