"""Re-pricing on the real engine: what is corrected equals a fresh landing, however often it is cut off."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Charge
from streams.core.corrections.reprice import Repricer
from streams.io.clickhouse import ClickHouseStore, StoreAway, connect
from streams.io.standing import pieces
from streams.settings import ClickHouse
from streams.stages.landing import Store
from streams.stages.repricing import Repriced, Repricing
from tests.support.clickhouse import FailingStore
from tests.support.pricing import NOON
from tests.support.spending import Books, charges_of, history, land

OLD = Books()
NEW = Books(
    llama="0.35",
    training='cluster = "nothing"',
    commitments="finops",
    gateway="search = 0.25, legal = 0.75",
    euro="1.20",
    cards="""
[[token]]
provider = "nobody"
model = "secret-1"
from = 2026-01-01
prices = { input_mtok = 1, output_mtok = 2 }
source = "found the contract"
""",
)
START, END = datetime(2026, 10, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)
RUNS = count(1)
SMALL = 11  # rows of a piece: many pieces, also within an hour


@pytest.fixture
def books(tmp_path: Path) -> Callable[[Books], Any]:
    """A charger of given books."""
    folders = count()
    return lambda chosen: chosen.charger(tmp_path / f"books-{next(folders)}")


def run(
    store: ClickHouseStore, charger: Any, *, landing: Store | None = None, dry: bool = False, rows: int = SMALL
) -> Repriced:
    """One run over everything; `landing` stands in for the store where it lands."""
    name = f"run-{next(RUNS)}"
    repricing = Repricing(landing or store, store, Repricer(charger, name), name, lambda: NOON)
    if not dry:
        repricing.resume()
    for piece in pieces(store, START, END, rows):
        repricing.reprice(piece, land=not dry)
    return repricing.done


def standing_rows(store: ClickHouseStore) -> list[dict[str, Any]]:
    names = ", ".join(name for name in Charge.model_fields if name != "price_version")
    return store.query(f"SELECT {names} FROM charges_current ORDER BY source, id, part")  # noqa: S608  our own names


SUMS = (
    "SELECT {by} AS by, sum(effective_cost_usd) AS usd, sum(estimated_cost) AS at_risk, sum(events) AS events, "
    "sum(charges) AS charges, sum(requests) AS requests, sum(input_tokens) AS tokens, sum(gpu_minutes) AS minutes, "
    "sum(unconverted) AS unconverted FROM {table} GROUP BY by HAVING charges != 0 ORDER BY by"
)
BY = {
    "spend_by_minute": "(minute, meter, provider, service, model, team, price_status, allocated)",
    "spend_by_hour": "(hour, meter, model, team, cost_center, principal, allocation, price_status, currency)",
}


def picture(store: ClickHouseStore) -> dict[str, Any]:
    """All that anybody sees: rows as they stand, both rollups, plain sums over the table."""
    found: dict[str, Any] = {"rows": standing_rows(store)}
    for table, by in BY.items():
        found[table] = store.query(SUMS.format(by=by, table=table))
    found["table"] = store.query(
        "SELECT currency, team, sum(list_cost) AS list, sum(billed_cost) AS billed, sum(effective_cost) AS effective, "
        "sum(requests) AS requests, mapFilter((k, v) -> v != 0, sumMap(charges.counts)) AS counts, "
        "sum(quantity) AS quantity, sum(sign) AS n "
        "FROM charges GROUP BY currency, team HAVING n != 0 ORDER BY currency, team"
    )
    return found


@pytest.fixture(scope="module")
def fresh(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Books], dict[str, Any]]:
    """What the tables show when the history is landed anew under given books."""

    @cache
    def show(chosen: Books) -> dict[str, Any]:
        config = ClickHouse(url=engine, database=f"test_{uuid.uuid4().hex}")
        with connect(config) as other:
            other.migrate()
            land(other, charges_of(chosen.charger(tmp_path_factory.mktemp("books")), history()))
            found = picture(other)
            other.command("DROP DATABASE {name:Identifier}", {"name": config.database})
        return found

    return show


def test_where_nothing_was_mended_nothing_moves(store: ClickHouseStore, books: Callable[[Books], Any]) -> None:
    land(store, charges_of(books(OLD), history()))
    done = run(store, books(OLD))
    assert (done.events, done.corrected, done.moves.by_move) == (42, 0, {})
    assert store.query("SELECT count() AS n FROM charges WHERE revision > 0") == [{"n": 0}]


def test_a_dry_run_says_the_same_and_lands_nothing(store: ClickHouseStore, books: Callable[[Books], Any]) -> None:
    land(store, charges_of(books(OLD), history()))
    before = picture(store)
    dry = run(store, books(NEW), dry=True)
    assert picture(store) == before
    wet = run(store, books(NEW))
    assert dry.moves == wet.moves
    assert (dry.events, dry.corrected) == (wet.events, wet.corrected)


@pytest.mark.parametrize("rows", [5, 20_000])
def test_totals_are_as_if_it_had_always_been_so(
    store: ClickHouseStore, books: Callable[[Books], Any], fresh: Callable[[Books], dict[str, Any]], rows: int
) -> None:
    land(store, charges_of(books(OLD), history()))
    assert run(store, books(NEW), rows=rows).corrected > 10
    assert picture(store) == fresh(NEW)
    again = run(store, books(NEW), rows=rows)
    assert again.corrected == 0
    assert picture(store) == fresh(NEW)


def test_there_and_back_again(
    store: ClickHouseStore, books: Callable[[Books], Any], fresh: Callable[[Books], dict[str, Any]]
) -> None:
    land(store, charges_of(books(OLD), history()))
    for chosen in (NEW, OLD, NEW, OLD):
        run(store, books(chosen), rows=20_000)
    assert picture(store) == fresh(OLD)
    assert store.query("SELECT max(revision) AS n FROM charges") == [{"n": 4}]


@pytest.mark.parametrize("step", ["insert", "save_intent", "claim", "close_intent"])
@pytest.mark.parametrize("nth", [0, 3])
def test_killed_after_any_step_and_run_again_it_is_whole(
    store: ClickHouseStore,
    books: Callable[[Books], Any],
    fresh: Callable[[Books], dict[str, Any]],
    step: str,
    nth: int,
) -> None:
    land(store, charges_of(books(OLD), history()))
    calls = count()

    def kill(operation: str) -> None:
        if operation == step and next(calls) == nth:
            raise StoreAway(operation, "killed")

    with pytest.raises(StoreAway):
        run(store, books(NEW), landing=FailingStore(store, kill))
    run(store, books(NEW))
    assert picture(store) == fresh(NEW)
    assert store.open_intents("reprice", [0]) == []


def test_cut_off_then_mended_once_more_the_last_word_holds(
    store: ClickHouseStore, books: Callable[[Books], Any], fresh: Callable[[Books], dict[str, Any]]
) -> None:
    """The batch that was cut off is completed as it was meant, and then corrected."""
    land(store, charges_of(books(OLD), history()))

    def kill(operation: str) -> None:
        if operation == "claim":
            raise StoreAway(operation, "killed")

    with pytest.raises(StoreAway):
        run(store, books(NEW), landing=FailingStore(store, kill))
    third = Books(llama="0.9", gateway="legal = 1")
    run(store, books(third))
    assert picture(store) == fresh(third)


def test_an_id_that_landed_again_after_the_dedup_horizon_is_an_event_of_its_own(
    store: ClickHouseStore, books: Callable[[Books], Any]
) -> None:
    first, second = history(copies=2)[1], history(copies=2)[15]
    land(store, charges_of(books(OLD), [first]), "one")
    land(store, charges_of(books(OLD), [second.model_copy(update={"id": first.id})]), "two")
    done = run(store, books(NEW))
    assert (done.corrected, done.contended) == (2, 0)
    assert run(store, books(NEW)).corrected == 0
    assert len(standing_rows(store)) == 2


def test_of_two_runs_at_the_same_time_each_event_is_corrected_by_one(
    store: ClickHouseStore, books: Callable[[Books], Any], fresh: Callable[[Books], dict[str, Any]]
) -> None:
    land(store, charges_of(books(OLD), history()))
    others: list[Repriced] = []

    def meanwhile(operation: str) -> None:
        if operation == "insert" and not others:
            others.append(Repriced())
            others[0] = run(store, books(Books(llama="0.9")))

    first = run(store, books(NEW), landing=FailingStore(store, meanwhile), rows=20_000)
    assert first.contended == others[0].corrected > 0
    rows = store.query("SELECT source, id, part, count() AS n FROM charges_current GROUP BY source, id, part")
    assert {row["n"] for row in rows} == {1}
    last = run(store, books(NEW))
    assert last.contended == 0
    assert picture(store) == fresh(NEW)


def test_what_moves_is_said_by_hand(store: ClickHouseStore, books: Callable[[Books], Any]) -> None:
    """llama: 3 calls of 1,000 tokens, 0.15 USD more a million; and 3 of 1,000,003, now by other shares."""
    land(store, charges_of(books(OLD), history()))
    moves = {tuple(move): moved for move, moved in run(store, books(NEW)).moves.by_move.items()}
    alone = moves["USD", "", "", "llama-70b", "price"]
    assert (alone.events, alone.after - alone.before) == (3, 3 * 1000 * Decimal("0.15") / 1_000_000)
    shared = moves["USD", "ads + ops + search", "legal + search", "llama-70b", "price+owner"]
    assert shared.after - shared.before == 3 * 1_000_003 * Decimal("0.15") / 1_000_000
    freed = moves["USD", "research", "", "nvidia-h100-80gb", "owner"]
    assert freed.after == freed.before > 0
    found = moves["USD", "ads", "ads", "secret-1", "status"]
    assert (found.unknown_before, found.unknown_after, found.before) == (3, 0, Decimal(0))
    assert found.after == 3 * (1000 * 1 + 100 * 2) / Decimal(1_000_000)
    euros = moves["EUR", "", "", "Amazon Elastic Compute Cloud", "exchange"]
    assert (euros.before, euros.after) == (Decimal("19.5"), Decimal("19.5"))
    assert euros.usd_after - euros.usd_before == 3 * Decimal("6.5") * Decimal("0.10")
    unused = moves["USD", "platform", "finops", "Amazon Elastic Compute Cloud", "owner"]
    assert unused.before == unused.after == 9


def test_the_old_value_stays(store: ClickHouseStore, books: Callable[[Books], Any]) -> None:
    land(store, charges_of(books(OLD), history(copies=1)))
    run(store, books(NEW))
    row = store.query("SELECT * FROM repriced_events WHERE id = '0-2'")[0]
    assert (row["revision"], row["price_status_before"], row["price_status_after"]) == (1, "priced", "priced")
    assert row["effective_cost_before"] == (1_000_003 * Decimal("0.20") + 100 * Decimal("0.60")) / 1_000_000
    assert row["effective_cost_after"] == (1_000_003 * Decimal("0.35") + 100 * Decimal("0.60")) / 1_000_000
    assert (row["teams_before"], row["teams_after"]) == (["ads", "ops", "search"], ["legal", "search"])
    assert row["price_version_before"] != row["price_version_after"]
    unpriced = store.query("SELECT effective_cost_before AS b, effective_cost_after AS a FROM repriced_events "
                           "WHERE id = '0-3'")  # fmt: skip
    assert unpriced == [{"b": None, "a": Decimal("0.0012")}]


def test_mended_usage_is_no_longer_shown_as_unpriced(store: ClickHouseStore, books: Callable[[Books], Any]) -> None:
    land(store, charges_of(books(OLD), history()))
    assert "secret-1" in {row["model"] for row in store.query("SELECT model FROM unpriced_usage")}
    run(store, books(NEW))
    assert "secret-1" not in {row["model"] for row in store.query("SELECT model FROM unpriced_usage")}
