"""A made-up bill of any length: a month of a few thousand resources, each of one account, region, service and team."""

from __future__ import annotations

import csv
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

COLUMNS = (
    "BilledCost", "EffectiveCost", "ListCost", "BillingCurrency", "ChargeCategory", "ChargePeriodStart",
    "ChargePeriodEnd", "ServiceName", "ServiceProviderName", "SubAccountId", "RegionId", "ResourceId", "SkuId",
    "SkuMeter", "ConsumedQuantity", "ConsumedUnit", "ChargeDescription", "Tags",
)  # fmt: skip
SERVICES = ("AmazonEC2", "AmazonS3", "AmazonRDS", "AWSLambda", "AmazonBedrock")
START = datetime(2026, 9, 1, tzinfo=UTC)
HOURS = 720
RESOURCES = 4_000


def write_bill(path: Path, rows: int, seed: int = 1) -> None:
    """A FOCUS bill as CSV, in order of time, the same for the same arguments."""
    rng = random.Random(seed)
    resources = [_resource(rng, number) for number in range(RESOURCES)]
    hours = [(START + timedelta(hours=hour)).isoformat() for hour in range(HOURS + 1)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in range(rows):
            hour = row * HOURS // rows
            cost, which = f"{rng.random() * 3:.10f}", resources[rng.randrange(RESOURCES)]
            periods = (hours[hour], hours[hour + 1])
            writer.writerow((cost, cost, cost, "USD", "Usage", *periods, *which[:-1], "1", "Hours", "usage", which[-1]))


def _resource(rng: random.Random, number: int) -> tuple[str, ...]:
    account, service = rng.randrange(8), rng.choice(SERVICES)
    region, team = ("us-east-1", "eu-west-1")[account % 2], f"t{account * 2 + rng.randrange(2)}"
    tags = f'{{"team": "{team}", "env": "prod"}}'
    return service, "AWS", f"acct-{account}", region, f"i-{number:08x}", f"sku-{rng.randrange(40)}", "BoxUsage", tags
