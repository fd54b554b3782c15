"""Every panel asks what exists and gets the right answer: SQL on a replayed history, by hand-made sums."""

from __future__ import annotations

import runpy
import statistics
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.records import PriceStatus
from streams.io.clickhouse import ClickHouseStore, connect
from streams.settings import ClickHouse
from tests.support.grafana import DASHBOARDS, GRAFANA, SQL_FILES, Chosen, expand, targets
from tests.support.history import END, INCIDENT, History, replayed_into

DAY = timedelta(days=1)
LAST_DAY = Chosen(END - DAY, END, interval_seconds=600)
NAMES = [f"{path.parent.name}/{path.stem}" for path in SQL_FILES]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def filled(engine: str) -> Iterator[tuple[ClickHouseStore, History]]:
    """A store of the module's own with the history in it."""
    config = ClickHouse(url=engine, database="dashboards")
    with connect(config) as store:
        store.migrate()
        yield store, replayed_into(store)
        store.command("DROP DATABASE dashboards")


def ask(filled: tuple[ClickHouseStore, History], name: str, chosen: Chosen = LAST_DAY) -> Rows:
    return filled[0].query(expand((GRAFANA / "sql" / f"{name}.sql").read_text(encoding="utf-8"), chosen))


def test_the_dashboards_are_what_the_page_and_the_sql_make() -> None:
    made = runpy.run_path(str(GRAFANA / "build.py"))
    assert made["all_dashboards"]() == DASHBOARDS, "run: python dashboards/grafana/build.py"
    assert list(DASHBOARDS) == sorted(
        ["live-spend", "alerts-and-remediation", "unit-economics", "allocation-and-data-quality", "pipeline"]
    )


def test_every_query_has_a_panel_or_a_variable() -> None:
    asked = {target["rawSql"] for _, _, target in targets() if "rawSql" in target}
    asked |= {v["query"] for board in DASHBOARDS.values() for v in board["templating"]["list"] if v["type"] == "query"}
    assert [p.stem for p in SQL_FILES if p.read_text(encoding="utf-8").strip() not in asked] == []


def test_panels_ask_data_sources_that_are_provisioned() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/datasources.yml").read_text(encoding="utf-8"))
    provisioned = {(source["type"], source["uid"]) for source in sources["datasources"]}
    assert {(t["datasource"]["type"], t["datasource"]["uid"]) for _, _, t in targets()} == provisioned


def test_panels_have_places_of_their_own_and_ids() -> None:
    for name, board in DASHBOARDS.items():
        places = [panel["gridPos"] for panel in board["panels"]]
        cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
        assert len(cells) == len(set(cells)), name
        assert all(p["x"] + p["w"] <= 24 for p in places), name
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]), name
        assert board["uid"] == name


@pytest.mark.parametrize("name", NAMES)
def test_each_query_gives_rows_with_all_chosen_and_with_some(
    filled: tuple[ClickHouseStore, History], name: str
) -> None:
    assert ask(filled, name), "no row"
    some = Chosen(
        END - DAY, END, 600,
        {"team": ["search", "it's"], "project": ["search-main"], "environment": ["prod"], "provider": ["openai"],
         "model": ["gpt-4o"]},
        {"monthly_budget": "500"},
    )  # fmt: skip
    ask(filled, name, some)


def one(rows: Rows) -> float:
    """The number of a panel that shows one."""
    assert len(rows) == 1
    (value,) = rows[0].values()
    return float(value)


def tokens(history: History) -> list[Any]:
    return [
        c for c in history.fitting(DAY) if c.type.endswith("token_call.v1") and c.price_status == PriceStatus.PRICED
    ]


