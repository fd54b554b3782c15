"""Windows kept apart that may turn out unusual, so that a finding can begin where the unusual began."""

from __future__ import annotations

from typing import Any

from streams.core.detect.bucket import Bucket
from streams.core.detect.gauges import Expected, Readings
from streams.core.detect.lifecycle import Stretch
from streams.core.detect.parts import put

SUSPECT = 0.5  # of the score that is unusual
PATIENCE = 3  # windows without suspicion that end it
FIELDS_V1 = 2  # of the state before it counted unusual windows


class Suspicion:
    """The stretch under suspicion, if there is one."""

    __slots__ = ("quiet", "run", "stretch")

    def __init__(self) -> None:
        self.stretch: Stretch | None = None
        self.quiet = 0  # windows since it was last fed
        self.run = 0  # unusual windows in a row, up to now

    def feed(self, bucket: Bucket, readings: Readings, expected: Expected, *, unusual: bool, allowed: bool) -> None:
        """Take in a window."""
        self.run = self.run + 1 if unusual else 0
        odd = any(reading.now > SUSPECT for reading in readings) or readings[0].score - SUSPECT > SUSPECT
        if (odd and allowed) or unusual:
            self.quiet = 0
            self.stretch = self.stretch or Stretch(bucket.start)
        else:
            self.quiet += 1
        if self.stretch is None:
            return
        if self.quiet >= PATIENCE:
            self.stretch = None
            return
        self.stretch.add(bucket.seconds, bucket.usd, expected)
        put(self.stretch.parts, bucket.cells)

    def take(self) -> Stretch | None:
        """The stretch, which from now on belongs to a finding."""
        stretch, self.stretch, self.run = self.stretch, None, 0
        return stretch

    def to_json(self) -> list[Any]:
        return [self.stretch.to_json() if self.stretch is not None else None, self.quiet, self.run]

    @classmethod
    def from_json(cls, state: list[Any]) -> Suspicion:
        suspicion = cls()
        suspicion.stretch = Stretch.from_json(state[0]) if state[0] is not None else None
        suspicion.quiet = state[1]
        suspicion.run = state[FIELDS_V1] if len(state) > FIELDS_V1 else 0
        return suspicion
