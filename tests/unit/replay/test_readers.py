"""Readers: told by content, row by row, and nothing of a bill is lost on the way to a charge."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.readers import ReaderError, read
from replay.readers.together import expand, rows
from schemas.events import LINE_ITEM, TOKEN_CALL, UsageEvent
from tests.support.reading import data, taken

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
    assert isinstance(taken(item), UsageEvent)


def test_focus_as_parquet_is_the_same_as_csv(tmp_path: Path) -> None:
    rows_of = [{**FOCUS, "ContractedCost": None, "ChargeClass": None}]
    pq.write_table(pa.Table.from_pylist(rows_of), tmp_path / "focus.parquet")
    (from_parquet,) = read(tmp_path / "focus.parquet")
    (from_csv,) = read(focus_csv(tmp_path / "focus.csv"))
    assert data(from_parquet) == data(from_csv)


def test_the_same_bill_under_another_name_has_the_same_ids(tmp_path: Path) -> None:
    rows_of: tuple[dict[str, str], ...] = ({}, {}, {"BilledCost": "5"})
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


def test_parquet_keeps_digits_maps_and_zones(tmp_path: Path) -> None:
    day = datetime(2026, 11, 2, tzinfo=UTC)
    row = {
        **FOCUS, "BilledCost": Decimal("0.000000000123456789"), "ContractedCost": None, "ChargeClass": None,
        "ChargePeriodStart": day, "ChargePeriodEnd": day.replace(tzinfo=None, hour=1), "Tags": [("team", "a")],
    }  # fmt: skip
    tags = pa.map_(pa.string(), pa.string())
    table = pa.Table.from_pylist([{**row, "Tags": None}]).drop_columns("Tags")
    pq.write_table(table.append_column("Tags", pa.array([row["Tags"]], tags)), tmp_path / "focus.parquet")
    (item,) = read(tmp_path / "focus.parquet")
    assert data(item)["BilledCost"] == "0.000000000123456789"
    assert data(item)["Tags"] == {"team": "a"}
    event = taken(item)
    assert isinstance(event, UsageEvent)
    assert event.time == day


def test_a_row_of_too_many_or_too_few_cells_is_refused(tmp_path: Path) -> None:
    path = focus_csv(tmp_path / "focus.csv", {}, {}, {})
    header, first, second, third = path.read_text().splitlines()
    path.write_text("\n".join([header, first, second + ",more", third.partition(",")[2], ""]))
    good, *bad = sorted(read(path), key=lambda item: item.row)
    assert good.fault is None
    assert [item.row for item in bad] == [3, 4]
    assert [item.fault and item.fault.problem for item in bad] == [
        "the row has 13 cells, its header 12",
        "the row has 11 cells, its header 12",
    ]


def test_last_cells_may_be_left_out_of_every_row_but_not_by_a_cut(tmp_path: Path) -> None:
    header, row = ",".join(list(FOCUS)[:10]), ",".join(list(FOCUS.values())[:10])
    (tmp_path / "short.csv").write_text(f"{header},Tags\n{row}\n{row}\n")
    assert [item.fault for item in read(tmp_path / "short.csv")] == [None, None]
    (tmp_path / "cut.csv").write_text(f"{header},Tags\n{row}")
    assert [item.fault is None for item in read(tmp_path / "cut.csv")] == [False]


def test_a_cell_beyond_all_bounds_costs_its_own_row_only(tmp_path: Path) -> None:
    """A quote that is never closed swallows the rows behind it: the reader gives up on it and goes on."""
    path = focus_csv(tmp_path / "focus.csv", {}, {"ServiceName": "x" * 200_000}, {})
    items = sorted(read(path), key=lambda item: item.row)
    assert [item.fault is None for item in items] == [True, False, True]
    assert items[1].fault is not None
    assert "field larger than field limit" in items[1].fault.problem


def test_a_compressed_file_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    whole = gzip.compress(focus_csv(tmp_path / "focus.csv", *[{}] * 50).read_bytes())
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    with pytest.raises(ReaderError, match="can't be read"):
        list(read(tmp_path / "cut.gz"))


def test_folders_and_patterns_stand_for_their_files(tmp_path: Path) -> None:
    (tmp_path / "bills" / "2026").mkdir(parents=True)
    one = focus_csv(tmp_path / "bills" / "b.csv")
    two = focus_csv(tmp_path / "bills" / "2026" / "a.csv")
    (tmp_path / "bills" / "LICENSE").write_text("text")
    (tmp_path / "bills" / ".hidden").write_text("text")
    found = expand([tmp_path / "bills"])
    assert found.files == [two, one]
    assert [reason.partition(":")[0] for reason in found.skipped] == [str(tmp_path / "bills" / "LICENSE")]
    more = [focus_csv(tmp_path / "bills" / f"b{n}.csv") for n in (3, 1, 2)]
    assert expand([tmp_path / "bills" / "*.csv"]).files == sorted([one, *more])
    for path in more:
        path.unlink()
    assert expand([tmp_path / "**" / "*.csv", one]).files == [two, one, one]
    assert expand([Path("-")]).files == [Path("-")]


def test_a_folder_or_pattern_without_histories_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("text")
    for empty in (tmp_path, tmp_path / "*.csv"):
        with pytest.raises(ReaderError, match="holds no history"):
            expand([empty])
    assert expand([tmp_path / "missing"]).files == [
        tmp_path / "missing"
    ]  # named, so that reading it says what is wrong
