"""The actuators of the settings, by action."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from streams.io.actions.base import Actuator
from streams.io.actions.kubernetes import KubernetesActuator
from streams.io.actions.litellm import LitellmActuator
from streams.io.actions.webhook import WebhookActuator
from streams.io.guard import Guard
from streams.io.webhook import SignedWebhook
from streams.settings import Settings

ACTING = frozenset({"approve", "automatic"})


def make_actuators(settings: Settings, clock: Callable[[], datetime]) -> dict[str, Actuator]:
    """What the policies need, and no more. Raises ValueError or OSError naming what is missing."""
    remedies = settings.remedies
    used = {policy.action for policy in remedies.policies if policy.mode in ACTING}
    made: dict[str, Actuator] = {}
    if used & {"litellm_block_key", "litellm_lower_budget"}:
        litellm = LitellmActuator(remedies.litellm, remedies.timeout_seconds)
        made |= {"litellm_block_key": litellm, "litellm_lower_budget": litellm}
    if "kubernetes_scale" in used:
        made["kubernetes_scale"] = KubernetesActuator(remedies.kubernetes, remedies.timeout_seconds)
    if "webhook" in used:
        made["webhook"] = WebhookActuator(_webhooks(settings, clock))
    return made


def _webhooks(settings: Settings, clock: Callable[[], datetime]) -> dict[str, SignedWebhook]:
    receivers = {receiver.name: receiver for receiver in settings.alerts.receivers if receiver.kind == "webhook"}
    found = {}
    for policy in settings.remedies.policies:
        if policy.action == "webhook" and policy.mode in ACTING:
            receiver = receivers.get(policy.receiver)
            if receiver is None:
                raise ValueError(f"remedies.policies {policy.name}: alerts.receivers has no webhook {policy.receiver}")
            found[policy.receiver] = SignedWebhook(
                receiver.resolved_url(),
                [receiver.resolved_secret()],
                guard=Guard(settings.alerts.allowed_targets),
                clock=clock,
                timeout_seconds=settings.remedies.timeout_seconds,
            )
    return found
