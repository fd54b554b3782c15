"""`spendstream backtest`: what would have been caught, how soon, how noisily; which settings do best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from replay.backtest import variants as named
from replay.backtest.chosen import to_toml
from replay.backtest.compare import Result, choose, result
from replay.backtest.document import Document
from replay.backtest.histories import histories
from replay.backtest.labels import LabelError
from replay.backtest.variants import AS_CONFIGURED, KNOWN_DETECTORS, Variant, VariantError
from replay.backtest.workbench import Spans, prepare, see
from replay.readers import ReaderError
from streams.commands.common import ConfigOption, Failed, SetOption, UserError, settings_of
from streams.settings import Settings

HELD_OUT = 0.4
WIDE = 160  # columns, where nobody's terminal sets them


def backtest(
    inputs: Annotated[list[Path], typer.Argument(help="histories: files, folders, patterns; each is one")],
    out: Annotated[Path, typer.Option("--out", help="the folder for backtest.json, backtest.md and settings.toml")],
    labels: Annotated[
        list[Path] | None, typer.Option("--labels", help="known incidents (labels.json, a CSV); one, or one an input")
    ] = None,
    detectors: Annotated[
        list[str] | None, typer.Option("--detector", help=f"compare with: {', '.join(KNOWN_DETECTORS)}")
    ] = None,
    variants: Annotated[Path | None, typer.Option("--variants", help="a TOML file of named variants")] = None,
    budget: Annotated[
        float | None, typer.Option("--alerts-per-week", min=0, help="search for the best settings within this budget")
    ] = None,
    searches: Annotated[
        list[str] | None, typer.Option("--search", help="what to search: alerts.min_excess_usd=1,5,20")
    ] = None,
    held_out: Annotated[
        float, typer.Option("--hold-out", min=0.05, max=0.95, help="the last part of each history, not tuned on")
    ] = HELD_OUT,
    warmup_days: Annotated[
        float | None, typer.Option("--warmup-days", min=0, help="not judged (default: as the labels say, else 0)")
    ] = None,
    processes: Annotated[int, typer.Option("--jobs", min=1, max=64, help="processes to run variants in")] = 1,
    cache: Annotated[Path | None, typer.Option("--cache", help="keep priced and rolled windows here")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Backtest detection over histories, with labels or without; compare variants; search settings for a budget."""
    if searches and budget is None:
        raise UserError("--search: needs --alerts-per-week, the budget to search for")
    if budget is not None and (detectors or variants):
        raise UserError("--alerts-per-week: searches settings by itself, so it goes without --detector and --variants")
    try:
        wanted = _variants(detectors or [], variants, searches or [], searching=budget is not None)
    except VariantError as error:
        raise UserError(str(error)) from None
    settings = {one.name: settings_of(config, [*(overrides or []), *one.overrides]) for one in wanted}
    spans = Spans(warmup_days, held_out, searching=budget is not None)
    ways = list(settings.values())
    with nullcontext(str(cache)) if cache else TemporaryDirectory(prefix="spendstream-") as name:
        folder = Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with _progress() as progress:
                found = list(histories(inputs, labels or []))
                prepared, about = prepare(found, ways, spans, folder, progress, reuse=cache is not None)
                seen = see(prepared, wanted, settings, processes, progress)
        except (ReaderError, LabelError) as error:
            raise UserError(str(error)) from None
    results = [result(one.plan(settings[one.name]), seen[one.name], split=budget is not None) for one in wanted]
    best = choose(results, budget) if budget is not None else None
    changed = {one.name: one.overrides for one in wanted}
    document = Document(about, results, changed, budget, best.plan.name if best else None)
    document.write(out)
    _show(document)
    if budget is not None:
        _choose(best, document, settings, out)


def _variants(
    detectors: Sequence[str], file: Path | None, searches: Sequence[str], *, searching: bool
) -> list[Variant]:
    if searching:
        return named.grid(searches)
    found = [Variant(AS_CONFIGURED), *named.of_detectors(detectors), *(named.of_file(file) if file else [])]
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise VariantError(f"two variants are named {', '.join(twice)}")
    return found


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """A bar on standard error for each thing that is under way."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, steps: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=steps)
            elif not steps:
                bars.advance(tasks[what])

        yield tell


def _show(document: Document) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)
    for history in document.histories:
        if history.note:
            console.print(f"{history.name}: {history.note}", highlight=False, markup=False)
    for title, columns, rows in document.shown():
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
        for number, name in enumerate(columns):
            table.add_column(name, justify="right" if number else "left", no_wrap=number > 0)
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)


def _choose(best: Result | None, document: Document, settings: dict[str, Settings], out: Path) -> None:
    """Write the chosen settings; without any that fits it is a failure, though the figures are written."""
    if best is None or best.held_out is None:
        raise Failed(document.verdict() + f" See {out / 'backtest.md'} for what each comes to.")
    typer.echo(document.verdict())
    held = best.held_out
    why = (
        f"Chosen by spendstream backtest for at most {document.budget:g} alerts a week: {best.plan.name}.\n"
        f"On time held out: {held.alerts_per_week or 0:g} alerts a week, {held.caught} of {held.incidents} incidents."
    )
    (out / "settings.toml").write_text(to_toml(settings[best.plan.name], why), encoding="utf-8")
