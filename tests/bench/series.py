"""What many live series cost: `python -m tests.bench.series --series 100000`. Prints one JSON object.

Every series is of another key, with a model of its own, and has an event in each window: hours, so that the profile of
hours is there, and all that a series of calls keeps. Sums are shared by all series, as they would be gone in life.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from random import Random

import psutil

from streams.core.detect.merge import Complete
from streams.core.detect.rules import WatchRules
from streams.core.detect.watch import Watch
from streams.core.windows.sums import SeriesKey, Window
from tests.support.watching import key, tokens

HOUR = 3600
START = 1_800_000_000 // HOUR * HOUR


def crowd(series: int, windows: int) -> dict[str, float]:
    """Feed so many windows of so many series; sizes in bytes, times in CPU-seconds."""
    process = psutil.Process()
    gc.disable()  # nothing here is cyclic, and it would be what is timed
    before = process.memory_info().rss
    keys: list[SeriesKey] = [key(principal=f"key-{n}") for n in range(series)]
    parts = [key(principal=f"key-{n}", model=f"model-{n % 7}") for n in range(series)]
    watch, rng = Watch(WatchRules(max_series=series)), Random(1)
    began = time.process_time()
    for number in range(windows):
        sums = tokens(round(rng.gauss(5000, 200)))
        start = START + HOUR * number
        spent = {
            of: Window("token_call", of, start, HOUR, sums, [(part, sums)])
            for of, part in zip(keys, parts, strict=True)
        }
        watch.window(Complete("token_call", HOUR, start, spent))
    took = time.process_time() - began
    del spent
    resident = process.memory_info().rss - before
    began = time.process_time()
    state = json.dumps(watch.snapshot())
    wrote = time.process_time() - began
    began = time.process_time()
    Watch(WatchRules(max_series=series)).restore(json.loads(state))
    return {
        "series": sum(watch.series().values()),
        "windows": windows,
        "resident_bytes": resident,
        "bytes_per_series": resident / series,
        "seconds_per_series_window": took / series / windows,
        "checkpoint_bytes_per_series": len(state) / series,
        "checkpoint_seconds": wrote,
        "restore_seconds": time.process_time() - began,
    }


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--series", type=int, default=100_000)
    options.add_argument("--windows", type=int, default=36)
    given = options.parse_args()
    print(json.dumps(crowd(given.series, given.windows)))  # noqa: T201  its output
