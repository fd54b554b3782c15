"""From settings to the core's objects: the live stages and `replay` get theirs here, so that they get the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from schemas.records import Meter
from streams.core.alert import AlertRules
from streams.core.alert.messages import Places
from streams.core.alert.routes import Level, Quiet, Route, Routing
from streams.core.detect.parts import PAYERS
from streams.core.detect.rules import Budget, Maintenance, WeeklyMaintenance
from streams.core.detect.watch import WatchRules
from streams.core.hours import Hours
from streams.core.remedy.ledger import Ledger
from streams.core.remedy.policies import Policy
from streams.core.severity import SeverityRules
from streams.core.tag import Tagger
from streams.core.usage.bounds import Bounds
from streams.core.usage.charge import Charger
from streams.core.usage.dead_letters import Limit
from streams.core.windows.roll import RollRules
from streams.core.windows.sums import series_key
from streams.io.rates import load_pricer
from streams.io.rules import load_tagger
from streams.settings import Alerts, Settings
from streams.settings import Maintenance as MaintenanceSettings
from streams.settings_remedies import Policy as PolicySettings
from streams.settings_routes import ALERTMANAGER, EVERY_DAY, LOG
from streams.settings_routes import Level as LevelSettings
from streams.settings_routes import Route as RouteSettings


def tagger(settings: Settings) -> Tagger:
    """Rules and the owner directory, read from their files. Raises ValueError naming the file and the fault."""
    return load_tagger(settings.prices.rules_file, settings.prices.owners_file)


def charger(settings: Settings, owners: Tagger | None = None) -> Charger:
    """Prices and owners, read from their files where `owners` is not given.

    Raises SettingsError or ValueError naming the file and the fault.
    """
    limits, prices = settings.limits, settings.prices
    bounds = Bounds(
        max_record_bytes=limits.max_record_bytes,
        max_record_events=limits.max_record_events,
        max_future=timedelta(seconds=limits.max_future_seconds),
        oldest_year=limits.oldest_year,
        latest_year=limits.latest_year,
    )
    return Charger(load_pricer(prices.rates_dir, prices.fx_file), owners or tagger(settings), bounds)


def dead_letter_limit(settings: Settings) -> Limit:
    """When dead letters are too many."""
    limits = settings.dead_letters
    return Limit(limits.stop_share, limits.stop_window_events, limits.stop_minimum_events)


def roll_rules(settings: Settings) -> RollRules:
    """Windows, graces and series."""
    roll = settings.roll
    windows: dict[Meter, int] = {
        "token_call": roll.token_call_window_seconds,
        "gpu_usage": roll.gpu_usage_window_seconds,
    }
    graces: dict[Meter, float] = {
        "token_call": roll.token_call_grace_seconds,
        "gpu_usage": roll.gpu_usage_grace_seconds,
        "line_item": roll.line_item_grace_seconds,
    }
    return RollRules(
        windows=windows,
        graces=graces,
        series=roll.series,
        dedup_seconds=roll.dedup_seconds,
        max_leaves=roll.max_leaves,
        idle_seconds=roll.idle_seconds,
        follow_clock_within_seconds=roll.follow_clock_within_seconds,
    )


def alert_rules(settings: Settings) -> AlertRules:
    """What pages and how loudly."""
    alerts = settings.alerts
    return AlertRules(
        min_excess_usd=Decimal(str(alerts.min_excess_usd)),
        page_ahead=timedelta(seconds=alerts.page_ahead_seconds),
        early_share=Decimal(str(alerts.early_share)),
        warning_usd=Decimal(str(alerts.warning_excess_usd)),
        critical_usd=Decimal(str(alerts.critical_excess_usd)),
        warning_usd_per_day=Decimal(str(alerts.warning_usd_per_day)),
        critical_usd_per_day=Decimal(str(alerts.critical_usd_per_day)),
        reopen=timedelta(seconds=alerts.reopen_seconds),
        returns=timedelta(seconds=alerts.returns_seconds),
    )


def routing(settings: Settings) -> Routing:
    """Who is told of alerts."""
    alerts = settings.alerts
    always = {LOG, *([ALERTMANAGER] if not names_alertmanager(alerts) else [])}
    return Routing(
        receivers=tuple(receiver.name for receiver in alerts.receivers),
        routes=tuple(_route(route) for route in alerts.routes),
        quiet=tuple(
            Quiet(
                _hours(quiet.hours, quiet.days, quiet.timezone), frozenset(quiet.receivers), quiet.mode, quiet.instead
            )
            for quiet in alerts.quiet
        ),
        renotify=timedelta(seconds=alerts.renotify_seconds),
        levels=_levels(alerts.escalate),
        always=frozenset(always),
        informed=frozenset({ALERTMANAGER}),
    )


def names_alertmanager(alerts: Alerts) -> bool:
    """Whether a route says what goes to Alertmanager; else it gets everything."""
    return any(ALERTMANAGER in route.receivers for route in alerts.routes)


def _route(route: RouteSettings) -> Route:
    return Route(
        receivers=route.receivers,
        severities=frozenset(route.severity),
        kinds=frozenset(route.kind),
        teams=frozenset(route.team),
        environments=frozenset(route.environment),
        hours=_route_hours(route),
        goes_on=route.goes_on,
        renotify=None if route.renotify_seconds is None else timedelta(seconds=route.renotify_seconds),
        levels=None if route.escalate is None else _levels(route.escalate),
        group_by=route.group_by,
        group_wait=timedelta(seconds=route.group_wait_seconds),
    )


def _route_hours(route: RouteSettings) -> Hours | None:
    if route.hours is None and len(route.days) == len(EVERY_DAY):
        return None
    return _hours(route.hours or "00:00-00:00", route.days, route.timezone)


def _hours(text: str, days: Iterable[str], zone: str) -> Hours:
    start, _, end = text.partition("-")
    return Hours(time.fromisoformat(start), time.fromisoformat(end), frozenset(days), ZoneInfo(zone))


def _levels(levels: Iterable[LevelSettings]) -> tuple[Level, ...]:
    return tuple(Level(timedelta(seconds=level.after_seconds), level.receivers) for level in levels)


def places(settings: Settings) -> Places:
    """Where messages point to. Raises ValueError naming a secret that can't be had."""
    secret = settings.api.link_secret()
    return Places(
        console_url=settings.alerts.console_url,
        runbook_url=settings.alerts.runbook_url,
        public_url=settings.api.public_url,
        secret=secret.get_secret_value() if secret is not None else "",
        link_life=timedelta(seconds=settings.api.link_seconds),
    )


