"""GPU-minutes by dated rate card: names, dates, regions, capacity types, and what is not on the cards."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from schemas.records import PriceStatus
from streams.core.price.accelerators import normalise
from streams.io.rates import load_cards, load_pricer
from tests.support.pricing import gpu, shipped, utc


@pytest.mark.parametrize(
    ("reported", "name"),
    [
        ("nvidia-h100-80gb", "nvidia-h100-80gb"),
        ("H100", "nvidia-h100-80gb"),
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb"),  # dcgm-exporter's modelName
        ("NVIDIA H100 PCIe", "nvidia-h100-80gb"),
        ("nvidia-h100-mega-80gb", "nvidia-h100-80gb"),  # GKE's label of A3 Mega
        ("NVIDIA H100 NVL", "nvidia-h100-94gb"),
        ("NVIDIA A100-SXM4-80GB", "nvidia-a100-80gb"),
        ("NVIDIA A100-SXM4-40GB", "nvidia-a100-40gb"),
        ("nvidia-tesla-a100", "nvidia-a100-40gb"),
        ("NVIDIA H200", "nvidia-h200-141gb"),
        ("NVIDIA L40S", "nvidia-l40s-48gb"),
        ("L4", "nvidia-l4-24gb"),
        ("NVIDIA L4", "nvidia-l4-24gb"),
        ("AMD Instinct MI300X", "amd-mi300x"),
        ("amd_mi300x", "amd-mi300x"),
        ("tpu-v5-lite-podslice", "google-tpu-v5e"),  # GKE's label
        ("tpu-v5p-slice", "google-tpu-v5p"),
        ("tpu-v6e-slice", "google-tpu-v6e"),
        ("v5litepod-8", "google-tpu-v5e"),
        ("TPU v6e", "google-tpu-v6e"),
        ("Some FPGA", "some-fpga"),
    ],
)
def test_accelerators_have_one_name(reported: str, name: str) -> None:
    assert normalise(reported) == name
    assert normalise(name) == name


def test_an_hour_on_demand() -> None:
    priced = shipped().price(gpu(accelerator="NVIDIA H100 80GB HBM3"))
    assert priced.status is PriceStatus.PRICED
    assert priced.list_cost == priced.contracted_cost == priced.effective_cost == priced.billed_cost
    assert priced.effective_cost_usd == Decimal("6.88")  # 55.04 USD for the eight of a p5.48xlarge
    assert priced.unit_prices == {"gpu_hour": Decimal("6.88")}
    assert priced.source.startswith("https://")
    assert shipped().price(gpu(accelerator="nvidia-a100-80gb")).effective_cost == Decimal("3.43088125")


def test_a_price_cut_holds_from_its_day() -> None:
    before, after = utc(2025, 5, 31, 23, 59), utc(2025, 6, 1)
    assert shipped().price(gpu(before)).list_cost == Decimal("12.29")
    assert shipped().price(gpu(after)).list_cost == Decimal("6.88")


def test_a_region_of_its_own_comes_before_any_region() -> None:
    europe = shipped().price(gpu(accelerator="H200", region="eu-north-1")).list_cost
    elsewhere = shipped().price(gpu(accelerator="H200", region="us-east-1")).list_cost
    assert (europe, elsewhere) == (Decimal("8.4658375"), Decimal("7.912"))


@pytest.mark.parametrize(
    ("provider", "accelerators"),
    [
        ("aws", ["H100", "H200", "A100 80GB", "L40S", "L4"]),
        ("azure", ["H100", "H200", "A100 80GB", "MI300X"]),
        ("gcp", ["H100", "H200", "A100 80GB", "L4", "tpu-v5e", "tpu-v5p", "tpu-v6e"]),
        ("coreweave", ["H100", "H200", "A100 80GB", "L40S"]),
        ("lambda", ["H100", "A100 80GB"]),
    ],
)
def test_the_cards_cover_what_they_promise(provider: str, accelerators: list[str]) -> None:
    for accelerator in accelerators:
        priced = shipped().price(gpu(provider=provider, accelerator=accelerator))
        assert priced.status is PriceStatus.PRICED, accelerator


def test_every_shipped_row_names_a_source_and_a_canonical_accelerator() -> None:
    cards, _ = load_cards()
    for row in cards.gpu:
        assert row.source.startswith("https://")
        assert normalise(row.accelerator) == row.accelerator
    for token_row in cards.token:
        assert token_row.source.startswith("https://")


def test_owned_gpus_are_amortised_and_billed_by_nobody() -> None:
    priced = shipped().price(gpu(provider="onprem", capacity_type="owned"))
    # 300,000 USD over 5 years of 8,766 hours, and 2 USD an hour to run it, for 8 GPUs.
    assert priced.effective_cost == Decimal("1.105578370979")
    assert priced.billed_cost == 0
    assert (priced.list_cost, priced.contracted_cost) == (None, None)


def test_reserved_gpus_show_what_on_demand_would_have_cost(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        """
        [[gpu]]
        provider = "aws"
        accelerator = "nvidia-h100-80gb"
        capacity_type = "reserved"
        from = 2026-01-01
        price_per_gpu_hour = 4.10
        upfront = true
        source = "contract 17"

        [[discount]]
        meter = "gpu_usage"
        provider = "aws"
        from = 2026-01-01
        percent = 10
        source = "contract 17"
        """
    )
    pricer = load_pricer(tmp_path)
    reserved = pricer.price(gpu(capacity_type="reserved"))
    assert reserved.list_cost == Decimal("6.88")
    assert reserved.contracted_cost == Decimal("6.192")
    assert reserved.effective_cost == Decimal("4.10")
    assert reserved.billed_cost == 0  # the purchase was
    on_demand = pricer.price(gpu())
    assert on_demand.list_cost == Decimal("6.88")
    assert on_demand.contracted_cost == on_demand.effective_cost == on_demand.billed_cost == Decimal("6.192")


def test_what_is_not_on_the_cards_is_unpriced_with_an_estimate() -> None:
    known_chip = shipped().price(gpu(provider="acme"))
    assert known_chip.status is PriceStatus.UNPRICED
    assert known_chip.effective_cost is None
    assert known_chip.estimated_cost == Decimal("12.29")  # the dearest H100 on the cards
    unknown_chip = shipped().price(gpu(accelerator="Some FPGA"))
    assert unknown_chip.status is PriceStatus.UNPRICED
    assert unknown_chip.estimated_cost is not None
    before_all_cards = shipped().price(gpu(utc(2001, 1, 1)))
    assert (before_all_cards.status, before_all_cards.estimated_cost) == (PriceStatus.UNPRICED, None)


def test_fractions_of_a_minute_are_exact_to_eighteen_decimals() -> None:
    assert shipped().price(gpu(gpu_minutes=0.001)).effective_cost == Decimal("0.000114666666666667")
