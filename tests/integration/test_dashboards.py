"""Panels and alert rules ask Prometheus for metrics that the service has, and configuration is valid."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import yaml
from prometheus_client import Metric

from streams.metrics import Metrics
from tests.support.grafana import targets
from tests.support.require import require

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards/prometheus/rules.yml"


def names(metric: Metric) -> set[str]:
    """The series that Prometheus stores for a metric."""
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
    return {metric.name + suffix for suffix in suffixes}


def unknown_metrics(expression: str) -> set[str]:
    known = {name for metric in Metrics().registry.collect() for name in names(metric)}
    return set(re.findall(r"\bspendstream_\w+", expression)) - known


def run(*command: str) -> None:
    require(shutil.which(command[0]), f"{command[0]}, to check configuration of Prometheus or Alertmanager")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_and_rules_ask_for_metrics_that_the_service_has() -> None:
    rules = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    asked = [target["expr"] for _, _, target in targets() if "expr" in target] + rules
    assert len(asked) > len(rules) > 0
    assert not set().union(*map(unknown_metrics, asked))


def test_a_misspelt_metric_would_be_seen() -> None:
    assert unknown_metrics("rate(spendstream_event_total[1m])") == {"spendstream_event_total"}


def test_prometheus_scrapes_every_stage_under_its_service_name() -> None:
    config = yaml.safe_load((ROOT / "dashboards/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    scraped = {
        (entry["targets"][0], entry["labels"]["service"])
        for job in config["scrape_configs"]
        for entry in job["static_configs"]
    }
    assert scraped == {(f"{stage}:9464", stage) for stage in ("price", "land", "roll", "detect", "alert")}


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    """As it stands in its container, where the token is a secret of the compose file."""
    folder = tmp_path / "prometheus"
    shutil.copytree(ROOT / "dashboards/prometheus", folder)
    config = folder / "prometheus.yml"
    text = config.read_text(encoding="utf-8")
    assert "/run/secrets/metrics_token" in text
    (tmp_path / "metrics_token").write_text("x" * 32, encoding="utf-8")
    config.write_text(text.replace("/run/secrets", str(tmp_path)), encoding="utf-8")
    run("promtool", "check", "config", str(config))


def test_alert_rules_fire_when_they_should() -> None:
    run("promtool", "test", "rules", str(ROOT / "tests/integration/prometheus_rules.yml"))


def test_alertmanager_accepts_its_configuration() -> None:
    run("amtool", "check-config", str(ROOT / "dashboards/alertmanager/alertmanager.yml"))


def test_alertmanager_tells_alerts_about_the_service_from_those_about_spend() -> None:
    config = str(ROOT / "dashboards/alertmanager/alertmanager.yml")
    for labels, receiver in (("source=prometheus", "service"), ("severity=critical", "page")):
        run("amtool", "config", "routes", "test", f"--config.file={config}", f"--verify.receivers={receiver}", labels)
