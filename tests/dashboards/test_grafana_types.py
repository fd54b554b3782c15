"""The dashboards and what provisions them, held against Grafana's own types: what it doesn't know it drops in silence.

Grafana's foundation SDK is made from the schemas of Grafana 12 and later. A dashboard read by it and written again has
lost every field that Grafana would not know, in panels, options, field settings, variables and Prometheus queries.
"""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

from tests.support.grafana import DASHBOARDS, GRAFANA, targets

with warnings.catch_warnings():
    # It would rather have the newer kind of dashboard, which Grafana 12 has behind a switch. Both are read.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models.dashboard import Dashboard

# What may stand in a provisioned data source of the kinds used here: Grafana's own documentation of provisioning, and
# of each plugin (for ClickHouse its `CHConfig` and `CHSecureConfig`).
SOURCE = {"name", "uid", "type", "access", "url", "isDefault", "jsonData", "secureJsonData"}
JSON_DATA = {
    "prometheus": {"timeInterval", "httpMethod", "prometheusType", "prometheusVersion", "queryTimeout"},
    "grafana-clickhouse-datasource": {
        "host", "port", "protocol", "secure", "path", "username", "defaultDatabase", "defaultTable", "dialTimeout",
        "queryTimeout", "validateSql", "tlsSkipVerify", "tlsAuth", "tlsAuthWithCACert", "version",
    },
}  # fmt: skip
SECURE = {"grafana-clickhouse-datasource": {"password", "tlsCACert", "tlsClientCert", "tlsClientKey"}}
CLICKHOUSE_QUERY = {"refId", "datasource", "editorType", "pluginVersion", "queryType", "format", "rawSql"}
PROVIDER = {"name", "folder", "folderUid", "type", "disableDeletion", "updateIntervalSeconds", "allowUiUpdates",
            "options", "orgId"}  # fmt: skip


def through_grafana(board: dict[str, Any]) -> Any:
    register_default_plugins()
    return json.loads(json.dumps(Dashboard.from_json(copy.deepcopy(board)), cls=JSONEncoder))


def lost(given: Any, kept: Any, at: str = "") -> Iterator[str]:
    """The places of `given` that are missing or other in `kept`."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from lost(value, kept[name], f"{at}.{name}") if name in kept else [f"{at}.{name}"]
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, other, f"{at}[{number}]")
    elif given != kept:
        yield at


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_knows_every_field_of_a_dashboard(name: str) -> None:
    assert list(lost(DASHBOARDS[name], through_grafana(DASHBOARDS[name]))) == []


def test_a_field_that_grafana_does_not_know_would_be_seen() -> None:
    board = copy.deepcopy(DASHBOARDS["live-spend"])
    panel = next(panel for panel in board["panels"] if panel["type"] == "timeseries")
    panel["titel"] = panel["options"]["legnd"] = panel["fieldConfig"]["defaults"]["custom"]["fill"] = 1
    board["templating"]["list"][0]["multy"] = True
    found = {place.rsplit(".", 1)[1] for place in lost(board, through_grafana(board))}
    assert found == {"titel", "legnd", "fill", "multy"}


def test_queries_of_clickhouse_are_as_its_data_source_writes_them() -> None:
    """Its plugin is not part of Grafana, and so not of the SDK."""
    asked = [target for _, _, target in targets() if target["datasource"]["type"] == "grafana-clickhouse-datasource"]
    assert asked
    assert {frozenset(target) for target in asked} == {frozenset(CLICKHOUSE_QUERY)}
    # 0 is a time series and 1 a table: the numbers that the plugin gives to its query types.
    assert {(target["queryType"], target["format"]) for target in asked} <= {("timeseries", 0), ("table", 1)}


def test_what_is_provisioned_has_only_fields_that_are_documented() -> None:
    text = (GRAFANA / "provisioning/datasources/datasources.yml").read_text(encoding="utf-8")
    for source in yaml.safe_load(text)["datasources"]:
        kind = source["type"]
        assert source.keys() <= SOURCE, kind
        assert source.get("jsonData", {}).keys() <= JSON_DATA[kind], kind
        assert source.get("secureJsonData", {}).keys() <= SECURE.get(kind, set()), kind
        if kind == "grafana-clickhouse-datasource":
            assert {"host", "port", "protocol", "username"} <= source["jsonData"].keys()  # those that it requires
            assert source["jsonData"]["protocol"] in {"native", "http"}
    text = (GRAFANA / "provisioning/dashboards/dashboards.yml").read_text(encoding="utf-8")
    for provider in yaml.safe_load(text)["providers"]:
        assert provider.keys() <= PROVIDER
        assert provider["type"] == "file"
        assert provider["options"].keys() <= {"path", "foldersFromFilesStructure"}
