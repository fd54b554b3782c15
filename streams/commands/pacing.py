"""At which pace, and moved by how much, `spendstream send` sends a history."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from replay.readers import read
from replay.shifting import timeline
from streams.commands.common import UserError


@dataclass(frozen=True, slots=True)
class Plan:
    """`speed` is seconds of the history in one of ours, None as fast as it goes; `shift` moves every time, in seconds.
    `first` is the first event's moved time, `events` how many items there are, where the history was looked through."""

    speed: float | None = None
    shift: int = 0
    first: float | None = None
    events: int | None = None


AT_ONCE = Plan()


class Pace:
    """Tells how long to wait before an event is due. Times are epoch seconds of events, and of a steady clock."""

    def __init__(self, plan: Plan, begun: float) -> None:
        self._plan = plan
        self._begun = begun

    def pause(self, at: float | None, now: float) -> float:
        """Seconds from `now` until an event that happened `at` is due; 0 where it is, or has no time."""
        plan = self._plan
        if plan.speed is None or at is None or plan.first is None:
            return 0.0
        return max(0.0, self._begun + (at - plan.first) / plan.speed - now)


def plan_of(file: Path, speed: str, *, to_now: bool, end_now: bool, shift: int | None, ahead: float) -> Plan:
    """What the options ask for. The history is read once before where its first or last time must be known.

    `ahead` is how many seconds before its time an event is taken. Raises UserError, ReaderError.
    """
    if to_now + end_now + (shift is not None) > 1:
        raise UserError("--shift-to-now, --end-now, --shift: one of them")
    rate = _rate(speed)
    if not (rate or to_now or end_now):
        return Plan(shift=shift or 0)
    if str(file) == "-":
        raise UserError("--speed, --shift-to-now, --end-now: standard input can't be read twice; give a file")
    found = timeline(read(file))
    if found.first is None or found.last is None:
        raise UserError(f"{file}: no event has a time")
    length = found.last - found.first
    lasting = length / rate if rate else 0.0
    by = shift or 0
    if to_now:
        by = found.move(time.time())
        if length - lasting > ahead:
            raise UserError(
                f"--shift-to-now: the last event would be sent {(length - lasting) / 3600:,.1f} h ahead of the clock, "
                f"and the service takes at most {ahead / 3600:,.1f} h: use --end-now, or a lower --speed"
            )
    elif end_now:
        by = found.move(time.time() + lasting - length)
    return Plan(rate, by, found.first + by, found.items)


def _rate(speed: str) -> float | None:
    if not speed:
        return None
    found = re.fullmatch(r"([0-9]+(\.[0-9]+)?)x?", speed)
    rate = float(found[1]) if found else 0.0
    if not rate:
        raise UserError(f"--speed: {speed} is not a number of times, such as 60x")
    return rate
