"""A workload of a dozen teams: token calls, GPU-minutes and line items. Pure: time and randomness are passed in.

Its shape is from published statistics. Token sizes are those of Azure's public inference trace of 2023 (described in
Splitwise, Patel et al., ISCA 2024, arXiv:2311.18677): medians of 1,469 tokens in and 13 out for coding, 1,020 and 129
for chat, 90th percentiles of 2.7 to 4.2 times the median (here 3.5, log-normal). Arrivals are burstier than Poisson,
as ServeGen finds of production clients (Xiang et al., 2025, arXiv:2505.09999): the rate of each second is drawn from a
gamma distribution. Teams, keys, models and the incident are invented.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

CODE, CHAT = (1469, 13), (1020, 129)  # median input and output tokens a call
SPREAD = math.log(3.5) / 1.2816  # sigma of a log-normal with its 90th percentile at 3.5 times the median
BURST_SHAPE = 4.0  # of the gamma distribution: a coefficient of variation of 0.5 by the second, on top of Poisson
LOOP_CALLS_PER_SECOND = 40.0
DUPLICATE_SHARE, BAD_SHARE = 0.002, 0.001


@dataclass(frozen=True, slots=True)
class Key:
    """An API key and what its owner does with it."""

    principal: str
    team: str
    feature: str
    provider: str
    model: str
    calls_per_second: float
    tokens: tuple[int, int]
    cache_share: float


_TEAMS = (
    ("search", "answers", "openai", "gpt-4o", 5.0, CHAT, 0.3),
    ("support", "agents", "anthropic", "claude-sonnet-4-5", 4.0, CHAT, 0.5),
    ("growth", "copy", "openai", "gpt-5-mini", 6.0, CHAT, 0.0),
    ("risk", "triage", "anthropic", "claude-haiku-4-5", 8.0, CODE, 0.2),
    ("platform", "copilot", "openai", "gpt-5", 3.0, CODE, 0.6),
    ("docs", "summaries", "google", "gemini-2.5-flash", 7.0, CHAT, 0.0),
    ("ads", "extract", "openai", "gpt-4o-mini", 9.0, CHAT, 0.1),
    ("mobile", "assistant", "google", "gemini-2.5-pro", 2.0, CHAT, 0.0),
    ("legal", "review", "anthropic", "claude-sonnet-4-5", 1.5, CODE, 0.4),
    ("finance", "reports", "openai", "gpt-4o", 1.0, CODE, 0.0),
    ("people", "helpdesk", "openai", "gpt-4o-mini", 2.0, CHAT, 0.0),
    ("research", "evals", "anthropic", "claude-haiku-4-5", 4.0, CODE, 0.0),
)
KEYS = tuple(Key(f"key-{1000 + number}", *team) for number, team in enumerate(_TEAMS))
CULPRIT = KEYS[1]
CLUSTERS = (("train-a", "nvidia-h100-80gb", 16, "research"), ("serve-a", "nvidia-a100-80gb", 8, "platform"))

Event = dict[str, Any]


class Workload:
    """Makes the events of one second after another. The same seed and times give the same events."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._number = 0

    def second(self, begin: datetime, *, loop: bool) -> list[Event]:
        """The events from `begin` to one second later, in order of time. `loop`: the culprit's key runs in a loop."""
        events: list[Event] = []
        for key in KEYS:
            rate = key.calls_per_second * self._random.gammavariate(BURST_SHAPE, 1 / BURST_SHAPE)
            if loop and key is CULPRIT:
                rate += LOOP_CALLS_PER_SECOND
            events += [self._call(key, begin) for _ in range(self._poisson(rate))]
        if begin.second % 10 == 0:
            events += [self._gpu(*cluster, begin) for cluster in CLUSTERS]
        if begin.second % 30 == 0:
            events += [self._line_item(service, begin) for service in ("Amazon EC2", "Amazon S3", "Amazon RDS")]
        events.sort(key=lambda event: str(event["time"]))
        return list(self._with_flaws(events))

    def _with_flaws(self, events: list[Event]) -> Iterator[Event]:
        """What real producers do: now and then an event is sent twice, and now and then one is wrong."""
        for event in events:
            yield event
            draw = self._random.random()
            if draw < DUPLICATE_SHARE:
                yield event
            elif draw < DUPLICATE_SHARE + BAD_SHARE:
                data = {**event["data"], "provider": None}
                yield {**event, "id": f"{event['id']}-bad", "data": data}

    def _event(self, kind: str, source: str, time: datetime, data: dict[str, Any]) -> Event:
        self._number += 1
        return {
            "specversion": "1.0",
            "id": f"demo-{self._number}",
            "source": source,
            "type": f"spendstream.{kind}.v1",
            "time": time.isoformat(timespec="milliseconds"),
            "data": data,
        }

    def _call(self, key: Key, begin: datetime) -> Event:
        draw = self._random
        size = [max(1, round(median * draw.lognormvariate(0, SPREAD))) for median in key.tokens]
        data = {
            "provider": key.provider,
            "model": key.model,
            "operation": "chat",
            "input_tokens": size[0],
            "output_tokens": size[1],
            "cache_read_input_tokens": round(size[0] * key.cache_share),
            "principal": key.principal,
            "tags": {"team": key.team, "feature": key.feature, "project": f"{key.team}-main", "environment": "prod"},
        }
        return self._event("token_call", "/gateways/llm", begin + timedelta(seconds=draw.random()), data)

    def _gpu(self, cluster: str, accelerator: str, gpus: int, team: str, begin: datetime) -> Event:
        data = {
            "provider": "aws",
            "accelerator": accelerator,
            "gpu_minutes": round(gpus * 10 / 60, 6),
            "utilization": round(self._random.uniform(0.5, 0.8), 3),
            "cluster": cluster,
            "tags": {"team": team, "environment": "prod"},
        }
        return self._event("gpu_usage", f"/clusters/{cluster}", begin, data)

    def _line_item(self, service: str, begin: datetime) -> Event:
        hour = begin.replace(minute=0, second=0, microsecond=0)
        cost = f"{self._random.uniform(0.01, 0.05):.6f}"
        data = {
            "BilledCost": cost,
            "EffectiveCost": cost,
            "ListCost": cost,
            "ContractedCost": cost,
            "BillingCurrency": "USD",
            "ChargeCategory": "Usage",
            "ChargePeriodStart": (hour - timedelta(hours=1)).isoformat(),
            "ChargePeriodEnd": hour.isoformat(),
            "ServiceName": service,
            "ServiceProviderName": "AWS",
            "SubAccountId": "demo-account",
            "RegionId": "us-east-1",
            "Tags": {"team": "platform"},
        }
        return self._event("line_item", "/bills/aws", begin, data)

    def _poisson(self, rate: float) -> int:
        """A Poisson draw by counting unit-rate arrivals; rates here are some tens at most."""
        count, at = 0, self._random.expovariate(1.0)
        while at < rate:
            count += 1
            at += self._random.expovariate(1.0)
        return count


def encode(events: list[Event]) -> bytes:
    """Several events as one record's value."""
    return json.dumps(events, separators=(",", ":")).encode()
