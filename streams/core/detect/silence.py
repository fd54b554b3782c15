"""How long a series has been silent, and how long it is silent at times."""

from __future__ import annotations

from typing import Any

from streams.core.detect.rules import DAY, HOUR

OUTAGE = 45 * 60  # providers have outages of up to half an hour, and a silent meter costs nothing while one makes sure
LONGER = 1.5  # times its longest silence a series must be silent, and three windows more, to be called broken
TOO_LONG = 6 * HOUR  # a series that is silent for so long as a habit is never called broken
LIFE = 14 * DAY  # seconds in which a silence is forgotten
CLIFF = 0.25  # of the usual: a series that had faded before it fell silent has come to an end, and isn't broken
FIELDS_V1 = 3  # of the state that release 0.1 wrote


class Silence:
    """Counts windows without an event."""

    __slots__ = ("before", "longest", "run", "told", "under_way")

    def __init__(self) -> None:
        self.run = 0  # windows in a row
        self.longest = 0.0  # the longest run that came to nothing, slowly forgotten
        self.under_way = 0  # the longest run of the silence that people know of
        self.told = 0.0  # the same of those that are over, as slowly forgotten
        self.before = 0.0  # spend per window just before it fell silent, as a part of the usual

    def watch(self, events: int, seconds: int, recent: float, *, told: bool) -> None:
        """Take in a window; `recent` is the spend of the windows before it, as a part of the usual, and counts where a
        silence begins. A silence that was `told` of is no habit; the second that ends by itself is."""
        if self.under_way and not told:
            self._end()
        if events:
            if told:
                self.under_way = max(self.under_way, self.run)
            else:
                self.longest = max(self.longest, self.run)
            self.run = 0
            return
        if not self.run:
            self.before = recent
        self.run += 1
        self._fade(seconds)

    def broken_after(self, seconds: int) -> int:
        """Silent windows from which the meter may be broken."""
        return _broken_after(seconds, self.longest)

    def is_broken(self, seconds: int) -> bool:
        """Whether this window of silence is the one that says so."""
        return self.run == self.broken_after(seconds) and self.run * seconds <= TOO_LONG and self.before >= CLIFF

    def may_break(self, seconds: int) -> bool:
        """Whether going on being silent could yet say so."""
        return self.run < self.broken_after(seconds) and self.run * seconds <= TOO_LONG

    def uneventful(self, seconds: int) -> int:
        """Silent windows to come within an hour before the one that could say so, or from which none can: at least."""
        broken = _broken_after(seconds, self.longest * (1.0 - HOUR / LIFE))  # it fades on
        return min(broken, TOO_LONG // seconds + 1) - self.run

    def rest(self, windows: int, seconds: int, recent: float) -> None:
        """So many silent windows, of which nothing can be told."""
        if self.under_way:
            self._end()
        if not self.run:
            self.before = recent
        self.run += windows
        for _ in range(windows):
            self._fade(seconds)

    def _fade(self, seconds: int) -> None:
        self.longest *= 1.0 - seconds / LIFE
        self.told *= 1.0 - seconds / LIFE

    def _end(self) -> None:
        """What was told of is over."""
        if self.told:
            self.longest = max(self.longest, self.told, self.under_way)
        self.told, self.under_way = max(self.told, self.under_way), 0

    def to_json(self) -> list[Any]:
        return [self.run, self.longest, self.before, self.told, self.under_way]

    @classmethod
    def from_json(cls, state: list[Any]) -> Silence:
        silence = cls()
        silence.run, silence.longest, silence.before = state[:FIELDS_V1]
        if len(state) > FIELDS_V1:
            silence.told, silence.under_way = state[FIELDS_V1:]
        return silence


def _broken_after(seconds: int, longest: float) -> int:
    return max(3, -(-OUTAGE // seconds), int(3 + LONGER * longest))
