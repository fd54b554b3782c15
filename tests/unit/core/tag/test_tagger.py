"""Whose spend it is: tags, rules, directory, in that order; and why."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from schemas.events import UsageEvent
from streams.core.tag import Owner, Tagger
from streams.io.rules import load_tagger
from tests.support.pricing import call, gpu, line, utc

RULES = """
[aliases.team]
"ml platform" = "platform"
"search-relevance" = "search"

[cost_centers]
search = "CC-7"

[[rule]]
name = "security freeze"
match = { principal = "key-stolen" }
override = true
team = "security"

[[rule]]
name = "training clusters"
match = { cluster = ["train-*", "batch-?"], provider = "aws" }
team = "Research"
project = "foundation"

[[rule]]
name = "chatbot"
match = { "tags.app" = "bot" }
team = "support"
feature = "chat"

[[rule]]
name = "shared gateway"
match = { source = "/gateways/*", model = "gpt-4o*" }
split = "gateway"

[[split]]
name = "gateway"
from = 2026-01-01
shares = { search = 0.5, ads = 0.3, "split:rest" = 0.2 }

[[split]]
name = "rest"
from = 2026-01-01
until = 2026-11-01
measured = { hr = 1, legal = 2 }
unit = "requests in Q3"

[[split]]
name = "rest"
from = 2026-11-01
measured = { hr = 1, legal = 1, search = 1 }
"""
OWNERS = "principal,team,project,cost_center\nkey-1,Search-Relevance,ranking,\nkey-2,ads,,CC-2\n"


@pytest.fixture
def tagger(tmp_path: Path) -> Tagger:
    rules, owners = tmp_path / "rules.toml", tmp_path / "owners.csv"
    rules.write_text(RULES)
    owners.write_text(OWNERS)
    return load_tagger(rules, owners)


def one(tagger: Tagger, event: UsageEvent) -> Owner:
    shares = tagger.tag(event)
    assert [share.fraction for share in shares] == [1]
    return shares[0].owner


def test_tags_come_first_and_are_made_alike(tagger: Tagger) -> None:
    for key, value in [
        ("team", "search"),
        ("Team", " SEARCH "),
        ("user:team", "Search-Relevance"),
        ("squad", "search"),
    ]:
        owner = one(tagger, call(tags={key: value}))
        assert (owner.team, owner.allocation, owner.cost_center) == ("search", "tags", "CC-7")
    owner = one(tagger, call(tags={"team": "ML  Platform", "env": "Prod", "App": "x", "Cost-Centre": "cc 1"}))
    assert owner == Owner("platform", "x", "prod", "", "cc 1", "", "tags")


def test_an_empty_team_is_no_team(tagger: Tagger) -> None:
    assert one(tagger, call(tags={"team": "  "})).allocation == "unallocated"
    assert one(tagger, call(tags={})) == Owner()
    assert one(tagger, call(tags={"project": "x"})) == Owner(project="x")
    assert one(tagger, line(Tags={"team": None})).allocation == "unallocated"


def test_the_first_rule_that_fits_decides(tagger: Tagger) -> None:
    owner = one(tagger, gpu(cluster="Train-7"))
    assert (owner.team, owner.project, owner.allocation) == ("research", "foundation", "training clusters")
    assert one(tagger, gpu(cluster="train-7", provider="gcp")).allocation == "unallocated"
    assert one(tagger, gpu(cluster="batch-12")).allocation == "unallocated"
    assert one(tagger, line(Tags={"App": "BOT"})).team == "support"


def test_an_overriding_rule_comes_before_the_tags(tagger: Tagger) -> None:
    assert one(tagger, call(principal="key-stolen", tags={"team": "search"})).team == "security"
    assert one(tagger, gpu(cluster="train-7", tags={"team": "ads"})).team == "ads"


def test_the_directory_knows_who_uses_a_key(tagger: Tagger) -> None:
    owner = one(tagger, call(principal="key-1"))
    assert owner == Owner("search", "ranking", "", "", "CC-7", "key-1", "directory")
    # With a team in the tags, the directory fills gaps only where it means the same team.
    assert one(tagger, call(principal="key-1", tags={"team": "search"})).project == "ranking"
    assert one(tagger, call(principal="key-1", tags={"team": "ads"})).project == ""


def test_what_is_learnt_holds_from_then_on(tagger: Tagger) -> None:
    assert one(tagger, call(principal="key-9")).allocation == "unallocated"
    tagger.learn("key-9", Owner(team="Ads", project="bids"))
    assert one(tagger, call(principal="key-9")) == Owner("ads", "bids", "", "", "", "key-9", "directory")
    tagger.learn("key-9", None)
    assert one(tagger, call(principal="key-9")).allocation == "unallocated"


def gateway(at: object) -> UsageEvent:
    return call(at, principal="key-2").model_copy(update={"source": "/gateways/llm"})  # type: ignore[arg-type]


def test_a_shared_cost_falls_on_its_owners_by_date(tagger: Tagger) -> None:
    summer = {share.owner.team: share.fraction for share in tagger.tag(gateway(utc(2026, 10, 31)))}
    assert summer == {
        "search": Fraction(1, 2), "ads": Fraction(3, 10), "hr": Fraction(1, 15), "legal": Fraction(2, 15),
    }  # fmt: skip
    winter = tagger.tag(gateway(utc(2026, 11, 1)))
    assert {share.owner.team: share.fraction for share in winter}["search"] == Fraction(1, 2) + Fraction(1, 15)
    assert sum(share.fraction for share in winter) == 1
    assert {share.owner.allocation for share in winter} == {"shared gateway"}
    assert {share.owner.team: share.owner.cost_center for share in winter}["search"] == "CC-7"


def test_a_split_without_a_row_for_the_day_leaves_the_cost_unallocated(tagger: Tagger) -> None:
    assert one(tagger, gateway(utc(2025, 12, 31))).allocation == "unallocated"


def test_explain_says_what_was_asked_and_why(tagger: Tagger) -> None:
    shares, looked = tagger.explain(gpu(cluster="train-7"))
    assert [(step.name, step.decided) for step in looked] == [
        ("security freeze", False), ("tags", False), ("training clusters", True),
    ]  # fmt: skip
    assert looked[0].why == "principal is empty, not key-stolen"
    assert looked[2].why == "cluster is train-7, provider is aws"
    assert shares == tagger.tag(gpu(cluster="train-7"))


def test_without_files_only_the_tags_speak() -> None:
    assert one(load_tagger(), call(tags={"team": "x"})).team == "x"
    assert one(load_tagger(), call(principal="key-1")).allocation == "unallocated"
