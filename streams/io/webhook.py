"""JSON to a URL of the user's, signed so that the receiver can see who sent it and that nobody changed or repeated it.

After https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: the headers
`webhook-id` (the same each time a message is sent again), `webhook-timestamp` and `webhook-signature`. Receivers check
them by any library of Standard Webhooks. Two secrets at a time let a receiver change its own without a gap.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from datetime import datetime

import httpx
from pydantic import SecretStr
from standardwebhooks import Webhook as Signer

from streams.io.guard import Guard, GuardedTransport, TargetError

TIMEOUT_SECONDS = 10.0
PREFIX = "whsec_"
LEAST_SECRET_BYTES, MOST_SECRET_BYTES = 24, 64  # as the specification has it


class WebhookError(Exception):
    """A message was not accepted. The text holds neither URL nor secret nor what the receiver answered."""


class SignedWebhook:
    """One receiver. `post` is safe to repeat: the receiver knows a message by its id."""

    def __init__(
        self,
        url: SecretStr,
        secrets: Sequence[SecretStr],
        *,
        guard: Guard,
        clock: Callable[[], datetime],
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """`secrets`: the newest first, as `whsec_` and base64. Raises ValueError for a URL or secret of no use."""
        parsed = _parsed(url)
        if not secrets:
            raise ValueError("a webhook needs a secret to sign with")
        self._signers = [_signer(secret) for secret in secrets]
        self._url = parsed
        self._clock = clock
        self._timeout = timeout_seconds
        self._client = httpx.AsyncClient(
            transport=GuardedTransport(guard), timeout=timeout_seconds, follow_redirects=False, trust_env=False
        )

    async def post(self, message_id: str, body: bytes) -> None:
        """Send `body`, UTF-8 JSON, under an id of its own. Returns when the receiver has answered 2xx.

        Raises WebhookError. At most `timeout_seconds` for each of connecting, sending and the first of the answer.
        """
        headers = {**signed_headers(self._signers, message_id, self._clock(), body), "content-type": "application/json"}
        try:
            request = self._client.build_request("POST", self._url, content=body, headers=headers)
            response = await self._client.send(request, stream=True)  # what it answers beside the status is not read
            await response.aclose()
        except TargetError as error:
            raise WebhookError(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WebhookError(f"{self._url.host}: {type(error).__name__}") from None
        if not response.is_success:
            raise WebhookError(f"{self._url.host}: answered {response.status_code}")

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()


def signed_headers(signers: Sequence[Signer], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers for exactly these bytes. `at` is when it is sent, not when it was written."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signer.sign(message_id, at, body.decode()) for signer in signers),
    }


def _signer(secret: SecretStr) -> Signer:
    text = secret.get_secret_value().removeprefix(PREFIX)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a webhook secret must be base64, with or without whsec_ before it") from None
    if not LEAST_SECRET_BYTES <= len(key) <= MOST_SECRET_BYTES:
        raise ValueError(f"a webhook secret must be {LEAST_SECRET_BYTES} to {MOST_SECRET_BYTES} bytes before base64")
    return Signer(key)


def _parsed(url: SecretStr) -> httpx.URL:
    try:
        parsed = httpx.URL(url.get_secret_value())
    except httpx.InvalidURL:
        raise ValueError("the webhook's URL can't be read") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("the webhook's URL must begin with https:// and name a host")
    if parsed.userinfo:
        raise ValueError("the webhook's URL holds a user or password: use its signature")
    return parsed
