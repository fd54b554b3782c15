"""The regression gate on the Numenta Anomaly Benchmark, whose data and scorer lie beside the repository."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from replay.jitter import jittered, load_scorer, summary
from replay.nab import alerts, app, read, seconds
from streams.core.detect.detectors.drift_record import DriftRecord
from streams.core.detect.detectors.parameters import PARAMETERS, fingerprint
from tests.support.require import require

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
SHARED = ROOT.parent / "shared"
GATE = {"standard": 75.0, "low_fp": 69.0, "low_fn": 79.0}

# At which points each series alerts. A change here is a change of what the product finds: say why in the commit.
PINNED = {
    "artificialNoAnomaly/art_flatline.csv": [],
    "realAWSCloudwatch/iio_us-east-1_i-a2eb1cd9_NetworkIn.csv": [202, 225],
    "realAdExchange/exchange-3_cpc_results.csv": [173, 296, 438, 976],
    "realKnownCause/rogue_agent_key_hold.csv": [152, 212, 432, 592, 1622],
    "realTraffic/speed_7578.csv": [112, 276, 317, 363, 625, 673, 753, 924, 961],
}


@cache
def benchmark() -> Path:
    """The folder of the benchmark."""
    require((SHARED / "data" / "nab").exists(), "the benchmark's data in ../shared")
    return SHARED / "data" / "nab"


@pytest.mark.parametrize("name", PINNED)
def test_alerts_are_where_they_were(name: str, tmp_path: Path) -> None:
    source = benchmark() / "data" / name
    copy = tmp_path / "data" / name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(source.read_bytes())
    (series,) = read(tmp_path)
    stream = alerts(DriftRecord(), series[2])
    assert [i for i, alert in enumerate(stream) if alert] == PINNED[name]


def test_the_whole_corpus_passes_the_gate(tmp_path: Path) -> None:
    data = benchmark()
    result = CliRunner().invoke(app, ["--data", str(data), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    score = load_scorer(SHARED / "nab" / "score.py")(tmp_path)
    assert {profile: value for profile, value in score.items() if value < GATE[profile]} == {}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--out", "x", "--detector", "nobody"], "nobody"),
        (["--out", "x"], "no data"),
    ],
)
def test_a_wrong_call_is_explained(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--data", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_time_without_zone_is_utc() -> None:
    assert seconds("1970-01-02 00:00:00") == seconds("1970-01-02T01:00:00+01:00") == 86_400.0


def test_neighbours_are_repeatable_and_differ_in_every_constant() -> None:
    first, again, other = jittered(PARAMETERS, 1), jittered(PARAMETERS, 1), jittered(PARAMETERS, 2)
    assert first == again
    assert len({fingerprint(p) for p in (PARAMETERS, first, other)}) == 3
    assert first.restraint.norm != PARAMETERS.restraint.norm
    assert 0.0 < first.hour_rate <= 1.0


def test_a_summary_says_mean_and_spread() -> None:
    assert summary("standard", [70.0, 72.0, 74.0]) == "standard  mean 72.0, sd 2.0, 5-95 % 70.2-73.8"
    assert summary("low_fp", [70.0]) == "low_fp    70.0"
