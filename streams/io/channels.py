"""The channels of the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from streams.core.alert.messages import Places
from streams.io.alertmanager import AlertmanagerChannel
from streams.io.apprise_channel import AppriseChannel
from streams.io.guard import Guard
from streams.io.notify import Channel, LogChannel
from streams.io.webhook import SignedWebhook
from streams.io.webhook_channel import WebhookChannel
from streams.settings import Alerts
from streams.settings_routes import Receiver


def make_channels(alerts: Alerts, places: Places, clock: Callable[[], datetime]) -> list[Channel]:
    """All of them. Raises ValueError or OSError naming the receiver that can't be used."""
    channels = [make_channel(receiver, alerts, places, clock) for receiver in alerts.receivers]
    if alerts.alertmanager_url:
        channels.append(
            AlertmanagerChannel(
                alerts.alertmanager_url, resend_seconds=alerts.resend_seconds, clock=clock, places=places
            )
        )
    if alerts.log or not channels:
        channels.append(LogChannel())
    return channels


def make_channel(receiver: Receiver, alerts: Alerts, places: Places, clock: Callable[[], datetime]) -> Channel:
    """The channel of one receiver. Raises ValueError or OSError naming it and its fault."""
    if receiver.kind == "apprise":
        return AppriseChannel(receiver.name, receiver.resolved_url(), places=places, style=receiver.style)
    url, secret = receiver.resolved_url(), receiver.resolved_secret()
    try:
        webhook = SignedWebhook(url, [secret], guard=Guard(alerts.allowed_targets), clock=clock)
    except ValueError as error:
        raise ValueError(f"receiver {receiver.name}: {error}") from None
    return WebhookChannel(receiver.name, webhook, places=places)
