"""Templates: everything that goes into a page is escaped."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from streams.console import charts, words

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"


@cache
def environment() -> Environment:
    """The templates of this folder, with the words and charts they use."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        words=words, money=words.money, against=words.against, span=words.span, sparkline=charts.sparkline,
        time=time_tag, version=version(),
    )  # fmt: skip
    return made


def render(template: str, **context: Any) -> str:
    """A template's text."""
    return environment().get_template(template).render(**context)


def time_tag(at: datetime, form: str = "stamp") -> Markup:
    """A time in UTC that the page's script completes by the reader's own zone; `age` says how long ago it is."""
    text = words.clock(at) if form == "clock" else words.stamp(at)
    return Markup('<time datetime="{}" data-form="{}">{}</time>').format(at.isoformat(), form, text)


@cache
def version() -> str:
    """Changes with the style sheet or the script, so that browsers load them anew, and an old page reloads itself."""
    digest = hashlib.sha256()
    for path in sorted([*STATIC.iterdir(), *(FOLDER / "templates").iterdir()]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
