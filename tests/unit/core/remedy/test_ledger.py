"""The ledger of remedies: who may start them, in which order, what a crash and an undo leave, what they were worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from schemas.oncall import AlertAction, RemedyChange, RemedyState
from schemas.watch import Alert, FindingKind
from streams.core.remedy.effect import effect
from streams.core.remedy.ledger import Ledger, Result
from streams.core.remedy.policies import Policy, remedy_id
from tests.support.findings import at
from tests.support.oncall import action, alert

BLOCK = remedy_id(alert().alert_id, "block")
S = RemedyState


def policy(**more: Any) -> Policy:
    body: dict[str, Any] = {"name": "block", "action": "litellm_block_key", "target": "{principal}", "mode": "approve",
                            "kinds": frozenset({FindingKind.SPIKE})}  # fmt: skip
    return Policy(**body | more)


def automatic(**more: Any) -> Policy:
    return policy(mode="automatic", automatic_environments=frozenset({"staging"}), **more)


def ledger(*policies: Policy) -> Ledger:
    return Ledger(policies or (policy(),), timedelta(hours=1))


def staging(key: str = "k1", per_hour: int = 12, environment: str = "staging") -> Alert:
    series = {"principal": key, "environment": environment}
    return alert(key).model_copy(update={"series": series, "observed_usd_per_hour": Decimal(per_hour)})


def ask(what: str, minutes: float = 5.0, **more: Any) -> AlertAction:
    return action(what, minutes, remedy_id=BLOCK, **more)


def states(changes: Sequence[RemedyChange]) -> list[RemedyState]:
    return [change.state for change in changes]


def carried_out(book: Ledger, minutes: float, problem: str = "") -> list[RemedyChange]:
    (order,) = book.orders()
    found = {"blocked": "false"} if order.step == "look" else {}
    return book.result(Result(order.key, {} if problem else found, problem), at(minutes))


def done() -> Ledger:
    book = ledger()
    book.propose(alert(), at(1))
    book.act(ask("approve_remedy"), is_open=True)
    carried_out(book, 6)
    carried_out(book, 7)
    return book


@pytest.mark.parametrize(("mode", "state"), [("off", []), ("dry_run", [S.DRY_RUN]), ("approve", [S.PROPOSED])])
def test_nothing_runs_by_itself_unless_it_was_said_so(mode: Any, state: list[RemedyState]) -> None:
    book = ledger(policy(mode=mode))
    assert states(book.propose(alert(), at(1))) == state
    assert book.propose(alert(), at(2)) == [], "once for each alert"
    assert book.orders() == []


@pytest.mark.parametrize(
    ("found", "state", "note"),
    [
        (staging(), S.APPROVED, "block key k1"),
        (staging(environment="prod"), S.HELD, "environment prod is not one where it runs by itself"),
        (staging(environment=""), S.HELD, "environment (none) is not one"),
        (staging(per_hour=51), S.HELD, "$51.00/h is above $50.00/h"),
    ],
)
def test_what_is_automatic_stays_within_its_limits(found: Alert, state: RemedyState, note: str) -> None:
    (change,) = ledger(automatic()).propose(found, at(1))
    assert change.state is state
    assert note in change.note


def test_what_is_automatic_runs_so_often_in_an_hour_and_no_more() -> None:
    book = ledger(automatic(max_per_hour=2))
    got = [book.propose(staging(f"k{n}"), at(minute))[0] for n, minute in enumerate([0, 10, 20, 59.9, 60.1, 60.2])]
    assert states(got) == [S.APPROVED, S.APPROVED, S.HELD, S.HELD, S.APPROVED, S.HELD]
    assert "it ran 2 times within the hour, and may 2" in got[2].note


def test_a_policy_says_nothing_where_its_target_is_not_known_or_it_does_not_fit() -> None:
    assert ledger(policy(target="{cluster}")).propose(alert(), at(1)) == []
    assert ledger(policy(kinds=frozenset({FindingKind.IDLE}))).propose(alert(), at(1)) == []
    assert ledger(policy(causes=frozenset({"mix"}))).propose(alert(), at(1)) == []
    assert ledger(policy(teams=frozenset({"search"}))).propose(alert(), at(1)) == []
    assert ledger(policy(environments=frozenset({"prod"}))).propose(staging(), at(1)) == []


def test_what_it_was_is_written_down_before_it_is_changed() -> None:
    book = ledger()
    book.propose(alert(), at(1))
    assert book.offers(alert().alert_id) == ((BLOCK, "block key k1"),)
    (approved,) = book.act(ask("approve_remedy"), is_open=True)
    assert (approved.state, approved.who, approved.via) == (S.APPROVED, "ann", "cli")
    assert [order.step for order in book.orders()] == ["look"]
    (started,) = carried_out(book, 6)
    assert (started.state, started.undo) == (S.STARTED, {"blocked": "false"})
    assert [order.step for order in book.orders()] == ["do"]
    (finished,) = carried_out(book, 7)
    assert (finished.state, finished.rate_before_usd_per_hour) == (S.DONE, Decimal(12))
    assert (book.orders(), book.offers(alert().alert_id)) == ([], ())


def test_a_restart_repeats_what_was_begun_and_forgets_no_limit() -> None:
    book = ledger(automatic())
    book.propose(staging(), at(1))
    for step in ("look", "do"):
        book = ledger(automatic()).restore(json.loads(json.dumps(book.snapshot())))
        assert [order.step for order in book.orders()] == [step]
        carried_out(book, 2)
    assert states(book.propose(staging("k2"), at(3))) == [S.HELD]


def test_a_result_that_comes_twice_counts_once() -> None:
    book = ledger()
    book.propose(alert(), at(1))
    book.act(ask("approve_remedy"), is_open=True)
    (order,) = book.orders()
    result = Result(order.key, {"blocked": "false"})
    assert len(book.result(result, at(6))) == 1
    assert book.result(result, at(6)) == []
    assert book.result(Result("nonsense"), at(6)) == []


def test_what_failed_can_be_tried_again_and_undone() -> None:
    book = ledger()
    book.propose(alert(), at(1))
    book.act(ask("approve_remedy"), is_open=True)
    carried_out(book, 6)
    (failed,) = carried_out(book, 7, "LiteLLM answered 500; tried 5 times")
    assert (failed.state, failed.note) == (S.FAILED, "LiteLLM answered 500; tried 5 times")
    assert states(book.act(ask("approve_remedy", 8), is_open=True)) == [S.STARTED], "what it was is known already"
    carried_out(book, 9, "again")
    assert states(book.act(ask("undo_remedy", 10), is_open=True)) == [S.UNDOING]
    assert states(carried_out(book, 11)) == [S.UNDONE]


def test_what_could_not_even_be_looked_at_has_no_undo() -> None:
    book = ledger()
    book.propose(alert(), at(1))
    book.act(ask("approve_remedy"), is_open=True)
    carried_out(book, 6, "LiteLLM answered 404")
    (refused,) = book.act(ask("undo_remedy", 8), is_open=True)
    assert (refused.state, refused.note) == (S.REFUSED, "it is failed: there is nothing to undo")


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    book = done()
    (refused,) = book.act(ask("approve_remedy", 8), is_open=True)
    assert (refused.state, refused.note) == (S.REFUSED, "it is done already")
    assert book.act(ask("approve_remedy", 8), is_open=True) == [], "the same action again"
    assert states(book.act(ask("undo_remedy", 9), is_open=True))[-1] is S.UNDOING
    other = ledger()
    other.propose(alert(), at(1))
    assert other.act(ask("approve_remedy"), is_open=False)[0].note == "the alert is over"
    assert other.act(ask("undo_remedy"), is_open=True)[0].state is S.REFUSED
    assert ledger().act(ask("approve_remedy"), is_open=True)[0].note.startswith("there is no such remedy")


def test_an_undo_that_fails_can_be_tried_again() -> None:
    book = done()
    book.act(ask("undo_remedy", 8), is_open=False)
    assert states(carried_out(book, 9, "LiteLLM answered 503")) == [S.UNDO_FAILED]
    assert states(book.act(ask("undo_remedy", 10), is_open=False)) == [S.UNDOING]


def test_dollars_avoided_are_those_of_the_window_alone() -> None:
    book = done()  # at minute 7, with $10 too much so far at $12/h against $2/h
    book.heard(alert(resolved=True, revision=5).model_copy(update={"excess_usd": Decimal("11.5")}))
    assert book.tick(at(66)) == []
    (measured,) = book.tick(at(67))
    assert measured.state is S.MEASURED
    assert measured.avoided_usd == Decimal(10) - Decimal("1.5")
    assert measured.rate_after_usd_per_hour == Decimal(2) + Decimal("1.5")
    assert book.tick(at(600)) == []


def test_an_undo_ends_the_window() -> None:
    book = done()
    measured, undoing = book.act(ask("undo_remedy", 37), is_open=True)
    assert (measured.avoided_usd, undoing.state) == (Decimal(5), S.UNDOING)
    assert book.tick(at(600)) == []


def test_a_remedy_that_did_nothing_avoided_nothing() -> None:
    found = effect(
        observed=Decimal(12), expected=Decimal(2), excess_then=Decimal(10), excess_now=Decimal(40), begun=at(0),
        ended=at(120),
    )  # fmt: skip
    assert found is not None
    assert (found.avoided, found.rate_after) == (Decimal(-10), Decimal(17))
    assert effect(observed=Decimal(1), expected=Decimal(1), excess_then=Decimal(0), excess_now=Decimal(0),
                  begun=at(1), ended=at(1)) is None  # fmt: skip


def test_every_change_is_numbered_without_a_gap() -> None:
    book, changes = ledger(), []
    changes += book.propose(alert(), at(1))
    changes += book.act(ask("approve_remedy"), is_open=False)
    changes += book.act(ask("approve_remedy", 6), is_open=True)
    changes += carried_out(book, 7)
    changes += carried_out(book, 8)
    changes += book.act(ask("undo_remedy", 9), is_open=True)
    changes += carried_out(book, 10)
    assert [change.number for change in changes] == list(range(1, len(changes) + 1))
    assert {change.remedy_id for change in changes} == {BLOCK}
