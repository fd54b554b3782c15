"""How long every panel takes on ten million charges: `python -m tests.dashboards.ten_million FOLDER [ROWS]`.

The charges are made inside ClickHouse, a week of them: 40 teams with 500 keys and 20 models, 8 clusters, bills of 6
services. FOLDER keeps the database, so that a second run only measures. Each query runs with the dashboard's whole week
chosen, once to warm up and then five times; the median and the worst are printed, in seconds.
"""

from __future__ import annotations

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from streams.io.clickhouse import ClickHouseStore, connect
from streams.settings import ClickHouse
from tests.support.grafana import SQL_FILES, Chosen, expand

ROWS, AT_ONCE, LIMIT_SECONDS = 10_000_000, 500_000, 1.0
WEEK = timedelta(days=7)
MADE = """
INSERT INTO charges
    (source, id, type, time, received_at, landed_at, period_start, period_end, provider, service, model, cluster,
     accelerator, requests, input_tokens, output_tokens, cache_read_input_tokens, gpu_minutes, utilization, currency,
     list_cost, contracted_cost, effective_cost, billed_cost, effective_cost_usd, estimated_cost, unit_prices,
     price_status, team, project, environment, feature, principal, allocation, part, parts)
WITH
    intHash64(number) AS h, h % 100 AS kind, kind < 94 AS is_call, kind >= 94 AND kind < 99 AS is_gpu,
    h % 500 AS key, key % 40 AS team_number, intDiv(h, 500) % 4 AS model_number,
    number % 1000 = 0 AS is_unpriced,
    toDecimal128(if(is_gpu, 0.6, 0.004) * (0.5 + (intDiv(h, 7) % 1000) / 1000), 18) AS usd,
    if(is_unpriced, NULL, usd) AS cost
SELECT
    '/made', toString(number),
    multiIf(is_call, 'spendstream.token_call.v1', is_gpu, 'spendstream.gpu_usage.v1', 'spendstream.line_item.v1'),
    {begin:DateTime64(6, 'UTC')} + toIntervalMicrosecond(toUInt64(number * {gap:Float64})) AS t,
    t, t + toIntervalSecond(2), t, t,
    multiIf(is_call, ['openai', 'anthropic', 'google'][team_number % 3 + 1], 'aws'),
    if(kind = 99, concat('service-', toString(h % 6)), ''),
    if(is_call, concat('model-', toString(team_number % 5 * 4 + model_number)), ''),
    if(is_gpu, concat('cluster-', toString(h % 8)), ''), if(is_gpu, ['h100', 'a100'][h % 2 + 1], ''),
    is_call, if(is_call, 1000 + h % 900, 0), if(is_call, 200 + h % 100, 0), if(is_call, 400, 0),
    if(is_gpu, toDecimal128(8, 18), NULL), if(is_gpu, 0.3 + (h % 50) / 100, NULL), 'USD',
    cost, cost, cost, cost, cost, if(is_unpriced, usd, NULL),
    if(is_call, map('input_mtok', toDecimal128(2.5, 18), 'cache_read_mtok', toDecimal128(1.25, 18),
                    'output_mtok', toDecimal128(10, 18)), map()),
    multiIf(is_unpriced, 'unpriced', kind = 99, 'billed', 'priced'),
    if(h % 50 = 0, '', concat('team-', toString(team_number))), concat('project-', toString(team_number % 20)),
    ['prod', 'staging', 'dev'][h % 3 + 1], concat('feature-', toString(key % 60)), concat('key-', toString(key)),
    if(h % 50 = 0, 'unallocated', 'tags'), 0, 1
FROM numbers({first:UInt64}, {count:UInt64})
"""


def make(store: ClickHouseStore, rows: int, end: datetime) -> None:
    """Fill an empty table of charges."""
    for first in range(0, rows, AT_ONCE):
        gap = WEEK.total_seconds() * 1e6 / rows
        count = min(AT_ONCE, rows - first)
        store.command(MADE, {"begin": end - WEEK, "gap": gap, "first": first, "count": count})
        typer.echo(f"made {first + count:,} charges")


def measure(store: ClickHouseStore, end: datetime) -> list[tuple[float, float, str]]:
    """Median, worst and name of each panel's query, the slowest first."""
    chosen = Chosen(begin=end - WEEK, end=end, interval_seconds=600)
    found = []
    for path in SQL_FILES:
        sql, taken = expand(path.read_text(encoding="utf-8"), chosen), []
        for _ in range(6):
            began = time.perf_counter()
            store.query(sql)
            taken.append(time.perf_counter() - began)
        found.append((statistics.median(taken[1:]), max(taken[1:]), f"{path.parent.name}/{path.stem}"))
    return sorted(found, reverse=True)


def main(folder: Path, rows: int) -> int:
    """Exit status 1 when a query takes longer than a second in the median."""
    with connect(ClickHouse(url=f"chdb://{folder.absolute()}")) as store:
        store.migrate()
        held = store.query("SELECT count() AS n, max(time) AS newest FROM charges")[0]
        if held["n"] == 0:
            make(store, rows, datetime.now(UTC).replace(second=0, microsecond=0))
            held = store.query("SELECT count() AS n, max(time) AS newest FROM charges")[0]
        found = measure(store, held["newest"] + timedelta(seconds=1))
    typer.echo(f"{held['n']:,} charges, {len(found)} queries; seconds, median and worst of 5")
    for median, worst, name in found:
        typer.echo(f"{median:7.3f} {worst:7.3f}  {name}")
    return int(any(median > LIMIT_SECONDS for median, _, _ in found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else ROWS))
