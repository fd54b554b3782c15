"""The ledger of remedies: what is proposed, approved, begun, done, undone and measured. Pure: every time is given.

    proposed | held | dry_run
       └ approved ─> (look) ─> started ─> (do) ─> done ─> measured
                                  └─> failed         └─> undoing ─> (undo) ─> undone

What stands in brackets is an order to the outside world. `started` holds what the target was before, and is kept in a
checkpoint before anything is sent: a crash at any point repeats an order whose effect is the same when repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Self

from schemas.oncall import ActionKind, AlertAction, RemedyChange, RemedyState, Via
from schemas.watch import Alert
from streams.core.remedy.effect import effect
from streams.core.remedy.policies import Policy, remedy_id

HOUR = timedelta(hours=1)
REMEMBERED = 2_000
WAITS = frozenset({RemedyState.PROPOSED, RemedyState.HELD, RemedyState.DRY_RUN, RemedyState.FAILED})
UNDOABLE = frozenset({RemedyState.DONE, RemedyState.MEASURED, RemedyState.FAILED, RemedyState.UNDO_FAILED})
STEPS: Mapping[RemedyState, Literal["look", "do", "undo"]] = {
    RemedyState.APPROVED: "look",
    RemedyState.STARTED: "do",
    RemedyState.UNDOING: "undo",
}
WORDS = {
    "webhook": "call the webhook about",
    "litellm_block_key": "block key",
    "litellm_lower_budget": "lower the budget of key",
    "kubernetes_scale": "scale down",
}


@dataclass(frozen=True, slots=True)
class Order:
    """Something to do outside. Repeating it is harmless. `parameters` come from the policy, `undo` from looking."""

    remedy_id: str
    step: Literal["look", "do", "undo"]
    action: str
    target: str
    parameters: Mapping[str, str]
    undo: Mapping[str, str]
    alert: Alert

    @property
    def key(self) -> str:
        """What tells this order from every other, for receivers that know a repeat by it."""
        return f"{self.remedy_id}:{self.step}"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an order. `found`: what the target was, when it was looked at. `problem` holds no secret."""

    key: str
    found: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A remedy as it stands: its newest change, and the alert as it was last heard of."""

    last: RemedyChange
    alert: Alert
    begun: datetime | None = None  # when it was done
    excess_then: Decimal = Decimal(0)
    observed_then: Decimal = Decimal(0)
    automatic_at: datetime | None = None


class Ledger:
    """All remedies of a partition."""

    def __init__(self, policies: Iterable[Policy], window: timedelta) -> None:
        self._policies = {policy.name: policy for policy in policies}
        self._window = window
        self._entries: dict[str, Entry] = {}
        self._done: dict[str, None] = {}

    def heard(self, alert: Alert) -> None:
        """Take note of an alert's newest revision: its excess tells later what was avoided."""
        for name, entry in self._entries.items():
            if entry.alert.alert_id == alert.alert_id:
                self._entries[name] = replace(entry, alert=alert)

    def propose(self, alert: Alert, now: datetime) -> list[RemedyChange]:
        """What the policies say to an alert that fires, each once."""
        changes = []
        for policy in self._policies.values():
            name, target = remedy_id(alert.alert_id, policy.name), policy.target_for(alert)
            if not target or name in self._entries:
                continue
            first = RemedyChange(
                remedy_id=name, number=1, alert_id=alert.alert_id, policy=policy.name, action=policy.action,
                target=target, state=RemedyState.PROPOSED, at=now, who="policy", via="policy",
                note=f"would {words(policy.action, target)}",
            )  # fmt: skip
            if policy.mode == "dry_run":
                first = first.model_copy(update={"state": RemedyState.DRY_RUN})
            elif policy.mode == "automatic":
                why_not = policy.held_by(alert, self._recent(policy.name, now))
                state = RemedyState.HELD if why_not else RemedyState.APPROVED
                first = first.model_copy(update={"state": state, "note": why_not or words(policy.action, target)})
            automatic = now if first.state is RemedyState.APPROVED else None
            self._entries[name] = Entry(first, alert, automatic_at=automatic)
            changes.append(first)
        self._forget()
        return changes

    def act(self, action: AlertAction, *, is_open: bool) -> list[RemedyChange]:
        """Take an approval or an undo. `is_open`: whether the alert still is. Repeated it does nothing."""
        if action.action_id in self._done:
            return []
        self._done[action.action_id] = None
        entry = self._entries.get(action.remedy_id)
        if entry is None or entry.alert.alert_id != action.alert_id:
            return [_refused(action, "there is no such remedy, or it is long over")]
        by: dict[str, Any] = {"who": action.who, "via": action.via, "at": action.at, "action_id": action.action_id}
        if why_not := _why_not(entry, action, is_open):
            return [self._said(entry, state=RemedyState.REFUSED, note=why_not, **by)]
        if action.what is ActionKind.APPROVE_REMEDY:
            started = RemedyState.STARTED if entry.last.undo else RemedyState.APPROVED  # what it was is known already
            return [self._change(entry, started, note=action.note, **by)]
        measured = self._measured(entry, action.at)
        return [*measured, self._change(self._entries[action.remedy_id], RemedyState.UNDOING, note=action.note, **by)]

    def orders(self) -> list[Order]:
        """What is to be done now: all that stands at a step, also after a restart."""
        found = []
        for entry in self._entries.values():
            last, policy = entry.last, self._policies.get(entry.last.policy)
            if last.state in STEPS and (policy is not None or last.state is RemedyState.UNDOING):
                parameters = policy.parameters if policy is not None else {}
                step, undo = STEPS[last.state], dict(last.undo)
                found.append(Order(last.remedy_id, step, last.action, last.target, parameters, undo, entry.alert))
        return found

    def result(self, result: Result, now: datetime) -> list[RemedyChange]:
        """What became of an order. One that is no longer waited for changes nothing."""
        name, _, step = result.key.rpartition(":")
        entry = self._entries.get(name)
        if entry is None or STEPS.get(entry.last.state) != step:
            return []
        by: dict[str, Any] = {"who": entry.last.who, "via": entry.last.via, "at": now}
        if result.problem:
            state = RemedyState.UNDO_FAILED if step == "undo" else RemedyState.FAILED
            return [self._change(entry, state, note=result.problem, **by)]
        if step == "look":
            return [self._change(entry, RemedyState.STARTED, undo=dict(result.found), **by)]
        if step == "undo":
            return [self._change(entry, RemedyState.UNDONE, **by)]
        alert = entry.alert
        entry = replace(entry, begun=now, excess_then=alert.excess_usd, observed_then=alert.observed_usd_per_hour)
        return [self._change(entry, RemedyState.DONE, rate_before_usd_per_hour=alert.observed_usd_per_hour, **by)]

    def tick(self, now: datetime) -> list[RemedyChange]:
        """Measure what has been done for long enough."""
        due = [
            entry for entry in self._entries.values()
            if entry.last.state is RemedyState.DONE and entry.begun and entry.begun + self._window <= now
        ]  # fmt: skip
        return [change for entry in due for change in self._measured(entry, now)]

    def offers(self, alert_id: str) -> tuple[tuple[str, str], ...]:
        """What waits for somebody's approval: id, and what it would do."""
        return tuple(
            (entry.last.remedy_id, words(entry.last.action, entry.last.target))
            for entry in self._entries.values()
            if entry.alert.alert_id == alert_id and entry.last.state in {RemedyState.PROPOSED, RemedyState.HELD}
        )

    def snapshot(self) -> dict[str, Any]:
        """As JSON."""
        return {"entries": [_saved(entry) for entry in self._entries.values()], "done": list(self._done)}

    def restore(self, saved: dict[str, Any]) -> Self:
        """Go on from what `snapshot` wrote."""
        entries = [_restored(body) for body in saved["entries"]]
        self._entries = {entry.last.remedy_id: entry for entry in entries}
        self._done = dict.fromkeys(saved["done"])
        return self

    def _recent(self, policy: str, now: datetime) -> int:
        runs = [entry.automatic_at for entry in self._entries.values() if entry.last.policy == policy]
        return sum(at is not None and at > now - HOUR for at in runs)

    def _measured(self, entry: Entry, now: datetime) -> list[RemedyChange]:
        if entry.begun is None or entry.last.state is not RemedyState.DONE:
            return []
        found = effect(
            observed=entry.observed_then, expected=entry.alert.expected_usd_per_hour, excess_then=entry.excess_then,
            excess_now=entry.alert.excess_usd, begun=entry.begun, ended=min(now, entry.begun + self._window),
        )  # fmt: skip
        if found is None:
            return []
        return [
            self._change(
                entry, RemedyState.MEASURED, who="policy", via="policy", at=now, avoided_usd=found.avoided,
                rate_before_usd_per_hour=found.rate_before, rate_after_usd_per_hour=found.rate_after,
            )
        ]  # fmt: skip

    def _change(
        self, entry: Entry, state: RemedyState, *, who: str, via: Via, at: datetime, note: str = "",
        action_id: str = "", **more: Any,
    ) -> RemedyChange:  # fmt: skip
        update = {"number": entry.last.number + 1, "state": state, "who": who, "via": via, "at": at, "note": note,
                  "action_id": action_id, **more}  # fmt: skip
        change = entry.last.model_copy(update=update)
        self._entries[change.remedy_id] = replace(entry, last=change)
        return change

    def _said(self, entry: Entry, **update: Any) -> RemedyChange:
        """A refusal: it is written down and numbered, and the remedy stands where it stood."""
        said = entry.last.model_copy(update={"number": entry.last.number + 1, **update})
        stands = entry.last.model_copy(update={"number": said.number})
        self._entries[said.remedy_id] = replace(entry, last=stands)
        return said

    def _forget(self) -> None:
        over = [name for name, entry in self._entries.items() if entry.last.state not in STEPS]
        for name in over[: max(0, len(self._entries) - REMEMBERED)]:
            del self._entries[name]
        while len(self._done) > REMEMBERED:
            del self._done[next(iter(self._done))]


