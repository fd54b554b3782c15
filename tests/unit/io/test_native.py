"""What can't be said in ClickHouse's Native format. (What can, on the real engine: integration/test_clickhouse.py.)"""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from streams.io.native import native


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (pa.array([1], pa.date32()), "no type of ClickHouse for date32"),
        (pa.array([Decimal(1)], pa.decimal128(18, 2)), r"no type of ClickHouse for decimal128\(18, 2\)"),
        (pa.array([[("a", None)]], pa.map_(pa.string(), pa.int64())), "a Map with a null in it"),
        (pa.array(["a", None]).dictionary_encode(), r"c: a LowCardinality\(String\) with nulls"),
        (pa.array([[("a", "b")], None], pa.map_(pa.string(), pa.string())), r"c: a Map\(String, String\) with nulls"),
    ],
)
def test_what_has_no_counterpart_is_refused(array: pa.Array, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        list(native(pa.table({"c": array})))
