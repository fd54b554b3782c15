"""`make bench`: what Spendstream takes for a million events, beside the floor and the idiomatic Faust pipeline.

One run measures all of them side by side, on the real Kafka and the ClickHouse engine, since machines differ and are
noisy: the ratios are what counts. CPU is that of each process less what it takes to start and wait. Kafka's own CPU is
not in it, ClickHouse's is (the engine runs inside the process that inserts).
"""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import orjson
import psutil
import typer
from rich.console import Console
from rich.table import Table

from tests.bench.cluster import new_run, real_kafka
from tests.bench.measure import MILLION, Bytes, Figure, floor, idiomatic, idle, restart, stages

PACKAGES = ("faust-streaming", "aiokafka", "river", "pydantic", "clickhouse-connect", "chdb", "orjson")
BATCHES = (500, 1)


def main(
    events: Annotated[int, typer.Option(min=1000, help="model calls in each measure")] = 200_000,
    idiomatic_events: Annotated[int, typer.Option(min=1000, help="as many for the idiomatic one: it is slow")] = 20_000,
    keys: Annotated[int, typer.Option(min=1, help="API keys that call")] = 48,
    out: Annotated[Path, typer.Option(help="where the figures are written")] = Path("build/bench.json"),
) -> None:
    """Measure everything, print the table, write the figures."""
    console = Console()
    report: dict[str, Any] = {"machine": _machine(), "figures": [], "bytes_per_event": {}, "restart_seconds": {}}
    with real_kafka() as broker:
        with new_run(broker) as run:
            starting = idle(run)
        for batch in BATCHES:
            console.print(f"records of {batch}")
            with new_run(broker) as run:
                ours, held = stages(run, events, keys, batch, starting)
                report["restart_seconds"][batch] = restart(run)
                low = floor(run, events, batch)
            with new_run(broker) as run:
                run.fill(idiomatic_events, keys, batch)
                usual = idiomatic(run, idiomatic_events, batch)
            report["figures"] += [figure.to_json() for figure in (*ours, low, usual)]
            report["bytes_per_event"][batch] = asdict(held)
            console.print(_table(ours, low, usual, held))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    console.print(f"wrote {out}")


def _machine() -> dict[str, Any]:
    return {
        "cpus": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _table(ours: list[Figure], low: Figure, usual: Figure, held: Bytes) -> Table:
    whole = sum(figure.cpu_per_million for figure in ours)
    table = Table(title=f"CPU-seconds per million events, records of {low.batch}")
    for name in ("part", "CPU-s per million", "events a second", "memory (MB)", "of ours"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for figure in ours:
        table.add_row(*_row(figure, whole))
    table.add_row("Spendstream, all stages", f"{whole:.1f}", "", "", "1.00", style="bold")
    for figure in (low, usual):
        table.add_row(*_row(figure, whole))
    table.caption = (
        f"bytes per event: usage {held.usage:.0f}, charges {held.charges:.0f}, ticks {held.ticks:.1f}, "
        f"ClickHouse {held.clickhouse:.0f}"
    )
    return table


def _row(figure: Figure, whole: float) -> tuple[str, ...]:
    cost = figure.cpu_per_million
    return (
        figure.part,
        f"{cost:.1f}",
        f"{figure.per_second:,.0f}",
        f"{figure.rss_bytes / MILLION:.0f}",
        f"{cost / whole:.2f}",
    )


if __name__ == "__main__":
    typer.run(main)