def words(action: str, target: str) -> str:
    """What an action does, in words."""
    return f"{WORDS.get(action, action)} {target}"


def _why_not(entry: Entry, action: AlertAction, is_open: bool) -> str:
    """Why an approval or an undo doesn't fit; empty when it does."""
    state = entry.last.state
    if action.what is ActionKind.UNDO_REMEDY:
        undoable = state in UNDOABLE and bool(entry.last.undo)
        return "" if undoable else f"it is {_plain(state)}: there is nothing to undo"
    if state not in WAITS:
        return f"it is {_plain(state)} already"
    return "" if is_open else "the alert is over"


def _plain(state: RemedyState) -> str:
    return state.value.replace("_", " ")


def _refused(action: AlertAction, why: str) -> RemedyChange:
    return RemedyChange(
        remedy_id=action.remedy_id, number=0, alert_id=action.alert_id, policy="", action="", target="",
        state=RemedyState.REFUSED, at=action.at, who=action.who, via=action.via, note=why, action_id=action.action_id,
    )  # fmt: skip


def _saved(entry: Entry) -> dict[str, Any]:
    return {
        "last": entry.last.model_dump(mode="json"),
        "alert": entry.alert.model_dump(mode="json"),
        "begun": entry.begun and entry.begun.isoformat(),
        "excess_then": str(entry.excess_then),
        "observed_then": str(entry.observed_then),
        "automatic_at": entry.automatic_at and entry.automatic_at.isoformat(),
    }


def _restored(saved: dict[str, Any]) -> Entry:
    return Entry(
        RemedyChange.model_validate(saved["last"]),
        Alert.model_validate(saved["alert"]),
        begun=datetime.fromisoformat(saved["begun"]) if saved["begun"] else None,
        excess_then=Decimal(saved["excess_then"]),
        observed_then=Decimal(saved["observed_then"]),
        automatic_at=datetime.fromisoformat(saved["automatic_at"]) if saved["automatic_at"] else None,
    )
