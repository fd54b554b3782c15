"""The fields of an event that a rule may look at, whatever its type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.events import GpuUsage, LineItem, TokenCall, UsageEvent
from streams.core.tag.normal import plain_key

# Rule field -> attribute; a field that a type lacks is empty.
_TOKEN_CALL = {
    "provider": "provider", "service": "provider", "model": "model", "operation": "operation",
    "service_tier": "service_tier", "region": "region", "account": "account", "principal": "principal",
}  # fmt: skip
_GPU_USAGE = {
    "provider": "provider", "region": "region", "account": "account", "principal": "principal", "cluster": "cluster",
    "namespace": "namespace", "workload": "workload", "accelerator": "accelerator", "capacity_type": "capacity_type",
    "instance_type": "instance_type",
}  # fmt: skip
_LINE_ITEM = {
    "provider": "ServiceProviderName", "service": "ServiceName", "region": "RegionId", "account": "SubAccountId",
    "account_name": "SubAccountName", "resource": "ResourceId", "resource_name": "ResourceName", "sku": "SkuId",
    "charge_category": "ChargeCategory", "charge_description": "ChargeDescription",
    "commitment": "CommitmentDiscountId",
}  # fmt: skip


def line_item_fields(fields: Iterable[str]) -> tuple[str, ...]:
    """The names under which a line item has these fields, those that it has."""
    return tuple(_LINE_ITEM[field] for field in fields if field in _LINE_ITEM)


def tags_of(event: UsageEvent) -> Mapping[str, str | None]:
    """The event's tags as they came."""
    data = event.data
    return data.Tags if isinstance(data, LineItem) else data.tags


def principal_of(event: UsageEvent) -> str:
    """Who used it: an API key's id, a user, a service account; empty in bills."""
    data = event.data
    return "" if isinstance(data, LineItem) else data.principal or ""


def value_of(event: UsageEvent, field: str) -> str:
    """The event's value of a rule's field; empty where it has none."""
    if field.startswith("tags."):
        wanted = plain_key(field[5:])
        return next((value or "" for key, value in tags_of(event).items() if plain_key(key) == wanted), "")
    if field == "source":
        return event.source
    if field == "type":
        return event.type
    data = event.data
    names = _TOKEN_CALL if isinstance(data, TokenCall) else _GPU_USAGE if isinstance(data, GpuUsage) else _LINE_ITEM
    if field == "service" and isinstance(data, GpuUsage):
        return "GPU"
    name = names.get(field)
    return (getattr(data, name) or "") if name else ""
