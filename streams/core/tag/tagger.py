"""Whose spend an event is: overriding rules, the event's own tags, the other rules, the owner directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date
from fnmatch import fnmatchcase
from fractions import Fraction

from schemas.events import UsageEvent
from schemas.rules import DIMENSIONS, Rule, RulesFile
from streams.core.tag.fields import line_item_fields, principal_of, tags_of, value_of
from streams.core.tag.normal import Normaliser
from streams.core.tag.owner import BY_DIRECTORY, BY_TAGS, UNALLOCATED, Owner, Share
from streams.core.tag.splits import Splits

CACHED = (
    50_000  # decisions kept; tags and principals are the producers', so a flood of new ones must not fill the memory
)
_ALL = Fraction(1)


@dataclass(frozen=True, slots=True)
class Looked:
    """One step of a decision: what was asked, and what came of it."""

    name: str
    decided: bool
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    """Who it is: one owner, or a split whose owners depend on the day."""

    owner: Owner
    split: str = ""


class Tagger:
    """Gives an event its owners. Pure: the same event, rules and directory give the same owners."""

    def __init__(self, rules: RulesFile | None = None, directory: Mapping[str, Owner] | None = None) -> None:
        self._rules = rules or RulesFile()
        self._normal = Normaliser(self._rules.tags, self._rules.aliases)
        self._splits = Splits(self._rules.split)
        self._cost_centers = {self._normal.value("team", t): c for t, c in self._rules.cost_centers.items()}
        self._fields = sorted({name for rule in self._rules.rule for name in rule.match} - {"principal"})
        self.looks_at = line_item_fields(self._fields)  # of a bill's line, beside its tags
        self._directory: dict[str, Owner] = {}
        self._cache: dict[tuple[object, ...], tuple[Decision, tuple[Share, ...]]] = {}
        self.version = 0  # changes whenever an event may get another owner than before
        for principal, owner in (directory or {}).items():
            self.learn(principal, owner)

    def learn(self, principal: str, owner: Owner | None) -> None:
        """From now on `principal` works for `owner`; None forgets it (a tombstone of a compacted topic)."""
        self._cache.clear()
        self.version += 1
        if owner is None:
            self._directory.pop(principal, None)
            return
        plain = {name: self._normal.value(name, getattr(owner, name)) for name in DIMENSIONS if name != "cost_center"}
        self._directory[principal] = replace(owner, **plain, principal=principal, allocation=BY_DIRECTORY)

    def tag(self, event: UsageEvent) -> tuple[Share, ...]:
        """The owners of the event; ordinarily one, with fraction 1. Never empty, and the fractions sum to 1."""
        key = (
            tuple(tags_of(event).items()),
            principal_of(event),
            *(value_of(event, name) for name in self._fields if not name.startswith("tags.")),
        )
        known = self._cache.get(key)
        if known is None:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            decision, _ = self._decide(event)
            known = self._cache[key] = (decision, (Share(decision.owner, _ALL),))
        decision, shares = known
        return shares if not decision.split else self._shared(decision, event.time.astimezone(UTC).date())

    def owner(self, event: UsageEvent) -> Owner | None:
        """The one owner of the event, whatever its day; None where a split decides."""
        decision, _ = self._decide(event)
        return None if decision.split else decision.owner

    def explain(self, event: UsageEvent) -> tuple[tuple[Share, ...], list[Looked]]:
        """The owners, and every rule that was asked on the way with what came of it."""
        _, looked = self._decide(event)
        return self.tag(event), looked

    def _decide(self, event: UsageEvent) -> tuple[Decision, list[Looked]]:
        looked: list[Looked] = []
        principal = principal_of(event)
        said = self._normal.dimensions(tags_of(event))
        own = Owner(**said, principal=principal)
        for rule in self._rules.rule:
            if rule.override and _asked(rule, event, looked):
                return self._by_rule(rule, own), looked
        if own.team:
            looked.append(Looked("tags", True, f"the tags name team {own.team}"))
            return Decision(self._filled(replace(own, allocation=BY_TAGS))), looked
        looked.append(Looked("tags", False, "no tag names a team"))
        for rule in self._rules.rule:
            if not rule.override and _asked(rule, event, looked):
                return self._by_rule(rule, own), looked
        entry = self._directory.get(principal) if principal else None
        if entry is not None:
            looked.append(Looked("directory", True, f"{principal} works for {entry.team}"))
            return Decision(self._filled(replace(own, team=entry.team, allocation=BY_DIRECTORY))), looked
        who = f"{principal} is not in it" if principal else "the event names no principal"
        looked.append(Looked("directory", False, who))
        return Decision(replace(own, allocation=UNALLOCATED)), looked

    def _by_rule(self, rule: Rule, own: Owner) -> Decision:
        """The rule's dimensions over those of the tags."""
        given = {name: self._normal.value(name, value) for name in DIMENSIONS if (value := getattr(rule, name))}
        if rule.cost_center:
            given["cost_center"] = rule.cost_center
        owner = replace(own, **given, allocation=rule.name)
        return Decision(owner if rule.split else self._filled(owner), rule.split)

    def _filled(self, owner: Owner) -> Owner:
        """Gaps from the directory where it means the same team, and the team's cost centre."""
        entry = self._directory.get(owner.principal)
        if entry is not None and entry.team == owner.team:
            gaps = {name: getattr(entry, name) for name in DIMENSIONS if not getattr(owner, name)}
            owner = replace(owner, **gaps)
        if not owner.cost_center and owner.team in self._cost_centers:
            owner = replace(owner, cost_center=self._cost_centers[owner.team])
        return owner

    def _shared(self, decision: Decision, day: date) -> tuple[Share, ...]:
        parts = self._splits.parts(decision.split, day)
        if not parts:  # no row of the split holds on that day
            return (Share(replace(decision.owner, allocation=UNALLOCATED), _ALL),)
        return tuple(
            Share(self._filled(replace(decision.owner, team=self._normal.value("team", team))), fraction)
            for team, fraction in parts
        )


def _asked(rule: Rule, event: UsageEvent, looked: list[Looked]) -> bool:
    """Whether the rule fits; notes which field settled it."""
    for name, globs in rule.match.items():
        value = value_of(event, name).lower()
        if not any(fnmatchcase(value, glob.lower()) for glob in globs):
            looked.append(Looked(rule.name, False, f"{name} is {value or 'empty'}, not {' or '.join(globs)}"))
            return False
    fits = ", ".join(f"{name} is {value_of(event, name)}" for name in rule.match)
    looked.append(Looked(rule.name, True, fits))
    return True
