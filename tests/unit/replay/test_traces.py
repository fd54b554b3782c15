"""Usage traces: what they tell, and that what they do not tell is no number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replay.readers import traces
from schemas.records import Reason
from streams.core.usage.decode import Rejected


def test_azure_llm() -> None:
    row = {"TIMESTAMP": "2023-11-16 18:17:03.9799600", "ContextTokens": "4808", "GeneratedTokens": "10"}
    (draft,) = traces.azure_llm(row)
    assert draft.time == "2023-11-16T18:17:03.979960+00:00"
    assert draft.data == {"provider": "azure", "model": "unknown", "input_tokens": 4808, "output_tokens": 10}


def call(length: int, *blocks: int) -> dict[str, Any]:
    return {"timestamp": 1500, "input_length": length, "output_length": 1, "hash_ids": list(blocks)}


def test_mooncake_reads_from_cache_what_leads_and_was_seen() -> None:
    calls = traces.mooncake()
    rows = [call(1200, 1, 2, 3), call(1300, 1, 2, 4), call(1200, 1, 2, 3), call(600, 9, 2), call(400, 1)]
    drafts = [draft for row in rows for draft in calls(row)]
    assert [draft.data["cache_read_input_tokens"] for draft in drafts] == [0, 1024, 1200, 0, 400]
    assert drafts[0].time == (traces.EPOCH + timedelta(milliseconds=1500)).isoformat()


def test_mooncake_forgets_the_least_recently_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "MOST_BLOCKS", 2)
    calls = traces.mooncake()
    rows = [call(512, 1), call(512, 2), call(512, 1), call(512, 3), call(512, 1), call(512, 2)]
    read = [draft.data["cache_read_input_tokens"] for row in rows for draft in calls(row)]
    assert read == [0, 0, 512, 0, 512, 0]  # 3 put 2 out, not 1, which was used after it


def test_servegen_windows_are_buckets_of_calls() -> None:
    row = {
        "model": "deepseek-r1", "client_id": "7", "window_start_s": "600", "window_len_s": "600",
        "req_per_s": "1.3133333333333332", "mean_input_tokens": "10.5", "mean_output_tokens": "3",
        "extra_means_json": '{"reason_ratio": 0.5}',
    }  # fmt: skip
    (draft,) = traces.servegen(row)
    assert draft.time == "2024-01-01T00:10:00+00:00"
    assert draft.data == {
        "provider": "alibaba", "model": "deepseek-r1", "requests": 788, "input_tokens": 8274, "output_tokens": 2364,
        "reasoning_output_tokens": 1182, "principal": "7",
    }  # fmt: skip
    with pytest.raises(Rejected) as refused:
        traces.servegen({name: value for name, value in row.items() if name != "mean_input_tokens"})
    assert (refused.value.rejection.reason, refused.value.rejection.field) == (
        Reason.MISSING_FIELD,
        "mean_input_tokens",
    )


def job(**over: str) -> dict[str, str]:
    return {"timestamp": "2017-10-09 06:50:00", "duration": "7800", "num_gpus": "4", "cluster": "c"} | over


def test_philly_jobs_are_cut_at_each_full_hour() -> None:
    drafts = list(traces.philly(job()))
    at = datetime(2017, 10, 9, 7, tzinfo=UTC)
    assert [draft.time for draft in drafts] == [
        (at + timedelta(hours=n)).isoformat() for n in (0, 1, 2)
    ]  # the third ends on the hour itself: there is no fourth of no length
    assert [draft.data["gpu_minutes"] for draft in drafts] == [40.0, 240.0, 240.0]
    assert drafts[0].data["capacity_type"] == "owned"


def test_philly_a_job_of_no_length_is_one_event() -> None:
    (draft,) = traces.philly(job(duration="0"))
    assert draft.data["gpu_minutes"] == 0


@pytest.mark.parametrize(
    ("over", "reason", "field"),
    [
        ({"duration": "-1"}, Reason.NEGATIVE, "duration"),
        ({"num_gpus": "-1"}, Reason.NEGATIVE, "num_gpus"),
        ({"num_gpus": "1.5"}, Reason.WRONG_TYPE, "num_gpus"),
        ({"duration": "1e30"}, Reason.OUT_OF_RANGE, "duration"),
        ({"duration": "nan"}, Reason.NOT_FINITE, "duration"),
        ({"timestamp": "yesterday"}, Reason.BAD_TIME, "timestamp"),
    ],
)
def test_philly_jobs_that_cannot_be_are_refused(over: dict[str, str], reason: Reason, field: str) -> None:
    with pytest.raises(Rejected) as refused:
        list(traces.philly(job(**over)))
    assert (refused.value.rejection.reason, refused.value.rejection.field) == (reason, field)
