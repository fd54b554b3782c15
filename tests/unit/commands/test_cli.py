"""The command line: what a user's mistake says, and its exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from schemas.events import TokenCall
from schemas.records import DeadLetter
from schemas.topics import TOPICS
from streams.cli import COMMANDS, app
from streams.commands.send import records

runner = CliRunner()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["worker", "prise"], "there is no stage prise"),
        (["worker", "--config", "nowhere.toml"], "nowhere.toml does not exist"),
        (["worker", "--set", "alerts.min_excess=1"], "alerts.min_excess"),
        (["worker", "--set", "alerts"], "section.key=value"),
        (["worker", "--set", "metrics.port=70000", "--set", "kafka.security_protocol=FAST"], "kafka.security_protocol"),
        (["replay", "nowhere.ndjson", "--out", "OUT"], "nowhere.ndjson: does not exist"),
        (["send", "nowhere.ndjson"], "nowhere.ndjson: does not exist"),
        (["send", "nowhere.ndjson", "--topic", "usage.tea"], "there is no topic usage.tea"),
        (["init", "--set", "clickhouse.database=a-b"], "clickhouse.database"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(arguments: list[str], says: str, tmp_path: Path) -> None:
    result = runner.invoke(app, [str(tmp_path / a) if a == "OUT" else a for a in arguments])
    assert result.exit_code == 2
    assert says in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_is_for(command: str) -> None:
    result = runner.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"Usage: root {command}" in result.output


def test_a_worker_does_not_wait_for_what_other_commands_import() -> None:
    """River's comparisons bring in scipy: together they take as long as all the rest."""
    program = (
        "import sys\nfrom typer.testing import CliRunner\nfrom streams.cli import app\n"
        "CliRunner().invoke(app, ['worker', 'prise'])\n"
        "print(*({name.partition('.')[0] for name in sys.modules} & {'streams', 'replay', 'scipy', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.split() == ["streams"]


def test_all_faults_are_named_at_once() -> None:
    result = runner.invoke(app, ["worker", "--set", "metrics.port=70000", "--set", "kafka.security_protocol=FAST"])
    assert "metrics.port" in result.output
    assert "kafka.security_protocol" in result.output


def test_a_secret_in_the_settings_is_not_repeated() -> None:
    result = runner.invoke(app, ["worker", "--set", 'kafka.password=["sk-canary"]'])
    assert result.exit_code == 2
    assert "sk-canary" not in result.output


def test_a_broker_that_is_away_is_status_1(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text("{}")
    result = runner.invoke(app, ["send", str(tmp_path / "one.json"), "--set", "kafka.bootstrap_servers=127.0.0.1:1"])
    assert result.exit_code == 1
    assert "127.0.0.1:1" in result.output


def test_the_schemas_are_exported(tmp_path: Path) -> None:
    result = runner.invoke(app, ["schema", "--out", str(tmp_path)])
    assert result.exit_code == 0
    call = json.loads((tmp_path / "token_call.v1.schema.json").read_text())
    assert set(call["required"]) == {name for name, field in TokenCall.model_fields.items() if field.is_required()}
    topics = {topic["name"]: topic for topic in json.loads((tmp_path / "topics.json").read_text())}
    assert set(topics) == {topic.name for topic in TOPICS}
    for topic in topics.values():
        assert all((tmp_path / value).is_file() for value in topic["values"])


def test_every_command_has_help() -> None:
    result = runner.invoke(app, ["--help"])
    for name in ("demo", "worker", "init", "send", "replay", "doctor", "schema"):
        assert name in result.output
        assert runner.invoke(app, [name, "--help"]).exit_code == 0


EVENT = {"specversion": "1.0", "source": "/s", "type": "spendstream.gpu_usage.v1", "data": {"cluster": "c"}}


def test_send_joins_neighbours_of_a_topic_in_order(tmp_path: Path) -> None:
    events = [{**EVENT, "id": str(n)} for n in range(5)]
    (tmp_path / "f").write_text("".join(json.dumps(event) + "\n" for event in events))
    sent = list(records(tmp_path / "f", 2, None))
    assert [record.events for record in sent] == [2, 2, 1]
    assert [event["id"] for record in sent for event in json.loads(record.value)] == ["0", "1", "2", "3", "4"]
    assert {record.topic.name for record in sent} == {"usage.gpu"}


def test_send_keeps_what_is_no_json_apart(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(json.dumps(EVENT) + "\nnonsense\n" + json.dumps([EVENT, EVENT]) + "\n")
    sent = sorted(records(tmp_path / "f", 100, None), key=lambda record: record.row)
    assert [record.events for record in sent] == [1, 1, 2]
    assert sent[1].value == b"nonsense"


def test_send_by_one_keys_by_who_spends(tmp_path: Path) -> None:
    (tmp_path / "f").write_text(json.dumps(EVENT) + "\n")
    (record,) = records(tmp_path / "f", 1, None)
    assert record.key == b"c"


def test_send_makes_a_refused_row_a_dead_letter(tmp_path: Path) -> None:
    """With the file, the row and the reader's reason: not the JSON null that it has for an event."""
    (tmp_path / "bill.csv").write_text("BilledCost,BillingCurrency,ChargePeriodStart\n1,USD,2026-11-01\n1,USD\n")
    good, bad = sorted(records(tmp_path / "bill.csv", 100, None), key=lambda record: record.topic.name)[::-1]
    assert good.topic.name == "usage.line-items"
    assert bad.topic.name == "spend.dead-letters"
    letter = DeadLetter.model_validate_json(bad.value)
    assert (letter.topic, letter.offset, letter.reason.value) == ("bill.csv", 3, "not_an_event")
    assert letter.problem == "the row has 2 cells, its header 3"
    assert bad.key == letter.dead_letter_id.encode()