def ledger(settings: Settings) -> Ledger:
    """What remedies may do."""
    return Ledger(map(_policy, settings.remedies.policies), timedelta(seconds=settings.remedies.measure_seconds))


def _policy(policy: PolicySettings) -> Policy:
    budget = {} if policy.budget_usd is None else {"budget_usd": str(policy.budget_usd)}
    return Policy(
        name=policy.name,
        action=policy.action,
        target=policy.target,
        mode=policy.mode,
        kinds=frozenset(policy.kind),
        causes=frozenset(policy.cause),
        severities=frozenset(policy.severity),
        teams=frozenset(policy.team),
        environments=frozenset(policy.environment),
        automatic_environments=frozenset(policy.automatic_environments),
        max_per_hour=policy.max_per_hour,
        max_usd_per_hour=policy.max_usd_per_hour,
        parameters={"replicas": str(policy.replicas), "receiver": policy.receiver, **budget},
    )


def watch_rules(settings: Settings) -> WatchRules:
    """What counts as unusual."""
    detect, alerts = settings.detect, settings.alerts
    return WatchRules(
        warmup_windows=detect.warmup_windows,
        expire_seconds=detect.expire_seconds,
        max_series=detect.max_series,
        min_excess_usd=alerts.min_excess_usd,
        severity=SeverityRules(
            warning_usd=Decimal(str(alerts.warning_excess_usd)),
            critical_usd=Decimal(str(alerts.critical_excess_usd)),
            warning_usd_per_day=Decimal(str(alerts.warning_usd_per_day)),
            critical_usd_per_day=Decimal(str(alerts.critical_usd_per_day)),
        ),
        new_series_usd=detect.new_series_usd,
        new_after_seconds=detect.new_after_seconds,
        adopt_seconds=detect.adopt_seconds,
        payers=frozenset(names[0] for names in settings.roll.series if names) & frozenset(PAYERS.values()),
        cadence=tuple((series_key(rule.series), rule.seconds) for rule in detect.cadence),
        sensitivity=tuple((series_key(rule.series), rule.factor) for rule in detect.sensitivity),
        maintenance=tuple(map(_maintenance, detect.maintenance)),
        budgets=tuple(
            Budget(series_key(rule.series), rule.amount, rule.unit, rule.thresholds, frozenset(rule.meters))
            for rule in detect.budgets
        ),
    )


def _maintenance(rule: MaintenanceSettings) -> Maintenance | WeeklyMaintenance:
    series = series_key(rule.series)
    if rule.start is not None and rule.end is not None:
        return Maintenance(int(rule.start.timestamp()), int(rule.end.timestamp()), series)
    return WeeklyMaintenance(_hours(rule.hours or "00:00-00:00", rule.days, rule.timezone), series)
