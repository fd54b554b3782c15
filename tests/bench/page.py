"""What a run came to, for people: the tables of docs/performance.md between its markers, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from schemas.topics import CHARGES
from streams.app import STAGES
from streams.settings import Land

BEGIN, END = "<!-- bench: begin, written by `make bench` -->", "<!-- bench: end -->"
BUSY = 0.6  # of a core, that a worker is planned to use: the rest is for peaks and for catching up
WANTED = 1_000_000  # events a second that the cluster is sized for
ARRAYS, SINGLE = "500", "1"  # events in a record, as JSON has it
FLOOR, IDIOMATIC, QUIX = "floor", "idiomatic Faust", "Quix Streams"
DAY_SECONDS = 86_400
Row = Sequence[object]


def write(report: Mapping[str, Any], page: Path) -> None:
    """Put the tables between the markers of the page."""
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    tail = rest.partition(END)[2]
    page.write_text(f"{head}{BEGIN}\n\n{tables(report)}\n\n{END}{tail}", encoding="utf-8")


def tables(report: Mapping[str, Any]) -> str:
    """All that the report has, as Markdown. A part that was not measured is left out."""
    parts = report["parts"]
    made = [_made(report)]
    if "cost" in parts:
        made += ["### CPU, memory and bytes", *_cost(parts["cost"])]
    if "growth" in parts:
        made += ["### As events and keys grow", _growth(parts["growth"]["rows"])]
    if "latency" in parts:
        made += ["### Latency under load", _latency(parts["latency"])]
    if "recovery" in parts:
        made += ["### Back after a crash", _recovery(parts["recovery"]["rows"])]
    made += ["### What was asked for", _asked(parts)]
    if "cost" in parts:
        made += [f"### A cluster for {WANTED:,} events a second", *_cluster(parts)]
    return "\n\n".join(made)


def costs(cost: Mapping[str, Any], batch: str) -> dict[str, float]:
    """CPU-seconds per million events by part, and of all our stages as `all`."""
    found = {row["part"]: row["cpu_seconds_per_million"] for row in cost["figures"] if str(row["batch"]) == batch}
    return {**found, "all": sum(found[stage] for stage in STAGES)}


def _made(report: Mapping[str, Any]) -> str:
    machine = report["machine"]
    packages = ", ".join(f"{name} {release}" for name, release in machine["packages"].items())
    lines = [
        f"Machine: {machine['cpus']} processors ({machine['processor']}), {machine['memory_gib']} GiB, "
        f"Python {machine['python']}; {packages}."
    ]
    for name, part in report["parts"].items():
        waited = part["waited_share"]
        lines.append(
            f"{name.capitalize()}: at {part['commit']}, {part['at']}, in {part['seconds']:.0f} s"
            + ("." if waited is None else f"; in {waited:.0%} of them something waited for a processor.")
        )
    return "  \n".join(lines)


def _table(head: Iterable[str], rows: Iterable[Row]) -> str:
    titles = list(head)
    lines = ["| " + " | ".join(titles) + " |", "|---" + "|---:" * (len(titles) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def _cost(cost: Mapping[str, Any]) -> Iterable[str]:
    rows = []
    by = {(row["part"], str(row["batch"])): row for row in cost["figures"]}
    whole = {batch: costs(cost, batch)["all"] for batch in (ARRAYS, SINGLE)}
    for part in (*STAGES, "all", FLOOR, IDIOMATIC, QUIX):
        cells: list[object] = [f"**{part} stages**" if part == "all" else part if part in STAGES else f"*{part}*"]
        for batch in (ARRAYS, SINGLE):
            row = by.get((part, batch))
            if part == "all":
                cells += [f"**{whole[batch]:.1f}**", "1.00", "", ""]
            elif row is None:
                cells += ["not run", "", "", ""]
            else:
                each = row["cpu_seconds_per_million"]
                memory = f"{row['rss_bytes'] / 1e6:,.0f}"
                # What was done within a second of the start's usual end was timed by how long the start took.
                speed = f"{row['events_per_second']:,.0f}" if row["seconds"] >= 1 else "-"
                cells += [f"{each:.1f}", f"{each / whole[batch]:.2f}", speed, memory]
        rows.append(cells)
    head = ["part"]
    for what in ("arrays of 500", "single events"):
        head += [f"{what}: CPU-s per million", "of ours", "events/s", "MB"]
    yield _table(head, rows)
    yield _table(
        ("bytes per event", "`usage.*`", "`spend.charges`", "`spend.ticks`", "ClickHouse"),
        (
            (
                what,
                *(
                    f"{cost['bytes_per_event'][batch][name]:.1f}"
                    for name in ("usage", "charges", "ticks", "clickhouse")
                ),
            )
            for batch, what in ((ARRAYS, "arrays of 500"), (SINGLE, "single events"))
        ),
    )
    if cost.get("quix_not_run"):
        yield f"Quix Streams was not run: {cost['quix_not_run']}."


def _growth(rows: Sequence[Mapping[str, Any]]) -> str:
    return _table(
        ("events", "keys", "series", "series-windows", "CPU-s per million events", "CPU-µs per series-window",
         "events/s", "MB before", "MB at most"),
        (
            (
                f"{row['events']:,}", f"{row['keys']:,}", f"{row['series']:,}", *_judged(row),
                f"{row['events_per_second']:,.0f}", f"{row['start_rss_bytes'] / 1e6:,.0f}",
                f"{row['rss_bytes'] / 1e6:,.0f}",
            )
            for row in rows
        ),
    )  # fmt: skip


def _judged(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """How many windows of series there were (a report of before has none), and CPU by events and by those."""
    windows, cost = row.get("series_windows", 0), row["cpu_seconds_per_million"]
    each = f"{cost * row['events'] / windows:,.0f}" if windows else "-"
    return f"{windows:,}" if windows else "-", f"{cost:.1f}", each


def _latency(part: Mapping[str, Any]) -> str:
    rows = (
        (
            f"{row['share']:.0%}", f"{row['events_per_second']:,.0f}", f"{row['cpu_per_second']:.2f}",
            row["behind_at_end"], _seconds(row["landed_p50"]), _seconds(row["landed_p99"]),
            f"{row['alerts']} of {row['incidents']}", _seconds(row["alert_p50"]), _seconds(row["alert_p99"]),
        )
        for row in part["rows"]
    )  # fmt: skip
    head = (
        f"of capacity ({part['capacity']:,.0f}/s)", "events/s", "processors", "records behind at the end",
        "landed p50 s", "p99", "alerts of incidents", "alert p50 s", "p99",
    )  # fmt: skip
    return _table(head, rows)


def _recovery(rows: Sequence[Mapping[str, Any]]) -> str:
    seconds = ("held_seconds", "caught_up_seconds", "committed_seconds", "idle_start_seconds")
    head = ("holds its partitions s", "nothing left to read s", "all committed s", "first start of all s")
    return _table(
        ("ended by", "`kafka.member`", "series", *head),
        (
            (
                row["ended_by"],
                "set" if row["named"] else "not set",
                f"{row['series']:,}",
                *(f"{row[name]:.1f}" for name in seconds),
            )
            for row in rows
        ),
    )


def _asked(parts: Mapping[str, Any]) -> str:
    rows: list[Row] = []

    def ask(what: str, found: float | None, limit: float, unit: str, *, most: bool = True) -> None:
        if found is None:
            rows.append((what, f"{'≤' if most else '≥'} {limit:g}{unit}", "none seen", "no"))
            return
        holds = found <= limit if most else found >= limit
        rows.append((what, f"{'≤' if most else '≥'} {limit:g}{unit}", f"{found:.1f}{unit}", "yes" if holds else "no"))

    if "cost" in parts:
        arrays, single = costs(parts["cost"], ARRAYS), costs(parts["cost"], SINGLE)
        ask("a million events in arrays of 500", arrays["all"], 12, " CPU-s")
        ask("a million single events", single["all"], 100, " CPU-s")
        ask("arrays, idiomatic Faust to ours", arrays[IDIOMATIC] / arrays["all"], 10, " times", most=False)
        ask("arrays, ours to the floor", arrays["all"] / arrays[FLOOR], 2.5, " times")
    half = [row for row in parts.get("latency", {}).get("rows", ()) if row["share"] == 0.5]
    for row in half:
        ask("landed p99 at half the capacity", row["landed_p99"], 2, " s")
        ask("alert p99 at half the capacity", row["alert_p99"], 1, " s")
    for row in parts.get("recovery", {}).get("rows", ()):
        name = "with a name" if row["named"] else "without a name"
        what = f"no lag after {row['ended_by']}, {row['series']:,} series, {name}"
        ask(what, row["caught_up_seconds"], 10, " s")
    return _table(("what", "asked", "measured", "holds"), rows)


def _cluster(parts: Mapping[str, Any]) -> Iterable[str]:
    cost = parts["cost"]
    arrays, single = costs(cost, ARRAYS), costs(cost, SINGLE)
    millions = WANTED / 1e6
    yield _table(
        ("stage", "workers, arrays of 500", "workers, single events", "events/s of one worker (arrays)"),
        (
            (stage, _workers(arrays[stage] * millions), _workers(single[stage] * millions), _speed(arrays[stage]))
            for stage in STAGES
        ),
    )
    held, most = cost["bytes_per_event"][ARRAYS], max(_workers(arrays[stage] * millions) for stage in STAGES)
    dearest = max(STAGES, key=lambda stage: arrays[stage])
    yield "\n".join(
        (
            f"- **Workers**: a worker with one stage is planned to use {BUSY:.0%} of a core. In arrays "
            f"{sum(_workers(arrays[stage] * millions) for stage in STAGES)} of them and "
            f"{math.ceil(arrays['all'] * millions / BUSY)} cores, ClickHouse's part of inserting among them.",
            f"- **Partitions**: at least {most} of `usage.token-calls` and `spend.charges`, one for each worker of "
            f"`{dearest}`; twice as many leave room to grow, since their number can't change under a running "
            "deployment.",
            f"- **Kafka**: {held['usage'] * WANTED / 1e6:,.0f} MB/s of usage, {held['charges'] * WANTED / 1e6:,.0f} "
            f"MB/s of charges (read twice), {held['ticks'] * WANTED / 1e6:,.0f} MB/s of ticks at the windows of this "
            "run, before compression and replicas.",
            f"- **ClickHouse**: {WANTED:,} rows a second in {WANTED / Land().batch_rows:,.0f} inserts of "
            f"{Land().batch_rows:,}, {held['clickhouse'] * WANTED * DAY_SECONDS / 1e12:,.1f} TB a day before "
            "replicas.",
            f"- **What breaks first**: `{dearest}`, which takes {arrays[dearest] / arrays['all']:.0%} of the work. "
            f"With the {CHARGES.partitions} partitions that `spendstream init` makes it ends at about "
            f"{CHARGES.partitions * 1e6 / arrays[dearest]:,.0f} events a second in arrays, "
            f"{CHARGES.partitions * 1e6 / max(single[stage] for stage in STAGES):,.0f} as single events, a core each.",
        )
    )


def _workers(cpu_per_second: float) -> int:
    return max(1, math.ceil(cpu_per_second / BUSY))


def _speed(cost: float) -> str:
    return f"{1e6 / cost:,.0f}" if cost >= 0.05 else "more than 20,000,000"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
