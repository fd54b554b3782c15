"""What every reader of rows promises, whatever the layout. A new layout is held to it by adding an example row here."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay.readers import LAYOUTS, Item, ReaderError, read, reader_of
from schemas.events import UsageEvent
from schemas.records import DeadLetter
from tests.support.reading import taken
from tests.support.sheets import BY_COLUMN, by_column, same

FOCUS = {
    "BilledCost": "1.10", "EffectiveCost": "1.00", "BillingCurrency": "USD", "ChargeCategory": "Usage",
    "ChargePeriodStart": "2026-11-02 00:00:00", "ChargePeriodEnd": "2026-11-02 01:00:00", "ServiceName": "S3",
    "Tags": '{"team": "a"}',
}  # fmt: skip
CUR = {
    "lineItem/UnblendedCost": "0.5", "lineItem/CurrencyCode": "USD", "lineItem/UsageStartDate": "2026-11-01T00:00:00Z",
    "lineItem/UsageEndDate": "2026-11-01T01:00:00Z", "lineItem/LineItemType": "RIFee",
    "lineItem/ProductCode": "AmazonEC2", "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": "0.1",
    "reservation/UnusedRecurringFee": "0.2", "resourceTags/user:team": "a",
}  # fmt: skip
CUR_2 = {
    "line_item_unblended_cost": "0.5", "line_item_currency_code": "USD", "line_item_product_code": "AmazonEC2",
    "line_item_usage_start_date": "2026-11-01 00:00:00.000", "line_item_usage_end_date": "2026-11-01 01:00:00.000",
    "line_item_line_item_type": "SavingsPlanRecurringFee", "savings_plan_total_commitment_to_date": "10",
    "savings_plan_used_commitment": "8", "resource_tags": '{"user_team": "a"}',
}  # fmt: skip
CUR_REDUCED = {
    "unblended_cost": "0.5", "currency": "USD", "usage_start": "2026-11-01T00:00:00Z",
    "usage_end": "2026-11-01T01:00:00Z", "line_item_type": "Usage", "product_code": "AmazonEC2", "tag_team": "a",
}  # fmt: skip
AZURE = {
    "Date": "09/21/2023", "MeterCategory": "Storage", "ConsumedService": "Microsoft.Storage", "Cost": "0.04",
    "BillingCurrency": "USD", "Quantity": "2", "ChargeType": "Usage", "PricingModel": "Reservation",
    "ReservationId": "r", "BillingPeriodStartDate": "09/01/2023", "BillingPeriodEndDate": "09/30/2023",
    "Tags": '"a": "b"',
}  # fmt: skip
GCP = {
    "billing_account_id": "0", "service.description": "BigQuery", "sku.id": "S", "cost": "5e-06", "currency": "USD",
    "usage_start_time": "2020-11-09 23:00:00+00:00", "usage_end_time": "2020-11-10 00:00:00+00:00",
    "cost_type": "regular", "invoice.month": "202011", "labels": "[{'key': 'k', 'value': 'v'}]",
    "credits": "[{'name': 'trial', 'amount': -5e-06, 'full_name': None}]",
}  # fmt: skip
OCI = {
    "lineItem/intervalUsageStart": "2023-11-13T10:00Z", "lineItem/intervalUsageEnd": "2023-11-13T11:00:00Z",
    "product/service": "DATABASE", "cost/myCost": "2.323760000E-9", "cost/currencyCode": "USD",
    "lineItem/isCorrection": "true", "tags/Oracle-Tags.CreatedBy": "me",
}  # fmt: skip
OPENAI_USAGE = {
    "start_time": "1730419200", "end_time": "1730505600", "project_id": "proj_1", "num_model_requests": "5",
    "api_key_id": "key_1", "model": "gpt-4o", "batch": "False", "input_tokens": "1000", "output_tokens": "500",
    "input_cached_tokens": "800", "input_audio_tokens": "0",
}  # fmt: skip
OPENAI_COSTS = {
    "start_time": "1730419200", "end_time": "1730505600", "amount_value": "0.8958740000000000",
    "amount_currency": "usd", "line_item": "gpt-4o, input", "project_id": "proj_1", "organization_id": "org-1",
}  # fmt: skip
ANTHROPIC_USAGE = {
    "usage_date_utc": "2026-08-05", "model_version": "claude-sonnet-4-5-20250929", "api_key": "ci",
    "workspace": "Default", "usage_type": "message", "context_window": "≤ 200k", "usage_input_tokens_no_cache": "1500",
    "usage_input_tokens_cache_write_5m": "500", "usage_input_tokens_cache_write_1h": "1000",
    "usage_input_tokens_cache_read": "200", "usage_output_tokens": "500", "web_search_count": "10",
}  # fmt: skip
ANTHROPIC_COSTS = {
    "usage_date_utc": "2026-08-05", "model": "Claude Sonnet 4.5", "workspace": "Default", "api_key": "ci",
    "usage_type": "message", "token_type": "output", "cost_usd": "0.30", "list_price_usd": "0.30", "cost_type": "token",
}  # fmt: skip
LITELLM = {
    "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05",
    "spend": "0.01", "total_tokens": "120", "prompt_tokens": "100", "completion_tokens": "20",
    "startTime": "2025-11-14T00:00:00Z", "endTime": "2025-11-14T00:00:01Z", "model": "gpt-4o",
    "custom_llm_provider": "openai", "cache_hit": "False", "request_tags": '["feature:chat"]', "team_id": "t",
    "metadata": '{"additional_usage_values": {"prompt_tokens_details": {"cached_tokens": 80}}}',
}  # fmt: skip
LANGFUSE = {
    "id": "obs-1", "traceId": "t", "type": "GENERATION", "startTime": "2025-11-14T00:00:00.000Z", "model": "gpt-4o",
    "usageDetails": '{"input": 20, "input_cached_tokens": 80, "output": 5, "total": 105}', "userId": "u",
    "metadata": "{}", "input": "a prompt",
}  # fmt: skip
HELICONE = {
    "request_id": "r-1", "request_created_at": "2025-11-14T00:00:00Z", "provider": "OPENAI", "response_model": "gpt-4o",
    "response_status": "200", "prompt_tokens": "20", "completion_tokens": "5", "prompt_cache_read_tokens": "80",
    "request_user_id": "u", "request_properties": '{"team": "a"}', "delay_ms": "812", "request_body": "a prompt",
}  # fmt: skip
EXAMPLES: dict[str, dict[str, Any]] = {
    "focus": FOCUS,
    "aws-cur-legacy": CUR,
    "aws-cur-2.0": CUR_2,
    "aws-cur-reduced": CUR_REDUCED,
    "azure": AZURE,
    "gcp": GCP,
    "oci": OCI,
    "openai-usage": OPENAI_USAGE,
    "openai-costs": OPENAI_COSTS,
    "anthropic-usage": ANTHROPIC_USAGE,
    "anthropic-costs": ANTHROPIC_COSTS,
    "litellm": LITELLM,
    "langfuse": LANGFUSE,
    "helicone": HELICONE,
    "azure-llm": {"TIMESTAMP": "2023-11-16 18:17:03.9799600", "ContextTokens": "4808", "GeneratedTokens": "10"},
    "mooncake": {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 48]},
    "servegen": {
        "model": "m", "client_id": "7", "window_start_s": "600", "window_len_s": "600", "req_per_s": "0.5",
        "mean_input_tokens": "10.5", "mean_output_tokens": "3", "extra_means_json": '{"reason_ratio": 0.5}',
    },
    "philly": {
        "timestamp": "2017-10-09 07:01:55", "duration": "9000", "num_gpus": "2", "gpu_time": "18000", "cluster": "c",
    },
}  # fmt: skip
NAMED = frozenset(layout.name for layout in LAYOUTS if layout.named)
each = pytest.mark.parametrize("layout", EXAMPLES)
fuzzed = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
garbage = st.text(max_size=30) | st.sampled_from(
    ["", "NULL", "NaN", "-1", "1e400", "Infinity", "9" * 40, "{", "[", "[1, 2]", '{"a": 1}', "13/13/2023", "\x00", "é"]
)

plausible = st.sampled_from(
    ["5e-06", "-0.10", "1E+2", "0", " 1", "+1", "1_000", "9" * 13, "0." + "1" * 19, "1970-01-01", "2026-11-02 00:00:00",
     "2026-11-02T00:00:00+02:00", "Usage", "Tax", "Correction", "True", "usd", "Fee", "SavingsPlanNegation", "Purchase",
     "UnusedReservation", "SavingsPlan", '{"team": null}', '{"team": {"a": 1}}', "[]", "x" * 257, "x" * 2049, "None"]
)  # fmt: skip


def written(path: Path, layout: str, *rows: dict[str, Any]) -> Path:
    path.write_bytes(text_of(layout, rows or (EXAMPLES[layout],)))
    return path


def text_of(layout: str, rows: Iterable[dict[str, Any]]) -> bytes:
    if layout == "mooncake":
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(EXAMPLES[layout]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def outcomes(items: Iterable[Item]) -> list[UsageEvent | DeadLetter]:
    """What the core makes of each item: exactly one thing."""
    return [taken(item) for item in items]


def test_every_layout_has_an_example() -> None:
    assert set(EXAMPLES) == {layout.name for layout in LAYOUTS}


@each
def test_told_by_content_under_any_name(tmp_path: Path, layout: str) -> None:
    path = written(tmp_path / "data", layout)
    assert reader_of(path).name == layout
    bom = tmp_path / "bom.json"
    bom.write_bytes((b"" if layout == "mooncake" else b"\xef\xbb\xbf") + path.read_bytes())
    assert reader_of(bom).name == layout


@each
def test_only_one_layout_tells_it(layout: str) -> None:
    assert [one.name for one in LAYOUTS if one.tells(frozenset(EXAMPLES[layout]))] == [layout]


@each
def test_a_good_row_is_events_and_nothing_else(tmp_path: Path, layout: str) -> None:
    found = outcomes(read(written(tmp_path / "data", layout)))
    assert found
    assert all(isinstance(one, UsageEvent) for one in found), found


@each
def test_the_same_content_gives_the_same_items(tmp_path: Path, layout: str) -> None:
    """Under another name, compressed, or with its rows turned round."""
    rows = [EXAMPLES[layout], EXAMPLES[layout], EXAMPLES[layout] | {next(iter(EXAMPLES[layout])): "1"}]
    path = written(tmp_path / "data", layout, *rows)
    first = list(read(path))
    (tmp_path / "other").write_bytes(path.read_bytes())
    (tmp_path / "gzipped").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / "zstd").write_bytes(pa.compress(path.read_bytes(), codec="zstd", asbytes=True))
    assert first == list(read(path))
    for name in ("other", "gzipped", "zstd"):
        assert list(read(tmp_path / name)) == first
    if layout != "mooncake":  # whose cached tokens are those of the prompts before
        turned = list(read(written(tmp_path / "turned", layout, *reversed(rows))))
        assert [item.event for item in turned if item.event] == [item.event for item in first if item.event]


@each
def test_equal_rows_are_different_events_in_order_of_time(tmp_path: Path, layout: str) -> None:
    """Unless rows have ids of their own: then the same id again is the same event."""
    items = list(read(written(tmp_path / "data", layout, *[EXAMPLES[layout]] * 3)))
    ids = [item.event["id"] for item in items if item.event]
    assert len(ids) == len(items)
    assert len(set(ids)) == (1 if layout in NAMED else len(ids))
    assert [item.time for item in items] == sorted(item.time or 0.0 for item in items)
    assert {item.row for item in items} == ({1, 2, 3} if layout == "mooncake" else {2, 3, 4})


@each
@fuzzed
@given(data=st.data())
def test_no_garbage_in_a_row_raises_or_is_lost(tmp_path: Path, layout: str, data: st.DataObject) -> None:
    """A garbled row is an event or a dead letter under its own number, and its neighbours are what they were."""
    good = EXAMPLES[layout]
    names = data.draw(st.lists(st.sampled_from(list(good)), min_size=1, max_size=3, unique=True))
    value = garbage | st.lists(st.integers()) | st.none() if layout == "mooncake" else garbage
    bad = good | {name: data.draw(value) for name in names}
    items = list(read(written(tmp_path / "data", layout, good, bad, good)))
    outcomes(items)
    first = 1 if layout == "mooncake" else 2
    assert {item.row for item in items} == {first, first + 1, first + 2}
    clean = outcomes(item for item in items if item.row != first + 1)
    assert all(isinstance(one, UsageEvent) for one in clean)


@each
def test_a_file_cut_anywhere_loses_only_its_last_row(tmp_path: Path, layout: str) -> None:
    rows = [EXAMPLES[layout]] * 3
    whole = text_of(layout, rows)
    last = len(text_of(layout, rows[:-1]))
    before = outcomes(read(written(tmp_path / "whole", layout, *rows[:-1])))
    for cut in range(last + 1, len(whole) - 2):
        (tmp_path / "cut").write_bytes(whole[:cut])
        found = outcomes(read(tmp_path / "cut"))
        kept = [one for one in found if one in before]
        assert len(kept) >= len(before)
        assert len(found) > len(before), "the row that was cut is neither an event nor a dead letter"


@each
@fuzzed
@given(noise=st.binary(max_size=200))
def test_bytes_that_are_no_row_never_raise(tmp_path: Path, layout: str, noise: bytes) -> None:
    path = written(tmp_path / "data", layout)
    path.write_bytes(path.read_bytes() + noise)
    outcomes(read(path))


@pytest.mark.parametrize("layout", BY_COLUMN)
@fuzzed
@given(data=st.data())
def test_by_column_says_what_rows_say(tmp_path: Path, layout: str, data: st.DataObject) -> None:
    """The same events and dead letters in the same order, whatever stands in the cells."""
    good = EXAMPLES[layout]
    cells = garbage | st.sampled_from(sorted(set(good.values()))) | plausible
    mutation = st.dictionaries(st.sampled_from(list(good)), cells, max_size=3)
    rows = [good | change for change in data.draw(st.lists(mutation, min_size=1, max_size=40))]
    path = written(tmp_path / "data", layout, *rows)
    assert same(list(by_column(path)), list(read(path)))


def as_number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def change(text: str) -> Any:
        try:
            return kind(text)
        except (ValueError, ArithmeticError):
            return None

    return change


COLUMN_KINDS: dict[str, tuple[pa.DataType, Callable[[str], Any]]] = {
    "text": (pa.string(), lambda text: text),
    "bytes": (pa.binary(), str.encode),
    "float": (pa.float64(), as_number(float)),
    "int": (pa.int32(), as_number(lambda text: int(float(text)) % 2**31)),
    "bool": (pa.bool_(), bool),
    "money": (pa.decimal128(38, 18), as_number(lambda text: Decimal(text[:12]).quantize(Decimal("1e-18")))),
    "time": (pa.timestamp("us"), as_number(lambda text: datetime.fromisoformat(text).replace(tzinfo=None))),
    "map": (pa.map_(pa.string(), pa.string()), lambda text: [("team", text), ("none", None)]),
    "list": (pa.list_(pa.string()), lambda text: [text]),
    "struct": (pa.struct([("id", pa.string()), ("n", pa.int32())]), lambda text: {"id": text, "n": None}),
}


@pytest.mark.parametrize("layout", BY_COLUMN)
@fuzzed
@given(data=st.data())
def test_by_column_says_of_parquet_what_rows_say(tmp_path: Path, layout: str, data: st.DataObject) -> None:
    """Whatever types its columns have."""
    good = EXAMPLES[layout]
    mutation = st.dictionaries(st.sampled_from(list(good)), garbage | plausible, max_size=3)
    rows = [good | change for change in data.draw(st.lists(mutation, min_size=1, max_size=20))]
    odd = data.draw(st.dictionaries(st.sampled_from(list(good)), st.sampled_from(sorted(COLUMN_KINDS)), max_size=4))
    columns = {}
    for name in good:
        kind, change = COLUMN_KINDS[odd.get(name, "text")]
        columns[name] = pa.array([None if row[name] == "" else change(row[name]) for row in rows], kind)
    pq.write_table(pa.table(columns), tmp_path / "data")
    try:
        reader = reader_of(tmp_path / "data")
    except ReaderError:
        return  # by these columns it is of no layout
    assert reader.by_column is not None
    assert same(list(by_column(tmp_path / "data")), list(reader.read()))
