"""Words, charts, and what is kept while ClickHouse is away; without a browser."""

from __future__ import annotations

import asyncio
import re
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from streams.console import queries, words
from streams.console.charts import Sample, draw, sparkline
from streams.console.latest import SLOW, Latest
from streams.console.render import STATIC, render
from streams.console.views import Inbox
from streams.io.clickhouse import StoreAway, StoreRefused

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("amount", "said"),
    [(Decimal("1234.5"), "$1,234"), (Decimal("-0.42"), "-$0.42"), (0.0, "$0"), (Decimal("0E-18"), "$0"),
     (84.0, "$84.00"),     (0.00421, "$0.0042"), (None, words.UNKNOWN), (1e-300, "$0")],
)  # fmt: skip
def test_money_is_said_with_sensible_digits(amount: Decimal | float | None, said: str) -> None:
    assert words.money(amount) == said


@pytest.mark.parametrize(
    ("now", "usual", "said"),
    [(622, 84.0, "7.4 times"), (118, 100.0, "+18%"), (50, 100.0, "-50%"), (100.1, 100.0, "as usual"), (5, None, ""),
     (5, 0.0, "")],
)  # fmt: skip
def test_now_is_compared_with_usual(now: float, usual: float | None, said: str) -> None:
    assert words.against(now, usual) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59, "59 s"), (61, "1 min"), (3_600, "1 h"), (12_000, "3 h 20 min"), (90_000, "1 d 1 h")],
)
def test_spans_have_two_units_at_most(seconds: float, said: str) -> None:
    assert words.span(seconds) == said


def test_a_chart_stands_in_its_box_and_breaks_where_nothing_is_known() -> None:
    values = [1.0, None, 3.0, 0.0]
    chart = draw([Sample(NOW + MINUTE * at, usd, (0.5, 1.5)) for at, usd in enumerate(values)], MINUTE, expected=1.0)
    assert chart is not None
    assert len(chart.lines) == 2
    numbers = [float(n) for line in (*chart.lines, *chart.area, *chart.bands) for n in re.findall(r"-?[\d.]+", line)]
    assert all(0 <= n <= 1000 for n in numbers)
    assert [usd for _, _, _, usd in chart.points] == [1.0, 3.0, 0.0]
    assert chart.points[-1][1] == 100.0  # zero is at the foot
    assert chart.top >= 3.0


def test_a_chart_of_nothing_is_none_and_one_of_zeros_is_drawn() -> None:
    assert draw([Sample(NOW, None)], MINUTE) is None
    assert draw([Sample(NOW, 0.0), Sample(NOW + MINUTE, 0.0)], MINUTE) is not None
    assert sparkline([0.0, 0.0]) == "0.0,19.0 100.0,19.0"


def test_what_was_read_stays_with_its_time_while_the_store_is_away() -> None:
    faults: list[Exception | None] = [None, StoreAway("query", "NETWORK_ERROR"), StoreRefused("query", "x: y"), None]
    clock = iter(NOW + MINUTE * n for n in range(4))

    def read(now: datetime) -> datetime:
        if (fault := faults.pop(0)) is not None:
            raise fault
        return now

    async def run() -> list[tuple[datetime | None, datetime | None, str]]:
        latest = Latest(lambda: next(clock))
        seen = [await latest.get("key", read, 0.0) for _ in range(4)]
        return [(one.value, one.at, one.problem) for one in seen]

    assert asyncio.run(run()) == [
        (NOW, NOW, ""),
        (NOW, NOW, "ClickHouse does not answer (NETWORK_ERROR)"),
        (NOW, NOW, "ClickHouse: x: y"),
        (NOW + 3 * MINUTE, NOW + 3 * MINUTE, ""),
    ]


def test_a_store_that_hangs_holds_no_page_up_and_is_asked_once() -> None:
    calls, go_on = [], threading.Event()

    def read(now: datetime) -> str:
        calls.append(now)
        go_on.wait(10)
        return "done"

    async def run() -> None:
        latest = Latest(lambda: NOW, patience_seconds=0.01)
        seen = await asyncio.gather(*(latest.get("key", read, 60.0) for _ in range(5)))
        assert {(one.value, one.problem) for one in seen} == {(None, SLOW)}
        go_on.set()
        await latest.stop()
        assert (await latest.get("key", read, 60.0)).value == "done"

    asyncio.run(run())
    assert len(calls) == 1


def test_what_comes_from_outside_is_text_on_the_page() -> None:
    name = "<script>alert(1)</script>"
    text = dict.fromkeys(("alert_id", "title", "state_by"), name)
    row = {**text, "severity": "critical", "state": "firing", "kind": "spike", "status": "firing",
           "excess_usd": Decimal(1), "projected_usd_24h": Decimal(1), "snoozed_until": None,
           "detected_at": NOW}  # fmt: skip
    inbox = Inbox("open", [row], {"firing": 1}, NOW)
    html = render("inbox_list.html", inbox=inbox, tabs={"open": "Open"}, tab="open")
    assert name not in html
    assert "&lt;script&gt;" in html


def test_nothing_is_fetched_from_elsewhere_and_no_style_stands_in_a_page() -> None:
    pages = [*(STATIC.parent / "templates").iterdir(), *STATIC.iterdir()]
    texts = {path.name: path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "") for path in pages}
    assert [name for name, text in texts.items() if re.search(r"https?://|@import|url\(", text)] == []
    assert [name for name, text in texts.items() if re.search(r"\sstyle=|\son\w+=\"|<style", text)] == []


def test_every_query_is_asked_by_somebody() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in queries.FOLDER.parent.glob("*.py"))
    assert [path.stem for path in queries.FOLDER.glob("*.sql") if f'"{path.stem}"' not in code] == []