ANSWERS: dict[str, Callable[[History], float | None]] = {
    "live-spend/spend-now": lambda h: 12 * sum(
        float(c.effective_cost_usd) for c in h.fitting(timedelta(minutes=5)) if c.effective_cost_usd
    ),
    "live-spend/spend-in-the-time-chosen": lambda h: h.usd(since=DAY),
    "live-spend/month-to-date": lambda h: h.usd(),
    "alerts-and-remediation/alerts-in-hand": lambda _: 1,
    "alerts-and-remediation/alerts-that-fire": lambda _: 1,
    "alerts-and-remediation/excess-of-open-alerts": lambda h: float(
        sum(a.excess_usd for a in h.alerts if a.status == "firing")
    ),
    "alerts-and-remediation/mean-time-to-acknowledge": lambda h: statistics.fmean(
        [120, *((a.updated_at - a.detected_at).total_seconds() + 50 for a in h.alerts if a.status == "resolved")]
    ),
    "alerts-and-remediation/mean-time-to-detect": lambda h: sum(
        (a.detected_at - a.opened_at).total_seconds() + 10 for a in h.alerts
    ) / len(h.alerts),
    "alerts-and-remediation/dollars-avoided": lambda _: 9,
    "unit-economics/usd-per-request": lambda h: sum(float(c.effective_cost_usd) for c in tokens(h))
    / sum(c.requests for c in tokens(h)),
    "unit-economics/usd-per-million-tokens": lambda h: sum(float(c.effective_cost_usd) for c in tokens(h))
    / sum(c.input_tokens + c.output_tokens for c in tokens(h)) * 1e6,
    "unit-economics/usd-per-gpu-hour-used": lambda h: h.usd(since=DAY, cluster="train-a")
    / (sum(float(c.gpu_minutes or 0) for c in h.fitting(DAY, cluster="train-a")) * 0.6 / 60),
    "unit-economics/idle-waste": lambda h: h.usd(since=DAY, cluster="train-a") * 0.4,
    "unit-economics/saved-by-caching": lambda h: sum(
        c.cache_read_input_tokens * float(c.unit_prices["input_mtok"] - c.unit_prices["cache_read_mtok"]) / 1e6
        for c in tokens(h)
    ),
    "allocation-and-data-quality/share-with-an-owner": lambda h: 1 - h.usd(since=DAY, principal="key-nobody")
    / h.usd(since=DAY),
    "allocation-and-data-quality/spend-without-an-owner": lambda h: h.usd(since=DAY, principal="key-nobody"),
    "allocation-and-data-quality/at-risk-without-a-price": lambda h: float(
        next(c.estimated_cost or 0 for c in h.charges if c.price_status == PriceStatus.UNPRICED)
    ),
    "allocation-and-data-quality/charges-in-no-known-currency": lambda _: 0,
    "allocation-and-data-quality/dead-letters": lambda h: len(h.dead_letters),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_a_number_is_the_sum_made_by_hand(filled: tuple[ClickHouseStore, History], name: str) -> None:
    found, wanted = one(ask(filled, name)), ANSWERS[name](filled[1])
    assert wanted != 0 or name.endswith("currency")
    assert found == pytest.approx(wanted, rel=1e-9)


def test_usual_is_the_median_of_the_same_time_of_the_days_before(filled: tuple[ClickHouseStore, History]) -> None:
    history = filled[1]
    usual = [c for c in history.charges if c.time < END - INCIDENT and c.type != "spendstream.line_item.v1"]
    by_minute: dict[Any, float] = {}
    for charge in usual:
        minute = charge.time.replace(second=0)
        age = (END - minute) % DAY
        if END - minute > DAY / 2 and min(age, DAY - age) <= timedelta(minutes=30):
            by_minute[minute] = by_minute.get(minute, 0.0) + float(charge.effective_cost_usd or 0)
    middle = sorted(by_minute.values())
    half = len(middle) // 2
    median = middle[half] if len(middle) % 2 else (middle[half - 1] + middle[half]) / 2
    assert one(ask(filled, "live-spend/usual-at-this-time")) == pytest.approx(median * 60)


def test_the_incident_stands_out_of_what_is_usual(filled: tuple[ClickHouseStore, History]) -> None:
    chosen = Chosen(END - timedelta(hours=3), END, 300, {"team": ["search"]})
    rows = ask(filled, "live-spend/spend-an-hour-against-usual", chosen)
    calm, wrong = rows[2], rows[-3]
    assert calm["low"] <= calm["spent"] <= calm["high"]
    assert wrong["spent"] > 2 * wrong["high"]


def test_what_is_chosen_holds(filled: tuple[ClickHouseStore, History]) -> None:
    history, search = filled[1], {"team": ["search"]}
    chosen = Chosen(END - DAY, END, 600, search, {"monthly_budget": "250"})
    assert one(ask(filled, "live-spend/spend-in-the-time-chosen", chosen)) == pytest.approx(
        history.usd(since=DAY, team="search")
    )
    assert one(ask(filled, "live-spend/share-of-the-monthly-budget", chosen)) == pytest.approx(
        history.usd(team="search") / 250
    )
    assert {row["team"] for row in ask(filled, "live-spend/spend-by-owner", chosen)} == {"search"}
    hostile = Chosen(END - DAY, END, 600, {"team": ["' OR 1=1 --"]})
    assert one(ask(filled, "live-spend/spend-in-the-time-chosen", hostile)) == 0


def test_tables_hold_the_sums_of_their_rows(filled: tuple[ClickHouseStore, History]) -> None:
    history = filled[1]
    by_model = {row["model"]: row["usd"] for row in ask(filled, "live-spend/spend-by-model")}
    assert by_model["gpt-4o"] == pytest.approx(history.usd(since=DAY, model="gpt-4o"))
    owner = {row["team"]: row for row in ask(filled, "live-spend/spend-by-owner")}
    assert owner["support"]["usd"] == pytest.approx(history.usd(since=DAY, team="support"))
    assert owner["search"]["change"] > 0.2
    assert [row["usd"] for row in ask(filled, "live-spend/spend-by-service")] == [12.5]
    gpu = ask(filled, "unit-economics/gpus-paid-and-used")[0]
    assert (gpu["cluster"], gpu["utilization"]) == ("train-a", pytest.approx(0.6))
    assert ask(filled, "unit-economics/caching-by-model")[0]["cached_share"] == pytest.approx(0.4)
    nobody = ask(filled, "allocation-and-data-quality/who-spends-without-an-owner")[0]
    assert (nobody["who"], nobody["usd"]) == (
        "key-nobody",
        pytest.approx(history.usd(since=DAY, principal="key-nobody")),
    )
    unpriced = ask(filled, "allocation-and-data-quality/usage-without-a-price")
    assert [(row["model"], row["unpriced_events"]) for row in unpriced] == [("nobody-knows-1", 1)]
    assert [row["state"] for row in ask(filled, "alerts-and-remediation/remedies")] == ["measured"]


def test_a_misspelt_macro_would_be_seen(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="timeFiltre"):
        expand("SELECT 1 WHERE $__timeFiltre(minute)", LAST_DAY)
