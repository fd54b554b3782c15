"""`make bench`: what Spendstream takes, beside the floor and the pipelines that one would write otherwise.

One run measures all of them side by side, on the real Kafka and the ClickHouse engine, since machines differ and are
noisy: the ratios are what counts. CPU is that of each process less what it takes to start and wait. Kafka's own CPU is
not in it, ClickHouse's is (the engine runs inside the process that inserts).

It does four parts, one after the other, and writes each as soon as it is measured: `cost`, `growth`, `latency` (which
takes its capacity from `growth`) and `recovery`. A part that fails leaves the others as they are; the exit status is 1.
"""

from __future__ import annotations

import platform
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import orjson
import psutil
import typer
from rich.console import Console

from tests.bench import page, together, under_load
from tests.bench.cluster import new_run, real_kafka
from tests.bench.measure import floor, idiomatic, idle, quix, quix_python, stages
from tests.bench.workers import Idle
from tests.support.commit import commit
from tests.support.kafka import RealKafka

PACKAGES = (
    "faust-streaming", "aiokafka", "river", "pydantic", "pyarrow", "clickhouse-connect", "chdb", "orjson", "msgspec",
)  # fmt: skip
PAGE, RESULT, SHORT_RESULT = Path("docs/performance.md"), Path("build/bench.json"), Path("build/bench-short.json")
KEYS = 48


class Part(StrEnum):
    """What can be measured alone."""

    COST = "cost"
    GROWTH = "growth"
    LATENCY = "latency"
    RECOVERY = "recovery"


console = Console()


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    batched: int = 1_000_000  # events in arrays of 500
    single: int = 200_000  # events of a record each
    others: int = 20_000  # events for the idiomatic pipelines: they are slow
    growth: tuple[tuple[int, int], ...] = ((100_000, 100), (1_000_000, 100), (100_000, 1_000), (100_000, 10_000))
    shares: tuple[float, ...] = (0.1, 0.5, 0.9)
    seconds: float = 60.0  # of load at each share
    recovery_keys: int = 2_100  # five series each
    recovery_events: int = 100_000


FULL = Plan()
SHORT = Plan(20_000, 10_000, 2_000, ((10_000, 100), (20_000, 100), (10_000, 1_000)), (0.1, 0.5), 15.0, 100, 10_000)
LARGE = ((10_000_000, 100), (100_000, 100_000))  # beside those of FULL: they take long


def main(
    part: Annotated[list[Part] | None, typer.Option(help="measure this part alone; may be given again")] = None,
    *,
    short: Annotated[bool, typer.Option(help="few events: does it run? writes build/bench-short.json alone")] = False,
    large: Annotated[bool, typer.Option(help="growth to 10,000,000 events and 100,000 keys too: takes long")] = False,
) -> None:
    """Measure, write the figures and the tables of docs/performance.md."""
    plan, result = (SHORT, SHORT_RESULT) if short else (FULL, RESULT)
    report = orjson.loads(result.read_bytes()) if part and result.exists() else {"parts": {}}
    report["machine"] = machine()
    measures: dict[str, Callable[[RealKafka, dict[str, Idle]], dict[str, Any]]] = {
        "cost": lambda broker, idles: cost(broker, plan, idles),
        "growth": lambda broker, idles: growth(broker, (*plan.growth, *(LARGE if large else ())), idles),
        "latency": lambda broker, _: latency(broker, plan, report["parts"]["growth"]["rows"]),
        "recovery": lambda broker, idles: recovery(broker, plan, idles),
    }
    failed = []
    with real_kafka() as broker:
        with new_run(broker) as run:
            idles = idle(run)
        report["idle"] = {name: asdict(one) for name, one in idles.items()}
        for name in [one.value for one in Part if not part or one in part]:
            console.rule(name)
            watch = Watch()
            try:
                report["parts"][name] = {**measures[name](broker, idles), **watch.told()}
            except Exception:  # the figures of the other parts are still worth having
                failed.append(name)
                console.print(traceback.format_exc(), markup=False, highlight=False)
            result.parent.mkdir(parents=True, exist_ok=True)
            result.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
            report = orjson.loads(result.read_bytes())
            if not short:
                page.write(report, PAGE)
    console.print(page.tables(report), markup=False, highlight=False, soft_wrap=True)
    console.print(f"wrote {result}{'' if short else f' and {PAGE}'}")
    if failed:
        console.print(f"failed: {', '.join(failed)}")
        raise typer.Exit(1)


