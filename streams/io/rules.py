"""The rules file and the owner directory. Wrong files stop the start, every fault named."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from schemas.rules import OwnerEntry, RulesFile
from streams.core.tag import Owner, Tagger
from streams.core.tag.splits import split_faults
from streams.io.rates import NOT_TOML, RatesError, checked, date_faults


def load_tagger(rules_file: Path | None = None, owners_file: Path | None = None) -> Tagger:
    """The tagger over a rules file (TOML) and an owner directory (CSV, or TOML with [[owner]]). Raises RatesError."""
    faults: list[str] = []
    rules = _rules(rules_file, faults) if rules_file is not None else None
    owners = dict(_owners(owners_file, faults)) if owners_file is not None else {}
    if faults:
        raise RatesError(faults)
    return Tagger(rules, owners)


def load_owners(path: Path) -> dict[str, Owner]:
    """An owner directory's file by principal. Raises RatesError."""
    faults: list[str] = []
    owners = dict(_owners(path, faults))
    if faults:
        raise RatesError(faults)
    return owners


def _rules(path: Path, faults: list[str]) -> RulesFile | None:
    document = _toml(path, faults)
    if document is None:
        return None
    rules = checked(RulesFile, document, path.name, faults)
    if rules is None:
        return None
    names = [rule.name for rule in rules.rule]
    splits = {row.name for row in rules.split}
    for number, rule in enumerate(rules.rule, start=1):
        place = f"{path.name}: [[rule]] row {number}"
        if rule.name in names[: number - 1]:
            faults.append(f"{place}, field name: {rule.name} is given twice")
        if rule.split and rule.split not in splits:
            faults.append(f"{place}, field split: {rule.split} is not a split")
    faults += [f"{path.name}: {fault}" for fault in split_faults(rules.split)]
    faults += date_faults([(f"{path.name}: [[split]] row {n}", row) for n, row in enumerate(rules.split, start=1)])
    return rules


def _owners(path: Path, faults: list[str]) -> Iterator[tuple[str, Owner]]:
    seen: set[str] = set()
    for place, entry in _owner_entries(path, faults):
        row = checked(OwnerEntry, entry, place, faults)
        if row is None:
            continue
        if row.principal in seen:
            faults.append(f"{place}, field principal: {row.principal} is given twice")
        seen.add(row.principal)
        yield row.principal, Owner(**row.model_dump())


def _owner_entries(path: Path, faults: list[str]) -> Iterator[tuple[str, Any]]:
    if path.suffix == ".toml":
        document = _toml(path, faults) or {}
        for number, entry in enumerate(document.get("owner", []), start=1):
            yield f"{path.name}: [[owner]] row {number}", entry
        faults += [f"{path.name}: {table}: must be [[owner]]" for table in sorted(document.keys() - {"owner"})]
        return
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, entry in enumerate(csv.DictReader(file), start=2):
                yield f"{path.name}: row {number}", {key: value for key, value in entry.items() if value}
    except (csv.Error, UnicodeDecodeError) as error:
        faults.append(f"{path.name}: is not CSV in UTF-8: {error}")
    except OSError as error:
        faults.append(f"{path}: can't be read: {error.strerror}")


def _toml(path: Path, faults: list[str]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except NOT_TOML as error:
        faults.append(f"{path.name}: is not TOML: {error}")
    except OSError as error:
        faults.append(f"{path}: can't be read: {error.strerror}")
    return None
