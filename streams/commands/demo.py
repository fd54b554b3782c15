"""`spendstream demo`: the whole service on this machine, nothing else installed."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streams import logs
from streams.collector import collect_rarely
from streams.commands.common import ConfigOption, Failed, SetOption, settings_of
from streams.demo.run import Demo, Outcome
from streams.io.clickhouse import StoreError
from streams.io.embedded import EmbeddedBrokerError
from streams.io.topics import TopicsError


def demo(
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="how long the live part lasts")] = 60.0,
    seed: Annotated[int, typer.Option("--seed", help="of the workload")] = 1,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Run broker, ClickHouse engine and all stages here, with a workload whose key goes wrong after 20 seconds.

    Exit status 0 only when every event is accounted for, the dollars agree, and the incident was alerted in time.
    """
    settings = settings_of(config, overrides)
    collect_rarely()
    logs.configure("ERROR")  # the view is what there is to see; a failure still shows
    console = Console()
    with tempfile.TemporaryDirectory(prefix="spendstream-demo-", ignore_cleanup_errors=True) as folder:
        try:
            outcome = asyncio.run(Demo(settings, Path(folder), seconds, seed, console).run())
        except (EmbeddedBrokerError, TopicsError, StoreError, OSError) as error:
            raise Failed(str(error)) from None
    _summary(console, outcome)
    if outcome.faults:
        raise Failed("; ".join(outcome.faults))


def _summary(console: Console, out: Outcome) -> None:
    console.print()
    parts = f"{out.landed:,} landed + {out.duplicate:,} duplicate + {out.dead_lettered:,} dead-lettered"
    console.print(f"events   {out.read:,} read = {parts}", highlight=False)
    console.print(f"dollars  {out.usd_priced:f} priced = {out.usd_landed:f} in ClickHouse", highlight=False)
    if out.incident_at is None:
        console.print("alert    it was stopped before the incident")
    elif out.alerted_after is not None:
        console.print(f"alert    delivered {out.alerted_after:.1f} s after the incident began", highlight=False)
