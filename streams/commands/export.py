"""`spendstream export`: charges as FOCUS, for whatever else reads bills."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from replay.export import Charge, rows
from replay.export_files import Output, charges_of
from replay.readers import ReaderError
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.commands.reprice import moment
from streams.io import clickhouse
from streams.io.clickhouse import ClickHouseStore, StoreError
from streams.io.standing import pieces, standing

PIECE = 20_000  # rows of charges in memory at a time


def export(
    *,
    source: Annotated[
        Path | None, typer.Argument(help="a replay's folder or charges.parquet (default: what landed in ClickHouse)")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="the file to write: .csv or .parquet")],
    form: Annotated[Literal["focus"], typer.Option("--format", help="FOCUS 1.4 Cost and Usage")] = "focus",
    start: Annotated[str, typer.Option("--from", help="ClickHouse: first day, 2026-10-01, or a time; UTC")] = "",
    end: Annotated[str, typer.Option("--to", help="ClickHouse: the day or time before which it ends")] = "",
    billing_account: Annotated[str, typer.Option(help="BillingAccountId, which FOCUS wants in each row")] = "unknown",
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Write charges as FOCUS 1.4: a row for each kind of token of a call, ours in columns that begin with x_."""
    del form  # there is one so far
    if out.suffix not in {".csv", ".parquet"}:
        raise UserError(f"--out: {out.name} must end in .csv or .parquet")
    if source is not None and (start or end):
        raise UserError("--from, --to: a replay is exported whole")
    console = Console(stderr=True)
    with ExitStack() as stack:
        try:
            if source is not None:
                charges = charges_of(source)
            else:
                if not (start and end):
                    raise UserError("--from, --to: are needed to export from ClickHouse")
                store = stack.enter_context(clickhouse.connect(settings_of(config, overrides).clickhouse))
                charges = _landed(store, start, end)
            written, left_out = _write(charges, out, billing_account, console)
        except ReaderError as error:
            raise UserError(str(error)) from None
        except StoreError as error:
            raise Failed(str(error)) from None
        except OSError as error:
            raise Failed(f"{out}: can't be written ({error.strerror})") from None
        except KeyboardInterrupt:
            raise Failed(f"interrupted; {out} was not written") from None
    console.print(f"{out}: {written:,} rows", highlight=False, markup=False)
    if left_out:
        console.print(f"left out: {left_out:,} charges whose cost is not known", highlight=False)


def _landed(store: ClickHouseStore, start: str, end: str) -> Iterator[Charge]:
    """What stands in ClickHouse for the period, corrections applied."""
    for piece in pieces(store, moment("--from", start), moment("--to", end), PIECE):
        for event in standing(store, piece):
            yield from (vars(charge) for charge in event.charges)


def _write(charges: Iterable[Charge], out: Path, billing_account: str, console: Console) -> tuple[int, int]:
    left_out = 0
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} charges"), TimeElapsedColumn())
    with Output(out) as output, Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("charges", total=None)
        for number, charge in enumerate(charges, start=1):
            before = output.rows
            for row in rows(charge, billing_account):
                output.add(row)
            left_out += output.rows == before
            if number % 1000 == 0:
                progress.update(task, completed=number)
    return output.rows, left_out
