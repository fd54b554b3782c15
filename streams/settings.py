"""All settings: one TOML file, `SPENDSTREAM_*` environment variables over it, validated whole at start.

Every field says its unit in its name and, where it is not plain, the failure that it guards against. Secrets come from
the environment or from a file named by a `*_file` field, and are never printed.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings import (
    SettingsError as SettingsSourceError,
)

from schemas.watch import DIMENSIONS
from streams.section import Seconds, Section
from streams.settings_api import LEAST_TOKEN, Api
from streams.settings_console import Console
from streams.settings_remedies import Remedies
from streams.settings_routes import (
    EVERY_DAY,
    Day,
    HourRange,
    Level,
    Quiet,
    Receiver,
    Route,
    Zone,
    levels_rise,
    unknown_receivers,
)

DEFAULT_FILE = Path("spendstream.toml")


class Kafka(Section):
    """The broker. PLAINTEXT is for loopback only; elsewhere use SASL_SSL or SSL."""

    bootstrap_servers: str = "127.0.0.1:9092"
    security_protocol: Annotated[str, Field(pattern=r"^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$")] = "PLAINTEXT"
    sasl_mechanism: Annotated[str, Field(pattern=r"^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512)$")] = "SCRAM-SHA-512"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    replication_factor: Annotated[int, Field(ge=1)] = 1
    session_timeout_seconds: Seconds = 30.0  # how long a dead worker's partitions stay silent
    rebalance_timeout_seconds: Seconds = 10.0  # the first join waits for it on some brokers
    # This worker's own name in its groups, the same after a restart: after a crash it has its partitions back at once,
    # where a nameless one has to find the dead one's ids in `stages.state_dir`. No two workers may share it.
    member: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{0,200}$")] = ""
    idempotent_producer: bool = True  # a retried send is written once; the embedded broker has none of it
    topic_prefix: str = ""  # several deployments on one cluster


class ClickHouse(Section):
    """The store. `url` is http(s)://host:port, or chdb:///path for the engine inside this process (one per path)."""

    url: str = "http://127.0.0.1:8123"
    database: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = "spendstream"
    username: str = "default"
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: Seconds = 30.0
    seen_days: Annotated[int, Field(ge=1)] = 35  # how long a duplicate is recognised: the dedup horizon


class Limits(Section):
    """What an event may be at most."""

    max_record_bytes: Annotated[int, Field(ge=1024)] = 1_048_576
    max_record_events: Annotated[int, Field(ge=1)] = 10_000  # or a record of 1 MiB could make 350,000 dead letters
    max_future_seconds: Annotated[float, Field(ge=0)] = 86_400.0  # a wrong clock must not close windows early
    oldest_year: Annotated[int, Field(ge=1970)] = 2000
    latest_year: Annotated[int, Field(le=9000)] = 2080


class DeadLetters(Section):
    """When so many events are refused that the fault must be ours, or a producer's of rank, and `price` ends.

    Nothing is lost by it: what is read and not sent is read again. Counted by topic, over its newest events.
    """

    stop_share: Annotated[float, Field(gt=0, le=1)] = 0.5  # of the newest events; 1: never
    stop_window_events: Annotated[int, Field(ge=1)] = 5_000  # how many are the newest
    stop_minimum_events: Annotated[int, Field(ge=1)] = 1_000  # fewer dead letters never stop it
    hold_seconds: Annotated[float, Field(ge=0)] = 5.0  # how long records wait while it is in doubt

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.stop_minimum_events > self.stop_window_events:
            raise ValueError("stop_minimum_events can't be more than stop_window_events")
        return self


class Prices(Section):
    """Where prices and owners come from, beside what is shipped."""

    rates_dir: Path | None = None  # rate cards of your own, read over the shipped ones
    rules_file: Path | None = None  # who owns what
    owners_file: Path | None = None  # principal -> team, project, cost centre
    fx_file: Path | None = None  # dated exchange rates into USD


