"""Settings of alerting are checked whole at start: every fault is named, no secret is repeated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.watch import FindingKind
from streams import build
from streams.core.alert.routes import Routing
from streams.settings import Settings, SettingsError, load

DOCS = Path(__file__).parents[2] / "docs"
RECEIVER = '[[alerts.receivers]]\nname = "chat"\nurl_env = "CHAT_URL"\n'


@pytest.fixture(autouse=True)
def _a_secret_that_nobody_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", "json://127.0.0.1/SECRET")


def loaded(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "spendstream.toml"
    file.write_text(text, encoding="utf-8")
    return load(file)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[[alerts.routes]]\nreceivers = ["nobody"]', "routes.0.receivers: there is no receiver nobody"),
        ('[[alerts.routes]]\nreceivers = []\nescalate = [{after_seconds = 5, receivers = ["x"]}]', "routes.0.escalate"),
        ('[[alerts.routes]]\nreceivers = ["alertmanager"]', "alertmanager_url is not set"),
        ('[[alerts.quiet]]\nhours = "22:00-06:00"\nreceivers = ["x"]', "quiet.0: there is no receiver x"),
        ('[[alerts.quiet]]\nhours = "22:00-06:00"\nmode = "instead"', "instead names who is told"),
        ('[[alerts.quiet]]\nhours = "22:00-22:00"', "hours begin and end at the same time"),
        ('[[alerts.quiet]]\nhours = "25:00-06:00"', "alerts.quiet.0.hours"),
        ('[[alerts.routes]]\nreceivers = []\ntimezone = "Mars/Olympus"', "there is no time zone Mars/Olympus"),
        ('[[alerts.routes]]\nreceivers = []\nseverity = ["loud"]', "alerts.routes.0.severity"),
        ('[[alerts.routes]]\nreceivers = []\ngroup_by = ["shoe"]\ngroup_wait_seconds = 1', "no dimension shoe"),
        ('[[alerts.routes]]\nreceivers = []\ngroup_by = ["team"]', "group_by needs group_wait_seconds"),
        ('[alerts]\nescalate = [{after_seconds = 9, receivers = ["chat"]}, {after_seconds = 5, receivers = ["chat"]}]',
         "each level must come after"),
        ('[[alerts.receivers]]\nname = "chat"', "the name chat is taken already"),
        ('[[alerts.receivers]]\nname = "log"', "the name log is taken already"),
        ('[[api.tokens]]\nname = "a"\nrole = "king"', "api.tokens.0.role"),
        ('[[remedies.policies]]\nname = "p"\naction = "litellm_block_key"\ntarget = "{shoe}"', "no dimension shoe"),
        ('[[remedies.policies]]\nname = "p"\naction = "litellm_block_key"\ntarget = "{principal}"\nmode = "automatic"',
         "automatic needs automatic_environments"),
        ('[[remedies.policies]]\nname = "p"\naction = "litellm_block_key"\ntarget = "{principal}"\nmode = "approve"',
         "litellm.url: a policy needs it"),
        ('[[remedies.policies]]\nname = "p"\naction = "litellm_lower_budget"\ntarget = "{principal}"', "budget_usd"),
        ('[[remedies.policies]]\nname = "p"\naction = "kubernetes_scale"\ntarget = "x"', "namespace/deployments/name"),
        ('[[remedies.policies]]\nname = "p"\naction = "webhook"\ntarget = "x"', "receiver goes with webhook"),
    ],
)  # fmt: skip
def test_a_fault_is_named_at_start(tmp_path: Path, text: str, fault: str) -> None:
    tables = f"{text}\n{RECEIVER}" if text.startswith("[alerts]") else f"{RECEIVER}\n{text}"
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path, tables)
    assert fault in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_the_example_of_the_page_loads_and_means_what_it_says(tmp_path: Path) -> None:
    found = re.findall(r"```toml\n(.*?)```", (DOCS / "alerting.md").read_text(encoding="utf-8"), re.DOTALL)
    tokens, example = found
    settings = loaded(tmp_path, example + tokens)
    routing: Routing = build.routing(settings)
    assert routing.receivers == ("oncall", "finops", "automation")
    assert [route.receivers for route in routing.routes] == [("oncall",), ("finops",), ()]
    assert routing.always == {"log", "alertmanager"}
    assert settings.api.tokens[0].role == "operator"
    assert settings.remedies.policies[0].max_per_hour == 3


def test_every_kind_has_a_runbook_and_the_index_names_it() -> None:
    index = (DOCS / "runbooks" / "README.md").read_text(encoding="utf-8")
    for kind in FindingKind:
        assert f"({kind.value}.md)" in index
        page = (DOCS / "runbooks" / f"{kind.value}.md").read_text(encoding="utf-8")
        assert page.startswith("# ")
