"""How long every panel takes on ten million charges: `python -m tests.dashboards.ten_million FOLDER [ROWS]`.

The charges are made inside ClickHouse, a week of them: 40 teams with 500 keys and 20 models, 8 clusters, bills of 6
services, in hardly any combination twice a minute, which is the worst case of a rollup. FOLDER keeps the database, so
that a second run only measures. Each query runs over the range that its dashboard opens with and over the whole week,
once to warm up and then three times. Printed in seconds: the median and the worst by the clock, and the median of the
processors' time, which tells on a busy machine what a quiet one would take: it is shared by the machine's cores.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import typer

from streams.io.clickhouse import ClickHouseStore, connect
from streams.settings import ClickHouse
from tests.support.grafana import DASHBOARDS, SQL_FILES, Chosen, expand

ROWS, AT_ONCE, LIMIT_SECONDS, TIMES = 10_000_000, 500_000, 1.0, 3
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


def ranges(name: str, end: datetime) -> dict[str, Chosen]:
    """The range that a dashboard opens with, and the whole week."""
    opens = DASHBOARDS.get(name, {"time": {"from": "now-24h"}})["time"]["from"]
    number, unit = int(opens[4:-1]), {"m": "minutes", "h": "hours", "d": "days"}[opens[-1]]
    first = min(timedelta(**{unit: number}), WEEK)
    return {
        "opens": Chosen(end - first, end, max(60, int(first.total_seconds() / 1000))),
        "week": Chosen(end - WEEK, end, interval_seconds=600),
    }


def measure(store: ClickHouseStore, end: datetime) -> Iterator[tuple[float, float, float, str]]:
    """Median, worst and processors' time of each panel's query, with its name."""
    for path in SQL_FILES:
        for kind, chosen in ranges(path.parent.name, end).items():
            sql, taken, cpu = expand(path.read_text(encoding="utf-8"), chosen), [], []
            for _ in range(1 + TIMES):
                began, began_cpu = time.perf_counter(), time.process_time()
                store.query(sql)
                taken.append(time.perf_counter() - began)
                cpu.append(time.process_time() - began_cpu)
            name = f"{kind:5} {path.parent.name}/{path.stem}"
            yield statistics.median(taken[1:]), max(taken[1:]), statistics.median(cpu[1:]), name


def main(folder: Path, rows: int) -> int:
    """Exit status 1 when a query takes longer than a second in the median."""
    with connect(ClickHouse(url=f"chdb://{folder.absolute()}")) as store:
        store.migrate()
        held = store.query("SELECT count() AS n, max(time) AS newest FROM charges")[0]
        if held["n"] == 0:
            make(store, rows, datetime.now(UTC).replace(second=0, microsecond=0))
            held = store.query("SELECT count() AS n, max(time) AS newest FROM charges")[0]
        found = sorted(measure(store, held["newest"] + timedelta(seconds=1)), reverse=True)
    typer.echo(f"{held['n']:,} charges; seconds: median, worst of {TIMES}, processors")
    for median, worst, cpu, name in found:
        typer.echo(f"{median:7.3f} {worst:7.3f} {cpu:7.3f}  {name}")
    return int(any(median > LIMIT_SECONDS for median, _, _, _ in found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else ROWS))
