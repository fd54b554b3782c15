"""Python's collector of reference cycles, told to come more rarely."""

from __future__ import annotations

import gc

MADE_BEFORE_A_LOOK = 100_000  # objects more than were freed; Python's own default is 700 (2,000 since 3.13)


def collect_rarely() -> None:
    """Let the collector look at what a batch makes once, not a hundred times.

    A stage holds some ten thousand charges for a moment and then lets all of them go, without one cycle among them. At
    the default the collector walks them over and over: with 20,000 charges in hand that was a quarter of the CPU of
    charging, packing and unpacking. What is alive now (modules, rate cards) is left out of its walks for good.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(MADE_BEFORE_A_LOOK, 20, 20)
