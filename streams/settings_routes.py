"""Settings of who is told: receivers, routes, quiet hours, escalation."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, model_validator

from schemas.watch import DIMENSIONS, FindingKind, Severity
from streams.section import Seconds, Section, secret_of

ALERTMANAGER, LOG = "alertmanager", "log"
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
EVERY_DAY: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Names = tuple[str, ...]
HourRange = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"there is no time zone {name[:64]}; write it as in Europe/Berlin") from None
    return name


Zone = Annotated[str, AfterValidator(_zone)]


class Receiver(Section):
    """An apprise target, or a webhook of one's own. Its URL holds a secret: name a file or a variable that holds it."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,32}$")]
    kind: Literal["apprise", "webhook"] = "apprise"
    url: SecretStr = SecretStr("")
    url_file: Path | None = None
    url_env: str = ""
    secret_env: str = ""  # signs what goes to a webhook: whsec_ and base64
    secret_file: Path | None = None
    style: Literal["full", "short"] = "full"  # short: for pagers and text messages

    def resolved_url(self) -> SecretStr:
        """The target's URL from where it is kept. Raises ValueError when there is none."""
        if self.url_env and os.environ.get(self.url_env):
            return SecretStr(os.environ[self.url_env])
        if self.url_file is not None:
            return SecretStr(self.url_file.read_text(encoding="utf-8").strip())
        if self.url.get_secret_value():
            return self.url
        raise ValueError(f"receiver {self.name}: no url, url_file or url_env gives a URL")

    def resolved_secret(self) -> SecretStr:
        """What signs a webhook. Raises ValueError when there is none."""
        return secret_of(f"receiver {self.name}: secret", env=self.secret_env, file=self.secret_file)


class Level(Section):
    """Who comes next when nobody has acknowledged an alert for so long."""

    after_seconds: Seconds
    receivers: Annotated[Names, Field(min_length=1)]


class Route(Section):
    """Which alerts go to whom. Routes are tried in order, and the first that holds takes the alert."""

    receivers: Names  # none: nobody is told
    severity: tuple[Severity, ...] = ()  # an empty condition holds for all
    kind: tuple[FindingKind, ...] = ()
    team: Names = ()
    environment: Names = ()
    hours: HourRange | None = None  # "09:00-18:00"; "22:00-06:00" goes over midnight
    days: tuple[Day, ...] = EVERY_DAY
    timezone: Zone = "UTC"
    goes_on: bool = False  # later routes add their receivers
    renotify_seconds: Annotated[float, Field(ge=0)] | None = None
    escalate: tuple[Level, ...] | None = None
    group_by: Names = ()  # dimensions; alerts that share them and come within group_wait_seconds are one message
    group_wait_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        faults = list(_route_faults(self))
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Quiet(Section):
    """Hours in which only critical alerts disturb. What is held is said at their end, if it still fires then."""

    hours: HourRange
    days: tuple[Day, ...] = EVERY_DAY
    timezone: Zone = "UTC"
    receivers: Names = ()  # whose; empty: everybody's
    mode: Literal["hold", "instead"] = "hold"
    instead: Names = ()  # who is told in this mode

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.mode == "instead") != bool(self.instead):
            raise ValueError('instead names who is told, and goes with mode = "instead"')
        if _same_ends(self.hours):
            raise ValueError("hours begin and end at the same time")
        return self


def unknown_receivers(
    receivers: Iterable[Receiver], routes: Iterable[Route], quiet: Iterable[Quiet], escalate: Iterable[Level]
) -> Iterator[str]:
    """A fault for each name that no receiver has, and for a name that two have."""
    names = [receiver.name for receiver in receivers]
    known = {*names, ALERTMANAGER}
    for name in sorted({name for name in names if names.count(name) > 1 or name in {ALERTMANAGER, LOG}}):
        yield f"receivers: the name {name} is taken already"
    places = [
        *((f"routes.{n}.receivers", route.receivers) for n, route in enumerate(routes)),
        *((f"routes.{n}.escalate", lv.receivers) for n, route in enumerate(routes) for lv in route.escalate or ()),
        *((f"quiet.{n}", (*hours.receivers, *hours.instead)) for n, hours in enumerate(quiet)),
        *((f"escalate.{n}", level.receivers) for n, level in enumerate(escalate)),
    ]
    for place, used in places:
        if missing := sorted(set(used) - known):
            yield f"{place}: there is no receiver {', '.join(missing)}"


def levels_rise(levels: Iterable[Level]) -> bool:
    """Whether each level comes after the one before it."""
    after = [level.after_seconds for level in levels]
    return all(earlier < later for earlier, later in pairwise(after))


def _route_faults(route: Route) -> Iterator[str]:
    if unknown := sorted(set(route.group_by) - set(DIMENSIONS)):
        yield f"group_by: there is no dimension {', '.join(unknown)}"
    if route.group_by and not route.group_wait_seconds:
        yield "group_by needs group_wait_seconds: what does not wait can't be grouped"
    if route.hours is not None and _same_ends(route.hours):
        yield "hours begin and end at the same time"
    if not levels_rise(route.escalate or ()):
        yield "escalate: each level must come after the one before it"


def _same_ends(hours: str) -> bool:
    start, _, end = hours.partition("-")
    return start == end
