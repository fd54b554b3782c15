"""One-click links: what one may do with one alert until some moment, signed. Pure: secret and time are given.

A link says everything itself and can't be changed: alert, action, whom it was sent to, when it ends, and over all of it
an HMAC-SHA256. Used twice it is the same action, so it does nothing the second time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schemas.oncall import ActionKind

VERSION = 1
MOST_LENGTH = 1_024
CLICKABLE = frozenset({
    ActionKind.ACK, ActionKind.SNOOZE, ActionKind.RESOLVE, ActionKind.FALSE_POSITIVE, ActionKind.EXPECTED,
    ActionKind.APPROVE_REMEDY, ActionKind.UNDO_REMEDY,
})  # fmt: skip


class LinkError(ValueError):
    """A link that is none of ours, or is over. The text repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a link does. `to` is the receiver that it was sent to: it stands in the history as who did it."""

    alert_id: str
    what: ActionKind
    to: str
    expires: datetime
    snooze_minutes: int = 0
    remedy_id: str = ""

    @property
    def snooze(self) -> timedelta | None:
        return timedelta(minutes=self.snooze_minutes) if self.what is ActionKind.SNOOZE else None


def sign(secret: str, link: Link) -> str:
    """The link as the last part of a URL."""
    if link.what not in CLICKABLE:
        raise ValueError(f"there is no link for {link.what.value}")
    body = [VERSION, link.alert_id, link.what.value, link.to, int(link.expires.timestamp()), link.snooze_minutes,
            link.remedy_id]  # fmt: skip
    payload = json.dumps(body, separators=(",", ":")).encode()
    return f"{_text(payload)}.{_text(_mac(secret, payload))}"


def read(secret: str, token: str, now: datetime) -> Link:
    """The link of a token. Raises LinkError: it was changed, is another deployment's, or is over."""
    try:
        link = _link(_payload(secret, token))
    except (ValueError, TypeError, binascii.Error):
        raise LinkError("this link is not one of ours, or is not whole") from None
    if now >= link.expires:
        raise LinkError("this link is over")
    return link


def action_id(token: str) -> str:
    """The id of the action that a token is for: the same each time that it is used."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def _payload(secret: str, token: str) -> bytes:
    head, _, tail = token.partition(".")
    if len(token) > MOST_LENGTH or not token.isascii():
        raise ValueError
    payload, mac = _bytes(head), _bytes(tail)
    if not hmac.compare_digest(mac, _mac(secret, payload)):
        raise ValueError
    return payload


def _link(payload: bytes) -> Link:
    version, alert_id, what, to, expires, minutes, remedy_id = json.loads(payload)
    if version != VERSION:
        raise ValueError
    return Link(alert_id, ActionKind(what), to, datetime.fromtimestamp(expires, UTC), minutes, remedy_id)


def _mac(secret: str, payload: bytes) -> bytes:
    return hmac.digest(secret.encode(), b"spendstream-link\0" + payload, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
