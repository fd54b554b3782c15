"""What a series is usually made of: the smoothed sums of each of its cells, to compare an unusual stretch with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streams.core.windows.sums import SeriesKey, Sums

MAX_PARTS = 32
LIFE = 3 * 3600.0  # seconds in which the usual make-up is smoothed
EPOCH_WINDOWS = 60  # windows summed before they are smoothed in; fewer while young
PAYERS = {"token_call": "principal", "gpu_usage": "cluster", "line_item": "service"}
"""Who spends, by meter: a key, a cluster, a service. Each is watched by itself, wherever else its spend is summed."""
ACTIVE = 10  # windows with spend that a judgement needs, however many were silent
FIELDS_V1 = 6  # of the state that release 0.1 wrote
LONG = 10_000  # windows
FORGET = 1e-3  # of the largest part: what has faded below makes room


@dataclass(slots=True)
class Part:
    """Sums of one cell in floats: dollars, and the volume and tokens that they paid for."""

    usd: float = 0.0
    volume: float = 0.0  # requests, or GPU-minutes
    fresh: float = 0.0  # input tokens not from the cache
    cached: float = 0.0
    output: float = 0.0
    cached_usd: float = 0.0
    output_usd: float = 0.0

    def add(self, sums: Sums) -> None:
        """Add a window's sums."""
        self.usd += float(sums.usd)
        self.volume += sums.requests or float(sums.gpu_minutes)
        self.fresh += sums.input_tokens - sums.cache_read_input_tokens
        self.cached += sums.cache_read_input_tokens
        self.output += sums.output_tokens
        self.cached_usd += float(sums.cache_read_usd)
        self.output_usd += float(sums.output_usd)

    def mix(self, other: Part, keep: float, take: float) -> None:
        """Become `keep` of this and `take` of the other."""
        self.usd = keep * self.usd + take * other.usd
        self.volume = keep * self.volume + take * other.volume
        self.fresh = keep * self.fresh + take * other.fresh
        self.cached = keep * self.cached + take * other.cached
        self.output = keep * self.output + take * other.output
        self.cached_usd = keep * self.cached_usd + take * other.cached_usd
        self.output_usd = keep * self.output_usd + take * other.output_usd

    def to_json(self) -> list[float]:
        return [self.usd, self.volume, self.fresh, self.cached, self.output, self.cached_usd, self.output_usd]


Parts = dict[SeriesKey, Part]


def put(parts: Parts, cells: list[tuple[SeriesKey, Sums]]) -> None:
    """Add a window's cells, bounded: what finds no room is left out."""
    for key, sums in cells:
        part = parts.get(key)
        if part is None:
            if len(parts) >= MAX_PARTS:
                continue
            part = parts[key] = Part()
        part.add(sums)


def merge(parts: Parts, more: Parts) -> None:
    """Add the other's parts, bounded as by `put`."""
    for key, part in more.items():
        if key in parts or len(parts) < MAX_PARTS:
            parts.setdefault(key, Part()).mix(part, 1.0, 1.0)


NOTHING = Part()


def payer_of(key: SeriesKey, payer: str) -> str:
    """Who spends in this cell; empty for what has no such name."""
    for name, value in key:
        if name == payer:
            return value
    return ""


def is_judged(seen: int, active: int, warmup_windows: int) -> bool:
    """Whether a series of so many windows, `active` of them with an event, can be called normal or not."""
    return seen >= warmup_windows and active >= min(ACTIVE, warmup_windows)


