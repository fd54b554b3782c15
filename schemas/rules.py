"""Who owns what: the rules file and the owner directory."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

from schemas.base import Contract, Name
from schemas.ratecards import Day, Positive, Share

DIMENSIONS = ("team", "project", "environment", "feature", "cost_center")
FIELDS = (
    "source", "type", "provider", "service", "model", "operation", "service_tier", "region", "account", "account_name",
    "principal", "cluster", "namespace", "workload", "accelerator", "capacity_type", "instance_type", "resource",
    "resource_name", "sku", "charge_category", "charge_description", "commitment",
)  # fmt: skip
"""What a rule may look at, beside `tags.<key>`."""

RESERVED = frozenset({"tags", "directory", "unallocated"})


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Label = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=256)]
Globs = Annotated[tuple[Annotated[str, Field(strict=True, max_length=512)], ...], BeforeValidator(_listed)]


class Entry(BaseModel):
    """A part of a file. A misspelt field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class Rule(Entry):
    """If every field in `match` fits one of its globs, the usage is the named owner's, or shared by `split`.

    Rules are asked in the file's order and the first that fits decides; those with `override` are asked before the
    event's own tags, the others after.
    """

    name: Label
    match: dict[str, Globs] = Field(min_length=1)
    override: bool = False
    team: str = ""
    project: str = ""
    environment: str = ""
    feature: str = ""
    cost_center: str = ""
    split: str = ""

    @field_validator("name")
    @classmethod
    def not_reserved(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"{name} is reserved")
        return name

    @field_validator("match")
    @classmethod
    def fields_exist(cls, match: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, globs in match.items():
            if name not in FIELDS and not (name.startswith("tags.") and name != "tags."):
                raise ValueError(f"{name} is not a field of an event; known are tags.<key>, {', '.join(FIELDS)}")
            if not globs:
                raise ValueError(f"{name} has no value to match")
        return match

    @model_validator(mode="after")
    def one_owner(self) -> Self:
        if bool(self.team) == bool(self.split):
            raise ValueError("exactly one of team and split must be given")
        return self


class Split(Entry):
    """How a shared cost falls on teams: fixed `shares` that sum to 1, or in proportion to `measured` usage.

    A key is a team, or `split:NAME` for another split. Rows of one name follow each other by date.
    """

    name: Label
    starts: Day = Field(default=date.min, alias="from")
    until: Day | None = None
    shares: dict[Label, Share] = Field(default_factory=dict)
    measured: dict[Label, Positive] = Field(default_factory=dict)
    unit: str = ""  # what was measured, for the reader

    @model_validator(mode="after")
    def one_way(self) -> Self:
        if bool(self.shares) == bool(self.measured):
            raise ValueError("exactly one of shares and measured must be given")
        if self.shares and (total := sum(self.shares.values(), Decimal(0))) != 1:
            raise ValueError(f"shares sum to {total}, not to 1")
        if self.until is not None and self.until <= self.starts:
            raise ValueError("until must be after from")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        return (self.name,)


class RulesFile(Entry):
    """The whole file. `tags` names the tag keys that give each dimension, `aliases` other spellings of its values,
    `cost_centers` that of each team."""

    tags: dict[str, tuple[Label, ...]] = Field(default_factory=dict)
    aliases: dict[str, dict[Label, Label]] = Field(default_factory=dict)
    cost_centers: dict[Label, Label] = Field(default_factory=dict)
    rule: tuple[Rule, ...] = ()
    split: tuple[Split, ...] = ()

    @field_validator("tags", "aliases")
    @classmethod
    def dimensions_exist(cls, value: dict[str, object]) -> dict[str, object]:
        for name in value:
            if name not in DIMENSIONS:
                raise ValueError(f"{name} is not a dimension; known are {', '.join(DIMENSIONS)}")
        return value


class OwnerEntry(Entry):
    """A row of the owner directory: whom a principal (API key id, user, service account) works for."""

    principal: Label
    team: Label
    project: str = ""
    environment: str = ""
    feature: str = ""
    cost_center: str = ""


class OwnerRecord(Contract):
    """The value on `spend.owners`, whose key is the principal: whom it works for from now on. No value: it is removed,
    also where the directory's file has it."""

    principal: Name
    team: Name
    project: str = ""
    environment: str = ""
    feature: str = ""
    cost_center: str = ""
