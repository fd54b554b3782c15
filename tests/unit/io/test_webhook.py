"""Signed webhooks: the reference library takes them, a target that is not what its name said gets nothing."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook, WebhookVerificationError

from streams.io.guard import Address, Guard, GuardedTransport
from streams.io.webhook import SignedWebhook, WebhookError, signed_headers
from tests.support.tls import http_server, papers_for

OLD, NEW = (f"whsec_{base64.b64encode(letter * 32).decode()}" for letter in (b"o", b"n"))
BODY = json.dumps({"alert_id": "a-1", "title": "Schlüssel k-1: 623 $/h"}, ensure_ascii=False).encode()
CANARY = "canary-1f9d"


def now() -> datetime:
    return datetime.now(UTC)


def hook(url: str, secrets: Sequence[str] = (NEW,), allowed: Sequence[str] = ("127.0.0.1",)) -> SignedWebhook:
    return SignedWebhook(SecretStr(url), [SecretStr(s) for s in secrets], guard=Guard(allowed), clock=now)


def post(webhook: SignedWebhook, body: bytes = BODY) -> None:
    async def run() -> None:
        try:
            await webhook.post("msg_1", body)
        finally:
            await webhook.close()

    asyncio.run(run())


def test_the_specification_s_example() -> None:
    """The test vector of the reference libraries."""
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers([Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")], "msg_p5jXN8AQM9LWM0D4loKWxJek", at,
                             b'{"test": 2432232314}')  # fmt: skip
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_receiver_verifies_by_either_secret_and_notices_a_change() -> None:
    with http_server() as receiver:
        post(hook(f"http://127.0.0.1:{receiver.port}/in", (NEW, OLD)))
    ((method, path, headers, body),) = receiver.requests
    assert (method, path, body, headers["webhook-id"]) == ("POST", "/in", BODY, "msg_1")
    for secret in (OLD, NEW):
        assert Webhook(secret).verify(body, headers)["alert_id"] == "a-1"
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body.replace(b"623", b"6"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(base64.b64encode(b"x" * 32).decode()).verify(body, headers)


def test_a_message_of_an_hour_ago_is_refused_by_the_receiver() -> None:
    headers = signed_headers([Webhook(NEW)], "msg_1", now() - timedelta(hours=1), BODY)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(NEW).verify(BODY, headers)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 410, 500])
def test_only_2xx_is_accepted_and_a_redirect_is_not_followed(status: int) -> None:
    with http_server() as inner, http_server() as receiver:
        receiver.answer = lambda *_: (status, {"Location": f"http://127.0.0.1:{inner.port}/{CANARY}"}, CANARY.encode())
        with pytest.raises(WebhookError, match=f"answered {status}") as caught:
            post(hook(f"http://127.0.0.1:{receiver.port}/{CANARY}"))
    assert inner.requests == []
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001"])
def test_nothing_reaches_loopback_unless_it_is_allowed(host: str) -> None:
    with http_server() as receiver, pytest.raises(WebhookError, match=r"public address|can't be resolved"):
        post(hook(f"http://{host}:{receiver.port}/in", allowed=()))
    assert receiver.requests == []


def test_tls_is_checked_against_the_name_while_the_connection_goes_to_the_address_looked_at(tmp_path: Path) -> None:
    """A name that is answered differently the second time leads nowhere else: it is not asked a second time."""
    asked: list[str] = []

    async def once(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1" if len(asked) == 1 else "169.254.169.254")]

    papers = papers_for(tmp_path, "hooks.example.com")
    with http_server(papers) as receiver:
        for name, fine in (("hooks.example.com", True), ("other.example.com", False)):
            asked.clear()
            webhook = hook(f"https://{name}:{receiver.port}/in")
            webhook._client._transport = GuardedTransport(Guard((name,), once), verify=papers.client_context())
            if fine:
                post(webhook)
            else:
                with pytest.raises(WebhookError, match="ConnectError"):
                    post(webhook)
            assert asked == [name]
    ((_, _, headers, body),) = receiver.requests
    assert headers["Host"] == f"hooks.example.com:{receiver.port}"
    assert Webhook(NEW).verify(body, headers)


def test_the_environment_s_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server() as proxy, http_server() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        post(hook(f"http://127.0.0.1:{receiver.port}/in"))
    assert (len(proxy.requests), len(receiver.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("url", "secret", "problem"),
    [
        ("https://example.com", "whsec_!!", "must be base64"),
        ("https://example.com", base64.b64encode(b"short").decode(), "24 to 64 bytes"),
        ("ftp://example.com", NEW, "must begin with https"),
        ("https://user:canary-1f9d@example.com", NEW, "holds a user or password"),
        ("not a url\x00canary-1f9d", NEW, "URL"),
    ],
)
def test_what_is_of_no_use_is_refused_at_the_start_without_repeating_it(url: str, secret: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        hook(url, (secret,))
    assert CANARY not in str(caught.value)
