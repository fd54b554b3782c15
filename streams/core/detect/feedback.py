"""What people say of findings, as it comes to the series that it is about.

It stands on `spend.ticks` among the windows of its series, so that whoever reads the partition again, after a crash or
in another worker, applies it between the same two windows and comes to the same state.
"""

from __future__ import annotations

import orjson

from schemas.watch import Feedback
from streams.core.detect.watch import Watch
from streams.core.windows.sums import series_key
from streams.core.windows.ticks_json import is_packed


def feedback_from_json(value: bytes) -> Feedback | None:
    """The feedback in a record of `spend.ticks`; None where the record is something else.

    Raises ValueError where it says that it is feedback and is none.
    """
    if is_packed(value) or b'"feedback"' not in value:  # nearly always: windows are large, and are parsed elsewhere
        return None
    wire = orjson.loads(value)
    if not isinstance(wire, dict) or wire.get("type") != "feedback":
        return None  # a team may be called so
    return Feedback.model_validate_json(value)


def apply(feedback: Feedback, watch: Watch) -> None:
    """Let the series learn it. Raises KeyError on a series of a dimension that there is none of."""
    watch.feedback(feedback.meter, series_key(feedback.series), feedback.kind, feedback.says, feedback.finding_id)
