"""Exports of model providers and gateways: their JSON forms, what they count, what is refused, what stays behind.

The bodies are as the providers' references show them; each expected sum is done here by hand.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from replay.readers import Item, ReaderError, read, reader_of
from schemas.events import TokenCall, UsageEvent
from schemas.records import DeadLetter
from tests.support.reading import data, taken

OPENAI_USAGE = {
    "object": "page",
    "data": [
        {"object": "bucket", "start_time": 1730332800, "end_time": 1730419200, "results": []},
        {
            "object": "bucket", "start_time": 1730419200, "end_time": 1730505600,
            "results": [
                {
                    "object": "organization.usage.completions.result", "input_tokens": 1000, "output_tokens": 500,
                    "input_cached_tokens": 800, "input_audio_tokens": 10, "input_cached_audio_tokens": 5,
                    "output_audio_tokens": 0, "num_model_requests": 5, "project_id": "proj_1", "user_id": None,
                    "api_key_id": "key_1", "model": "gpt-4o-2024-08-06", "batch": True, "service_tier": None,
                },
                {
                    "object": "organization.usage.completions.result", "input_tokens": 7, "output_tokens": 1,
                    "input_cached_tokens": 0, "num_model_requests": 1, "project_id": None, "model": None,
                },
            ],
        },
    ],
    "has_more": False,
    "next_page": None,
}  # fmt: skip
OPENAI_COSTS = {
    "object": "page",
    "data": [{
        "object": "bucket", "start_time": 1730419200, "end_time": 1730505600,
        "results": [{
            "object": "organization.costs.result", "amount": {"value": 0.06, "currency": "usd"},
            "line_item": "gpt-4o, input", "project_id": "proj_1",
        }],
    }],
}  # fmt: skip
ANTHROPIC_USAGE = {
    "data": [{
        "starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z",
        "results": [{
            "uncached_input_tokens": 300_000, "cache_creation": {
                "ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500,
            },
            "cache_read_input_tokens": 200, "output_tokens": 500, "server_tool_use": {"web_search_requests": 10},
            "api_key_id": "apikey_1", "workspace_id": "wrkspc_1", "model": "claude-sonnet-4-5-20250929",
            "service_tier": "batch", "context_window": "0-200k",
        }],
    }],
    "has_more": False,
}  # fmt: skip
ANTHROPIC_COSTS = {
    "data": [{
        "starting_at": "2025-08-01T00:00:00Z", "ending_at": "2025-08-02T00:00:00Z",
        "results": [{
            "currency": "USD", "amount": "123.78912", "workspace_id": "wrkspc_1", "cost_type": "tokens",
            "description": "Claude Sonnet 4 Usage - Input Tokens", "model": "claude-sonnet-4",
            "token_type": "uncached_input_tokens",
        }],
    }],
}  # fmt: skip
SECRET = "what the user wrote"  # noqa: S105  a prompt
LITELLM = {
    "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "88dc28d0f030c55ed4ab77ed8faf09", "spend": 0.01,
    "total_tokens": 4020, "prompt_tokens": 4000, "completion_tokens": 20, "startTime": "2025-11-14T00:00:00Z",
    "endTime": "2025-11-14T00:00:01Z", "model": "anthropic/claude-sonnet-4-5", "custom_llm_provider": "anthropic",
    "cache_hit": "False", "request_tags": ["feature:chat", "User-Agent: x"], "team_id": "t-1", "end_user": "",
    "metadata": {
        "user_api_key_alias": "ci", "user_api_key_team_alias": "search",
        "additional_usage_values": {"cache_read_input_tokens": 3000, "cache_creation_input_tokens": 500},
        "usage_object": {"completion_tokens_details": {"reasoning_tokens": 4}},
    },
    "messages": [{"role": "user", "content": SECRET}], "response": {"content": SECRET},
    "proxy_server_request": {"body": SECRET},
}  # fmt: skip
LANGFUSE = {
    "id": "obs-1", "traceId": "t", "type": "GENERATION", "startTime": "2025-11-14T00:00:00.000Z", "model": "gpt-4o",
    "usageDetails": {"input": 20, "input_cached_tokens": 80, "output": 5, "output_reasoning_tokens": 2, "total": 107},
    "userId": "u", "traceName": "chat", "input": [{"content": SECRET}], "output": SECRET, "metadata": {"note": SECRET},
}  # fmt: skip
HELICONE = {
    "request_id": "r-1", "request_created_at": "2025-11-14T00:00:00Z", "provider": "ANTHROPIC",
    "response_model": "claude-sonnet-4-5", "response_status": 200, "prompt_tokens": 20, "completion_tokens": 5,
    "prompt_cache_read_tokens": 80, "prompt_cache_write_tokens": 7, "prompt_audio_tokens": 0, "request_user_id": "u",
    "request_properties": {"team": "search"}, "delay_ms": 812, "request_body": {"messages": SECRET},
    "response_body": SECRET, "request_prompt": SECRET,
}  # fmt: skip
PAGES = {
    "openai-usage": OPENAI_USAGE, "openai-costs": OPENAI_COSTS, "anthropic-usage": ANTHROPIC_USAGE,
    "anthropic-costs": ANTHROPIC_COSTS,
}  # fmt: skip
LOGS: dict[str, dict[str, Any]] = {"litellm": LITELLM, "langfuse": LANGFUSE, "helicone": HELICONE}


def items(path: Path, text: str) -> list[Item]:
    path.write_text(text, encoding="utf-8")
    return list(read(path))


def call(item: Item) -> TokenCall:
    event = taken(item)
    assert isinstance(event, UsageEvent), event
    assert isinstance(event.data, TokenCall)
    return event.data


@pytest.mark.parametrize("layout", PAGES)
def test_pages_however_they_are_laid_out(tmp_path: Path, layout: str) -> None:
    """In one line, indented, several in one file, with a byte order mark: the same events."""
    page = json.dumps(PAGES[layout])
    first = items(tmp_path / "page", page)
    assert reader_of(tmp_path / "page").name == layout
    assert first == items(tmp_path / "indented", json.dumps(PAGES[layout], indent=2))
    assert first == items(tmp_path / "marked", "\ufeff" + page)
    twice = items(tmp_path / "twice", page + "\n" + page)
    assert len(twice) == 2 * len(first)
    assert len({item.event["id"] for item in twice if item.event}) == len([item for item in twice if item.event])


@pytest.mark.parametrize("layout", LOGS)
def test_logs_in_every_form_are_the_same_events(tmp_path: Path, layout: str) -> None:
    """Lines, an array, pages of the API, CSV with JSON in its cells. Twice the same id is the same event."""
    row = LOGS[layout]
    other = row | {next(iter(row)): "another"}
    lines = items(tmp_path / "lines", f"{json.dumps(row)}\n{json.dumps(other)}\n")
    assert reader_of(tmp_path / "lines").name == layout
    assert len(lines) == 2
    assert lines == items(tmp_path / "array", json.dumps([row, other], indent=1))
    assert lines == items(tmp_path / "page", json.dumps({"data": [row, other], "meta": {"page": 1}}))
    with (tmp_path / "csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        for one in (row, other):
            writer.writerow({name: json.dumps(v) if isinstance(v, dict | list) else v for name, v in one.items()})
    assert [item.event for item in read(tmp_path / "csv")] == [item.event for item in lines]
    again = items(tmp_path / "again", f"{json.dumps(row)}\n{json.dumps(row)}\n")
    assert len({item.event["id"] for item in again if item.event}) == 1


@pytest.mark.parametrize("layout", LOGS)
def test_no_prompt_passes_the_door(tmp_path: Path, layout: str) -> None:
    """Nor into a dead letter."""
    row = LOGS[layout]
    bad = {name: value for name, value in row.items() if name not in {"prompt_tokens", "usageDetails"}}
    bad |= {"prompt_tokens": SECRET, "usageDetails": {"input": SECRET}}
    found = items(tmp_path / "log", f"{json.dumps(row)}\n{json.dumps(bad)}\n")
    outcomes = [taken(item) for item in found]
    assert [type(one) for one in outcomes] == [DeadLetter, UsageEvent] or [type(one) for one in outcomes] == [
        UsageEvent, DeadLetter,
    ]  # fmt: skip
    assert SECRET not in repr(found) + repr(outcomes)


def test_openai_counts(tmp_path: Path) -> None:
    found = items(tmp_path / "page", json.dumps(OPENAI_USAGE))
    usage, without_model = found
    got = call(usage)
    assert (got.requests, got.input_tokens, got.cache_read_input_tokens, got.output_tokens) == (5, 1000, 800, 500)
    assert got.counts == {"input_audio_tokens": 15, "cache_audio_read_tokens": 5}
    assert (got.principal, got.account, got.batch) == ("key_1", "proj_1", True)
    assert usage.event is not None
    assert usage.event["time"] == "2024-11-01T00:00:00+00:00"
    refused = taken(without_model)
    assert isinstance(refused, DeadLetter)
    assert (refused.reason.value, refused.field, refused.offset) == ("missing_field", "data.model", 2)


def test_openai_costs_and_empty_days(tmp_path: Path) -> None:
    (cost,) = items(tmp_path / "page", json.dumps(OPENAI_COSTS))
    assert (data(cost)["BilledCost"], data(cost)["BillingCurrency"]) == ("0.06", "USD")
    assert isinstance(taken(cost), UsageEvent)
    dashboard = (
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"
        "1759622400,1759708800,2025-10-05T00:00:00+00:00,2025-10-06T00:00:00+00:00,0.8958740000000000,usd,,\n"
        "1759968000,1760054400,2025-10-09T00:00:00+00:00,2025-10-10T00:00:00+00:00,,,,\n"
    )
    (cost,) = items(tmp_path / "dashboard", dashboard)
    assert data(cost)["BilledCost"] == "0.8958740000000000"


def test_anthropic_counts(tmp_path: Path) -> None:
    got = call(items(tmp_path / "page", json.dumps(ANTHROPIC_USAGE))[0])
    assert got.input_tokens == 300_000 + 1000 + 500 + 200
    assert (got.cache_creation_input_tokens, got.cache_creation_1h_input_tokens) == (1500, 1000)
    assert got.cache_read_input_tokens == 200
    assert got.counts == {"web_searches": 10}
    assert got.batch
    assert got.requests == 2  # 301,700 tokens can't be one call of a window of 200,000


def test_anthropic_costs_are_cents_in_the_api_and_dollars_in_the_console(tmp_path: Path) -> None:
    (cost,) = items(tmp_path / "page", json.dumps(ANTHROPIC_COSTS))
    assert data(cost)["BilledCost"] == "1.2378912"
    console = (
        "usage_date_utc,model,workspace,token_type,cost_usd,list_price_usd\n2026-08-05,Claude,W,output,0.10,1.00\n"
    )
    (cost,) = items(tmp_path / "console", console)
    assert (data(cost)["BilledCost"], data(cost)["ListCost"]) == ("0.10", "1.00")
    assert data(cost)["ChargePeriodEnd"] == "2026-08-06T00:00:00+00:00"
    assert isinstance(taken(cost), UsageEvent)


def test_litellm_counts(tmp_path: Path) -> None:
    got = call(items(tmp_path / "log", json.dumps(LITELLM))[0])
    assert (got.provider, got.model, got.principal) == ("anthropic", "claude-sonnet-4-5", "ci")
    assert (got.input_tokens, got.cache_read_input_tokens, got.cache_creation_input_tokens) == (4000, 3000, 500)
    assert (got.output_tokens, got.reasoning_output_tokens) == (20, 4)
    assert got.tags == {"team": "search", "feature": "chat", "User-Agent": "x"}
    cached = call(items(tmp_path / "hit", json.dumps(LITELLM | {"cache_hit": "True"}))[0])
    assert (cached.input_tokens, cached.output_tokens, cached.status) == (0, 0, "cache_hit")
    plain = LITELLM | {"api_key": "sk-1234", "metadata": {}}
    assert call(items(tmp_path / "key", json.dumps(plain))[0]).principal is None


def test_langfuse_counts_and_spans(tmp_path: Path) -> None:
    span = {"id": "s", "traceId": "t", "type": "SPAN", "startTime": "2025-11-14T00:00:00Z", "input": SECRET}
    found = items(tmp_path / "log", "\n".join(json.dumps(row) for row in (span, LANGFUSE)))
    (got,) = [call(item) for item in found]
    assert (got.provider, got.model) == ("openai", "gpt-4o")
    assert (got.input_tokens, got.cache_read_input_tokens) == (100, 80)
    assert (got.output_tokens, got.reasoning_output_tokens) == (7, 2)


def test_helicone_counts(tmp_path: Path) -> None:
    got = call(items(tmp_path / "log", json.dumps(HELICONE))[0])
    assert (got.provider, got.model, got.principal) == ("anthropic", "claude-sonnet-4-5", "u")
    assert (got.input_tokens, got.cache_read_input_tokens, got.cache_creation_input_tokens) == (107, 80, 7)
    assert (got.output_tokens, got.duration_ms, got.tags) == (5, 812.0, {"team": "search"})
    hit = HELICONE | {"cache_reference_id": "5a7bb3a1-0000-4000-8000-000000000000"}
    assert call(items(tmp_path / "hit", json.dumps(hit))[0]).input_tokens == 0


@pytest.mark.parametrize("at", [30, 200, 500])
def test_a_document_that_is_cut_says_so(tmp_path: Path, at: int) -> None:
    text = json.dumps([HELICONE, HELICONE | {"request_id": "r-2"}])
    found = items(tmp_path / "log", text[: len(text) - at])
    outcomes = [taken(item) for item in found]
    assert [one.reason.value for one in outcomes if isinstance(one, DeadLetter)] == ["not_json"]
    assert sum(isinstance(one, UsageEvent) for one in outcomes) == 1


def test_a_page_without_rows_is_named(tmp_path: Path) -> None:
    (tmp_path / "page").write_text(json.dumps({"object": "page", "data": [], "has_more": False}))
    with pytest.raises(ReaderError, match="is a page without rows"):
        reader_of(tmp_path / "page")
