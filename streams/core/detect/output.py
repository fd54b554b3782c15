"""What a token of output costs: retries bring none, and a bloated prompt brings no more of it.

Beside the gauges it is light, for every series of calls has one: one mean over about three windows is judged by one
record, above what is usual of the last hour or of the last day, the larger of them.
"""

from __future__ import annotations

from math import log
from typing import Any

from streams.core.detect.gauge import CALM, DAY, HUGE, MIDDLE, Reading
from streams.core.detect.ratios import by_chance

GAIN = 1.0 / MIDDLE  # of a window
FLOOR = log(2.2)  # log-ratio: never call less unusual
MARGIN = log(1.4)  # how far beyond the record
NOTABLE = 1.5  # times the usual: below, nothing is remembered, and nothing suspected
PAD = 0.1  # of the mean output of a window: less than that says little of the cost of a token
FORTNIGHT = 14 * DAY  # seconds with requests, in which a record fades to 1/e


class Output:
    """Of one series. Means of tokens and USD over a day are its owner's."""

    __slots__ = ("bought", "height", "held", "paid", "peak", "record", "tokens", "usd", "usual")

    def __init__(self) -> None:
        self.usd = 0.0  # per window, smoothed
        self.tokens = 0.0  # of output, the same
        self.paid = 0.0  # USD per window of about an hour, of what was not told
        self.bought = 0.0  # tokens, the same
        self.usual = 0.0  # USD per token, as of before the newest window
        self.height = 0.0  # log-ratio of the newest window; 0 where it is not notable
        self.record = 0.0  # the highest that it has been on ordinary days
        self.held = 0.0  # in windows under suspicion: a record when it comes to nothing
        self.peak = 0.0  # in the incident under way

    def judge(
        self, usd: float, tokens: float, usual: tuple[float, float], count: float, sensitivity: float | None
    ) -> Reading:
        """Take in a window with requests; `usual` are USD and tokens of a mean window, `count` its requests."""
        self.usd += GAIN * (usd - self.usd)
        self.tokens += GAIN * (tokens - self.tokens)
        self.height = 0.0
        paid, bought = usual
        if paid <= 0 or bought <= 0:
            return CALM
        self.usual = max(paid / bought, self.paid / self.bought if self.bought > 0 else 0.0)
        pad = PAD * bought
        base = (self.tokens + pad) * self.usual
        if base <= 0 or self.usd + pad * self.usual < NOTABLE * base:
            return CALM
        ratio = min((self.usd + pad * self.usual) / base, HUGE)
        self.height = log(ratio)
        if sensitivity is None:
            return CALM
        known = self.record / min(1.0, sensitivity) + MARGIN / sensitivity
        score = self.height / max(FLOOR / sensitivity, known, by_chance(count, MIDDLE))
        return Reading(score, ratio, MIDDLE, score)

    def learn(self, seconds: float, life: float, *, usual: bool, suspect: bool) -> None:
        """Learn the window that `judge` took in; the hour is smoothed over `life` seconds."""
        if self.record:
            self.record *= max(0.0, 1.0 - seconds / FORTNIGHT)
        if not usual:
            self.peak = max(self.peak, self.height)
            return
        gain = seconds / life if self.bought > 0 else 1.0
        self.paid += gain * (self.usd - self.paid)
        self.bought += gain * (self.tokens - self.bought)
        if suspect:
            self.held = max(self.held, self.height)
        elif self.height or self.held:
            self.record, self.held = max(self.record, self.held, self.height), 0.0

    def is_calm(self, height: float) -> bool:
        """Whether the newest windows cost as usual again, or half of that log-ratio."""
        return self.height < 0.5 * height or not self.height

    def forget(self) -> None:
        """What was under suspicion was unusual."""
        self.held = 0.0

    def excuse(self) -> None:
        """What the newest windows cost, or the incident under way, is nothing unusual."""
        self.record = max(self.record, self.height, self.peak)

    def passed(self, *, by_itself: bool) -> None:
        """An incident is over. What comes and goes by itself is learnt at half its height each time."""
        if by_itself and self.peak > self.record:
            self.record = (self.record + self.peak) / 2
        self.peak = 0.0

    def to_json(self) -> list[Any]:
        return [
            self.usd, self.tokens, self.paid, self.bought, self.usual, self.height, self.record, self.held, self.peak,
        ]  # fmt: skip

    @classmethod
    def from_json(cls, state: list[Any]) -> Output:
        output = cls()
        (
            output.usd, output.tokens, output.paid, output.bought, output.usual, output.height, output.record,
            output.held, output.peak,
        ) = state  # fmt: skip
        return output
