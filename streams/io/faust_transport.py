"""Faust's own transport, asked to say sooner what the broker has, and when it last said it.

Faust lets a fetch wait 1.5 s for something new, and keeps to itself what `price` must know before it can call a
partition read to its end: when the broker last told where it ends. Neither is a setting, so both are taken from the
consumer beneath, whose version the lock file pins; a test on both brokers watches over them.
"""

from __future__ import annotations

from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP

FETCH_WAIT_MS = 100  # how old the newest word of a silent broker may be: `pulse` waits for it at each window's end


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    def heard_at(self, tp: TP) -> float | None:
        milliseconds: int | None = self._ensure_consumer().last_poll_timestamp(tp)
        return None if milliseconds is None else milliseconds / 1000


class _Consumer(driver.Consumer):
    _thread: _Thread

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    def heard_at(self, tp: TP) -> float | None:
        """When the broker last said where the partition ends (epoch seconds), None where it has not yet.

        Raises AssertionError for a partition that a rebalance has taken away.
        """
        return self._thread.heard_at(tp)


class Transport(driver.Transport):
    """Set an app's `transport` to one of these before anything else is made of it."""

    Consumer = _Consumer
