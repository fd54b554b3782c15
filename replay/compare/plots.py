"""The plots: recall against false alerts for everybody, and one incident of each kind with us."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import dates
from matplotlib.axes import Axes

from replay.compare import theme
from replay.compare.contest import OURS, Result
from replay.compare.rivals import RIVALS
from replay.compare.scenes import Scene
from replay.compare.tables import Point, points
from streams.core.detect.rules import HOUR

DATES: Any = dates  # it carries no types
COLOURS = (theme.RED, theme.ORANGE, theme.VIOLET, theme.TEAL, theme.GREEN, theme.BROWN, theme.GREY)
MARKERS = "svD^P*X"
MEASURES = {
    "usd": "USD per {step}",
    "input_price": "USD per million tokens of input",
    "unowned_share": "% of spend without an owner",
    "idle_share": "% of spend on idle GPUs",
}
WORDS = {60: "minute", 300: "5 minutes", HOUR: "hour"}
LINEAR_TO = 0.1  # false alerts a day: from here on the axis is logarithmic
TITLES = {"tokens": "Model calls", "gpu": "GPUs", "bill": "Cloud bills"}


def curve(results: Sequence[Result], kind: str, path: Path) -> None:
    """Recall against false alerts a day, by sensitivity or threshold."""
    found = points(results, kind)
    fig, axes = theme.figure(7.4, 5.0)
    with mpl.rc_context(theme.SETTINGS):
        for number, rival in enumerate(RIVALS):
            mine = [point for point in found if point.method == rival.name]
            look: Any = {"color": COLOURS[number], "marker": MARKERS[number], "linewidth": 1.2, "markersize": 4}
            axes.plot(*_dots(mine), linestyle="", alpha=0.45, **look)
            axes.plot(*_reach(mine), drawstyle="steps-post", label=rival.title, **look)
        ours = [point for point in found if point.method == OURS]
        axes.plot(*_dots(ours), linestyle="", color=theme.BLUE, marker="o", markersize=6)
        axes.plot(
            *_reach(ours), drawstyle="steps-post", label="Spendstream", color=theme.BLUE, marker="o", linewidth=2.5
        )
        for point in ours:
            if point.score is not None:
                axes.annotate(
                    f"{point.threshold:g}", (point.score.false_per_day, point.score.recall), color=theme.BLUE,
                    xytext=(5, -12), textcoords="offset points", fontsize=8,
                )  # fmt: skip
        axes.set_xscale("symlog", linthresh=LINEAR_TO)
        axes.set_xlim(-0.01, 300)
        axes.set_ylim(-0.02, 1.04)
        axes.set_xticks([0, 0.1, 1, 10, 100], ["0", "0.1", "1", "10", "100"])
        axes.set_xlabel("false alerts a day")
        axes.set_ylabel("recall of what must page")
        axes.set_title(f"{TITLES[kind]}: everything found, or everybody woken")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
        theme.save(fig, path)


Dots = tuple[list[float], list[float]]


def _dots(mine: Iterable[Point]) -> Dots:
    """Every threshold."""
    known = [(point.score.false_per_day, point.score.recall) for point in mine if point.score is not None]
    return [x for x, _ in known], [y for _, y in known]


def _reach(mine: Iterable[Point]) -> Dots:
    """The best recall to be had at no more than so many false alerts."""
    out: Dots = ([], [])
    for x, y in sorted(zip(*_dots(mine), strict=True), key=lambda dot: (dot[0], -dot[1])):
        if not out[1] or y > out[1][-1]:
            out[0].append(x)
            out[1].append(y)
    return out


def incident(scene: Scene, path: Path) -> None:
    """One incident: what was usual, what was spent, when it went on, when it was found."""
    fig, axes = theme.figure(7.4, 2.8)
    with mpl.rc_context(theme.SETTINGS):
        at = [_day(second) for second in scene.at]
        axes.fill_between(at, 0, scene.high, color=theme.BLUE, alpha=0.15, linewidth=0, label="usual range")
        axes.plot(at, scene.expected, color=theme.BLUE, linewidth=1.2, linestyle="--", label="expected")
        axes.plot(at, scene.actual, color=theme.INK, linewidth=1.0, label="actual")
        axes.axvspan(_day(scene.start), _day(scene.end), color=theme.ORANGE, alpha=0.18, linewidth=0, label="injected")
        _found(axes, scene)
        axes.set_xlim(at[0], at[-1])
        axes.set_ylim(0, _top(scene))
        locator = DATES.AutoDateLocator(minticks=3, maxticks=14)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(DATES.ConciseDateFormatter(locator))
        axes.set_xlabel("event time, UTC")
        axes.set_ylabel(MEASURES[scene.what].format(step=WORDS[scene.step]), fontsize=9)
        axes.set_title(f"{scene.kind.replace('_', ' ')}: {scene.series}")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        theme.save(fig, path)


def _found(axes: Axes, scene: Scene) -> None:
    if scene.found is None:
        axes.plot([], [], color=theme.GREEN, label="no alert")
        return
    after = scene.found - scene.start
    words = f"{after} s" if after < 600 else f"{after / 60:.0f} min" if after < 2 * HOUR else f"{after / HOUR:.1f} h"
    told = "alert" if scene.paged else "recorded"
    axes.axvline(_day(scene.found), color=theme.RED, linewidth=1.6, label=f"{told} after {words}")


def _top(scene: Scene) -> float:
    """Room for what happened, and not for how high the range may go."""
    return 1.15 * max(*scene.actual, *scene.expected, min(max(scene.high), 2.5 * max(scene.actual)), 1e-6)


def _day(second: int) -> float:
    return float(DATES.date2num(datetime.fromtimestamp(second, UTC)))
