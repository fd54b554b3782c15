"""The store on the real ClickHouse engine: migrations, exact values, inserts and claims that may be repeated."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from schemas.events import LINE_ITEM
from schemas.topics import ALERTS, CHARGES, DEAD_LETTERS, FINDINGS, Topic
from streams.core.landing.batches import Intent, Span, read_record
from streams.core.landing.land import TABLES, columns
from streams.io import migrations
from streams.io.clickhouse import ClickHouseStore, StoreAway, StoreRefused, connect
from streams.io.clickhouse_server.process import EmbeddedClickHouse
from streams.io.migrations import MigrationError
from streams.settings import ClickHouse, Land, SettingsError
from streams.stages.landing import Store
from tests.support.clickhouse import MemoryStore
from tests.support.records import NOON, alert, charge, charges, dead_letter, finding, split

VIEWS = (
    "findings_current", "alerts_current", "spend_per_minute_by_team", "spend_per_hour_by_model",
    "spend_per_day_by_owner", "costs_per_day_by_currency", "allocation_coverage", "unpriced_usage",
    "dead_letters_per_hour", "charges_current",
)  # fmt: skip


@pytest.fixture(scope="module", params=["in this process", "over HTTP"])
def engine(request: pytest.FixtureRequest, engine: str) -> str:
    """Every test here holds for both: the engine behind HTTP stands for a server."""
    if request.param == "in this process":
        return engine
    server: EmbeddedClickHouse = request.getfixturevalue("clickhouse_server")
    return server.url


def intent(batch: int, *partitions: int) -> Intent:
    spans = tuple(Span(partition, 0, 9) for partition in partitions or (0,))
    return Intent("spend.charges", spans, batch, f"digest {batch}", NOON)


def put(store: ClickHouseStore, topic: Topic, *values: bytes, batch: str = "t") -> None:
    table = TABLES[topic.name]
    contents = [read_record(table, n, value).content for n, value in enumerate(values)]
    store.insert(table.name, columns(table, contents, NOON), batch)


# Migrations.


def test_migrations_apply_once_and_may_be_repeated(clickhouse: ClickHouse) -> None:
    with connect(clickhouse) as store:
        names = tuple(migration.name for migration in migrations.shipped())
        assert store.migrate() == names
        assert store.migrate() == ()
        assert store.pending() == ()
        for migration in migrations.shipped():  # as after a crash before it was recorded
            for statement in migration.statements:
                store.command(statement)


def test_a_changed_old_file_is_refused_with_the_mend(store: ClickHouseStore) -> None:
    first, *rest = migrations.shipped()
    texts = {first.name: ";\n".join(first.statements) + ";", "001_charges.sql": "SELECT 1;"}
    with pytest.raises(MigrationError, match=r"000_schema_migrations\.sql was changed .* restore the file"):
        migrations.pending(store, migrations.parse(texts))
    with pytest.raises(MigrationError, match=f"has {re.escape(rest[-1].name)}, which this release does not know"):
        migrations.pending(store, [first, *rest[:-1]])


@pytest.mark.parametrize("names", [("1_a.sql",), ("001_a.sql", "001_b.sql"), ("001_A.sql",)])
def test_badly_numbered_files_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(MigrationError, match=r"schemas/sql/"):
        migrations.parse(dict.fromkeys(names, "SELECT 1;"))


def test_the_dedup_horizon_follows_the_setting(clickhouse: ClickHouse) -> None:
    for days in (35, 90):
        with connect(clickhouse.model_copy(update={"seen_days": days})) as store:
            store.migrate()
            rows = store.query("SELECT engine_full FROM system.tables WHERE database = currentDatabase() "
                               "AND name = 'seen'")  # fmt: skip
            assert f"toIntervalDay({days})" in rows[0]["engine_full"]


@pytest.mark.parametrize("topic", [CHARGES, FINDINGS, ALERTS, DEAD_LETTERS], ids=lambda topic: topic.name)
def test_each_table_has_exactly_the_fields_of_its_contract(store: ClickHouseStore, topic: Topic) -> None:
    table = TABLES[topic.name]
    rows = store.query("SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
                       "AND default_kind = ''", {"table": table.name})  # fmt: skip
    assert {row["name"] for row in rows} == {*table.columns, "landed_at"}


# Values.


def test_a_charge_comes_back_as_it_went_in(store: ClickHouseStore) -> None:
    given = charge(
        1, "0.000000000001", time=NOON + timedelta(microseconds=7), billed_cost=Decimal("-" + "9" * 18),
        unit_prices={"input": Decimal("0.000000000000000015")}, tags={"team": "größe", "": "'; --"}, utilization=0.5,
    )  # fmt: skip
    put(store, CHARGES, charges(given))
    row = store.query("SELECT * EXCEPT (source_topic, source_partition, source_offset, landed_at) FROM charges")[0]
    assert row == {**given.model_dump(), "sign": 1, "revision": 0, "reprice_id": ""}


def test_texts_and_mappings_of_many_charges_come_back_as_they_went_in(store: ClickHouseStore) -> None:
    """They are sent as dictionaries, with the keys of mappings as dictionaries within."""
    given = [
        charge(
            1000 + n, model=f"model {n % 300}" if n % 7 else "", principal=f"key-{n}", team="größe" if n % 2 else "b",
            tags={f"tag {n % 3}": str(n % 5), "app": ""} if n % 11 else {},
            unit_prices={"input": Decimal(n), "output": Decimal("0.5")} if n < 400 else {},
        )
        for n in range(1000)
    ]  # fmt: skip
    put(store, CHARGES, charges(*given[:500]), charges(*given[500:501]), charges(*given[501:], partition=1))
    names = ("id", "model", "principal", "team", "tags", "unit_prices")
    rows = store.query(f"SELECT {', '.join(names)} FROM charges ORDER BY id")  # noqa: S608  our own words
    assert rows == [{name: getattr(one, name) for name in names} for one in given]
    sources = "SELECT source_topic AS t, source_partition AS p, count() AS n FROM charges GROUP BY t, p ORDER BY p"
    assert store.query(sources) == [
        {"t": "usage.token-calls", "p": 0, "n": 501}, {"t": "usage.token-calls", "p": 1, "n": 499},
    ]  # fmt: skip


def test_columns_of_every_kind_come_back_as_they_went_in(store: ClickHouseStore) -> None:
    """As they are sent (streams/io/native.py): slices, nulls, long texts, few and many keys, empty mappings."""
    store.command("CREATE TABLE kinds (n Int64, small Int32, big UInt64, yes Bool, at DateTime64(6, 'UTC'), "
                  "key FixedString(16), text String, word LowCardinality(String), many LowCardinality(String), "
                  "share Nullable(Float64), cost Nullable(Decimal(38, 18)), tags Map(String, String), "
                  "prices Map(LowCardinality(String), Decimal(38, 18))) ENGINE = MergeTree ORDER BY n")  # fmt: skip
    count = 70_000  # more keys than two bytes number
    texts = ["", "größe", "x" * 127, "x" * 128, "y" * 16_384]
    rows = [
        {
            "n": n - 5, "small": -n, "big": 2**64 - 1 - n, "yes": n % 3 == 0, "at": NOON + timedelta(microseconds=n),
            "key": n.to_bytes(16, "big"), "text": texts[n % 5] if n < 20 else str(n), "word": texts[n % 2],
            "many": str(n), "share": n / 7 if n % 2 else None, "cost": Decimal(-n).scaleb(-18) if n % 3 else None,
            "prices": {"in": Decimal(n), "out": Decimal("-0.5")} if n % 4 else {},
            "tags": {"a": str(n)} if n < 9 else {},
        }
        for n in range(count)
    ]  # fmt: skip
    coded, money = pa.dictionary(pa.int32(), pa.string()), pa.decimal128(38, 18)
    kinds = {
        "n": pa.int64(), "small": pa.int32(), "big": pa.uint64(), "yes": pa.bool_(), "at": pa.timestamp("us", tz="UTC"),
        "key": pa.binary(16), "text": pa.string(), "word": coded, "many": coded, "share": pa.float64(), "cost": money,
        "prices": pa.map_(pa.string(), money), "tags": pa.map_(pa.string(), pa.string()),
    }  # fmt: skip
    arrays = {name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()}
    prices = arrays["prices"]
    arrays["prices"] = pa.MapArray.from_arrays(prices.offsets, prices.keys.dictionary_encode(), prices.items)
    table = pa.table(arrays)
    store.insert("kinds", table.slice(1, 8), "a few")
    store.insert("kinds", pa.concat_tables([table.slice(0, 1), table.slice(9)]), "the others")
    held = store.query("SELECT * FROM kinds ORDER BY n")
    assert len(held) == count
    assert [row for row, given in zip(held, rows, strict=True) if row != given] == []


def test_times_beyond_a_century_and_many_months_in_one_batch_land(store: ClickHouseStore) -> None:
    months = [charge(n, time=NOON.replace(year=2000 + n // 12, month=1 + n % 12, day=1)) for n in range(150)]
    odd = charge(999, type=LINE_ITEM, period_start=NOON.replace(year=1), period_end=NOON.replace(year=9999))
    put(store, CHARGES, charges(*months, odd))
    assert store.query("SELECT count() AS n FROM charges") == [{"n": 151}]


def test_states_and_dead_letters_come_back_as_they_went_in(store: ClickHouseStore) -> None:
    put(store, FINDINGS, finding().model_dump_json().encode(), finding(revision=1, decomposition=None,
        status="closed", closed_at=NOON).model_dump_json().encode())  # fmt: skip
    put(store, ALERTS, alert().model_dump_json().encode())
    put(
        store,
        DEAD_LETTERS,
        dead_letter().model_dump_json().encode(),
        dead_letter(2, index=None).model_dump_json().encode(),
    )
    newest = store.query("SELECT * FROM findings_current")
    assert [(row["revision"], row["status"], row["closed_at"]) for row in newest] == [(1, "closed", NOON)]
    first = store.query("SELECT * FROM findings WHERE revision = 0")[0]
    assert first["drivers"] == [{"series": {"principal": "key-1"}, "excess_usd": Decimal(7), "share": 0.9}]
    assert first["decomposition_unit_price"] == Decimal("0.5")
    assert first["series"] == {"team": "search"}
    assert first["remedies"] == ["revoke key-1"]
    assert store.query("SELECT findings, title FROM alerts_current") == [
        {"findings": ["f-1", "f-2"], "title": "search"}
    ]
    assert store.query("SELECT `index` FROM dead_letters ORDER BY dead_letter_id") == [{"index": 3}, {"index": None}]


def test_a_batch_is_one_file_and_what_is_merged_lies_by_column(store: ClickHouseStore) -> None:
    rows = Land().batch_rows
    parts = "SELECT part_type, sum(rows) AS rows FROM system.parts WHERE active AND database = currentDatabase() " \
            "AND table = 'charges' GROUP BY part_type"  # fmt: skip
    insert = "INSERT INTO charges (id, time) SELECT toString(number), '2026-11-02 09:00:00' FROM numbers({rows:UInt32})"
    store.command(insert, {"rows": rows})  # by SQL: making so many charges here would take long
    assert store.query(parts) == [{"part_type": "Compact", "rows": rows}]
    store.command(insert, {"rows": rows})
    store.command("OPTIMIZE TABLE charges FINAL")
    assert store.query(parts) == [{"part_type": "Wide", "rows": 2 * rows}]


def test_charges_are_merged_by_tens(store: ClickHouseStore) -> None:
    engine = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = 'charges'"
    assert "merge_selector_base = 10" in store.query(engine)[0]["engine_full"]


@pytest.mark.parametrize("table", ["charges", "seen"])
def test_no_statistics_are_made_where_all_rows_go(store: ClickHouseStore, table: str) -> None:
    if table == "charges":
        put(store, CHARGES, charges(charge(1)))
    else:
        store.claim(intent(1), [b"0" * 16])
    store.command("OPTIMIZE TABLE {table:Identifier} FINAL", {"table": table})
    made = "SELECT sum(length(statistics)) AS n FROM system.parts_columns WHERE active " \
           "AND database = currentDatabase() AND table = {table:String}"  # fmt: skip
    assert store.query(made, {"table": table}) == [{"n": 0}]


def test_an_event_is_found_by_its_id_in_what_is_inserted_and_by_the_index_in_what_is_merged(
    store: ClickHouseStore,
) -> None:
    index = "SELECT sum(secondary_indices_compressed_bytes) AS bytes FROM system.parts WHERE active " \
            "AND database = currentDatabase() AND table = 'charges'"  # fmt: skip
    found = "SELECT id FROM charges WHERE id = 'call-2'"
    put(store, CHARGES, charges(charge(1), charge(2)))
    assert (store.query(index), store.query(found)) == ([{"bytes": 0}], [{"id": "call-2"}])
    store.command("OPTIMIZE TABLE charges FINAL")
    assert store.query(index)[0]["bytes"] > 0
    assert store.query(found) == [{"id": "call-2"}]


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_answers(store: ClickHouseStore, view: str) -> None:
    put(store, CHARGES, charges(charge(1), charge(2, price_status="unpriced", effective_cost_usd=None)))
    put(store, FINDINGS, finding().model_dump_json().encode())
    put(store, ALERTS, alert().model_dump_json().encode())
    put(store, DEAD_LETTERS, dead_letter().model_dump_json().encode())
    assert store.query("SELECT count() AS n FROM {view:Identifier}", {"view": view})[0]["n"] >= 1


def test_rollups_and_views_add_up_by_hand(store: ClickHouseStore) -> None:
    put(store, CHARGES, charges(
        charge(1, "1.25", allocation="tag:team"), *split(2, ["0.5", "0.25"]),
        charge(3, "7", effective_cost_usd=None, currency="EUR", billed_cost=Decimal(8)),
    ))  # fmt: skip
    sums = "sum(effective_cost_usd) AS usd, sum(events) AS events, sum(charges) AS charges, sum(unconverted) AS missing"
    wanted = [{"usd": Decimal("2.00"), "events": 3, "charges": 4, "missing": 1}]
    assert store.query(f"SELECT {sums} FROM spend_by_minute") == wanted  # noqa: S608  our own words
    assert store.query(f"SELECT {sums} FROM spend_by_hour") == wanted  # noqa: S608
    coverage = store.query("SELECT allocated_usd, coverage FROM allocation_coverage")
    assert coverage == [{"allocated_usd": Decimal("1.25"), "coverage": 0.625}]
    by_currency = store.query("SELECT currency, billed_cost FROM costs_per_day_by_currency ORDER BY currency")
    assert by_currency == [{"currency": "EUR", "billed_cost": Decimal(8)}, {"currency": "USD", "billed_cost": 0}]


# What may be repeated.


def test_a_repeated_insert_adds_nothing_to_table_or_rollups_in_any_month(store: ClickHouseStore) -> None:
    value = charges(charge(1), charge(2, time=NOON - timedelta(days=40)))
    for _ in range(3):
        put(store, CHARGES, value, batch="same")
    put(store, CHARGES, charges(charge(3)), batch="other")
    for table in ("charges", "spend_by_minute", "spend_by_hour"):
        rows = store.query("SELECT sum(effective_cost_usd) AS usd FROM {table:Identifier}", {"table": table})
        assert rows == [{"usd": Decimal("0.75")}]


@pytest.fixture(params=["memory", "engine"])
def any_store(request: pytest.FixtureRequest, store: ClickHouseStore) -> Any:
    """The stand-in obeys what the engine does."""
    return MemoryStore() if request.param == "memory" else store


KEYS = [bytes([n]) * 16 for n in range(8)]


def test_the_first_claim_owns_whoever_asks_and_when(any_store: Store) -> None:
    first, second, third = intent(900), intent(3), intent(2**64 - 1)
    assert any_store.claim(first, KEYS[:4]) == frozenset()
    assert any_store.claim(second, KEYS[2:6]) == frozenset(KEYS[2:4])
    assert any_store.claim(third, KEYS) == frozenset(KEYS[:6])
    for _ in range(2):
        assert any_store.claim(first, KEYS[:4]) == frozenset()
        assert any_store.claim(second, KEYS[2:6]) == frozenset(KEYS[2:4])


def test_intents_are_open_until_closed_however_often_they_are_saved(any_store: Store) -> None:
    one, two, elsewhere = intent(1), intent(2, 0, 1), intent(3, 1)
    for each in (one, one, two, elsewhere):
        any_store.save_intent(each)
    assert sorted(any_store.open_intents("spend.charges", [0]), key=lambda i: i.batch) == [one, two]
    any_store.close_intent(one)
    any_store.save_intent(one)
    assert any_store.open_intents("spend.charges", [0]) == [two]
    assert sorted(any_store.open_intents("spend.charges", [1]), key=lambda i: i.batch) == [two, elsewhere]
    assert sorted(any_store.open_intents("spend.charges", [0, 1]), key=lambda i: i.batch) == [two, elsewhere]
    any_store.close_intent(two)
    assert any_store.open_intents("spend.charges", [0]) == []
    assert any_store.open_intents("spend.charges", [1]) == [elsewhere]


def test_claims_that_are_gone_are_an_error_not_a_second_count(store: ClickHouseStore) -> None:
    store.claim(intent(1), KEYS)
    store.command("DELETE FROM seen WHERE batch = 1")
    with pytest.raises(StoreRefused, match="gone"):
        store.claim(intent(1), KEYS)


def test_an_old_claim_is_found_again(store: ClickHouseStore) -> None:
    store.command("ALTER TABLE seen MODIFY COLUMN claimed_at DEFAULT now() - toIntervalDay(30)")
    for _ in range(2):
        assert store.claim(intent(1), KEYS) == frozenset()
    assert store.claim(intent(2), KEYS) == frozenset(KEYS)


def test_claims_of_a_batch_in_two_blocks_are_found(store: ClickHouseStore) -> None:
    """A batch that was cut off is repeated after so many others that ClickHouse no longer knows its first insert."""
    store.claim(intent(7), KEYS[:2])
    for batch, keys in ((1, KEYS[:3]), (2, KEYS)):
        assert store.claim(intent(batch), keys) == frozenset(KEYS[:2] if batch == 1 else KEYS[:3])
    again = pa.table({"key": pa.array(KEYS[:3], pa.binary(16)), "batch": pa.array([1] * 3, pa.uint64())})
    store.insert("seen", again, "a token that was forgotten")
    assert store.claim(intent(1), KEYS[:3]) == frozenset(KEYS[:2])
    assert store.claim(intent(2), KEYS) == frozenset(KEYS[:3])


def test_claims_keep_their_order_through_merges(store: ClickHouseStore) -> None:
    for batch in (7, 3, 5):
        store.claim(intent(batch), KEYS)
    store.command("OPTIMIZE TABLE seen FINAL")
    assert store.query("SELECT uniqExact(_block_number) AS n FROM seen") == [{"n": 3}]
    assert store.claim(intent(7), KEYS) == frozenset()
    assert store.claim(intent(3), KEYS) == frozenset(KEYS)


def test_of_claims_at_the_same_time_each_key_goes_to_one(store: ClickHouseStore) -> None:
    keys = [n.to_bytes(16, "big") for n in range(500)]
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda batch: store.claim(intent(batch), keys), range(1, 9)))
    owners = {key: [batch for batch, lost in enumerate(taken, 1) if key not in lost] for key in keys}
    assert {len(batches) for batches in owners.values()} == {1}


# Errors and settings.


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"url": "ftp://host"}, "must begin with"),
        ({"url": "chdb://relative"}, "absolute path"),
        ({"url": "http://"}, "names no host"),
        ({"url": "https://me:hunter2@host"}, "password_file"),
    ],
)
def test_a_wrong_url_is_named_without_its_secret(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(SettingsError, match=fault) as caught:
        connect(ClickHouse(**changes))
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_away_is_told_from_one_that_refuses(clickhouse: ClickHouse, tmp_path: Path) -> None:
    away = connect(ClickHouse(url="http://127.0.0.1:1", password=SecretStr("hunter2"), timeout_seconds=0.5))
    with pytest.raises(StoreAway) as caught:
        away.ping()
    assert "hunter2" not in str(caught.value)
    with connect(clickhouse) as before, pytest.raises(StoreRefused, match="run spendstream init"):
        before.query("SELECT 1")
    with pytest.raises(SettingsError, match=r"clickhouse\.password_file"):
        connect(ClickHouse(url="http://127.0.0.1:1", password_file=tmp_path / "none"))


@pytest.mark.parametrize(
    ("table", "block"),
    [("charges", {"source": ["canary"]}), ("nowhere", {"a": ["canary"]}), ("land_intents", {"partition": ["canary"]}),
     ("charges", {"time": ["canary"]})],
)  # fmt: skip
def test_errors_hold_nothing_of_the_data(store: ClickHouseStore, table: str, block: dict[str, list[str]]) -> None:
    block = {**block, "canary": ["canary"]}
    with pytest.raises(StoreRefused) as caught:
        store.insert(table, block, "t")
    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert caught.value.operation == "insert"
