"""The dashboards as Grafana would ask them: variables put in and macros expanded as its ClickHouse data source does.

By the source of grafana/clickhouse-datasource 4: `pkg/macros/macros.go` for macros; `$__conditionalAll` and variables
are done by its front end before that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "dashboards/grafana"
DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(GRAFANA.glob("dashboards/*.json"))
}
SQL_FILES = sorted(GRAFANA.glob("sql/*/*.sql"))


@dataclass(frozen=True)
class Chosen:
    """What the person at the dashboard has chosen. A variable that is not named stands at All."""

    begin: datetime
    end: datetime
    interval_seconds: int = 60
    variables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)


def expand(sql: str, chosen: Chosen) -> str:
    """The SQL that reaches ClickHouse. Raises AssertionError where something is left that nobody would expand."""
    sql = re.sub(r"\$__conditionalAll\((.+), \$(\w+)\)", lambda m: _conditional(m[1], m[2], chosen), sql)
    sql = re.sub(r"\$\{(\w+):singlequote\}", lambda m: _quoted(chosen.variables[m[1]]), sql)
    sql = re.sub(r"\$\{(\w+):raw\}", lambda m: chosen.text.get(m[1], "0"), sql)
    begin, end = (f"toDateTime({int(at.timestamp())})" for at in (chosen.begin, chosen.end))
    step = max(chosen.interval_seconds, 1)
    for macro, text in (
        (r"\$__timeFilter\(([\w.]+)\)", rf"\1 >= {begin} AND \1 <= {end}"),
        (r"\$__timeInterval\(([\w.]+)\)", rf"toStartOfInterval(toDateTime(\1), INTERVAL {step} second)"),
        (r"\$__interval_s\b(\(\))?", str(step)),
        (r"\$__fromTime\b(\(\))?", begin),
        (r"\$__toTime\b(\(\))?", end),
    ):
        sql = re.sub(macro, text, sql)
    assert "$" not in sql, f"nobody expands: {re.findall(r'[$][^ ]*', sql)}"
    return sql


def targets() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every query: the dashboard's name, the panel, the target."""
    for name, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield name, panel, target


def _conditional(condition: str, variable: str, chosen: Chosen) -> str:
    return condition if chosen.variables.get(variable) else "1=1"


def _quoted(values: Sequence[str]) -> str:
    return ",".join("'" + value.replace("'", "\\'") + "'" for value in values)
