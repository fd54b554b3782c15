"""Each fault: who runs, what is done to them while the stream flows, and how long they take to be through after it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.io.kafka import client_config, group_name, topic_name
from tests.faults.deployment import READS, STAGES, Deployment
from tests.faults.memory import Memory, svg
from tests.faults.proxy import Mode
from tests.faults.released import missing
from tests.faults.workers import ROOT, SKEW

Do = Callable[[Deployment, int], Awaitable[float]]
PICTURES = ROOT / "docs"
MOST_GROWTH_MB = 40.0
LONG_SECONDS = 600.0
MIXED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """`do` does the fault so many times while the stream flows for `seconds`, and returns the seconds of recovery.

    `needs` says what is missing to do it here, None when nothing is. `state_bytes` gives the checkpoints a disk of
    that size. `released`: the workers begin as those of the last release. `patient` ones mostly wait: they
    are done beside others, but for those who shake the ground that all stand on, broker and ClickHouse.
    """

    name: str
    do: Do
    times: int
    seconds: float
    workers: tuple[tuple[str, ...], ...] = tuple((stage,) for stage in STAGES)
    needs: Callable[[], str | None] = lambda: None
    state_bytes: int | None = None
    released: bool = False
    patient: bool = False
    shakes_the_ground: bool = False


async def nothing(_: Deployment, __: int) -> float:
    """The undisturbed run."""
    return 0.0


def kill(*stages: str, seconds: float = 6.0) -> Do:
    """kill -9 at random moments, also while it starts, and a new start at once."""

    async def do(run: Deployment, times: int) -> float:
        for number in range(times):
            await asyncio.sleep(run.random.uniform(0.3, seconds))
            stage = stages[number % len(stages)]
            run.workers[stage].kill()
            run.workers[stage].start()
        return await run.passed(stages)

    return do


async def terminate(run: Deployment, times: int) -> float:
    """SIGTERM to one after another, as an upgrade does it: each ends by itself, with exit status 0."""
    longest = 0.0
    for number in range(times):
        worker = run.workers[STAGES[number % len(STAGES)]]
        await run.shared(worker.name, 1)  # while there is nothing to read it may not have begun, and hear no signal
        await run.passed([worker.name])
        status = await asyncio.to_thread(worker.stop)
        if status != 0:
            raise AssertionError(f"{worker.name} ended with {status}\n{worker.said()}")
        worker.start()
        longest = max(longest, await run.passed([worker.name]))
    return longest


def come_and_go(*stages: str, others: int = 1) -> Do:
    """Other workers of these stages join those that there are, and leave again, under load."""

    async def do(run: Deployment, times: int) -> float:
        longest = 0.0
        for number in range(times):
            await run.sent((number + 0.2) / times)
            more = [run.add(f"more-{number}-{n}", *stages) for n in range(others)]
            for worker in more:
                worker.start()
            await run.sent((number + 0.7) / times)
            for worker in more:
                await asyncio.to_thread(worker.stop)
            longest = max(longest, await run.passed(stages))
        return longest

    return do


async def broker(run: Deployment, times: int) -> float:
    """The broker dies and comes back with what it had confirmed."""
    longest = 0.0
    for number in range(times):
        await run.sent((number + 0.5) / times)
        await asyncio.to_thread(run.kafka.kill)
        await asyncio.sleep(3.0)
        await asyncio.to_thread(run.kafka.start)
        longest = max(longest, await run.passed(STAGES))
    return longest


async def clickhouse_dies(run: Deployment, times: int) -> float:
    """kill -9 of ClickHouse in the middle of whatever it does, and a new start on the same data."""
    longest = 0.0
    for number in range(times):
        await run.sent((number + 0.5) / times)
        await asyncio.sleep(run.random.uniform(0.0, 1.0))
        await asyncio.to_thread(run.clickhouse.kill)
        await asyncio.to_thread(run.clickhouse.start)
        longest = max(longest, await run.passed(["land"]))
    return longest


def clickhouse_away(seconds: float) -> Do:
    """Nobody answers for a while. The other stages go on: the alert comes although nothing can be landed."""

    async def do(run: Deployment, _: int) -> float:
        await run.sent(0.1)
        run.proxy.mode = Mode.AWAY
        await asyncio.sleep(seconds)
        run.proxy.mode = Mode.PASS
        return await run.passed(["land"])

    return do


def long_outage(seconds: float) -> Do:
    """ClickHouse away for long: memory stays as it is, nobody leaves a group, and the lag is gone soon after."""

    async def do(run: Deployment, _: int) -> float:
        async def away() -> None:
            run.proxy.mode = Mode.AWAY
            await asyncio.sleep(seconds)
            run.proxy.mode = Mode.PASS

        return await _unmoved_by(away, run, STAGES, "faults-memory", "ClickHouse away")

    return do


def stopped(stage: str, seconds: float) -> Do:
    """A stage is not there for long: those before it and beside it go on as if nothing were, and it catches up."""

    async def do(run: Deployment, _: int) -> float:
        async def gone() -> None:
            await asyncio.to_thread(run.workers[stage].stop)
            await asyncio.sleep(seconds)
            run.workers[stage].start()

        others = [other for other in STAGES if other != stage]
        return await _unmoved_by(gone, run, others, f"faults-memory-{stage}", f"{stage} stopped")

    return do


async def _unmoved_by(
    fault: Callable[[], Awaitable[None]], run: Deployment, stages: Sequence[str], picture: str, what: str
) -> float:
    """Do a fault that takes long: the memory of these stages stays as it was, and so do the members of their groups."""
    async with Memory({stage: run.workers[stage] for stage in stages}) as memory:
        await run.sent(0.1)
        await run.passed(STAGES)
        members = [await run.members(stage) for stage in stages]
        began = memory.now()
        await fault()
        ended = memory.now()
        recovery = await run.passed(STAGES)
        if [await run.members(stage) for stage in stages] != members:
            raise AssertionError("a group did not stay as it was")
        await asyncio.sleep(10.0)  # for the picture
    growth = memory.growth(began + 30.0, ended)
    run.notes.append(f"MB gained meanwhile: {growth}")
    drawn = svg(memory.points, (began, ended), "Resident memory of the workers", what)
    (PICTURES / f"{picture}.svg").write_text(drawn, encoding="utf-8")
    if max(growth.values()) > MOST_GROWTH_MB:
        raise AssertionError(f"memory is not flat: {growth}")
    return recovery


def upgrade(*names: str) -> Do:
    """Workers of the last release end one after the other, and start anew as those of this one, under load."""

    async def do(run: Deployment, _: int) -> float:
        for number, name in enumerate(names):
            await run.sent((number + 0.5) / (len(names) + 1))
            worker = run.workers[name]
            await asyncio.to_thread(worker.stop)
            worker.code = ROOT
            worker.start()
            await asyncio.sleep(MIXED_SECONDS)  # old and new side by side
        return await run.passed(STAGES)

    return do


def upgrade_at_once(*names: str) -> Do:
    """Workers of all stages of the last release end, all of them, and then start anew as those of this one."""

    async def do(run: Deployment, _: int) -> float:
        await run.sent(0.5)
        for name in names:
            await asyncio.to_thread(run.workers[name].stop)
        for name in names:
            run.workers[name].code = ROOT
            run.workers[name].start()
        return await run.passed(STAGES)

    return do


def clickhouse_lies(mode: Mode, every: int) -> Do:
    """Of so many inserts one is answered by `mode`, though it may be done."""

    async def do(run: Deployment, times: int) -> float:
        run.proxy.mode, run.proxy.every = mode, every
        await run.until(lambda: run.proxy.done[mode] >= times, f"{times} times {mode.value}")
        run.proxy.mode = Mode.PASS
        return await run.passed(["land"])

    return do


async def receiver_away(run: Deployment, _: int) -> float:
    """The receiver answers 503 until the alert has been turned away a few times."""
    run.receiver.down = True
    await run.until(lambda: run.receiver.turned_away >= 3, "the receiver to turn alerts away")
    run.receiver.down = False
    return await run.passed(["alert"])


async def zombie(run: Deployment, times: int) -> float:
    """A worker stands still until its partitions have moved, and then goes on as if nothing had been."""
    names = list(run.workers)
    longest = 0.0
    for number in range(times):
        await run.sent((number + 0.3) / times)
        worker = run.workers[names[number % len(names)]]
        worker.pause()
        await asyncio.sleep(2.5 * run.settings.kafka.session_timeout_seconds)
        worker.resume()
        longest = max(longest, await run.passed(STAGES))
    return longest


async def full_disk(run: Deployment, times: int) -> float:
    """No checkpoint can be written for a while, and workers die meanwhile."""
    ballast = run.folder / "state" / "ballast"
    longest = 0.0
    for number in range(times):
        await run.sent((number + 0.3) / times)
        _fill(ballast)
        await asyncio.sleep(5.0)
        for stage in ("roll", "detect", "alert"):
            run.workers[stage].kill()
            run.workers[stage].start()
        await asyncio.sleep(8.0)
        ballast.unlink()
        longest = max(longest, await run.passed(STAGES))
    return longest


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


async def wrong_clock(run: Deployment, _: int) -> float:
    """Some machines are ten minutes ahead, others behind."""
    await run.sent(0.2)
    for name, worker in run.workers.items():
        worker.kill()
        worker.start({SKEW: "600" if name in {"price", "land", "alert"} else "-600"})
    return await run.passed(STAGES)


async def from_the_beginning(run: Deployment, _: int) -> float:
    """All is landed; then `price` and `land` forget where they were and read their topics from the start."""
    await run.all_landed()
    await run.passed(STAGES)
    for stage in ("price", "land"):
        await asyncio.to_thread(run.workers[stage].stop)
        await _forget(run, stage)
        run.workers[stage].start()
    return await run.passed(STAGES)


async def _forget(run: Deployment, stage: str) -> None:
    """What `kafka-consumer-groups --reset-offsets --to-earliest` does: the group has no members then."""
    group = group_name(run.settings, stage)
    consumer = AIOKafkaConsumer(**client_config(run.settings.kafka), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        tps = [TopicPartition(topic_name(run.settings, t), n) for t in READS[stage] for n in range(t.partitions)]
        consumer.assign(tps)
        first = await consumer.beginning_offsets(tps)
        while True:
            try:
                await consumer.commit(first)
            except KafkaError:  # the member that stopped has not been seen to be gone yet
                await asyncio.sleep(0.5)
            else:
                return
    finally:
        await consumer.stop()


def _needs_mount() -> str | None:
    folder = Path("/mnt")
    mount = shutil.which("mount")
    if mount is None:
        return "mount"
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        return "the right to mount a small disk (root)"
    subprocess.run(["umount", folder], check=True)  # noqa: S603, S607
    return None


PAIR = (("price", "roll"), ("land", "detect", "alert"))  # where it does not matter: fewer starts
TWO = (STAGES, STAGES)
READERS_FIRST = ("alert", "detect", "roll", "land", "price")  # so that nobody meets a record of a format it can't read
SHORT = (
    Scenario("kill -9 of every stage in turn", kill(*STAGES, seconds=3.0), 10, 28),
    Scenario("an answer lost after the insert was done", clickhouse_lies(Mode.ERROR_AFTER, 2), 12, 14, PAIR),
    Scenario("a paused worker comes back as a zombie", zombie, 1, 20, TWO),
)
LONG = (
    *(Scenario(f"kill -9 of `{stage}`", kill(stage), 20, 66) for stage in STAGES),
    Scenario("SIGTERM to every stage in turn", terminate, 10, 60),
    Scenario("1 → 3 → 1 workers", come_and_go(*STAGES, others=2), 2, 90, (STAGES,)),
    Scenario("another `price` comes and goes", come_and_go("price"), 8, 90),
    Scenario("a worker stands still, its partitions move, it goes on (SIGSTOP, SIGCONT)", zombie, 4, 80, TWO),
    Scenario("from the last release to this one, stage by stage", upgrade(*READERS_FIRST), 5, 70,
             needs=missing, released=True),
    Scenario("from the last release to this one, two workers at once", upgrade_at_once("worker-0", "worker-1"), 2, 50,
             TWO, needs=missing, released=True),
    Scenario("the broker is killed and comes back", broker, 3, 60, shakes_the_ground=True),
    Scenario("ClickHouse is killed and comes back", clickhouse_dies, 10, 60, shakes_the_ground=True),
    Scenario("ClickHouse is away for a minute", clickhouse_away(60.0), 1, 70),
    Scenario("ClickHouse inserts, then answers 500", clickhouse_lies(Mode.ERROR_AFTER, 2), 60, 60),
    Scenario("ClickHouse inserts, then says nothing", clickhouse_lies(Mode.SILENT_AFTER, 7), 10, 60),
    Scenario("the receiver of alerts answers 503", receiver_away, 1, 30),
    Scenario("the disk of the checkpoints is full", full_disk, 2, 60, needs=_needs_mount, state_bytes=4_000_000),
    Scenario("clocks ten minutes ahead and behind", wrong_clock, 1, 50),
    Scenario("`price` and `land` read everything from the beginning again", from_the_beginning, 1, 30),
    Scenario("ClickHouse is away for ten minutes", long_outage(LONG_SECONDS), 1, 620, patient=True),
    Scenario("`detect` is stopped for ten minutes", stopped("detect", LONG_SECONDS), 1, 620, patient=True),
)  # fmt: skip
