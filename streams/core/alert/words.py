"""What a tired person reads: a title for the phone, and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from schemas.records import Meter
from schemas.watch import Finding, FindingKind
from streams.core.alert.kinship import ENTITIES

NOUNS = {
    "principal": "key", "cluster": "cluster", "account": "account", "feature": "feature", "project": "project",
    "service": "service", "team": "team", "model": "model", "accelerator": "accelerator", "provider": "provider",
    "region": "region", "environment": "environment", "capacity_type": "capacity",
}  # fmt: skip
JOINTS = {
    "model": "on", "provider": "at", "region": "in", "team": "of team", "accelerator": "on", "account": "in account",
    "service": "on", "project": "in project", "feature": "in", "environment": "in", "cluster": "on", "principal": "by",
    "capacity_type": "as",
}  # fmt: skip
TELLING = (
    "principal", "cluster", "account", "feature", "model", "accelerator", "service", "region", "team", "project",
    "provider", "environment", "capacity_type",
)  # fmt: skip
ALL_OF: dict[Meter, str] = {
    "token_call": "model use in total",
    "gpu_usage": "GPU use in total",
    "line_item": "the bill in total",
}
CAUSES = {
    "volume": "because of more use",
    "tokens_per_request": "because each request takes more tokens",
    "unit_price": "because each token costs more",
    "mix": "because it went over to dearer models",
}
LESS = {
    "volume": "because of less use",
    "tokens_per_request": "because each request takes fewer tokens",
    "unit_price": "because each token costs less",
    "mix": "because it went over to cheaper models",
}
GPU_CAUSES = {"volume": "because of more GPU time", "unit_price": "because each GPU-hour costs more"}


def who(series: Mapping[str, str], meter: Meter) -> str:
    """The series in words: `key ak-7 on gpt-5`, `team search`, `model use in total`."""
    if not series:
        return ALL_OF[meter]
    names = [name for name in ENTITIES if name in series]
    subject, *others = names
    words = f"{NOUNS[subject]} {_named(series[subject])}"
    return " ".join([words, *(f"{JOINTS[name]} {_named(series[name])}" for name in others)])


def usd(amount: Decimal) -> str:
    """Money as one says it: `$1,234`, `$42.10`, `$0.0042`; never a sign."""
    amount = abs(amount)
    if amount >= 100:
        return f"${amount:,.0f}"
    if amount >= Decimal("0.0995") or amount == 0:
        return f"${amount.quantize(Decimal('0.01'), ROUND_HALF_EVEN)}"
    return f"${amount.quantize(Decimal((0, (1,), amount.adjusted() - 1)), ROUND_HALF_EVEN):f}"


def title(finding: Finding) -> str:
    """Who, how much an hour, against what."""
    name = who(finding.series, finding.meter)
    rate, usual = usd(finding.observed_usd_per_hour), usd(finding.expected_usd_per_hour)
    excess = usd(finding.observed_usd_per_hour - finding.expected_usd_per_hour)
    texts = {
        FindingKind.SPIKE: f"{name} spends {rate}/h, expected {usual}/h",
        FindingKind.CREEP: f"{name} has crept up to {rate}/h, was {usual}/h",
        FindingKind.DROP: f"{name} is down to {rate}/h, expected {usual}/h",
        FindingKind.NEW_SERIES: f"new {name} spends {rate}/h",
        FindingKind.UNPRICED: f"{name} has no price: about {rate}/h at risk",
        FindingKind.UNALLOCATED: f"{name} has no owner for {rate}/h",
        FindingKind.IDLE: f"{name} pays {excess}/h for idle GPUs",
        FindingKind.BUDGET_BURN: f"{name} burns its budget at {rate}/h, planned {usual}/h",
    }
    return _capital(texts[finding.kind])


def explanation(finding: Finding) -> str:
    """One sentence: who, how much against what, since when, what it came to, why, and where most of it lies."""
    since = f"since {finding.opened_at:%H:%M} UTC on {finding.opened_at.day} {finding.opened_at:%b}"
    parts = [f"{_verb(finding)} {since}: {_so_far(finding)}", _why(finding), _where(finding)]
    return _capital(", ".join(part for part in parts if part)) + "."


def _verb(finding: Finding) -> str:
    name = who(finding.series, finding.meter)
    rate, usual = usd(finding.observed_usd_per_hour), usd(finding.expected_usd_per_hour)
    excess = usd(finding.observed_usd_per_hour - finding.expected_usd_per_hour)
    texts = {
        FindingKind.NEW_SERIES: f"{name} was never seen before and spends {rate} an hour",
        FindingKind.UNPRICED: f"{name} is used without a known price, about {rate} an hour",
        FindingKind.UNALLOCATED: f"{name} spends {rate} an hour that no rule gives an owner, usually {usual},",
        FindingKind.IDLE: f"{name} holds GPUs that do nothing, {excess} an hour",
        FindingKind.BUDGET_BURN: f"{name} burns {rate} an hour of a budget that allows {usual}",
    }
    return texts.get(finding.kind, f"{name} spends {rate} an hour against {usual} expected")


def _so_far(finding: Finding) -> str:
    amount = usd(finding.excess_usd)
    texts = {
        FindingKind.DROP: f"{amount} less than expected so far",
        FindingKind.UNPRICED: f"{amount} at risk so far",
        FindingKind.UNALLOCATED: f"{amount} so far",
        FindingKind.IDLE: f"{amount} wasted so far",
        FindingKind.NEW_SERIES: f"{amount} so far",
    }
    return texts.get(finding.kind, f"{amount} too much so far")


def _why(finding: Finding) -> str:
    if finding.excess_usd < 0:
        return LESS.get(finding.cause, "")
    if finding.meter != "token_call":
        return GPU_CAUSES.get(finding.cause, "") if finding.meter == "gpu_usage" else ""
    return CAUSES.get(finding.cause, "")


def _where(finding: Finding) -> str:
    """The first driver, when it says more than the series and carries at least a third."""
    for driver in finding.drivers[:1]:
        names = [name for name in TELLING if driver.series.get(name) and name not in finding.series]
        more = {name: driver.series[name] for name in names[:2]}  # all that is known of it would be a paragraph
        if more and driver.share >= 1 / 3:
            return f"{min(driver.share, 1.0):.0%} of it by {who(more, finding.meter)}"
    return ""


def _named(value: str) -> str:
    return value or "(none)"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
