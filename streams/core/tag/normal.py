"""Tags as producers write them, into the dimensions of an owner."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

# Keys that name a dimension, the better first. `user:` and such prefixes, case, "-", "_" and blanks don't matter.
KEYS: dict[str, tuple[str, ...]] = {
    "team": ("team", "team_name", "owning_team", "owner_team", "squad"),
    "project": ("project", "project_name", "application", "app"),
    "environment": ("environment", "env", "stage"),
    "feature": ("feature", "use_case"),
    "cost_center": ("cost_center", "cost_centre", "costcenter", "costcentre"),
}


@lru_cache(10_000)
def plain_key(key: str) -> str:
    """`user:Cost-Center` as `cost_center`."""
    return "_".join(key.rpartition(":")[2].strip().lower().replace("-", " ").replace("_", " ").split())


@lru_cache(10_000)
def plain_value(value: str) -> str:
    """` ML  Platform` as `ml platform`."""
    return " ".join(value.lower().split())


class Normaliser:
    """Reads dimensions out of tags, by the keys and aliases of a rules file over the usual ones."""

    def __init__(
        self, keys: Mapping[str, tuple[str, ...]] | None = None, aliases: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        chosen = {**KEYS, **(keys or {})}
        self._keys = {dimension: tuple(plain_key(key) for key in names) for dimension, names in chosen.items()}
        self._wanted = {key for names in self._keys.values() for key in names}
        self._aliases = {
            dimension: {plain_value(old): plain_value(new) for old, new in names.items()}
            for dimension, names in (aliases or {}).items()
        }

    def value(self, dimension: str, text: str) -> str:
        """One value in its normal form: lower case, single blanks, aliases resolved."""
        plain = plain_value(text)
        return self._aliases.get(dimension, {}).get(plain, plain)

    def dimensions(self, tags: Mapping[str, str | None]) -> dict[str, str]:
        """What the tags say. Where several keys name a dimension, the better one that isn't empty holds."""
        found: dict[str, str] = {}
        for key, value in tags.items():
            name = plain_key(key)
            if value and name in self._wanted:
                found.setdefault(name, value)
        if not found:
            return {}
        result: dict[str, str] = {}
        for dimension, names in self._keys.items():
            for name in names:
                if name in found and (value := self.value(dimension, found[name])):
                    result[dimension] = value
                    break
        return result
