"""Who may ask: bearer tokens with a role, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request

from streams.api.errors import ApiError
from streams.settings_api import Api

Role = Literal["read", "operator"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name` is written into the history."""

    name: str
    role: Role

    @property
    def may_act(self) -> bool:
        return self.role == "operator"


class Access:
    """The tokens, kept as digests."""

    def __init__(self, tokens: Iterable[tuple[str, Role, str]]) -> None:
        """`tokens`: name, role and token. Raises ValueError when there is none, or one is there twice."""
        self._callers = [(_digest(token), Caller(name, role)) for name, role, token in tokens]
        if not self._callers:
            raise ValueError("api.tokens: there is none, so nobody could use the API: add [[api.tokens]]")
        if len({digest for digest, _ in self._callers}) < len(self._callers):
            raise ValueError("api.tokens: two of them are the same token")

    @classmethod
    def of(cls, api: Api) -> Access:
        """The tokens of the settings. Raises ValueError naming one that can't be had."""
        return cls([(token.name, token.role, token.resolved().get_secret_value()) for token in api.tokens])

    def check(self, token: str) -> Caller | None:
        """Whose token this is. All are compared, so that the time taken says nothing."""
        given, found = _digest(token), None
        for digest, caller in self._callers:
            if hmac.compare_digest(given, digest):
                found = caller
        return found

    def caller(self, request: Request, *, to_act: bool = False) -> Caller:
        """Who makes this request. Raises ApiError 401 without a good token, 403 when the role does not allow it."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = self.check(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise ApiError(401, "unauthorized", "a bearer token is needed, and this is none that is known")
        if to_act and not caller.may_act:
            raise ApiError(403, "forbidden", f"{caller.name} may read only: this needs the role operator")
        return caller


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