class Roll(Section):
    """Event-time windows."""

    token_call_window_seconds: Annotated[int, Field(ge=1)] = 10
    gpu_usage_window_seconds: Annotated[int, Field(ge=1)] = 60
    token_call_grace_seconds: Annotated[float, Field(ge=0)] = 0.5  # how late an event may be and still be watched
    gpu_usage_grace_seconds: Annotated[float, Field(ge=0)] = 5.0
    line_item_grace_seconds: Annotated[float, Field(ge=0)] = 0.0
    idle_seconds: Seconds = 10.0  # a partition silent for so long no longer holds the windows of the others open
    follow_clock_within_seconds: Annotated[float, Field(ge=0)] = 300.0  # so near to now, windows close by the clock too
    dedup_seconds: Seconds = 3600.0  # duplicates within it are counted once in detection
    max_cells: Annotated[int, Field(ge=1)] = 24
    max_leaves: Annotated[int, Field(ge=1)] = 50_000  # distinct parts per window: a flood of new keys stays bounded
    series: tuple[tuple[str, ...], ...] = (
        (),
        ("provider",),
        ("model",),
        ("team",),
        ("project",),
        ("feature",),
        ("principal",),
        ("team", "model"),
        ("principal", "model"),
        ("cluster", "accelerator"),
        ("service",),
        ("service", "account"),
    )


class Land(Section):
    """Batches into ClickHouse."""

    batch_rows: Annotated[int, Field(ge=1)] = 100_000
    linger_seconds: Annotated[float, Field(ge=0)] = 0.75  # up to four times as long for what arrived long ago


class Stages(Section):
    """How the stages run."""

    state_dir: Path = Path("state")  # checkpoints; workers of one deployment on several machines need to share it
    checkpoint_seconds: Seconds = 5.0
    max_records_per_poll: Annotated[int, Field(ge=1)] = 500
    stuck_seconds: Seconds = 120.0  # lag without progress for so long ends the process, for the supervisor to restart
    sends_in_flight: Annotated[int, Field(ge=1)] = 500


LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Metrics(Section):
    """`/metrics` and `/health`. Anywhere but on loopback `/metrics` asks for the token, as `Authorization: Bearer`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 9464
    token: SecretStr = SecretStr("")
    token_file: Path | None = None

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.host not in LOOPBACK and self.token_file is None and not self.token.get_secret_value():
            raise ValueError("an address other than loopback needs token_file, or SPENDSTREAM_METRICS__TOKEN")
        return self

    def resolved_token(self) -> SecretStr | None:
        """The token, None where none is asked for. Raises SettingsError when its file can't be read, or is short."""
        token = self.token.get_secret_value()
        if self.token_file is not None:
            try:
                token = self.token_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise SettingsError([f"metrics.token_file: cannot be read: {error.strerror}"]) from None
            token = token or " "  # an empty file is no leave to go without
        if token and len(token) < LEAST_TOKEN:
            raise SettingsError([f"metrics.token: must have at least {LEAST_TOKEN} characters"])
        return SecretStr(token) if token else None


def _known(series: dict[str, str]) -> dict[str, str]:
    unknown = sorted(series.keys() - set(DIMENSIONS))
    if unknown:
        raise ValueError(f"no such dimension: {', '.join(unknown)}; there are {', '.join(DIMENSIONS)}")
    return series


Series = Annotated[dict[str, Annotated[str, Field(min_length=1)]], AfterValidator(_known)]
"""The dimensions that a rule is for; it holds for every series that carries them. Empty: for all."""


class Cadence(Section):
    """The pace of a source, where it is not to be learnt."""

    series: Series
    seconds: Annotated[int, Field(ge=1)]


class Sensitivity(Section):
    """How touchy a series is: 2 tells at half the usual threshold, 0.5 at twice."""

    series: Series
    factor: Annotated[float, Field(gt=0, le=10)]


class Maintenance(Section):
    """When series tell nothing and learn nothing: once, from `start` to `end` (a migration, a load test), or every
    week, in `hours` on `days` by the clock of `timezone`."""

    start: AwareDatetime | None = None
    end: AwareDatetime | None = None
    hours: HourRange | None = None  # 22:00-04:00; an end before its start is the next day's
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = EVERY_DAY
    timezone: Zone = "UTC"
    series: Series = Field(default_factory=dict)

    @model_validator(mode="after")
    def _once_or_weekly(self) -> Self:
        once = {"start", "end"} & self.model_fields_set
        weekly = {"hours", "days", "timezone"} & self.model_fields_set
        if once and weekly:
            raise ValueError(
                "start and end are for once; hours, days and timezone for every week: give one or the other"
            )
        if once and (self.start is None or self.end is None):
            raise ValueError("once needs both start and end, each with its zone")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("end must be after start")
        if not once and not {"hours", "days"} & self.model_fields_set:
            raise ValueError("needs start and end, or hours or days of the week")
        return self


