"""Who looks: a session of a cookie that is signed with the token itself, so that changing a token ends its sessions.

Nothing is kept here: a restart logs nobody out. Without tokens there is no login, and it serves loopback alone.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from streams.api.access import Access, Caller
from streams.settings_api import Api

COOKIE = "spendstream_session"
LOCAL = Caller("local", "operator")
ATTEMPTS, ATTEMPTS_WITHIN = 10, timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Session:
    """Who it is, and the word that forms must carry so that no other site can send them."""

    caller: Caller
    csrf: str


class Sessions:
    """Opens and reads sessions. `clock` gives aware UTC."""

    def __init__(self, api: Api, clock: Callable[[], datetime], length: timedelta) -> None:
        """Raises ValueError naming a token of the settings that can't be had."""
        self._access = Access.of(api) if api.tokens else None
        self._callers = {
            token.name: (Caller(token.name, token.role), _key(token.resolved().get_secret_value()))
            for token in api.tokens
        }
        self._local = Session(LOCAL, secrets.token_urlsafe(24))
        self._clock = clock
        self._length = length
        self._failed: deque[datetime] = deque(maxlen=ATTEMPTS)

    @property
    def asks(self) -> bool:
        """Whether one has to log in."""
        return self._access is not None

    @property
    def seconds(self) -> int:
        """How long a session lasts."""
        return int(self._length.total_seconds())

    @property
    def is_barred(self) -> bool:
        """Whether too many wrong tokens came within the last minute, from wherever."""
        return len(self._failed) == ATTEMPTS and self._clock() - self._failed[0] < ATTEMPTS_WITHIN

    def open(self, token: str) -> str | None:
        """The cookie of a new session; None for a token that is not known."""
        caller = self._access.check(token) if self._access is not None else None
        if caller is None:
            self._failed.append(self._clock())
            return None
        issued = str(int(self._clock().timestamp()))
        nonce = secrets.token_urlsafe(12)
        return f"{issued}.{nonce}.{self._sign(caller.name, issued, nonce)}.{caller.name}"

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None when it is forged, over, or of a token that has changed."""
        if self._access is None:
            return self._local
        issued, nonce, signature, name = [*cookie.split(".", 3), "", "", "", ""][:4]
        if name not in self._callers or not issued.isdecimal() or len(issued) > 12:
            return None
        if not hmac.compare_digest(signature.encode(), self._sign(name, issued, nonce).encode()):
            return None
        if self._clock().timestamp() - int(issued) > self._length.total_seconds():
            return None
        caller, key = self._callers[name]
        return Session(caller, _mac(key, f"form {issued}.{nonce}"))

    def _sign(self, name: str, issued: str, nonce: str) -> str:
        return _mac(self._callers[name][1], f"session {issued}.{nonce}.{name}")


def _key(token: str) -> bytes:
    return hashlib.sha256(b"spendstream console\0" + token.encode()).digest()


def _mac(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
