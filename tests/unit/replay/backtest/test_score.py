"""Figures, held against sums done by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from replay.backtest.detect import Raised, Seen
from replay.backtest.figures import figures
from replay.backtest.labels import Label, Truth
from replay.backtest.score import judge, pooled

START = datetime(2026, 11, 1, tzinfo=UTC)
END = START + timedelta(days=14)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def alert(name: str, hours: float, meter: str = "token_call", **series: str) -> Raised:
    return Raised(name, "spike", series, meter, at(hours), Decimal(10), Decimal(1))


def label(
    name: str, hours: tuple[float, float], expect: str = "alert", usd: float | None = None, **series: str
) -> Label:
    return Label(name, "loop", series, at(hours[0]), at(hours[1]), expect, usd)  # type: ignore[arg-type]


TRUTH = Truth((
    label("caught", (100, 110), usd=50.0, team="a"),
    label("missed", (200, 210), usd=30.0, team="b"),
    label("growth", (120, 150), "silence", team="c"),
    label("untagged", (300, 310), "finding", team=""),
))  # fmt: skip
SEEN = Seen(
    (
        alert("early", 1, team="a"),  # within the warm-up: not counted
        alert("hit", 101, team="a", model="m"),
        alert("again", 104, team="a"),
        alert("late", 110.6, team="a"),  # over half an hour after its end
        alert("quiet", 130, team="c"),
        alert("false", 205, team="z"),
    ),
    (alert("found", 301, principal="k"),),
)


def test_every_figure() -> None:
    found = figures(judge(SEEN, TRUTH, at(24), END))
    assert (found.incidents, found.caught, found.recall) == (2, 1, 0.5)
    assert (found.alerts, found.false_alerts, found.alerts_on_quiet) == (5, 2, 1)
    assert found.precision == 0.4  # hit and again, of five
    assert found.weeks == round(13 / 7, 4)
    assert found.alerts_per_week == round(5 / (13 / 7), 2)
    assert found.median_seconds_to_detect == found.worst_seconds_to_detect == 3600
    assert found.usd_before_detection == 35.0  # 50 x 1 h of 10 h, and the missed 30
    assert found.usd_at_stake == 80.0
    assert (found.recorded, found.kept_quiet) == ("1/1", "0/1")
    assert found.excess_usd_paged == "50"
    assert found.first_usd_paged == "5"
    assert {name: one["met"] for name, one in found.per_kind.items()} == {
        "loop (alert)": 1, "loop (finding)": 1, "loop (silence)": 0,
    }  # fmt: skip
    assert found.per_series["team=a"] == {"alerts": 2, "false_alerts": 1, "excess_usd": "20"}


def test_a_bills_alert_may_come_a_day_late_and_a_metrics_not_at_all() -> None:
    truth = Truth((label("one", (100, 110), team="a"),))
    for meter, hours, hit in (("line_item", 133.9, 1), ("line_item", 134.1, 0), ("metric", 110.1, 0)):
        assert figures(judge(Seen((alert("x", hours, meter, team="a"),), ()), truth, START, END)).caught == hit


def test_the_dollars_of_an_incident_of_unknown_cost_are_those_its_alert_knew() -> None:
    truth = Truth((label("one", (100, 110), team="a"),))
    found = figures(judge(Seen((alert("x", 101, team="a"),), ()), truth, START, END))
    assert (found.usd_at_stake, found.usd_before_detection, found.usd_before_share) == (None, 1.0, None)


def test_a_metric_has_no_dollars() -> None:
    truth = Truth((label("one", (100, 110)),))
    found = figures(judge(Seen((alert("x", 101, "metric"),), ()), truth, START, END))
    assert (found.caught, found.usd_before_detection) == (1, None)


def test_without_labels_nothing_is_right_or_wrong() -> None:
    found = figures(judge(SEEN, None, START, END))
    assert (found.recall, found.precision, found.false_alerts) == (None, None, 0)
    assert found.alerts == 6


def test_time_held_out_takes_what_began_and_came_then() -> None:
    whole = judge(SEEN, TRUTH, at(24), END)
    tuned, held = (figures(part) for part in whole.split(at(150), at(24), END))
    assert (tuned.incidents, tuned.caught, tuned.alerts) == (1, 1, 4)
    assert (held.incidents, held.caught, held.alerts) == (1, 0, 1)
    assert abs(tuned.weeks + held.weeks - figures(whole).weeks) < 0.001


def test_histories_add_up() -> None:
    one = judge(SEEN, TRUTH, at(24), END)
    both = figures(pooled([one, one]))
    assert (both.incidents, both.alerts, both.alerts_per_week) == (4, 10, figures(one).alerts_per_week)
