"""River's half-space trees behind our interface, for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from streams.core.detect.detectors.ready_made import ANOMALY, DAY, ReadyMade


class HalfSpaceTrees(ReadyMade):
    """`HalfSpaceTrees` on the value scaled to the range seen: how thinly populated its neighbourhood is.

    Small on purpose (River's default takes 23 us and 170 KB a series). Seeded, or two runs would disagree.
    """

    name: ClassVar[str] = "river-half-space-trees"
    version: ClassVar[int] = 1

    TREES, HEIGHT, WINDOW = 5, 4, 100

    def __init__(self, threshold: float = 0.9, warm_up: int = 100, quiet: float = DAY, seed: int = 7) -> None:
        super().__init__(threshold, max(warm_up, self.WINDOW), quiet)
        self.seed = seed
        self.model: Any = self._planted()
        self.lowest: float | None = None
        self.highest: float | None = None

    def expected(self) -> float:
        low, high = self.lowest or 0.0, self.highest or 0.0
        return low + (high - low) / 2.0

    def band(self, at: float) -> tuple[float, float]:  # noqa: ARG002
        return self.lowest or 0.0, self.highest or 0.0

    def score(self, v: float) -> float:
        return float(self.model.score_one(self._scaled(v)))

    def learn(self, v: float) -> None:
        self.lowest = v if self.lowest is None else min(self.lowest, v)
        self.highest = v if self.highest is None else max(self.highest, v)
        self.model.learn_one(self._scaled(v))

    def _planted(self) -> Any:
        # The trees divide three times the range seen: without the room beside it, a new height looks like the old.
        limits = {"v": (-1.0, 2.0)}
        return ANOMALY.HalfSpaceTrees(self.TREES, self.HEIGHT, self.WINDOW, limits, self.seed)

    def _scaled(self, v: float) -> dict[str, float]:
        """The value as a part of the range seen: 0..1 inside, and up to one range beyond on either side."""
        if self.lowest is None or self.highest is None or self.highest == self.lowest:
            return {"v": 0.5}
        return {"v": max(-1.0, min(2.0, (v - self.lowest) / (self.highest - self.lowest)))}

    def config(self) -> list[float]:
        return [*super().config(), self.seed]

    def dump(self) -> list[Any]:
        masses = [[node.l_mass, node.r_mass] for node in self._nodes()]
        return [self.lowest, self.highest, self.model.counter, self.model._first_window, masses]

    def load(self, state: list[Any]) -> None:
        self.lowest, self.highest, counter, first_window, masses = state
        self.model = self._planted()
        if not masses:
            return
        self.model.learn_one({"v": 0.5})  # builds the trees, whose splits follow from the seed alone
        for node, (left, right) in zip(self._nodes(), masses, strict=True):
            node.l_mass, node.r_mass = left, right
        self.model.counter, self.model._first_window = counter, first_window

    def _nodes(self) -> Iterator[Any]:
        for nodes in self.model._tree_nodes:
            yield from nodes
