"""A fixed quiet time between alerts, for the detectors that know no better."""

from __future__ import annotations

from river import base


class Repeat(base.Base):
    """Lets an alert pass if the last one is long enough ago."""

    __slots__ = ("last", "quiet")

    def __init__(self, quiet: float) -> None:
        self.quiet = quiet  # seconds
        self.last: float | None = None  # when the last alert was, epoch seconds

    def alert(self, at: float, score: float) -> bool:
        """Whether a point with this score (> 1 is anomalous) alerts."""
        if score <= 1.0 or (self.last is not None and at - self.last < self.quiet):
            return False
        self.last = at
        return True
