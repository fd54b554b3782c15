"""Which partition of `spend.charges` a charge belongs to: that of its event's identity.

So an event's copies meet in one partition, through whatever source partitions they came, and whoever reads it counts
them once.
"""

from __future__ import annotations

from streams.core.columns.packed import ChargeBatch


class Dealer:
    """Deals batches of charges to the partitions.

    A partition hears nothing of records that hold nothing for it: the next batch that it gets begins behind the one
    before it. So what has been overtaken on its way can be told from what will never come.
    """

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._told: dict[tuple[str, int], list[int]] = {}  # of each source partition, the last record told to each

    def deal(self, batch: ChargeBatch) -> list[tuple[int, ChargeBatch]]:
        """The batch's charges by partition. Batches of a source partition have to come in their order.

        After a rebalance they may begin again before what was told: that is said again, as it was.
        """
        told = self._told.setdefault((batch.topic, batch.partition), [batch.first - 1] * self._partitions)
        dealt = []
        for partition, block in enumerate(batch.block.dealt(self._partitions) if batch.block.count else ()):
            if block.count:
                first = min(batch.first, told[partition] + 1)
                dealt.append((partition, ChargeBatch(batch.topic, batch.partition, first, batch.last, block)))
                told[partition] = batch.last
        return dealt
