"""From findings to alerts: what belongs together, what it is called, what pages."""

from streams.core.alert.alerter import Alerter
from streams.core.alert.rules import AlertRules

__all__ = ["AlertRules", "Alerter"]
