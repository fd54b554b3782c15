"""The share of a series' dollars that is of some kind: spent on idle GPUs, or without an owner."""

from __future__ import annotations

from typing import Any

SUSTAINED = 2  # windows in a row: one odd reading is a hiccup
LIFE = 86_400.0  # seconds in which the usual share is smoothed
IDLE = 0.9  # of a GPU's dollars: less than a tenth of it in use
JUMP = 0.25  # of the dollars: more without an owner than usual


class Share:
    """Learns the usual share, and tells how long it has been unusual."""

    __slots__ = ("run", "seen", "usual")

    def __init__(self) -> None:
        self.usual = 0.0
        self.seen = 0
        self.run = 0  # unusual windows in a row

    def watch(self, part: float, whole: float, at_least: float, seconds: float) -> bool:
        """Take in a window; returns whether the share has been at least that for long enough. Unusual windows are not
        learnt."""
        if whole <= 0:
            return False
        share = part / whole
        if share >= at_least:
            self.run += 1
            return self.run >= SUSTAINED
        self.learn(share, seconds)
        return False

    def learn(self, share: float, seconds: float) -> None:
        """An ordinary window."""
        self.run = 0
        self.seen += 1
        self.usual += max(1.0 / self.seen, min(1.0, seconds / LIFE)) * (share - self.usual)

    def to_json(self) -> list[Any]:
        return [self.usual, self.seen, self.run]

    @classmethod
    def from_json(cls, state: list[Any]) -> Share:
        share = cls()
        share.usual, share.seen, share.run = state
        return share