class Budget(Section):
    """A monthly allowance (calendar month, UTC) of a series that `roll.series` sums."""

    series: Annotated[Series, Field(min_length=1)]
    amount: Annotated[Decimal, Field(gt=0)]
    unit: Literal["usd", "tokens"] = "usd"
    thresholds: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.8, 1.0)
    meters: tuple[Literal["token_call", "gpu_usage", "line_item"], ...] = ("token_call", "gpu_usage")


class Detect(Section):
    """What counts as unusual."""

    warmup_windows: Annotated[int, Field(ge=2)] = 30  # before that a series says "warming up", never "normal"
    expire_seconds: Seconds = 7 * 86_400.0  # a series silent for so long is forgotten
    max_series: Annotated[int, Field(ge=1)] = 100_000  # per worker; beyond it new series are watched together
    new_series_usd: Annotated[float, Field(ge=0)] = 5.0  # a key, model or service never seen is told when it spent so
    new_after_seconds: Seconds = 86_400.0  # a deployment younger than this knows too little to call a series new
    adopt_seconds: Seconds = 86_400.0  # an unusual level that has lasted so long is the new normal
    cadence: tuple[Cadence, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    budgets: tuple[Budget, ...] = ()


class Alerts(Section):
    """What pages and where to."""

    min_excess_usd: Annotated[float, Field(ge=0)] = 5.0  # smaller incidents are recorded, not paged
    page_ahead_seconds: Annotated[float, Field(ge=0)] = 3600.0  # page now what at its pace reaches it within; 0: never
    early_share: Annotated[float, Field(ge=0, le=1)] = 0.02  # of the minimum that must be spent to page ahead of it
    warning_excess_usd: Annotated[float, Field(ge=0)] = 20.0  # severity by dollars so far ...
    critical_excess_usd: Annotated[float, Field(ge=0)] = 200.0
    warning_usd_per_day: Annotated[float, Field(ge=0)] = 200.0  # ... or by those of the next 24 hours
    critical_usd_per_day: Annotated[float, Field(ge=0)] = 2_000.0
    reopen_seconds: Annotated[float, Field(ge=0)] = 900.0  # the same trouble again so soon is the same alert
    returns_seconds: Annotated[float, Field(ge=0)] = 7_200.0  # and the same key's, about as dear as it was, until then
    hold_seconds: Annotated[float, Field(ge=0)] = 5.0  # how long to wait for a slow partition before grouping
    log: bool = True
    receivers: tuple[Receiver, ...] = ()
    routes: tuple[Route, ...] = ()  # none: everybody is told of everything
    quiet: tuple[Quiet, ...] = ()
    renotify_seconds: Annotated[float, Field(ge=0)] = 14_400.0  # again, while nobody has acknowledged it; 0: once
    escalate: tuple[Level, ...] = ()
    allowed_targets: tuple[str, ...] = ()  # hosts or networks inside one's own walls that signed webhooks may reach
    alertmanager_url: str = ""
    resend_seconds: Seconds = 60.0  # a firing alert must be sent again before Alertmanager's resolve_timeout
    console_url: str = ""
    runbook_url: str = ""  # where docs/runbooks/ can be read, for the links in messages

    @model_validator(mode="after")
    def _whole(self) -> Self:
        faults = list(unknown_receivers(self.receivers, self.routes, self.quiet, self.escalate))
        if not levels_rise(self.escalate):
            faults.append("escalate: each level must come after the one before it")
        if not self.alertmanager_url and any("alertmanager" in route.receivers for route in self.routes):
            faults.append("routes: one names alertmanager, and alertmanager_url is not set")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class Settings(BaseSettings):
    """Everything. `SPENDSTREAM_KAFKA__BOOTSTRAP_SERVERS` overrides `[kafka] bootstrap_servers`."""

    model_config = SettingsConfigDict(
        env_prefix="SPENDSTREAM_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    kafka: Kafka = Kafka()
    clickhouse: ClickHouse = ClickHouse()
    limits: Limits = Limits()
    dead_letters: DeadLetters = DeadLetters()
    prices: Prices = Prices()
    roll: Roll = Roll()
    detect: Detect = Detect()
    land: Land = Land()
    stages: Stages = Stages()
    metrics: Metrics = Metrics()
    alerts: Alerts = Alerts()
    api: Api = Api()
    remedies: Remedies = Remedies()
    console: Console = Console()

    @model_validator(mode="after")
    def _budgets_are_summed(self) -> Self:
        summed = {frozenset(names) for names in self.roll.series}
        for number, budget in enumerate(self.detect.budgets):
            if frozenset(budget.series) not in summed:  # it would never be told of
                wanted = ", ".join(budget.series)
                raise ValueError(f"detect.budgets.{number}: nothing sums by {wanted}: add it to roll.series")
        return self


class SettingsError(ValueError):
    """The settings are wrong. `faults` names every one of them, without repeating a value that may be a secret."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def load(file: Path | None = None, overrides: list[str] | None = None) -> Settings:
    """Read the settings: defaults, then the file, then the environment, then `overrides` (`section.key=value`).

    `file` falls back to `SPENDSTREAM_CONFIG`, then to `spendstream.toml` where that exists. Raises SettingsError.
    """
    named = file or (Path(os.environ["SPENDSTREAM_CONFIG"]) if os.environ.get("SPENDSTREAM_CONFIG") else None)
    if named is not None and not named.is_file():
        raise SettingsError([f"config file {named} does not exist"])
    path = named or DEFAULT_FILE

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    try:
        given = _tree(overrides or [])
        written = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if misplaced := [*_secrets_in(written), *_secrets_in(given)]:
            raise SettingsError(misplaced)
        return FromFile(**given)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path}: {error}"]) from None
    except ValidationError as error:
        raise SettingsError(
            [
                f"{'.'.join(map(str, e['loc']))}: {e['msg']}"
                for e in error.errors(include_input=False, include_url=False)
            ]
        ) from None
    except SettingsSourceError as error:
        raise SettingsError([str(error)]) from None


def _secrets_in(tree: Any, annotation: Any = None, path: tuple[str, ...] = ()) -> Iterator[str]:
    """A fault for each secret that stands where settings are kept, shown and passed around: a file, a command line.

    A receiver's URL is one: whoever knows a chat's webhook may write there.
    """
    if isinstance(tree, list):
        for number, one in enumerate(tree):
            yield from _secrets_in(one, annotation, (*path, str(number)))
    if not isinstance(tree, dict):
        return
    fields = Settings.model_fields if annotation is None else _fields(annotation)
    for name, value in tree.items():
        here = (*path, name)
        if name not in fields:
            continue
        if fields[name].annotation is SecretStr:
            yield f"{'.'.join(here)}: a secret stands {_places(here, fields)}"
        elif name.endswith("url") and isinstance(value, str) and "@" in _authority(value):
            yield f"{'.'.join(here)}: a URL in the settings holds no user and no password"
        else:
            yield from _secrets_in(value, fields[name].annotation, here)


def _fields(annotation: Any) -> Mapping[str, FieldInfo]:
    """The settings of a section, or of the sections that a list holds; none where there are none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_fields
    return {name: field for one in get_args(annotation) for name, field in _fields(one).items()}


def _places(path: tuple[str, ...], fields: Mapping[str, FieldInfo]) -> str:
    """Where a secret may stand."""
    *above, name = path
    places = [f"in a file named by {name}_file"] if f"{name}_file" in fields else []
    if f"{name}_env" in fields:
        places.append(f"in an environment variable named by {name}_env")
    elif len(above) == 1:
        places.append(f"in the environment, SPENDSTREAM_{above[0].upper()}__{name.upper()}")
    return ", or ".join(places)


def _authority(url: str) -> str:
    """User, password, host and port of a URL."""
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""


def _tree(overrides: list[str]) -> dict[str, Any]:
    """`["a.b=1"]` as `{"a": {"b": 1}}`; a value is TOML, or plain text where it is not."""
    tree: dict[str, Any] = {}
    for override in overrides:
        path, separator, text = override.partition("=")
        keys = path.strip().split(".")
        if not separator or not all(keys):
            raise SettingsError([f"--set {path}: must be section.key=value"])
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        node = tree
        for key in keys[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise SettingsError([f"--set {path}: {key} is set twice, as a value and as a section"])
        node[keys[-1]] = value
    return tree
