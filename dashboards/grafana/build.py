"""Makes dashboards/*.json of this page and the SQL files: `python dashboards/grafana/build.py`. A test checks that.

A panel's query is sql/<dashboard>/<its title in small letters and hyphens>.sql, so that SQL is reviewed as SQL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CLICKHOUSE = {"type": "grafana-clickhouse-datasource", "uid": "clickhouse"}
PROMETHEUS = {"type": "prometheus", "uid": "prometheus"}
MONEY, SHARE, SECONDS, COUNT = "currencyUSD", "percentunit", "s", "short"
VARIABLES = ("team", "project", "environment", "provider", "model")
WIDE, HIGH = 24, 8
Json = dict[str, Any]
UNITS = {
    **dict.fromkeys(("usd", "excess", "saved", "avoided", "projected", "observed", "cost", "idle", "estimated"), MONEY),
    **dict.fromkeys(("share", "change", "utilization"), SHARE),
    "seconds": SECONDS,
}
"""Columns of tables, by a word of their name."""


def stat(title: str, unit: str, note: str = "", *, width: int = 4, good: str = "") -> Json:
    """One number. `good`: `low` or `high` colours it."""
    steps = {"low": ["green", "red"], "high": ["red", "green"]}.get(good)
    colour = {"color": {"mode": "thresholds"}, "thresholds": _thresholds(steps, 0.9 if unit == SHARE else 1)}
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
               "colorMode": "value" if steps else "none", "graphMode": "none", "textMode": "auto"}  # fmt: skip
    return _panel(
        "stat", title, note, width, 4, {"unit": unit, "noValue": "no data", **(colour if steps else {})}, options
    )


def lines(title: str, unit: str, note: str = "", *, width: int = 12, stack: bool = False, every: str = "1m") -> Json:
    """Lines over time, no finer than `every`."""
    custom: Json = {"fillOpacity": 20 if stack else 0, "lineWidth": 1 if stack else 2, "showPoints": "auto"}
    if stack:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {"legend": {"displayMode": "list", "placement": "bottom", "calcs": []},
               "tooltip": {"mode": "multi", "sort": "desc"}}  # fmt: skip
    return _panel("timeseries", title, note, width, HIGH, {"unit": unit, "custom": custom}, options) | {
        "interval": every
    }


def bars(title: str, unit: str, note: str = "", *, width: int = 12, every: str = "1d") -> Json:
    """Stacked bars over time."""
    made = lines(title, unit, note, width=width, stack=True, every=every)
    made["fieldConfig"]["defaults"]["custom"] |= {"drawStyle": "bars", "fillOpacity": 70}
    return made


def table(title: str, note: str = "", *, width: int = 12) -> Json:
    """Rows."""
    return _panel(
        "table", title, note, width, HIGH, {"custom": {"filterable": True}}, {"showHeader": True, "cellHeight": "sm"}
    )


def prom(panel: Json, *queries: tuple[str, str]) -> Json:
    """A panel that asks Prometheus: expressions with their legends."""
    panel["targets"] = [
        {"refId": "ABCDEF"[at], "datasource": PROMETHEUS, "expr": expression, "legendFormat": legend, "range": True}
        for at, (expression, legend) in enumerate(queries)
    ]
    panel["datasource"] = PROMETHEUS
    return panel


def slug(title: str) -> str:
    """A title as the name of its file."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def dashboard(uid: str, title: str, note: str, panels: Iterable[Json], *, since: str, variables: Iterable[str]) -> Json:
    """A dashboard, its panels laid out in rows from left to right."""
    laid, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(panels, 1):
        width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + width > WIDE:
            x, y, row = 0, y + row, 0
        row = max(row, height)
        laid.append({"id": number, **panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
        x += width
        if "targets" not in panel:
            laid[-1] |= _asks_clickhouse(uid, panel)
    return {
        "uid": uid, "title": title, "description": note, "tags": ["spendstream"], "timezone": "utc", "refresh": "10s",
        "time": {"from": since, "to": "now"}, "schemaVersion": 41, "editable": False, "graphTooltip": 1,
        "templating": {"list": [_variable(name) for name in variables]},
        "links": [{"type": "dashboards", "title": "Spendstream", "tags": ["spendstream"], "asDropdown": True,
                   "includeVars": True, "keepTime": True}],
        "panels": laid,
    }  # fmt: skip


def _asks_clickhouse(uid: str, panel: Json) -> Json:
    sql = (HERE / "sql" / uid / f"{slug(panel['title'])}.sql").read_text(encoding="utf-8").strip()
    over_time = panel["type"] == "timeseries"
    target = {"refId": "A", "datasource": CLICKHOUSE, "editorType": "sql", "pluginVersion": "4.20.0",
              "queryType": "timeseries" if over_time else "table", "format": 0 if over_time else 1,
              "rawSql": sql}  # fmt: skip
    made: Json = {"datasource": CLICKHOUSE, "targets": [target]}
    if panel["type"] == "table":
        made["fieldConfig"] = {**panel["fieldConfig"], "overrides": list(_overrides(sql))}
    return made


def _overrides(sql: str) -> Iterable[Json]:
    """Units of a table's columns, by their names."""
    for column in dict.fromkeys(re.findall(r"\bAS ([a-z_0-9]+)", sql) + re.findall(r"\b([a-z]+_seconds)\b", sql)):
        unit = next((unit for word, unit in UNITS.items() if word in column), None)
        if unit is not None and column != "taken_by":
            yield {"matcher": {"id": "byName", "options": column}, "properties": [{"id": "unit", "value": unit}]}


def _variable(name: str) -> Json:
    if name == "monthly_budget":
        return {"type": "textbox", "name": name, "label": "monthly budget, USD", "query": "0",
                "current": {"text": "0", "value": "0"}, "hide": 0}  # fmt: skip
    sql = (HERE / "sql/variables" / f"{name}.sql").read_text(encoding="utf-8").strip()
    return {
        "type": "query", "name": name, "label": name, "datasource": CLICKHOUSE, "query": sql, "refresh": 2, "sort": 1,
        "multi": True, "includeAll": True, "hide": 0, "current": {"text": ["All"], "value": ["$__all"]},
    }  # fmt: skip


def _panel(kind: str, title: str, note: str, width: int, height: int, defaults: Json, options: Json) -> Json:
    return {"type": kind, "title": title, "description": note, "gridPos": {"w": width, "h": height},
            "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options}  # fmt: skip


def _thresholds(colours: list[str] | None, at: float) -> Json:
    first, second = colours or ["green", "green"]
    return {"mode": "absolute", "steps": [{"color": first, "value": None}, {"color": second, "value": at}]}


def all_dashboards() -> dict[str, Json]:
    """All of them, by uid."""
    made = [_live_spend(), _alerts(), _unit_economics(), _allocation(), _pipeline()]
    return {one["uid"]: one for one in made}


def _live_spend() -> Json:
    panels = [
        stat("Spend now", MONEY, "USD an hour over the last five whole minutes; without bills."),
        stat("Usual at this time", MONEY, "USD an hour: the median of the same time of the seven days before."),
        stat("Spend in the time chosen", MONEY),
        stat("Month to date", MONEY),
        stat("Share of the monthly budget", SHARE, "Type the month's budget of what you have chosen above."),
        prom(
            stat("Open findings by detection", COUNT, "What detection sees now, by the service's own gauge."),
            ("sum(spendstream_open_findings)", ""),
        ),
        lines("Spend an hour against usual", MONEY, "Usual: by the seven days before the time chosen.", width=24),
        lines(
            "Spend an hour by team", MONEY, "By the time of use. The newest minutes still fill.", width=24, stack=True
        ),
        table("Open alerts", "What paged and is not over: one line per incident.", width=24),
        table("Open findings", "What detection sees, also what is too small to page.", width=24),
        table("Spend by owner", "Against the stretch of the same length before."),
        table("Spend by model"),
        table("Spend by GPU"),
        table("Spend by service", "Lines of bills."),
    ]
    note = "What is being spent now, by whom, and what is unusual."
    return dashboard("live-spend", "Live spend", note, panels, since="now-3h", variables=(*VARIABLES, "monthly_budget"))


def _alerts() -> Json:
    panels = [
        stat("Alerts that fire", COUNT, "They need somebody.", good="low"),
        stat("Alerts in hand", COUNT, "Acknowledged or snoozed."),
        stat("Excess of open alerts", MONEY),
        stat("Mean time to acknowledge", SECONDS, "MTTA: from the alert to the first act of a person."),
        stat("Mean time to resolve", SECONDS, "MTTR: from the alert to its end."),
        stat("Dollars avoided", MONEY, "By remedies, measured after them."),
        stat("Mean time to detect", SECONDS, "From the beginning of the spend to the alert, in event time."),
        bars("Alerts a day by severity", COUNT, width=20),
        table("Alerts", "With their response times, in seconds.", width=24),
        lines("Response times by day", SECONDS, "FinOps calls the last one remediation cycle time.", every="1d"),
        bars("Dollars avoided by day", MONEY),
        table("Remedies", width=24),
        table("Excess by kind"),
        table("What people made of alerts", "How noisy it is."),
        table("Who did what", width=24),
    ]
    note = "What paged, how fast it was answered, and what remedies were worth."
    return dashboard(
        "alerts-and-remediation", "Alerts and remediation", note, panels, since="now-30d", variables=("team",)
    )


def _unit_economics() -> Json:
    panels = [
        stat("USD per request", MONEY, width=5),
        stat("USD per million tokens", MONEY, "Input, cached input included, and output together.", width=5),
        stat("USD per GPU-hour used", MONEY, "Where utilization is known.", width=5),
        stat("Saved by caching", MONEY, "What cached input would have cost more at the full price.", width=5),
        stat("Idle waste", MONEY, "Paid for GPUs while they did nothing.", width=4),
        lines("USD per request by model", MONEY, every="1h"),
        lines("USD per million tokens by model", MONEY, every="1h"),
        table("Cost of features"),
        table("Caching by model"),
        table("GPUs paid and used"),
        lines("Idle waste by hour", MONEY, every="1h", stack=True),
    ]
    note = "What one request, a million tokens and a used GPU-hour cost, and what is wasted. By whole hours."
    return dashboard("unit-economics", "Unit economics", note, panels, since="now-24h", variables=VARIABLES)


def _allocation() -> Json:
    panels = [
        stat("Share with an owner", SHARE, "Coverage: of the spend, the part that a rule gave an owner.", good="high"),
        stat("Spend without an owner", MONEY),
        stat("At risk without a price", MONEY, "An estimate: it is not zero.", good="low"),
        stat("Charges in no known currency", COUNT, "In no sum here: no dated rate puts them into USD.", good="low"),
        stat("Dead letters", COUNT, "Events that could not be charged.", good="low"),
        stat("Share that came late", SHARE, "More than a minute after their time, on Kafka."),
        lines("Share with an owner by source", SHARE, every="5m"),
        bars("Dead letters by reason", COUNT, every="5m"),
        table("What gave spend an owner"),
        table("Who spends without an owner"),
        table("Usage without a price", width=24),
        table("Costs by currency"),
        table("Re-prices"),
    ]
    note = "Whose the spend is, and what is not known of it."
    return dashboard(
        "allocation-and-data-quality", "Allocation and data quality", note, panels, since="now-24h", variables=VARIABLES
    )


def _pipeline() -> Json:
    landed = "sum by (le) (rate(spendstream_event_to_landed_seconds_bucket[1m]))"
    took = "sum by (le, stage) (rate(spendstream_stage_seconds_bucket[1m]))"
    panels = [
        prom(stat("Stages up", COUNT, "1 while a stage answers.", width=24), ('up{job="spendstream"}', "{{service}}")),
        prom(
            lines("Events per second", "ops"), ("sum by (outcome) (rate(spendstream_events_total[1m]))", "{{outcome}}")
        ),
        prom(
            lines("Lag", COUNT, "Records behind the end of their topics."),
            ("sum by (stage) (spendstream_consumer_lag_records)", "{{stage}}"),
        ),
        prom(
            lines("From Kafka to ClickHouse", SECONDS, "From a record's arrival to its row."),
            (f"histogram_quantile(0.5, {landed})", "median"),
            (f"histogram_quantile(0.99, {landed})", "99th percentile"),
        ),
        prom(
            lines("Time in a stage", SECONDS, "A batch, 99th percentile."),
            (f"histogram_quantile(0.99, {took})", "{{stage}}"),
        ),
        prom(
            lines("Dead letters per minute", COUNT, width=8),
            ("sum by (reason) (rate(spendstream_dead_letters_total[5m])) * 60", "{{reason}}"),
        ),
        prom(
            lines("ClickHouse errors per minute", COUNT, width=8),
            ("sum by (operation) (rate(spendstream_clickhouse_errors_total[5m])) * 60", "{{operation}}"),
        ),
        prom(
            lines("Alert deliveries", COUNT, "In five minutes.", width=8),
            ("sum by (channel, outcome) (increase(spendstream_alert_deliveries_total[5m]))", "{{channel}} {{outcome}}"),
        ),
        prom(
            lines("Records per second", "ops", width=8),
            ("sum by (stage) (rate(spendstream_records_total[1m]))", "{{stage}}"),
        ),
        prom(lines("Open findings", COUNT, width=8), ("sum by (kind) (spendstream_open_findings)", "{{kind}}")),
        prom(lines("Series watched", COUNT, width=8), ("sum by (state) (spendstream_series)", "{{state}}")),
    ]
    return dashboard("pipeline", "Pipeline", "Whether the service keeps up.", panels, since="now-30m", variables=())


def written(one: Json) -> str:
    """As it stands in its file."""
    return json.dumps(one, indent=2) + "\n"


if __name__ == "__main__":
    for uid, one in all_dashboards().items():
        (HERE / "dashboards" / f"{uid}.json").write_text(written(one), encoding="utf-8")
