"""A series that dozes through silent windows is told of as one that is judged in each of them, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest

from schemas.watch import Finding
from streams.core.detect import judge, lull
from streams.core.detect.bucket import Bucket
from streams.core.detect.gauge import LONGEST
from streams.core.detect.merge import Complete
from streams.core.detect.ratios import RatioGauge
from streams.core.detect.rules import WatchRules
from streams.core.detect.series import Series
from streams.core.detect.watch import Watch
from streams.core.windows.sums import SeriesKey, Sums, Window
from tests.support.watching import START, key, tokens

SECONDS, HOUR = 60, 60  # a window, and an hour of them
DAYS = 54 * HOUR
QUIET, SPARSE, STEADY, BURSTY, TEAM = (
    *(key(principal=name) for name in ("quiet", "sparse", "steady", "bursty")),
    key(team="search"),
)


def requests(rng: Random, series: SeriesKey, number: int) -> int:
    """Of one window."""
    if series == QUIET:
        return rng.randint(1, 9) if rng.random() < 0.004 else 0
    if series == SPARSE:
        return rng.randint(20, 400) if rng.random() < (0.8 if number % 700 < 12 else 0.1) else 0
    if series == BURSTY:
        return int(rng.paretovariate(1.1)) * 30 if rng.random() < 0.3 else 0
    stopped = number % 900 > 800 and number > 1500  # a meter that breaks
    return 0 if stopped else rng.randint(40, 60) if rng.random() < 0.9 else 0


def history(seed: int) -> Iterator[Complete]:
    """Two days of windows by the minute, with a hole of half an hour in them."""
    rng = Random(seed)
    for number in range(DAYS):
        start = START + SECONDS * number
        spent = {of: requests(rng, of, number) for of in (QUIET, SPARSE, STEADY, BURSTY)}
        windows = {of: window(of, start, [of], [count]) for of, count in spent.items() if count}
        payers = [of for of in (SPARSE, QUIET) if spent[of]]
        if payers:
            windows[TEAM] = window(TEAM, start, payers, [spent[of] for of in payers])
        if not 1215 <= number < 1240:  # across no hour's end
            yield Complete("token_call", SECONDS, start, windows)


def window(of: SeriesKey, start: int, payers: list[SeriesKey], counts: list[int]) -> Window:
    cells, whole = [(payer, tokens(count)) for payer, count in zip(payers, counts, strict=True)], Sums()
    for _, sums in cells:
        whole.add(sums)
    return Window("token_call", of, start, SECONDS, whole, cells)


def told(seed: int, rules: WatchRules) -> list[str]:
    """Findings, counts and snapshots of a history."""
    out: list[str] = []
    watched = Watch(rules)
    for number, complete in enumerate(history(seed)):
        out += [finding.model_dump_json() for finding in watched.window(complete)]
        if number % 500 == 0:
            out += [json.dumps(watched.snapshot()), repr(watched.series()), repr(watched.open_findings())]
        if number == DAYS // 2:
            state = json.loads(json.dumps(watched.snapshot()))
            watched = Watch(rules)
            watched.restore(state)
    watched.settle()
    return [*out, json.dumps(watched.snapshot())]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("rules", [WatchRules(min_excess_usd=0.1), WatchRules(0, sensitivity=(((), 1.6),))])
def test_what_dozes_is_told_of_as_what_is_judged_in_time(
    seed: int, rules: WatchRules, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, close = [0], judge.close

    def counted(series: Series, empty: Bucket) -> list[Finding]:
        judged[0] += 1
        return close(series, empty)

    monkeypatch.setattr(judge, "close", counted)
    dozing, short = told(seed, rules), judged[0]
    monkeypatch.setattr(lull, "due", lambda *_: 0)
    judged[0] = 0
    assert dozing == told(seed, rules)
    assert sum('"kind":"drop"' in line for line in dozing) > 0
    assert sum('"kind":"spike"' in line for line in dozing) > 0
    assert short < 0.8 * judged[0]


def test_a_series_that_breaks_is_told_of_in_the_same_window() -> None:
    """It dozes from its last event on; that it has been silent for too long must wake it."""
    watched, start = Watch(WatchRules(min_excess_usd=0.1)), START
    found: list[tuple[int, Finding]] = []
    for number in range(26 * HOUR + 60):
        windows = {STEADY: window(STEADY, start, [STEADY], [50])} if number < 26 * HOUR else {}
        found += [(number, finding) for finding in watched.window(Complete("token_call", SECONDS, start, windows))]
        start += SECONDS
    first, finding = found[0]
    assert (first - 26 * HOUR, finding.kind) == (44, "drop")


def test_what_is_silent_costs_no_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two judgements an hour, whatever is due: its end, and the beginning of the next."""
    watched, start = Watch(WatchRules()), START
    judged: list[int] = []
    close = judge.close

    def counted(series: Series, empty: Bucket) -> list[Finding]:
        judged.append(empty.end)
        return close(series, empty)

    monkeypatch.setattr(judge, "close", counted)
    for number in range(40 + 3 * HOUR):
        windows = {QUIET: window(QUIET, start, [QUIET], [5])} if number in {0, 3, 40} else {}
        watched.window(Complete("token_call", SECONDS, start, windows))
        start += SECONDS
    assert len(judged) < 20


@pytest.mark.parametrize("seed", range(4))
def test_a_gauge_that_stays_calm_finds_no_silent_window_unusual(seed: int) -> None:
    """By all that may follow: the windows with spend leave its spans one by one."""
    rng, gauge, said = Random(seed), RatioGauge(least=0.4), {True: 0, False: 0}
    for number in range(1500):
        spent = rng.paretovariate(1.2) if rng.random() < 0.3 else 0.0
        usual = gauge.judge(spent, 1.0, 0.0, 0.02).score <= 1.0 or number < 60
        gauge.learn(10, 3600.0, usual=usual, suspect=False)
        calm = gauge.stays_calm(10, 0.0, 1.0)
        later = RatioGauge.from_json(json.loads(json.dumps(gauge.to_json())))
        worst = 0.0
        for _ in range(LONGEST):
            worst = max(worst, later.judge(0.0, 1.0, 0.0, 0.02).score)
            later.learn(10, 3600.0, usual=True, suspect=False)
        assert not calm or worst <= 1.0
        said[calm and number > 60] += 1
    assert said[True] > 1000
    assert said[False] > 20
