"""The line on the Numenta Anomaly Benchmark: our score beside the published ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from replay import nab
from replay.compare.benchmarks import BenchmarkError
from replay.jitter import PROFILES, load_scorer
from streams.core.detect.detectors.drift_record import DriftRecord
from streams.core.detect.detectors.parameters import PARAMETERS

PUBLISHED: dict[str, tuple[float, float, float]] = {
    "ARTime": (74.9, 65.1, 80.4),
    "Numenta HTM": (70.5, 62.6, 75.2),
    "CAD OSE": (69.9, 67.0, 73.2),
    "earthgecko Skyline": (58.2, 46.2, 63.9),
    "KNN CAD": (58.0, 43.4, 64.8),
    "Relative Entropy": (54.6, 47.6, 58.8),
    "Random Cut Forest (AWS)": (51.7, 38.4, 59.7),
    "Windowed Gaussian": (39.6, 20.9, 47.4),
    "random": (11.0, 1.2, 19.5),
}
"""Standard, low FP and low FN, from the benchmark's own results (github.com/numenta/NAB)."""


def line(data: Path, scorer: Path) -> str:
    """A table of the scores, ours measured now. Raises BenchmarkError when the data or the scorer isn't there."""
    corpus = list(nab.read(data))
    if not corpus or not scorer.is_file():
        raise BenchmarkError(f"{data if scorer.is_file() else scorer}: is not the Numenta benchmark's")
    with TemporaryDirectory() as folder:
        nab.run(corpus, Path(folder), partial(DriftRecord, PARAMETERS))
        ours = load_scorer(scorer)(Path(folder))
    mine = tuple(ours[profile] for profile in PROFILES)
    ranked = sorted([("**Spendstream**", mine), *PUBLISHED.items()], key=lambda one: -one[1][0])
    rows = [f"| {who} | {' | '.join(f'{value:.1f}' for value in scores)} |" for who, scores in ranked]
    return "\n".join(["| detector | standard | low FP | low FN |", "|---|---|---|---|", *rows])
