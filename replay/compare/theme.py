"""How the plots look: SVGs with text as text, whose colours follow the reader's light or dark theme."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT = "#1f2328", "#8c959f"
BLUE, RED, GREEN, ORANGE, VIOLET, TEAL, BROWN, GREY = (
    "#0969da", "#cf222e", "#1a7f37", "#bc4c00", "#8250df", "#1b7c83", "#7d4e00", "#6e7781",
)  # fmt: skip
DARK = {
    INK: "#e6edf3", FAINT: "#6e7681", BLUE: "#58a6ff", RED: "#ff7b72", GREEN: "#3fb950", ORANGE: "#ffa657",
    VIOLET: "#d2a8ff", TEAL: "#56d4dd", BROWN: "#e3b341", GREY: "#9ea7b0",
}  # fmt: skip
"""What each colour is on a dark page. All of them have a contrast above 4.5 on theirs, but `FAINT`, for the grid."""

SETTINGS: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "spendstream", "font.family": "sans-serif", "font.size": 10,
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans", "sans-serif"],
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": FAINT, "grid.alpha": 0.3,
    "axes.titlesize": 11, "axes.titleweight": "bold", "axes.titlelocation": "left", "legend.frameon": False,
    "legend.fontsize": 9, "path.simplify": True, "path.simplify_threshold": 0.3,
}  # fmt: skip


def figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty plot; sizes in inches. It is bound to no display."""
    with mpl.rc_context(SETTINGS):
        fig = Figure(figsize=(width, height), layout="constrained")
        return fig, fig.subplots()


def save(fig: Figure, path: Path) -> None:
    """Write the plot, the same bytes for the same figures, without a background."""
    with mpl.rc_context(SETTINGS):
        text = io.StringIO()
        fig.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_themed(text.getvalue()), encoding="utf-8")


def _themed(svg: str) -> str:
    """Let each colour be one that the theme sets."""
    names = {colour: f"--c{number}" for number, colour in enumerate(DARK)}
    for colour, name in names.items():
        svg = re.sub(rf"(fill|stroke): {colour}\b", rf"\1: var({name})", svg)
    light = "".join(f"{name}:{colour};" for colour, name in names.items())
    dark = "".join(f"{names[colour]}:{other};" for colour, other in DARK.items())
    style = f"<style>:root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    svg = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)
    return re.sub(r"(<svg\b[^>]*>)", lambda found: found[1] + "\n" + style, svg, count=1)
