"""The set of identities answers as a set does, whatever it has put in order meanwhile."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.core.windows.identities import Identities, Keys

LARGEST = 2**64 - 1
KEYS = st.lists(st.one_of(st.integers(0, 30), st.integers(LARGEST - 3, LARGEST)), max_size=12)


def array(keys: list[int]) -> Keys:
    return np.array(keys, dtype=np.uint64)


@given(st.lists(KEYS, max_size=12))
def test_it_answers_as_a_set_does(batches: list[list[int]]) -> None:
    known: set[int] = set()
    mine = Identities()
    for keys in batches:
        assert mine.has(array(keys)).tolist() == [key in known for key in keys]
        new = []
        for key in keys:
            new.append(key not in known)
            known.add(key)
        assert mine.add(array(keys)).tolist() == new
        assert len(mine) == len(known)
    again = Identities.unpacked(mine.packed())
    assert again.packed() == mine.packed()
    assert again.has(array(sorted(known))).all()
    assert len(again) == len(known)


def test_it_takes_little_and_few_runs() -> None:
    mine, random = Identities(), np.random.default_rng(1)
    for _ in range(64):
        assert mine.add(random.integers(0, LARGEST, 10_000, dtype=np.uint64)).all()
    assert len(mine) == 640_000
    assert len(mine._runs) <= 4
    assert sum(run.nbytes for run in mine._runs) <= 8 * 640_000


@given(KEYS, KEYS)
def test_all_of_another_may_be_added(some: list[int], more: list[int]) -> None:
    mine, other = Identities(), Identities()
    mine.add(array(some))
    other.add(array(more))
    mine.update(other)
    assert len(mine) == len({*some, *more})
    assert mine.has(array([*some, *more])).all()