class Makeup:
    """The usual cells of a series, per window."""

    __slots__ = ("is_one", "met", "payer", "sums", "usual", "windows", "windows_seen")

    def __init__(self, payer: str) -> None:
        self.payer = payer  # the dimension that names who spends
        self.usual: Parts = {}
        self.is_one = True  # whether one payer makes all of it
        self.sums: Parts = {}  # of the epoch under way
        self.windows = 0  # in that epoch
        self.windows_seen = 0
        self.met: dict[str, list[int]] = {}
        """Of several payers: the windows that were learnt when each was first met, and in how many it has spent."""

    def learn(self, cells: list[tuple[SeriesKey, Sums]], seconds: float) -> None:
        """Take in an ordinary window."""
        put(self.sums, cells)
        if not self.is_one or len(cells) > 1:
            for who in {payer_of(key, self.payer) for key, _ in cells}:
                met = self.met.get(who)
                if met is None:
                    met = self.met[who] = [self.windows_seen + self.windows, 0]
                met[1] += 1
        self.windows += 1
        if self.windows >= self._epoch:
            self._fold(seconds)

    def rest(self, windows: int, seconds: float) -> int:
        """At most so many windows without spend, up to the end of the epoch; returns how many."""
        windows = min(windows, max(1, self._epoch - self.windows))
        self.windows += windows - 1
        self.learn([], seconds)
        return windows

    @property
    def _epoch(self) -> int:
        """How many windows are learnt together."""
        return max(1, self.windows_seen) if self.windows_seen < EPOCH_WINDOWS else EPOCH_WINDOWS

    def _fold(self, seconds: float) -> None:
        self.windows_seen += self.windows
        gain = max(self.windows / self.windows_seen, min(1.0, self.windows * seconds / LIFE))
        keep, take = 1.0 - gain, gain / self.windows
        usual, fresh = self.usual, self.sums
        for key, part in usual.items():
            part.mix(fresh.pop(key, NOTHING), keep, take)
        for key, part in fresh.items():
            part.mix(part, 0.0, take)
            usual[key] = part
        self.sums, self.windows = {}, 0
        if usual:
            self._keep_largest()

    def _keep_largest(self) -> None:
        """Bound the parts, in order, and count whose they are."""
        kept = sorted(self.usual.items(), key=lambda item: (-item[1].usd, item[0]))[:MAX_PARTS]
        largest = kept[0][1].usd
        self.usual = {key: part for key, part in kept if part.usd > FORGET * largest or not largest}
        known = {payer_of(key, self.payer) for key in self.usual}
        self.is_one = len(self.usual) <= 1 or (len(known) == 1 and "" not in known)
        if self.met:
            self.met = {who: met for who, met in self.met.items() if who in known}

    def knows(self, who: str, warmup_windows: int) -> bool:
        """Whether this payer has been here for as long as its own series needs to be judged."""
        if self.is_one and any(payer_of(key, self.payer) == who for key in self.usual):
            return True  # it has made every window, so that its own series is as old as this one, which is judged
        since, active = self.met.get(who, (0, 0))
        seen = self.windows_seen + self.windows - since
        return is_judged(seen, active, warmup_windows)

    def scaled(self, usd: float) -> Parts:
        """A stretch of that spend, made up as usual."""
        base = sum(part.usd for part in self.usual.values())
        if base <= 0:
            return {}
        out: Parts = {}
        for key, part in self.usual.items():
            out[key] = Part()
            out[key].mix(part, 0.0, usd / base)
        return out

    def to_json(self) -> list[Any]:
        return [
            parts_to_json(self.usual),
            parts_to_json(self.sums),
            self.windows,
            self.windows_seen,
            self.is_one,
            self.payer,
            self.met,
        ]

    @classmethod
    def from_json(cls, state: list[Any]) -> Makeup:
        makeup = cls(state[5])
        makeup.usual, makeup.sums = parts_from_json(state[0]), parts_from_json(state[1])
        makeup.windows, makeup.windows_seen, makeup.is_one = state[2:5]
        if len(state) > FIELDS_V1:
            makeup.met = {who: list(met) for who, met in state[6].items()}
            return makeup
        for key in makeup.usual:  # whom it knows it has known for long
            makeup.met[payer_of(key, makeup.payer)] = [-LONG, LONG]
        return makeup


def parts_to_json(parts: Parts) -> list[Any]:
    return [[[list(pair) for pair in key], part.to_json()] for key, part in parts.items()]


def parts_from_json(state: list[Any]) -> Parts:
    return {tuple((name, value) for name, value in key): Part(*numbers) for key, numbers in state}
