"""Dashboards and alert rules ask for what exists: metrics of the service, tables of the schema, valid configuration."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric

from streams.io.clickhouse import ClickHouseStore
from streams.metrics import Metrics
from tests.support.require import require

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "dashboards/grafana"
RULES = ROOT / "dashboards/prometheus/rules.yml"
DASHBOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in GRAFANA.glob("dashboards/*.json")}
SOURCES: list[dict[str, Any]] = yaml.safe_load(
    (GRAFANA / "provisioning/datasources/datasources.yml").read_text(encoding="utf-8")
)["datasources"]
SQL_FILES = sorted(GRAFANA.glob("sql/*/*.sql"))


def targets() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every query: the dashboard's name, the panel's title, the target."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield name, panel["title"], target


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


def test_there_are_dashboards_and_their_ids_are_their_file_names() -> None:
    assert {name: dashboard["uid"] for name, dashboard in DASHBOARDS.items()} == {
        "live-spend": "live-spend",
        "pipeline": "pipeline",
    }


def test_panels_ask_data_sources_that_are_provisioned() -> None:
    provisioned = {(source["type"], source["uid"]) for source in SOURCES}
    assert {(t["datasource"]["type"], t["datasource"]["uid"]) for _, _, t in targets()} == provisioned


def test_the_query_of_each_clickhouse_panel_is_the_file_named_after_it() -> None:
    found = {}
    for dashboard, title, target in targets():
        if "rawSql" in target:
            slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
            found[GRAFANA / "sql" / dashboard / f"{slug}.sql"] = target["rawSql"]
    assert found == {path: path.read_text(encoding="utf-8").strip() for path in SQL_FILES}


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: str(path.stem))
def test_each_query_runs_on_the_tables(path: Path, store: ClickHouseStore) -> None:
    sql = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 >= now() - INTERVAL 1 DAY", path.read_text(encoding="utf-8"))
    assert "$" not in sql
    store.query(sql)


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
