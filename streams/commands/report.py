"""`spendstream report`: what a run found, as one HTML file, and as JSON and Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from replay.report import markdown, page
from replay.report.content import build, to_json
from replay.report.rundir import RunError, load
from streams.commands.common import Failed, UserError

FORMATS = {".html": "HTML", ".htm": "HTML", ".md": "Markdown", ".json": "JSON"}


def report(
    run: Annotated[Path, typer.Argument(help="the folder that spendstream replay wrote")],
    out: Annotated[
        list[Path] | None, typer.Option("--out", help="report.html, report.md or report.json; may be repeated")
    ] = None,
    title: Annotated[str, typer.Option("--title", help="what stands at its top")] = "What the spend did",
) -> None:
    """Write a report of a run: spend, incidents and what they cost, owners, unit costs, forecast, reconciliation.

    The HTML needs no network and no script. Without --out it lies as report.html in the run's folder.
    """
    files = out or [run / "report.html"]
    for file in files:
        if file.suffix.lower() not in FORMATS:
            raise UserError(f"--out {file}: must end in {', '.join(FORMATS)}")
    try:
        built = build(load(run), title)
    except RunError as error:
        raise UserError(str(error)) from None
    for file in files:
        kind = FORMATS[file.suffix.lower()]
        if kind == "JSON":
            text = json.dumps(to_json(built), indent=1) + "\n"
        else:
            text = page.render(built) if kind == "HTML" else markdown.render(built)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise Failed(f"{file}: can't be written ({error.strerror})") from None
        typer.echo(f"{file}: {len(text.encode()):,} bytes")
    broken = [check.name for check in built.checks if not check.holds]
    if broken:
        raise Failed("the run does not reconcile: " + "; ".join(broken))
