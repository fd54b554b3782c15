"""Readers: told by content, row by row, and nothing of a bill is lost on the way to a charge."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.readers import Item, ReaderError, read
from replay.readers.together import rows
from schemas.events import LINE_ITEM, TOKEN_CALL
from schemas.records import Position
from streams.core.decode import Bounds, RawRecord, decode
from tests.support.shared import shared

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/s",
    "type": TOKEN_CALL,
    "time": "2026-11-02T00:00:00Z",
    "data": {},
}
FOCUS = {
    "BilledCost": "1.10", "EffectiveCost": "1.00", "ListCost": "2", "ContractedCost": "NULL", "BillingCurrency": "USD",
    "ChargeCategory": "Usage", "ChargeClass": "", "ChargePeriodStart": "2026-11-02 00:00:00",
    "ChargePeriodEnd": "2026-11-02 01:00:00", "ServiceName": "S3", "ProviderName": "AWS", "Tags": '{"team": "a"}',
}  # fmt: skip


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def focus_csv(path: Path, *over: dict[str, str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(FOCUS))
        writer.writeheader()
        writer.writerows([{**FOCUS, **row} for row in over or ({},)])
    return path


def data(item: Item) -> dict[str, Any]:
    assert item.event is not None
    found = item.event["data"]
    assert isinstance(found, dict)
    return found


def test_ndjson_plain_gzip_and_zstd_are_the_same(tmp_path: Path) -> None:
    text = lines(EVENT, EVENT) + b"\n" + lines(EVENT)
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "gzipped").write_bytes(gzip.compress(text))
    (tmp_path / "zstd").write_bytes(pa.compress(text, codec="zstd", asbytes=True))
    plain, gzipped, zstd = (list(read(tmp_path / name)) for name in ("plain", "gzipped", "zstd"))
    assert plain == gzipped == zstd
    assert [item.row for item in plain] == [1, 2, 4]


def test_a_document_over_several_lines_is_one_record(tmp_path: Path) -> None:
    (tmp_path / "pretty").write_text(json.dumps(EVENT, indent=2))
    (item,) = read(tmp_path / "pretty")
    assert json.loads(item.raw or b"") == EVENT


def test_a_bad_first_line_does_not_take_the_others_with_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"{broken\n" + lines(EVENT, EVENT))
    assert [item.row for item in read(tmp_path / "file")] == [1, 2, 3]


def test_a_focus_row_becomes_a_line_item(tmp_path: Path) -> None:
    (item,) = read(focus_csv(tmp_path / "focus.csv"))
    assert item.event is not None
    assert item.event["type"] == LINE_ITEM
    assert data(item)["Tags"] == {"team": "a"}
    assert data(item)["ChargePeriodStart"] == "2026-11-02T00:00:00+00:00"
    assert "ContractedCost" not in data(item)  # NULL is missing, not zero
    decoded = decode(RawRecord(None, (), Position("f", 0, item.row), None), Bounds(), item.event)
    assert not decoded.dead_letters


def test_focus_as_parquet_is_the_same_as_csv(tmp_path: Path) -> None:
    rows_of = [{**FOCUS, "ContractedCost": None, "ChargeClass": None}]
    pq.write_table(pa.Table.from_pylist(rows_of), tmp_path / "focus.parquet")
    (from_parquet,) = read(tmp_path / "focus.parquet")
    (from_csv,) = read(focus_csv(tmp_path / "focus.csv"))
    assert data(from_parquet) == data(from_csv)


def test_the_same_bill_under_another_name_has_the_same_ids(tmp_path: Path) -> None:
    rows_of = ({}, {}, {"BilledCost": "5"})
    first = [item.event["id"] for item in read(focus_csv(tmp_path / "a.csv", *rows_of)) if item.event]
    second = [item.event["id"] for item in read(focus_csv(tmp_path / "b.csv", *rows_of)) if item.event]
    assert first == second
    assert len(set(first)) == 3  # equal rows of one bill are different charges


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "is empty"), (b"a,b\n1,2\n", "known layout"), (b"PAR1nonsense", "Parquet")]
)
def test_what_is_no_history_is_the_users_mistake(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ReaderError, match=says):
        list(read(tmp_path / "file"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="does not exist"):
        list(read(tmp_path / "nowhere.ndjson"))


CUR = [
    {
        "lineItem/UnblendedCost": "0.5", "pricing/publicOnDemandCost": "1", "lineItem/CurrencyCode": "USD",
        "lineItem/UsageStartDate": "2026-11-01T00:00:00Z", "lineItem/UsageEndDate": "2026-11-01T01:00:00Z",
        "lineItem/LineItemType": "DiscountedUsage", "lineItem/ProductCode": "AmazonEC2",
        "reservation/EffectiveCost": "0.25", "resourceTags/user:team": "a",
    },
    {
        "line_item_unblended_cost": "0.5", "pricing_public_on_demand_cost": "1", "line_item_currency_code": "USD",
        "line_item_usage_start_date": "2026-11-01 00:00:00.000", "line_item_usage_end_date": "2026-11-01 01:00:00.000",
        "line_item_line_item_type": "DiscountedUsage", "line_item_product_code": "AmazonEC2",
        "reservation_effective_cost": "0.25", "resource_tags_user_team": "a",
    },
    {
        "unblended_cost": "0.5", "public_on_demand_cost": "1", "currency": "USD", "usage_start": "2026-11-01T00:00:00Z",
        "usage_end": "2026-11-01T01:00:00Z", "line_item_type": "DiscountedUsage", "product_code": "AmazonEC2",
        "reservation_effective_cost": "0.25", "tag_team": "a",
    },
]  # fmt: skip


@pytest.mark.parametrize("row", CUR, ids=["legacy", "2.0", "reduced"])
def test_a_cost_and_usage_report_in_any_spelling(tmp_path: Path, row: dict[str, str]) -> None:
    with (tmp_path / "cur.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    (item,) = read(tmp_path / "cur.csv")
    found = data(item)
    assert (found["BilledCost"], found["EffectiveCost"], found["ListCost"]) == ("0.5", "0.25", "1")
    assert (found["ChargeCategory"], found["Tags"]) == ("Usage", {"team": "a"})
    decoded = decode(RawRecord(None, (), Position("f", 0, item.row), None), Bounds(), item.event)
    assert not decoded.dead_letters


def test_bills_are_read_side_by_side_in_order_of_time(tmp_path: Path) -> None:
    late = focus_csv(tmp_path / "late.csv", {"ChargePeriodStart": "2026-11-02 00:30:00"}, {})
    early = focus_csv(tmp_path / "early.csv", {"ChargePeriodStart": "2026-11-01 00:00:00"})
    found = [(path.name, item.row if item else None) for path, item in rows([late, early])]
    assert found == [("early.csv", 2), ("early.csv", None), ("late.csv", 3), ("late.csv", 2), ("late.csv", None)]


def test_event_files_keep_their_order_of_arrival(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(lines(EVENT, EVENT))
    found = [(path.name, item.row if item else None) for path, item in rows([tmp_path / "b", tmp_path / "a"])]
    assert found == [("b", 1), ("b", 2), ("b", None), ("a", 1), ("a", 2), ("a", None)]


def column(path: Path, name: str) -> Iterator[Decimal]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            if row[name] not in ("", "NULL"):
                yield Decimal(row[name])


@pytest.mark.parametrize(
    ("file", "rows_in_it", "billed"),
    [
        ("focus_sample/focus_sample.csv", 1000, "BilledCost"),
        ("focus_converters/aws_cur_2023-11_anonymous.csv", 1281, "lineItem/UnblendedCost"),
        ("aws_cur/cur_line_items_2018-10.csv.gz", 119_307, "unblended_cost"),
    ],
)
def test_real_bills_lose_no_row_and_no_digit(file: str, rows_in_it: int, billed: str) -> None:
    path = shared("data") / file
    items = list(read(path))
    assert len(items) == rows_in_it
    assert sum((Decimal(data(item)["BilledCost"]) for item in items), Decimal(0)) == sum(column(path, billed))
