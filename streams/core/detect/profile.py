"""What a series spends by the hour of the day and of the week: a ring of the last 168 hours."""

from __future__ import annotations

from array import array
from typing import Any

HOURS = 168
LARGEST = 1e38  # what the ring can hold
FADE = 0.6  # weight of the day before against the day after it


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
        if self.hour >= 0:
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
        if not self.ready:
            self.mid = self.upper = self.size = 0.0
            return
        days = min(7, self.seen // 24)
        self.mid = self._mean(hour, days)
        around = max(self.mid, self._mean(hour - 1, days), self._mean(hour + 1, days))
        week = self.hours[hour % HOURS] if days == 7 else 0.0
        self.upper = max(around, week)
        self.size = max(self._size(hour + near) for near in (-1, 0, 1))

    def _size(self, hour: int) -> float:
        """The highest cost of a request in this hour of the last three days."""
        places = [(hour - 24 * day) % HOURS for day in range(1, min(3, self.seen // 24) + 1)]
        return max((self.hours[at] / self.volumes[at] for at in places if self.volumes[at] > 0), default=0.0)

    def _mean(self, hour: int, days: int) -> float:
        total = weights = 0.0
        weight = 1.0
        for day in range(1, days + 1):
            total += weight * self.hours[(hour - 24 * day) % HOURS]
            weights += weight
            weight *= FADE
        return total / weights

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
