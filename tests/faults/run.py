"""Runs scenarios one after another on one broker and one ClickHouse, each in a deployment of its own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streams.io.clickhouse_server.process import EmbeddedClickHouse
from tests.faults.deployment import Deployment, deployed, flowing
from tests.faults.judge import Outcome, Watched, judged, watched
from tests.faults.released import unpacked
from tests.faults.scenarios import PAIR, Scenario, nothing
from tests.faults.stream import Shape, Stream, make
from tests.faults.workers import ROOT
from tests.support.kafka import RealKafka

UNDISTURBED = Scenario("nothing", nothing, 0, 10, PAIR)
STILL_SECONDS = 3.0
MOST_LOOKS = 50


@dataclass(frozen=True, slots=True)
class Ground:
    """What all scenarios stand on."""

    kafka: RealKafka
    clickhouse: EmbeddedClickHouse
    plain: Stream
    crossed: Stream
    folder: Path

    def stream(self, scenario: Scenario) -> Stream:
        """What is sent. What nothing is done to has no copies through other partitions: detection's truth.

        Nor has what begins with the last release, which counted such copies twice.
        """
        return self.plain if scenario is UNDISTURBED or scenario.released else self.crossed


@contextlib.asynccontextmanager
async def ground(shape: Shape, folder: Path) -> AsyncIterator[Ground]:
    """A broker and a ClickHouse, running."""
    (folder / "kafka").mkdir(parents=True)
    kafka = RealKafka(folder / "kafka")
    await asyncio.to_thread(kafka.format)
    try:
        await asyncio.to_thread(kafka.start)
        async with EmbeddedClickHouse(folder / "clickhouse") as clickhouse:
            yield Ground(kafka, clickhouse, make(shape, crossed=False), make(shape, crossed=True), folder)
    finally:
        await asyncio.to_thread(kafka.stop)


async def undisturbed(on: Ground) -> tuple[Outcome, Watched]:
    """The run that the others are held against; it is judged too."""
    async with _running(on, UNDISTURBED) as run:
        outcome = await judged(run, UNDISTURBED.name, 0, None)
        found = await watched(run)
        for _ in range(MOST_LOOKS):
            await asyncio.sleep(STILL_SECONDS)
            before, found = found, await watched(run)
            if before == found and {resolved for _, resolved in found.deliveries} == {False, True}:
                return outcome, found
        raise TimeoutError("the undisturbed run has not said that its incident began and ended")


async def disturbed(on: Ground, scenario: Scenario, wanted: Watched) -> Outcome:
    """One scenario, judged."""
    try:
        async with _running(on, scenario) as run:
            recovery = await scenario.do(run, scenario.times)
            # What an old `price` and a new one both charge counts twice in detection: see docs/upgrading.md.
            outcome = await judged(run, scenario.name, scenario.times, wanted, exactly=not scenario.released)
    except (TimeoutError, AssertionError) as error:  # the others are done all the same
        return Outcome(scenario.name, scenario.times, 0, lost=on.stream(scenario).truth.read, details=[str(error)])
    outcome.recovery_seconds = round(recovery, 1)
    outcome.details += run.notes
    return outcome


@contextlib.asynccontextmanager
async def _running(on: Ground, scenario: Scenario) -> AsyncIterator[Deployment]:
    folder = on.folder / _folder_name(scenario.name)
    folder.mkdir()
    run = Deployment(on.kafka, on.clickhouse, on.stream(scenario), folder)
    code = unpacked(on.folder / "released") if scenario.released else ROOT
    with _disk(folder / "state", scenario.state_bytes):
        async with deployed(run):
            for number, stages in enumerate(scenario.workers):
                run.add(stages[0] if len(stages) == 1 else f"worker-{number}", *stages, code=code)
            # The last release loses what `price` reads when partitions move before its first commit (Faust does).
            async with flowing(run, scenario.seconds, all_there=scenario.released):
                yield run


def _folder_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]


@contextlib.contextmanager
def _disk(folder: Path, size: int | None) -> Iterator[None]:
    """A disk of so many bytes at `folder`, where a size is given."""
    if size is None:
        yield
        return
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=True)  # noqa: S603, S607
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)  # noqa: S603, S607


async def all_of(
    on: Ground, scenarios: tuple[Scenario, ...], say: Callable[[str], None], done: Callable[[Outcome], None]
) -> list[Outcome]:
    """Each scenario in turn, the patient ones beside; what can't be done here is said, and not in the table."""
    say("undisturbed")
    first, wanted = await undisturbed(on)
    done(first)
    outcomes = [first]

    async def do(scenario: Scenario) -> None:
        missing = scenario.needs()
        if missing is not None:
            say(f"left out: {scenario.name}: it needs {missing}")
            return
        say(scenario.name)
        outcome = await disturbed(on, scenario, wanted)
        done(outcome)
        outcomes.append(outcome)

    async with asyncio.TaskGroup() as beside:
        patient = [beside.create_task(do(scenario)) for scenario in scenarios if scenario.patient]
        for scenario in scenarios:
            if scenario.shakes_the_ground and patient:
                await asyncio.wait(patient)
            if not scenario.patient:
                await do(scenario)
    return outcomes
