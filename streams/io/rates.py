"""Rate cards and exchange rates from files, the shipped and your own. Wrong files stop the start, each fault named."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from importlib.metadata import version
from importlib.resources import files
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, TypeVar

from genai_prices.data_snapshot import get_snapshot
from pydantic import BaseModel, ValidationError

from schemas.ratecards import CARD_TABLES, Dated, FxRate
from streams.core.price import Book, Cards, Exchange, Pricer
from streams.core.price.rate import price_faults

M = TypeVar("M", bound=BaseModel)
NOT_TOML = (tomllib.TOMLDecodeError, UnicodeDecodeError, InvalidOperation, RecursionError)
"""What `tomllib` raises on a text that is no TOML, or whose numbers or depth nothing can take."""


class RatesError(ValueError):
    """Rate cards, exchange rates or rules are wrong. `faults` names each by file, row and field."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = list(faults)


def load_pricer(rates_dir: Path | None = None, fx_file: Path | None = None) -> Pricer:
    """The pricer over the shipped rate cards, those in `rates_dir` (which come first) and the rates of `fx_file`.

    Reads files, never the network: token prices are those of the installed genai-prices. Raises RatesError.
    """
    cards, exchange = load_cards(rates_dir, fx_file)
    return Pricer(Book(get_snapshot(), cards, version("genai-prices")), cards, exchange)


def load_cards(rates_dir: Path | None = None, fx_file: Path | None = None) -> tuple[Cards, Exchange]:
    """The rate cards and exchange rates, checked. Raises RatesError."""
    faults: list[str] = []
    exchange_rates = list(_fx_rows(fx_file, faults)) if fx_file is not None else []
    known = {"USD", *(rate.currency for rate in exchange_rates)}
    digest = hashlib.sha256()
    layers: list[dict[str, list[Any]]] = []
    for folder in (rates_dir, Path(str(files("schemas") / "rates"))):
        if folder is None:
            continue
        if not folder.is_dir():
            faults.append(f"{folder}: is not a folder of rate cards")
            continue
        layers.append(_layer(sorted(folder.glob("*.toml")), known, faults, digest))
    if faults:
        raise RatesError(faults)
    rows = {table: tuple(row for layer in layers for row in layer[table]) for table in CARD_TABLES}
    return Cards(**rows, version=digest.hexdigest()[:12]), Exchange(exchange_rates)


def _layer(paths: Sequence[Path], known: set[str], faults: list[str], digest: Any) -> dict[str, list[Any]]:
    """The rows of some files by table, newest first; faults are added to `faults`."""
    placed: dict[str, list[tuple[str, Dated]]] = {table: [] for table in CARD_TABLES}
    for path in paths:
        content = path.read_bytes()
        digest.update(content)
        try:
            document = tomllib.loads(content.decode("utf-8"), parse_float=Decimal)
        except NOT_TOML as error:
            faults.append(f"{path.name}: is not TOML: {error}")
            continue
        for table, entries in document.items():
            model = CARD_TABLES.get(table)
            if model is None or not isinstance(entries, list):
                faults.append(f"{path.name}: [[{table}]]: must be one of {', '.join(f'[[{t}]]' for t in CARD_TABLES)}")
                continue
            for number, entry in enumerate(entries, start=1):
                place = f"{path.name}: [[{table}]] row {number}"
                row = checked(model, entry, place, faults)
                if row is not None:
                    faults += _content_faults(row, place, known)
                    placed[table].append((place, row))
    for rows in placed.values():
        faults += date_faults(rows)
    return {
        table: [row for _, row in sorted(rows, key=lambda r: r[1].starts, reverse=True)]
        for table, rows in placed.items()
    }


def checked(model: type[M], entry: Any, place: str, faults: list[str]) -> M | None:
    """`entry` as `model`; None, and a line in `faults` for each field that is wrong."""
    try:
        return model.model_validate(entry)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False, include_context=False):
            where, location = place, fault["loc"]
            if len(location) > 1 and isinstance(location[1], int):  # a row of a file that is checked whole
                where, location = f"{place}: [[{location[0]}]] row {location[1] + 1}", location[2:]
            field = ".".join(str(part) for part in location) or "row"
            problem = "unknown field" if fault["type"] == "extra_forbidden" else fault["msg"]
            faults.append(f"{where}, field {field}: {problem.removeprefix('Value error, ')}")
        return None


def _content_faults(row: Any, place: str, known: set[str]) -> Iterator[str]:
    currency = getattr(row, "currency", "USD")
    if currency not in known:
        yield f"{place}, field currency: {currency} has no exchange rate in the fx file"
    for key, problem in price_faults(getattr(row, "prices", {})):
        yield f"{place}, field prices.{key}: {problem}"


def date_faults(placed: list[tuple[str, Any]]) -> Iterator[str]:
    """Rows of one key must follow each other: none twice from a day, none over another, no day left out between two."""
    ordered = sorted(placed, key=lambda p: (p[1].key, p[1].starts))
    for _, group in groupby(ordered, key=lambda p: p[1].key):
        for (_, old), (place, new) in pairwise(group):
            if old.starts == new.starts:
                yield f"{place}, field from: {new.starts} is given twice for {' '.join(new.key)}"
            elif old.until is not None and new.starts < old.until:
                yield f"{place}, field from: {new.starts} overlaps the row before, which holds until {old.until}"
            elif old.until is not None and new.starts > old.until:
                yield f"{place}, field from: gap, no price from {old.until} to {new.starts}"


def _fx_rows(path: Path, faults: list[str]) -> Iterable[FxRate]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != ["date", "currency", "usd"]:
                faults.append(f"{path.name}: row 1: the columns must be date,currency,usd")
                return
            seen = set()
            for number, entry in enumerate(reader, start=2):
                place = f"{path.name}: row {number}"
                row = checked(FxRate, entry, place, faults)
                if row is None:
                    continue
                if (row.date, row.currency) in seen:
                    faults.append(f"{place}, field date: {row.date} is given twice for {row.currency}")
                seen.add((row.date, row.currency))
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        faults.append(f"{path.name}: is not CSV in UTF-8: {error}")
    except OSError as error:
        faults.append(f"{path}: can't be read: {error.strerror}")
