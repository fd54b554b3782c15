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
from tests.faults.report import held, merged, read, table, write_json, write_page
from tests.faults.run import UNDISTURBED, all_of, ground
from tests.support.commit import ROOT, commit

PAGE, RESULTS = ROOT / "docs" / "faults.md", ROOT / "build" / "faults.json"
NAMES = (UNDISTURBED.name, *(scenario.name for scenario in scenarios.LONG))


def main(
    short: Annotated[
        bool, typer.Option(help="the few that run in CI, on a smaller stream; they write nothing")
    ] = False,
    only: Annotated[str, typer.Option(help="only the faults whose name holds this; the other rows stay")] = "",
    resume: Annotated[
        bool, typer.Option(help="go on after a run that was cut off: what held on this code stays")
    ] = False,
    keep: Annotated[Path | None, typer.Option(help="a new folder for logs and data, which is then kept")] = None,
) -> None:
    """Needs Java 17 and Maven, and some 40 minutes. Exit status 0 only when every promise was kept."""
    chosen = tuple(s for s in (scenarios.SHORT if short else scenarios.LONG) if only in s.name)
    if not chosen:
        typer.echo(f"Error: --only {only}: no fault has that in its name", err=True)
        raise typer.Exit(2)
    shape = stream.CI if short else stream.LONG
    code = commit()
    if resume:
        done = held(read(RESULTS), code)
        chosen = tuple(scenario for scenario in chosen if scenario.name not in done)
        if not chosen:
            typer.echo(table(read(RESULTS)))
            return
    elif not only and not short:
        RESULTS.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="spendstream-faults-") as folder:
        outcomes = asyncio.run(_run(chosen, shape, keep or Path(folder), _ignore if short else _keep, code))
    typer.echo(table(outcomes))
    if not all(outcome.holds for outcome in outcomes):
        raise typer.Exit(1)


async def _run(
    chosen: tuple[scenarios.Scenario, ...],
    shape: stream.Shape,
    folder: Path,
    keep: Callable[[Outcome], None],
    code: str,
) -> list[Outcome]:
    def done(outcome: Outcome) -> None:
        outcome.commit = code
        keep(outcome)
        typer.echo(f"  {'holds' if outcome.holds else 'BROKEN'}: {outcome.as_json()}")

    async with ground(shape, folder) as on:
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
