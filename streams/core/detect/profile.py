"""What a series spends by the hour of the day and of the week: a ring of the last 168 hours."""

from __future__ import annotations

from array import array
from itertools import accumulate, repeat
from operator import mul
from typing import Any

HOURS = 168
LARGEST = 1e38  # what the ring can hold
FADE = 0.6  # weight of the day before against the day after it
WEIGHTS = tuple(accumulate(repeat(FADE, 6), mul, initial=1.0))  # of yesterday, and of the days before it
WEIGHTS_OF = (0.0, *accumulate(WEIGHTS))  # so many days together
SIZED = 3  # days that say what a request costs
AROUND = tuple(
    tuple(
        (weight, (at - 1) % HOURS, at % HOURS, (at + 1) % HOURS)
        for weight, at in zip(WEIGHTS, range(hour - 24, hour - HOURS - 1, -24), strict=True)
    )
    for hour in range(HOURS)
)
"""By the hour's place in the ring: a day's weight, and where the same hour of it stands, between its neighbours."""
SIZERS = tuple(tuple(at for _, *places in around[:SIZED] for at in places) for around in AROUND)
"""The places of these that say what a request costs."""


class WeekProfile:
    """Mean spend (USD per hour) of each of the last 168 hours, and what they say of an hour to come."""

    __slots__ = ("hour", "hours", "mid", "seen", "size", "upper", "volumes")

    def __init__(self) -> None:
        self.hours = array("f", bytes(4 * HOURS))
        self.volumes = array("f", bytes(4 * HOURS))  # what was bought: requests or GPU-minutes
        self.hour = -1  # the newest hour that is written, in hours since the epoch
        self.seen = 0  # hours written, silent ones included
        self.mid = 0.0  # expected in the hour that `look` was last asked for
        self.upper = 0.0  # the most that is usual about that hour
        self.size = 0.0  # the highest usual cost of a request about that hour

    def put(self, hour: int, usd: float, volume: float) -> None:
        """Write an hour's spend; hours skipped since the last were silent."""
        if 0 <= self.hour < hour - 1:
            for silent in range(max(self.hour + 1, hour - HOURS), hour):
                self.hours[silent % HOURS] = self.volumes[silent % HOURS] = 0.0
                self.seen += 1
        self.hours[hour % HOURS] = min(usd, LARGEST)
        self.volumes[hour % HOURS] = volume
        self.hour = hour
        self.seen += 1

    @property
    def ready(self) -> bool:
        """Whether a whole day has been seen."""
        return self.seen >= 24

    def look(self, hour: int) -> None:
        """Set `mid`, `upper` and `size` for this hour, from the days before it."""
        place, days = hour % HOURS, min(7, self.seen // 24)
        if not days:
            self.mid = self.upper = self.size = 0.0
            return
        hours, volumes = self.hours, self.volumes
        before = now = after = 0.0
        for weight, at_before, at, at_after in AROUND[place][:days]:
            before += weight * hours[at_before]
            now += weight * hours[at]
            after += weight * hours[at_after]
        whole = WEIGHTS_OF[days]
        self.mid = now / whole
        week = hours[place] if days == 7 else 0.0
        self.upper = max(self.mid, before / whole, after / whole, week)
        costs = [hours[at] / volumes[at] for at in SIZERS[place][: 3 * days] if volumes[at] > 0]
        self.size = max(costs) if costs else 0.0

    def usual(self, hour: int) -> float:
        """What is expected of this hour, which was looked at, in USD: as much as the days before say, and half of what
        a week ago was beyond them. On Mondays the days before were a weekend. Of a week ago two hours are read, so that
        one burst is not taken for a habit."""
        if self.seen < HOURS:
            return self.mid
        week_ago = (self.hours[hour % HOURS] + self.hours[(hour + 1) % HOURS]) / 2
        return (self.mid + max(self.mid, week_ago)) / 2

    def to_json(self) -> list[Any]:
        return [
            self.hour, self.seen, self.mid, self.upper, self.size, self.hours.tolist(), self.volumes.tolist(),
        ]  # fmt: skip

    @classmethod
    def from_json(cls, state: list[Any]) -> WeekProfile:
        profile = cls()
        profile.hour, profile.seen, profile.mid, profile.upper, profile.size = state[:5]
        profile.hours, profile.volumes = array("f", state[5]), array("f", state[6])
        return profile
