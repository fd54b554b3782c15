"""`spendstream worker`: run the live stages."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from streams import logs
from streams.allocator import keep_memory
from streams.app import STAGES, Worker, run
from streams.arrow import without_pandas
from streams.collector import collect_rarely
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.io.checkpoints import CheckpointError
from streams.io.clickhouse import StoreError
from streams.io.topics import TopicsError
from streams.metrics import Metrics
from streams.settings import Settings


def worker(
    stages: Annotated[list[str] | None, typer.Argument(help=f"which of {', '.join(STAGES)}; all by default")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Run the stages until Ctrl-C or SIGTERM. Exit status 1 when a stage failed, for a supervisor to start anew.

    Exit status 2 when what is stored or sent is of another release: to start anew is of no use.
    """
    chosen = stages or list(STAGES)
    if unknown := [stage for stage in chosen if stage not in STAGES]:
        raise UserError(f"there is no stage {', '.join(unknown)}; the stages are {', '.join(STAGES)}")
    settings = settings_of(config, overrides)
    if chosen == ["price"]:
        keep_memory()
    without_pandas()
    collect_rarely()
    logs.configure()
    try:
        failure, incompatible = asyncio.run(_work(settings, chosen))
    except (TopicsError, StoreError, CheckpointError, OSError, ValueError) as error:
        raise Failed(str(error)) from None
    if failure:
        raise UserError(failure) if incompatible else Failed(failure)


async def _work(settings: Settings, stages: list[str]) -> tuple[str, bool]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    worker = Worker(settings, stages, Metrics())
    return await run(worker, stop), worker.incompatible
