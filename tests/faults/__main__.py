"""`make faults`: do every fault to the live stages on the real Kafka, and write down what came of it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.faults import scenarios, stream
from tests.faults.judge import Outcome
from tests.faults.report import table, write
from tests.faults.run import all_of, ground

ROOT = Path(__file__).parents[2]


def main(
    short: Annotated[bool, typer.Option(help="the few that run in CI, on a smaller stream")] = False,
    only: Annotated[
        str, typer.Option(help="only the faults whose name holds this text; the docs stay as they are")
    ] = "",
    keep: Annotated[Path | None, typer.Option(help="a new folder for logs and data, which is then kept")] = None,
) -> None:
    """Needs Java 17 and Maven, and some minutes. Exit status 0 only when every promise was kept."""
    chosen = tuple(s for s in (scenarios.SHORT if short else scenarios.LONG) if only in s.name)
    shape = stream.CI if short else stream.LONG
    with tempfile.TemporaryDirectory(prefix="spendstream-faults-") as folder:
        outcomes = asyncio.run(_run(chosen, shape, keep or Path(folder)))
    write(outcomes, ROOT, docs=not only and not short)
    typer.echo(table(outcomes))
    if not all(outcome.holds for outcome in outcomes):
        raise typer.Exit(1)


async def _run(chosen: tuple[scenarios.Scenario, ...], shape: stream.Shape, folder: Path) -> list[Outcome]:
    def say(text: str) -> None:
        typer.echo(text)

    known: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        known.append(outcome)
        write(known, ROOT, docs=False)  # what is known is kept, whatever comes
        typer.echo(f"  {'holds' if outcome.holds else 'BROKEN'}: {outcome.as_json()}")

    async with ground(stream.make(shape), folder) as on:
        return await all_of(on, chosen, say, done)


if __name__ == "__main__":
    typer.run(main)
