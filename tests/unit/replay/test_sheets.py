"""Bills by column say what they say row by row, in the same order, however much of them is in memory."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from replay.readers import Item, lines, read, sheets, together
from replay.readers.sheets import item_of
from replay.readers.sorting import in_order
from streams.core.usage.sheet import Sheet
from tests.bench.bills import write_bill
from tests.support.shared import shared
from tests.support.sheets import by_column, pieces, same

BILLS = (
    "aws_cur/cur_line_items_2018-10.csv.gz", "focus_sample/focus_sample.csv",
    "focus_converters/aws_cur_2023-11_anonymous.csv", "focus_converters/azure_ea_2023-09_anonymous.csv",
    "focus_converters/oci_cost_2023-11-13_redacted.csv", "billing_fixtures/aws_cost_report.fivetran.csv",
    "billing_fixtures/azure_EA_ActualCost_Small.finops-toolkit.csv",
    "billing_fixtures/azure_EA_AmortizedCost_Small.finops-toolkit.csv",
    "billing_fixtures/azure_export_Template.opencost.csv", "billing_fixtures/gcp_billing_export_2020-11.koku.csv",
)  # fmt: skip


@pytest.mark.parametrize("name", BILLS[1:])
def test_a_real_bill_is_the_same_both_ways(name: str) -> None:
    """The longest apart, which `test_both_ways_of_replaying` takes to its charges, both ways."""
    path = shared("data") / name
    found, expected = list(by_column(path)), list(read(path))
    assert [(item.row, item.time) for item in found] == [(item.row, item.time) for item in expected]
    assert same(found, expected)


def test_most_of_a_bill_stands_in_sheets() -> None:
    path = shared("data") / BILLS[0]
    rows = sum(piece.lines.num_rows for piece in pieces(path) if isinstance(piece, Sheet))
    assert rows > 0.999 * 119_307


def test_odd_rows_stand_where_they_stood(tmp_path: Path) -> None:
    """Refused ones, short ones and ones that only the full validation knows, among equal ones and in any order."""
    path = tmp_path / "bill.csv"
    write_bill(path, 400)
    rng = random.Random(7)
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    for row in rng.sample(rows, 60):
        row[rng.randrange(len(row))] = rng.choice(["", "NULL", "NaN", "1e400", "5e-06", "٣", "x" * 3000, "2026-09-01"])
    rows += [row[:-1] for row in rng.sample(rows, 5)] + rng.sample(rows, 40)
    rng.shuffle(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    found = list(by_column(path))
    assert len(found) == 445
    assert same(found, list(read(path)))


def test_more_rows_than_are_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bill.csv"
    write_bill(path, 3_000)
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    random.Random(1).shuffle(rows)
    path.write_text("".join([header, *rows, *rows[:500]]), encoding="utf-8")
    whole = list(by_column(path))
    monkeypatch.setattr(lines, "AT_ONCE", 100)
    monkeypatch.setattr(sheets, "in_order", lambda batches: in_order(batches, run=300, block=32))
    assert list(by_column(path)) == whole
    assert same(whole, list(read(path)))


def test_sorting_holds_what_it_was_given() -> None:
    rng = random.Random(3)
    keys = [(float(rng.randrange(9)), f"{rng.randrange(50):02}", row) for row in range(1_500)]
    rng.shuffle(keys)
    batches = [
        pa.RecordBatch.from_arrays(
            [pa.array(column) for column in zip(*keys[at : at + 70], strict=True)], names=["_time", "_digest", "_row"]
        )
        for at in range(0, len(keys), 70)
    ]
    for run, block in ((10_000, 64), (700, 64), (70, 3)):
        found = pa.Table.from_batches(in_order(batches, run, block))
        columns = (found.column(name).to_pylist() for name in ("_time", "_digest", "_row"))
        assert list(zip(*columns, strict=True)) == sorted(keys)


def test_several_files_go_side_by_side_as_their_rows_do(tmp_path: Path) -> None:
    """Bills that overlap, one of which begins later, a bill that is no CSV of bills, and one in order of arrival."""
    paths = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv", "calls.csv", "events.ndjson")]
    for seed, path in enumerate(paths[:3]):
        write_bill(path, 1_000 + seed, seed=seed)
    for path, begin, end in ((paths[1], 300, 500), (paths[2], 0, 100)):
        header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join([header, *lines[begin:end], lines[600].replace("USD", "usd")]), encoding="utf-8")
    paths[3].write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2026-09-01 05:00:00.0,7,8\n", encoding="utf-8")
    paths[4].write_text('{"id": "x"}\n', encoding="utf-8")
    found: list[tuple[Path, Item | None]] = []
    sizes = []
    for path, piece in together.pieces(paths):
        if isinstance(piece, Sheet):
            sizes.append(piece.lines.num_rows)
            found += [(path, item_of(piece, place)) for place in range(piece.lines.num_rows)]
        else:
            found.append((path, piece))
    expected = list(together.rows(paths))
    assert [path for path, _ in found] == [path for path, _ in expected]
    assert [item is None for _, item in found] == [item is None for _, item in expected]
    assert same([item for _, item in found if item], [item for _, item in expected if item])
    assert sum(sizes) > 500


def test_blank_and_unreadable_rows_keep_the_numbers_of_those_behind_them(tmp_path: Path) -> None:
    path = tmp_path / "bill.csv"
    write_bill(path, 6)
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    huge = '"' + "x" * 140_000 + '"\n'  # more than the CSV reader takes as one cell
    path.write_text("".join([header, rows[0], "\n", huge, rows[1], "\n", "a,b\n", *rows[2:], huge]), encoding="utf-8")
    found = list(by_column(path))
    assert {item.row: item.fault.problem for item in found if item.fault} == {
        4: "the row can't be read as CSV: field larger than field limit (131072)",
        7: "the row has 2 cells, its header 18",
        12: "the row can't be read as CSV: field larger than field limit (131072)",
    }
    assert sorted(item.row for item in found if not item.fault) == [2, 5, 8, 9, 10, 11]
    assert same(found, list(read(path)))


def test_a_typed_parquet_bill_is_the_same_both_ways(tmp_path: Path) -> None:
    """Costs as decimals and doubles, times as timestamps, tags as a map: as FOCUS exports of clouds have them."""
    write_bill(tmp_path / "bill.csv", 500)
    table = pa_csv.read_csv(tmp_path / "bill.csv")
    tags = [list(json.loads(text).items()) for text in table["Tags"].to_pylist()]
    table = table.set_column(
        table.schema.get_field_index("Tags"), "Tags", pa.array(tags, pa.map_(pa.string(), pa.string()))
    )
    costs = pc.round(table["EffectiveCost"], 9).cast(pa.decimal128(38, 9))
    table = table.set_column(table.schema.get_field_index("EffectiveCost"), "EffectiveCost", costs)
    pq.write_table(table, tmp_path / "bill.parquet", row_group_size=90)
    found = list(pieces(tmp_path / "bill.parquet"))
    assert sum(piece.lines.num_rows for piece in found if isinstance(piece, Sheet)) == 500
    assert same(list(by_column(tmp_path / "bill.parquet")), list(read(tmp_path / "bill.parquet")))