def cost(broker: RealKafka, plan: Plan, idles: dict[str, Idle]) -> dict[str, Any]:
    """Each stage alone, the floor, and the others, for both kinds of records."""
    figures, held, without = [], {}, ""
    try:
        quix_python()
    except (subprocess.CalledProcessError, OSError) as error:
        without = f"its environment can't be made here ({error})"
    others = (idiomatic, *(() if without else (quix,)))
    starts = {}
    for other in (floor, *others):
        with new_run(broker) as run:
            run.fill(1, KEYS, 1)
            starts[other] = other(run, 1, 1)
    for batch, events in ((500, plan.batched), (1, plan.single)):
        with new_run(broker) as run:
            ours, held[batch] = stages(run, events, KEYS, batch, idles)
            figures += [*ours, floor(run, events, batch).less(starts[floor])]
        for other in others:
            with new_run(broker) as run:
                run.fill(plan.others, KEYS, batch)
                figures.append(other(run, plan.others, batch).less(starts[other]))
        for figure in figures:
            if figure.batch == batch:
                console.print(f"{figure.part}, records of {batch}: {figure.cpu_per_million:.1f} CPU-s per million")
    return {
        "figures": [figure.to_json() for figure in figures],
        "bytes_per_event": {batch: asdict(one) for batch, one in held.items()},
        "quix_not_run": without,
    }


def growth(broker: RealKafka, sizes: tuple[tuple[int, int], ...], idles: dict[str, Idle]) -> dict[str, Any]:
    """All stages in one worker over more and more events, and keys."""
    rows = []
    for events, keys in sizes:
        with new_run(broker) as run:
            rows.append(asdict(together.whole(run, events, keys, idles)))
        console.print(rows[-1])
    return {"rows": rows}


def latency(broker: RealKafka, plan: Plan, grown: list[dict[str, Any]]) -> dict[str, Any]:
    """At shares of what one worker did in `growth` with the most events."""
    capacity = max(grown, key=lambda row: (row["events"], -row["keys"]))["events_per_second"]
    rows = []
    for share in plan.shares:
        with new_run(broker) as run:
            rows.append(asdict(under_load.at(run, share, capacity, plan.seconds)))
        console.print(rows[-1])
    return {"capacity": capacity, "rows": rows}


def recovery(broker: RealKafka, plan: Plan, idles: dict[str, Idle]) -> dict[str, Any]:
    """A worker that was ended in its work, and the one after it: with a name in its groups, and without."""
    rows = []
    for member, ends in (("bench", ("SIGKILL", "SIGTERM")), ("", ("SIGKILL",))):
        with new_run(broker, member=member) as run:
            first_start = idles["all"].start_seconds
            found = together.recovery(run, plan.recovery_keys, plan.recovery_events, ends, first_start)
        rows += [asdict(one) for one in found]
        console.print(rows)
    return {"rows": rows}


class Watch:
    """How long a part took, and how quiet the machine was meanwhile."""

    def __init__(self) -> None:
        self._began, self._waited = time.monotonic(), _waited_seconds()

    def told(self) -> dict[str, Any]:
        """When and of what code; seconds; the share of them in which something waited for a processor, None unknown."""
        seconds = time.monotonic() - self._began
        return {
            "commit": commit(),
            "at": f"{datetime.now(UTC):%d %B %Y %H:%M} UTC",
            "seconds": seconds,
            "waited_share": None if self._waited is None else ((_waited_seconds() or 0.0) - self._waited) / seconds,
        }


def machine() -> dict[str, Any]:
    """What the figures were made on."""
    return {
        "cpus": psutil.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _waited_seconds() -> float | None:
    """For how long something has waited for a processor since the machine began; None where the system does not say."""
    try:
        text = Path("/proc/pressure/cpu").read_text(encoding="utf-8")
    except OSError:
        return None
    return int(text.splitlines()[0].rpartition("total=")[2]) / 1e6


if __name__ == "__main__":
    typer.run(main)
