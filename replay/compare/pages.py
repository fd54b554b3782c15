"""Puts what was generated into a page, between its markers, and leaves the prose alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


class PageError(Exception):
    """The page, or a marker in it, is not there. The message names it."""


def begin(name: str) -> str:
    return f"<!-- generated: {name} -->"


END = "<!-- end of generated -->"


def fill(page: Path, blocks: Mapping[str, str]) -> None:
    """Replace each named block of the page. Raises PageError, and then nothing is written."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise PageError(f"{page}: can't be read ({error.strerror})") from None
    for name, block in blocks.items():
        marked = re.compile(f"{re.escape(begin(name))}.*?{re.escape(END)}", re.DOTALL)
        if not marked.search(text):
            raise PageError(f"{page}: has no place for it: {begin(name)} ... {END}")
        whole = f"{begin(name)}\n\n{block}\n\n{END}"
        text = marked.sub(lambda _, whole=whole: whole, text, count=1)  # type: ignore[misc]
    page.write_text(text, encoding="utf-8")
