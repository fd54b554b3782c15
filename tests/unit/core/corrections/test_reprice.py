"""An event made again from its charges is charged the same; what moves has a reason."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from schemas.records import Charge, Position
from streams.core.corrections.reprice import ADDITIVE, Moves, Repricer, Standing, read_correction, rebuild
from tests.support.examples import valid
from tests.support.pricing import NOON
from tests.support.spending import Books, charges_of, history


def by_event(charges: list[Charge]) -> list[tuple[Charge, ...]]:
    return [tuple(parts) for _, parts in groupby(charges, key=lambda charge: (charge.source, charge.id))]


def test_a_rebuilt_event_is_charged_the_same_in_every_field(tmp_path: Path) -> None:
    charger = Books().charger(tmp_path)
    charges = charges_of(charger, history(copies=1))
    for example in valid():
        charges += charger.charge(example.record()).charges
    events = by_event(charges)
    assert len(events) > 25
    assert any(len(parts) > 1 for parts in events)
    for parts in events:
        again = charger.charge_event(rebuild(parts), parts[0].received_at)
        assert tuple(again) == parts


def test_a_correction_holds_the_old_with_its_sign_turned_and_the_new(tmp_path: Path) -> None:
    old = charges_of(Books().charger(tmp_path / "old"), history(copies=1)[1:2])
    repricer = Repricer(Books(llama="0.35").charger(tmp_path / "new"), "run-1")
    correction = repricer.correct(Standing(tuple(old), 4, Position("usage.token-calls", 3, 99)))
    assert correction is not None
    content = read_correction(correction.model_dump_json(exclude_defaults=True).encode())
    taken, added = (dict(zip(Charge.model_fields, row, strict=False)) for row in content.rows[0])
    assert [row[-6:] for row in content.rows[0]] == [
        ("usage.token-calls", 3, 99, -1, 5, "run-1"), ("usage.token-calls", 3, 99, 1, 5, "run-1"),
    ]  # fmt: skip
    assert taken["input_tokens"] == -1000
    assert taken["requests"] == -1
    cost = old[0].effective_cost
    assert cost is not None
    assert taken["effective_cost"] == -cost
    assert added["effective_cost"] > cost
    assert {k: v for k, v in taken.items() if k not in ADDITIVE} == {
        k: v for k, v in old[0].model_dump().items() if k not in ADDITIVE
    }


def test_a_new_version_of_the_cards_that_says_the_same_corrects_nothing(tmp_path: Path) -> None:
    old = charges_of(Books().charger(tmp_path / "old"), history(copies=1))
    other = Books(cards='[[token]]\nprovider="p"\nmodel="m"\nfrom=2026-01-01\nprices={input_mtok=1}\nsource="x"\n')
    repricer = Repricer(other.charger(tmp_path / "new"), "run-1")
    position = Position("t", 0, 0)
    assert [repricer.correct(Standing(parts, 0, position)) for parts in by_event(old)] == [None] * 14


@pytest.mark.parametrize(
    ("books", "which", "reason"),
    [
        (Books(llama="0.3"), 1, "price"),
        (Books(euro="1.2"), 12, "exchange"),
        (Books(training='cluster = "x"'), 7, "owner"),
        (Books(gateway="search = 0.4, ads = 0.4, ops = 0.2"), 2, "owner"),
        (Books(llama="0.3", gateway="search = 1"), 2, "price+owner"),
    ],
)
def test_each_move_has_its_reason(tmp_path: Path, books: Books, which: int, reason: str) -> None:
    old = charges_of(Books().charger(tmp_path / "old"), history(copies=1)[which : which + 1])
    correction = Repricer(books.charger(tmp_path / "new"), "run-1").correct(
        Standing(tuple(old), 0, Position("t", 0, 0))
    )
    assert correction is not None
    moves = Moves()
    moves.add(correction)
    assert [move.reason for move in moves.by_move] == [reason]
    assert old[0].received_at == NOON == correction.after[0].received_at
