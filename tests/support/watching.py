"""Windows for tests of detection: a few numbers in, what `Watch` takes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from schemas.records import Meter
from schemas.watch import Finding
from streams.core.detect.merge import Complete
from streams.core.detect.watch import Watch, WatchRules
from streams.core.windows.sums import SeriesKey, Sums, Window, series_key

START = 1_800_000_000  # a Friday, 08:00 UTC
MINUTE = 60
FRESH, CACHED, ANSWER = Decimal("0.000003"), Decimal("0.0000003"), Decimal("0.000015")  # USD per token


def key(**series: str) -> SeriesKey:
    return series_key(series)


def tokens(requests: int, *, fresh: int = 1000, cached: int = 0, answer: int = 200, price: int = 1) -> Sums:
    """A window of token calls; tokens are those of one request, `price` is how many times the usual it costs."""
    output_usd, cache_usd = requests * answer * ANSWER * price, requests * cached * CACHED * price
    return Sums(
        usd=requests * fresh * FRESH * price + output_usd + cache_usd,
        output_usd=output_usd,
        cache_read_usd=cache_usd,
        events=1 if requests else 0,
        requests=requests,
        input_tokens=requests * (fresh + cached),
        cache_read_input_tokens=requests * cached,
        output_tokens=requests * answer,
    )


def gpus(minutes: int, used: float = 0.7) -> Sums:
    """A window of GPU-minutes at 6 USD an hour."""
    usd = Decimal(minutes) / 10
    idle = usd * (1 - Decimal(str(used)))
    return Sums(usd=usd, events=1, gpu_minutes=Decimal(minutes), metered_usd=usd, idle_usd=idle)


def bill(usd: float) -> Sums:
    """Line items of so much."""
    amount = Decimal(repr(usd))
    return Sums(events=1, usd=amount)


def steady(count: int, seed: int = 1, level: int = 50) -> list[Sums]:
    """Windows of about `level` requests: what an ordinary key does."""
    rng = Random(seed)
    return [tokens(max(1, round(rng.gauss(level, level / 10)))) for _ in range(count)]


Cells = Mapping[SeriesKey, Sums]


@dataclass(slots=True)
class Stream:
    """Feeds a `Watch` window by window and keeps what it finds, newest state by id and all revisions."""

    rules: WatchRules = field(default_factory=lambda: WatchRules(min_excess_usd=1.0))
    meter: Meter = "token_call"
    seconds: int = MINUTE
    now: int = START
    found: dict[str, Finding] = field(default_factory=dict)
    told: list[Finding] = field(default_factory=list)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = Watch(self.rules)

    def feed(self, series: SeriesKey, windows: Iterable[Sums | Cells]) -> list[Finding]:
        """One series, a window after the other; a mapping gives its cells. Returns what was told meanwhile."""
        return self.feed_all({series: windows})

    def feed_all(self, by_series: Mapping[SeriesKey, Iterable[Sums | Cells]]) -> list[Finding]:
        """Several series at the same time. A window without an event is silence."""
        before = len(self.told)
        for row in zip(*by_series.values(), strict=True):
            windows = {series: self._window(series, content) for series, content in zip(by_series, row, strict=True)}
            spoken = {series: window for series, window in windows.items() if window.sums.events}
            self.told += self.watch.window(Complete(self.meter, self.seconds, self.now, spoken))
            self.now += self.seconds
        self.found.update((finding.finding_id, finding) for finding in self.told[before:])
        return self.told[before:]

    def _window(self, series: SeriesKey, content: Sums | Cells) -> Window:
        cells = {series: content} if isinstance(content, Sums) else dict(content)
        whole = Sums()
        for sums in cells.values():
            whole.add(sums)
        return Window(self.meter, series, self.now, self.seconds, whole, list(cells.items()))
