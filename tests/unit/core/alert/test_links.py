"""One-click links: what they say can't be changed, and they are over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.oncall import ActionKind
from streams.core.alert.links import Link, LinkError, action_id, read, sign
from tests.support.findings import at

SIGNED_WITH = "a secret of more than twenty characters"
LINK = Link("al-1", ActionKind.SNOOZE, "chat", at(60), snooze_minutes=90)


def test_a_link_says_what_it_does() -> None:
    assert read(SIGNED_WITH, sign(SIGNED_WITH, LINK), at(59.9)) == LINK
    assert LINK.snooze == timedelta(minutes=90)


def test_a_link_is_over_at_its_time() -> None:
    with pytest.raises(LinkError, match="this link is over"):
        read(SIGNED_WITH, sign(SIGNED_WITH, LINK), at(60))


def test_another_secret_does_not_open_it() -> None:
    with pytest.raises(LinkError, match="not one of ours"):
        read("another secret of twenty characters", sign(SIGNED_WITH, LINK), at(1))


@given(st.integers(min_value=0), st.characters(codec="ascii"))
def test_no_character_of_it_can_be_changed(place: int, other: str) -> None:
    token = sign(SIGNED_WITH, LINK)
    place %= len(token)
    changed = token[:place] + other + token[place + 1 :]
    if changed != token:
        try:
            found = read(SIGNED_WITH, changed, at(1))
        except LinkError:
            return
        assert found == LINK, "base64 leaves some last bits open: they say nothing"


@given(st.text(max_size=60))
def test_anything_else_is_no_link(text: str) -> None:
    with pytest.raises(LinkError, match="not one of ours"):
        read(SIGNED_WITH, text, at(1))


def test_a_link_used_twice_is_one_action() -> None:
    token = sign(SIGNED_WITH, LINK)
    assert action_id(token) == action_id(token)
    assert action_id(token) != action_id(sign(SIGNED_WITH, Link("al-1", ActionKind.ACK, "chat", at(60))))


def test_there_are_links_for_harmless_things_alone() -> None:
    with pytest.raises(ValueError, match="no link for reopen"):
        sign(SIGNED_WITH, Link("al-1", ActionKind.REOPEN, "chat", at(60)))
