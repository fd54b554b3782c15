"""Every decoder over random bytes and good ones gone wrong: a value or the documented error, and soon.

`make fuzz` runs many more examples of the same; SPENDSTREAM_FUZZ_EXAMPLES says how many for each decoder.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.mutate import TOKENS, mutations
from tests.fuzz.targets import TARGETS, Target

EXAMPLES = int(os.environ.get("SPENDSTREAM_FUZZ_EXAMPLES", "150"))
SLOW = timedelta(seconds=5)  # for one value of a few kilobytes, on a machine that is busy with other tests


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_only_clean_outcomes(target: Target) -> None:
    @settings(
        max_examples=EXAMPLES, deadline=SLOW, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    @given(mutations(target.seeds))
    def run(value: bytes) -> None:
        target.take(value)

    for seed in target.seeds:
        target.take(seed)
    for token in TOKENS:
        target.take(token)
    run()
