"""`make faults`: do every fault to the live stages on the real Kafka, and write down what came of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tests.faults import scenarios, stream
from tests.faults.judge import Outcome
from tests.faults.report import merged, table, write_json, write_page
from tests.faults.run import UNDISTURBED, all_of, ground

ROOT = Path(__file__).parents[2]
PAGE, RESULTS = ROOT / "docs" / "faults.md", ROOT / "build" / "faults.json"
NAMES = (UNDISTURBED.name, *(scenario.name for scenario in scenarios.LONG))


def main(
    short: Annotated[
        bool, typer.Option(help="the few that run in CI, on a smaller stream; they write nothing")
    ] = False,
    only: Annotated[str, typer.Option(help="only the faults whose name holds this; the other rows stay")] = "",
    keep: Annotated[Path | None, typer.Option(help="a new folder for logs and data, which is then kept")] = None,
) -> None:
    """Needs Java 17 and Maven, and most of an hour. Exit status 0 only when every promise was kept."""
    chosen = tuple(s for s in (scenarios.SHORT if short else scenarios.LONG) if only in s.name)
    if not chosen:
        typer.echo(f"Error: --only {only}: no fault has that in its name", err=True)
        raise typer.Exit(2)
    shape = stream.CI if short else stream.LONG
    if not only and not short:
        RESULTS.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="spendstream-faults-") as folder:
        outcomes = asyncio.run(_run(chosen, shape, keep or Path(folder), _ignore if short else _keep))
    typer.echo(table(outcomes))
    if not all(outcome.holds for outcome in outcomes):
        raise typer.Exit(1)


async def _run(
    chosen: tuple[scenarios.Scenario, ...], shape: stream.Shape, folder: Path, keep: Callable[[Outcome], None]
) -> list[Outcome]:
    def done(outcome: Outcome) -> None:
        keep(outcome)
        typer.echo(f"  {'holds' if outcome.holds else 'BROKEN'}: {outcome.as_json()}")

    async with ground(stream.make(shape), folder) as on:
        return await all_of(on, chosen, typer.echo, done)


def _keep(outcome: Outcome) -> None:
    """Write down what is known after each fault: a run that is cut off has not been for nothing."""
    rows = merged([outcome], NAMES, RESULTS)
    write_json(rows, RESULTS)
    write_page(rows, PAGE)


def _ignore(_: Outcome) -> None:
    return


if __name__ == "__main__":
    typer.run(main)
