"""Settings: file, environment and overrides, in this order of weight, and every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.settings import Settings, SettingsError, load
from streams.settings_routes import Receiver


def test_defaults_are_valid() -> None:
    assert load().roll.token_call_window_seconds == 10


def test_the_environment_outweighs_the_file_and_an_override_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "s.toml"
    file.write_text('[kafka]\nbootstrap_servers = "file:1"\nusername = "file"\n[metrics]\nport = 1\n')
    monkeypatch.setenv("SPENDSTREAM_KAFKA__USERNAME", "environment")
    monkeypatch.setenv("SPENDSTREAM_METRICS__PORT", "2")
    settings = load(file, ["metrics.port=3"])
    assert (settings.kafka.bootstrap_servers, settings.kafka.username, settings.metrics.port) == (
        "file:1", "environment", 3,
    )  # fmt: skip


def test_the_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s.toml").write_text("[metrics]\nport = 7\n")
    monkeypatch.setenv("SPENDSTREAM_CONFIG", str(tmp_path / "s.toml"))
    assert load().metrics.port == 7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[kafka\n", "s.toml"),
        ("[kafka]\nbootstrap = 1\n", "kafka.bootstrap"),
        ("[coffee]\nstrong = true\n", "coffee"),
        ("[metrics]\nport = 70000\n", "metrics.port"),
    ],
)
def test_a_wrong_file_names_the_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "s.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=says):
        load(file)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPENDSTREAM_KAFKA__PASSWORD", "sk-canary")
    monkeypatch.setenv("SPENDSTREAM_CLICKHOUSE__PASSWORD", "sk-canary")
    settings = load()
    assert "sk-canary" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()


@pytest.mark.parametrize("secret", ["kafka.password", "clickhouse.password", "metrics.token"])
def test_a_secret_stands_in_no_settings_file_and_on_no_command_line(tmp_path: Path, secret: str) -> None:
    """A settings file is committed and mailed around, and a command line is seen by everyone on the machine."""
    section, name = secret.split(".")
    file = tmp_path / "s.toml"
    file.write_text(f'[{section}]\n{name} = "sk-canary"\n')
    in_file: tuple[Path | None, list[str]] = (file, [])
    for settings in (in_file, (None, [f"{secret}=sk-canary"])):
        with pytest.raises(SettingsError, match=f"{secret}: .*SPENDSTREAM_{section.upper()}__{name.upper()}") as caught:
            load(*settings)
        assert "sk-canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://hooks.slack.com/services/T0/B0/sk-canary", "json://127.0.0.1/"])
def test_the_url_of_a_receiver_stands_in_no_settings_file_and_on_no_command_line(tmp_path: Path, url: str) -> None:
    """Whoever knows a chat's webhook may write there, and whether a URL is one can't be seen: none is taken."""
    file = tmp_path / "s.toml"
    file.write_text(
        f'[[alerts.receivers]]\nname = "a"\nurl_env = "A"\n[[alerts.receivers]]\nname = "b"\nurl = "{url}"\n'
    )
    in_file: tuple[Path | None, list[str]] = (file, [])
    says = r"alerts.receivers.1.url: a secret stands in a file named by url_file, or .* variable named by url_env"
    for settings in (in_file, (None, [f"alerts.receivers=[{{name='a'}}, {{name='b', url='{url}'}}]"])):
        with pytest.raises(SettingsError, match=says) as caught:
            load(*settings)
        assert url not in str(caught.value)


@pytest.mark.parametrize("setting", ["alerts.alertmanager_url", "clickhouse.url", "remedies.litellm.url"])
def test_a_url_in_the_settings_holds_no_password(setting: str) -> None:
    with pytest.raises(SettingsError, match=f"{setting}: a URL in the settings holds no user") as caught:
        load(None, [f"{setting}=https://me:sk-canary@host/"])
    assert "sk-canary" not in str(caught.value)


def test_the_environment_may_hold_the_url_of_a_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPENDSTREAM_ALERTS__RECEIVERS", '[{"name": "a", "url": "json://127.0.0.1/sk-canary"}]')
    settings = load()
    assert settings.alerts.receivers[0].resolved_url().get_secret_value().endswith("sk-canary")
    assert "sk-canary" not in repr(settings) + settings.model_dump_json()


def test_a_receiver_takes_its_secret_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text("json://one\n")
    assert Receiver(name="a", url_file=tmp_path / "url").resolved_url().get_secret_value() == "json://one"
    monkeypatch.setenv("MY_HOOK", "json://two")
    assert Receiver(name="a", url_env="MY_HOOK").resolved_url().get_secret_value() == "json://two"
    with pytest.raises(ValueError, match="receiver a"):
        Receiver(name="a").resolved_url()


def test_overrides_keep_the_rest_of_a_section() -> None:
    settings: Settings = load(None, ["roll.series=[[],['team']]", "roll.max_cells=5"])
    assert settings.roll.series == ((), ("team",))
    assert settings.roll.idle_seconds == Settings().roll.idle_seconds
