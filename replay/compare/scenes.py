"""What a plot of one incident shows: what was spent, what would have been usual, and when it was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from replay.compare.benchmarks import Benchmark, Label
from replay.compare.traces import Traces
from schemas.watch import Alert, Finding
from streams.core.detect.detectors.spend import OrderedSpend, RequestedSpend, Spend
from streams.core.detect.gauges import PRICE_SCALE
from streams.core.detect.ratios import RatioGauge
from streams.core.detect.rules import DAY, HOUR
from streams.core.detect.shares import IDLE, JUMP, Share
from streams.core.windows.sums import SeriesKey, series_key

PAYER = {"tokens": ("principal",), "gpu": ("cluster", "accelerator"), "bill": ("service",)}
"""The series that tells of an incident in each benchmark."""
JUDGES: dict[str, type[Spend]] = {"tokens": RequestedSpend, "gpu": OrderedSpend, "bill": Spend}
LONG = 12 * HOUR  # seconds: what lasts longer is drawn by the hour
MARGIN = {True: DAY, False: 3 * HOUR}  # seconds drawn before and after, by whether it is long
SHOWN = {"cache_miss": "input_price", "untagged": "unowned_share", "gpu_idle": "idle_share"}
"""Where the trouble doesn't show in the spend: the measure that it shows in."""
SHARES = {"unowned_share": "unallocated_usd", "idle_share": "idle_usd"}
PER_MILLION = 1e6
LIFE = HOUR  # seconds over which the usual price of input is smoothed


@dataclass(frozen=True, slots=True)
class Scene:
    """One incident to draw. Times in epoch seconds UTC; `found` is when it was alerted or, failing that, recorded."""

    kind: str
    what: str  # the measure: usd, input_price, unowned_share, idle_share
    series: str
    start: int
    end: int
    step: int  # seconds between the points
    at: list[int]
    actual: list[float]
    expected: list[float]
    high: list[float]
    found: int | None
    paged: bool


def key_of(label: Label, kind: str) -> SeriesKey:
    """The series that an incident is drawn by."""
    return series_key({name: label.series[name] for name in PAYER[kind]})


def scenes(
    benchmark: Benchmark, traces: Traces, findings: Iterable[Finding], alerts: Iterable[Alert]
) -> dict[str, Scene]:
    """The first incident of each kind that is to be told, and the first of each that is not."""
    alerts, findings = list(alerts), list(findings)
    chosen: dict[str, Label] = {}
    for label in benchmark.labels:
        if label.kind not in chosen or (chosen[label.kind].expect == "finding" and label.expect == "alert"):
            chosen[label.kind] = label
    return {kind: _scene(benchmark, traces, label, findings, alerts) for kind, label in chosen.items()}


def _scene(
    benchmark: Benchmark, traces: Traces, label: Label, findings: Sequence[Finding], alerts: Sequence[Alert]
) -> Scene:
    key = key_of(label, benchmark.kind)
    long = label.end - label.start > LONG
    group = HOUR // traces.pace if long and traces.pace < HOUR else 1
    step = group * traces.pace
    what = SHOWN.get(label.kind, "usd")
    actual, expected, high = _lines(traces, key, what, group, JUDGES[benchmark.kind])
    first = max(0, (label.start - MARGIN[long or step >= HOUR] - traces.start) // step)
    last = min(len(actual), (label.end + MARGIN[long or step >= HOUR] - traces.start) // step)
    found, paged = _found(label, findings, alerts)
    return Scene(
        kind=label.kind,
        what=what,
        series=", ".join(f"{name} {value}" for name, value in key),
        start=label.start,
        end=label.end,
        step=step,
        at=[traces.start + bucket * step for bucket in range(first, last)],
        actual=actual[first:last],
        expected=expected[first:last],
        high=high[first:last],
        found=found,
        paged=paged,
    )


def _found(label: Label, findings: Sequence[Finding], alerts: Sequence[Alert]) -> tuple[int | None, bool]:
    """When it was first told while it went on, and whether that woke somebody."""
    paged, recorded = (
        [int(one.detected_at.timestamp()) for one in told if _fits(label, one)] for told in (alerts, findings)
    )
    if paged:
        return min(paged), True
    if label.expect == "silence":
        return None, False  # what is recorded of it is nobody's trouble
    return min(recorded, default=None), False


def _fits(label: Label, told: Finding | Alert) -> bool:
    """Whether it is within the incident, and of a series that names what the incident names."""
    named = told.series.items()
    same = all(label.series.get(name, value) == value for name, value in named)
    return bool(told.series) and same and label.start <= told.detected_at.timestamp() <= label.end + HOUR // 2


Lines = tuple[list[float], list[float], list[float]]  # actual, expected, the most that is usual


def _lines(traces: Traces, key: SeriesKey, what: str, group: int, judge: type[Spend]) -> Lines:
    if what == "input_price":
        return _price(traces, key)
    return _share(traces, key, what) if what in SHARES else _spend(traces, key, group, judge)


def _spend(traces: Traces, key: SeriesKey, group: int, judge: type[Spend]) -> Lines:
    """Dollars per step, judged by the gauge that the product judges such spend with."""
    values = traces.measure(key, "usd")
    whole = values[: len(values) // group * group].reshape(-1, group).sum(axis=1)
    detector, step = judge(), traces.pace * group
    expected: list[float] = []
    high: list[float] = []
    for at, value in enumerate(whole.tolist()):
        high.append(detector.band(traces.start + at * step)[1])
        expected.append(detector.update(traces.start + at * step, value).expected)
    return whole.tolist(), expected, high


def _share(traces: Traces, key: SeriesKey, what: str) -> Lines:
    """Which part of the dollars, in per cent, judged as the product judges shares."""
    parts, wholes = traces.measure(key, SHARES[what]).tolist(), traces.measure(key, "usd").tolist()
    share = Share()
    lines: Lines = ([], [], [])
    for part, whole in zip(parts, wholes, strict=True):
        limit = IDLE if what == "idle_share" else share.usual + JUMP
        for line, value in zip(lines, (part / whole if whole > 0 else 0.0, share.usual, limit), strict=True):
            line.append(100.0 * min(1.0, value))
        share.watch(part, whole, limit, traces.pace)
    return lines


def _price(traces: Traces, key: SeriesKey) -> Lines:
    """Dollars per million tokens of input, judged by the gauge of prices."""
    dollars, tokens = traces.measure(key, "input_usd"), traces.measure(key, "input_tokens")
    gauge = RatioGauge(PRICE_SCALE)
    actual: list[float] = []
    expected: list[float] = []
    high: list[float] = []
    for usd, count in zip(dollars.tolist(), (tokens / PER_MILLION).tolist(), strict=True):
        before = actual[-1] if actual else 0.0  # stands for a minute without a call, which has no price
        price = usd / count if count > 0 else before
        gauge.refresh()
        expected.append(gauge.usual)
        high.append(gauge.limit(0.0, 0.0))
        actual.append(price)
        if count > 0:
            reading = gauge.judge(usd, count, 0.0, 0.0)
            gauge.learn(traces.pace, LIFE, usual=reading.score <= 1.0, suspect=False)
    return _smoothed(actual), expected, high


def _smoothed(values: list[float], over: int = 3) -> list[float]:
    return [fmean(values[max(0, at - over + 1) : at + 1]) for at in range(len(values))]
