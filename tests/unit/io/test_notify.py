"""What receivers get, and that their secrets stay out of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from schemas.oncall import AlertState
from schemas.watch import Alert, Finding, FindingKind, Severity
from streams.core.alert import Alerter, AlertRules
from streams.core.alert.messages import Places, message, title
from streams.core.alert.notices import Notice, Why
from streams.io.alertmanager import AlertmanagerChannel
from streams.io.apprise_channel import AppriseChannel
from streams.io.channels import make_channel
from streams.io.notify import DeliveryError, LogChannel
from streams.settings import Alerts
from streams.settings_routes import Receiver
from tests.support.findings import at, driver, finding
from tests.support.receivers import FakeReceiver, fake_receiver

NOW = datetime(2026, 11, 12, 11, 0, tzinfo=UTC)
KEY = {"principal": "k1"}


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with fake_receiver() as made:
        yield made


def alerts(*findings: Finding) -> list[Alert]:
    alerter = Alerter(AlertRules(min_excess_usd=Decimal(1)))
    for one in findings:
        alerter.finding(one)
    return alerter.flush()


def loop(**more: Any) -> list[Alert]:
    drivers = [driver(0.93, principal="k1", feature="triage", model="gpt-5")]
    first = finding(KEY, 12.5, per_hour=40.0, cause="volume", drivers=drivers)
    return alerts(first, first.model_copy(update={"revision": 1, "status": "closed", "closed_at": at(30), **more}))


def notice(alert: Alert, why: Why | None = None, **more: Any) -> Notice:
    over = alert.status == "resolved"
    why = why or (Why.RESOLVED if over else Why.FIRING)
    body: dict[str, Any] = {"notice_id": "n1", "why": why, "to": ("hook",), "alerts": (alert,), "at": NOW,
            "state": AlertState.RESOLVED if over else AlertState.FIRING}  # fmt: skip
    return Notice(**body | more)


def subject(alert: Alert) -> str:
    return title(notice(alert))


def body(alert: Alert, console_url: str = "") -> str:
    return message(notice(alert), "hook", Places(console_url=console_url)).body


def test_an_alert_reads_well_on_a_phone() -> None:
    firing, resolved = loop()
    assert subject(firing) == "WARNING: Key k1 spends $42.00/h, expected $2.00/h"
    assert body(firing, "https://spend.example.org/") == (
        "Key k1 spends $42.00 an hour against $2.00 expected since 10:00 UTC on 12 Nov: $12.50 too much so far, "
        "because of more use, 93% of it by feature triage on gpt-5.\n"
        "\n"
        "What to do:\n"
        "- Revoke or cap key k1: its requests multiplied, as in a loop, a retry storm or a leak.\n"
        "- Look at retries and the last deploy of feature triage.\n"
        "\n"
        "So far $12.50; if it goes on $960 in 24 hours.\n"
        f"https://spend.example.org/alerts/{firing.alert_id}"
    )
    assert subject(resolved) == "RESOLVED: Key k1 spends $42.00/h, expected $2.00/h"
    assert "It ended at 10:30 UTC and came to $12.50 more than expected." in body(resolved)


def test_apprise_delivers_with_the_type_of_the_severity(receiver: FakeReceiver) -> None:
    firing, resolved = loop()
    critical = firing.model_copy(update={"severity": Severity.CRITICAL})

    async def run() -> None:
        channel = AppriseChannel("hook", SecretStr(f"json://{receiver.address}/t0ken"))
        for alert in (firing, critical, resolved):
            await channel.send(notice(alert))

    asyncio.run(run())
    assert [taken["type"] for taken in receiver.taken] == ["warning", "failure", "success"]
    assert receiver.titles()[0] == subject(firing)
    assert receiver.taken[0]["message"] == body(firing)


def test_a_receiver_that_refuses_is_an_error_without_its_secret(
    receiver: FakeReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.down = True

    async def run() -> None:
        channel = AppriseChannel("hook", SecretStr(f"json://user:hunter2@{receiver.address}/t0ken"))
        with pytest.raises(DeliveryError, match="receiver hook did not accept") as caught:
            await channel.send(notice(loop()[0]))
        assert "hunter2" not in str(caught.value)

    with caplog.at_level(logging.DEBUG):
        logging.getLogger("apprise").debug("the level that AppriseChannel sets is what counts")
        asyncio.run(run())
    assert "hunter2" not in caplog.text
    assert "t0ken" not in caplog.text


def check_target(receiver: Receiver) -> None:
    make_channel(receiver, Alerts(), Places(), lambda: NOW)


def test_a_target_that_apprise_does_not_know_is_named_without_its_url() -> None:
    with pytest.raises(ValueError, match="receiver pager: apprise can't use its URL") as caught:
        check_target(Receiver(name="pager", url=SecretStr("nonsense://hunter2")))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match="receiver pager: no url"):
        check_target(Receiver(name="pager", kind="webhook"))
    with pytest.raises(ValueError, match="receiver pager: secret"):
        check_target(Receiver(name="pager", kind="webhook", url=SecretStr("https://example.org/")))
    with pytest.raises(ValueError, match="receiver pager: no url"):
        check_target(Receiver(name="pager"))
    check_target(Receiver(name="pager", url=SecretStr("json://127.0.0.1/")))


def test_the_log_channel_says_who_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(LogChannel().send(notice(loop()[0])))
    out = "".join(capsys.readouterr())
    assert "Key k1 spends" in out
    assert "Revoke or cap key k1" in out


def post(receiver: FakeReceiver, *sent: Notice) -> None:
    async def run() -> None:
        channel = AlertmanagerChannel(
            f"http://{receiver.address}/", resend_seconds=60.0, clock=lambda: NOW, places=Places("https://c")
        )
        try:
            for each in sent:
                await channel.send(each)
        finally:
            await channel.close()

    asyncio.run(run())


def test_alertmanager_gets_labels_annotations_and_times(receiver: FakeReceiver) -> None:
    firing, resolved = loop()
    post(receiver, notice(firing), notice(resolved))
    assert receiver.paths == ["/api/v2/alerts"] * 2
    [fires], [over] = receiver.taken
    assert fires["labels"] == {
        "principal": "k1", "alertname": "SpendSpike", "alert_id": firing.alert_id, "kind": "spike",
        "meter": "token_call", "severity": "warning", "source": "spendstream",
    }  # fmt: skip
    assert over["labels"] == fires["labels"]
    assert fires["annotations"]["summary"] == firing.title
    assert (fires["startsAt"], fires.get("endsAt")) == ("2026-11-12T10:00:00+00:00", None)
    assert over["endsAt"] == NOW.isoformat()
    assert fires["generatorURL"] == f"https://c/alerts/{firing.alert_id}"


def test_alertmanager_is_told_when_an_alert_changes_its_labels(receiver: FakeReceiver) -> None:
    firing = loop()[0]
    louder = firing.model_copy(update={"severity": Severity.CRITICAL})
    post(receiver, notice(firing), notice(louder, Why.WORSE))
    new, old = receiver.taken[1]
    assert (new["labels"]["severity"], "endsAt" in new) == ("critical", False)
    assert (old["labels"]["severity"], old["endsAt"]) == ("warning", NOW.isoformat())


def test_alertmanager_away_is_an_error_that_says_so(receiver: FakeReceiver) -> None:
    receiver.down = True
    with pytest.raises(DeliveryError, match="answered 503"):
        post(receiver, notice(loop()[0]))
    gone = FakeReceiver(address="127.0.0.1:9")
    with pytest.raises(DeliveryError, match="can't be reached"):
        post(gone, notice(loop()[0]))


@pytest.mark.parametrize("kind", list(FindingKind))
def test_every_kind_has_words_and_remedies(kind: FindingKind) -> None:
    excess = -10.0 if kind is FindingKind.DROP else 10.0
    for meter in ("token_call", "gpu_usage", "line_item"):
        for series in ({}, {"team": "search"}, {"principal": "k1", "model": "m"}, {"cluster": "c"}, {"service": "s3"}):
            [alert] = alerts(finding(series, excess, kind=kind, meter=meter))
            assert 1 <= len(alert.remedies) <= 3
            assert alert.explanation.endswith(".")
            assert "{" not in "".join([alert.title, alert.explanation, *alert.remedies])
            assert all(value in alert.title for value in series.values())
