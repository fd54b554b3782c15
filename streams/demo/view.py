"""The demo's live terminal view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.demo.parts import Delivery


@dataclass(slots=True)
class Picture:
    """What the view shows; read from ClickHouse and the service's own figures once a second."""

    status: str = "starting"
    console: str = ""  # its URL
    events_per_second: float = 0.0
    lag: int = 0
    landed: int = 0
    teams: Sequence[tuple[str, Decimal, Decimal]] = ()  # team, USD in the last minute, USD a minute before that
    findings: Sequence[tuple[str, str, str, Decimal]] = ()  # kind, series, severity, excess so far in USD
    deliveries: Sequence[Delivery] = field(default_factory=list)


def render(picture: Picture) -> RenderableType:
    """The whole view."""
    head = Text.assemble(
        ("Spendstream ", "bold cyan"),
        f"{picture.status}   ",
        (f"{picture.events_per_second:,.0f} events/s", "bold"),
        f"   lag {picture.lag:,} records   {picture.landed:,} charges in ClickHouse",
    )
    if picture.console:
        head.append_text(Text.assemble("\nconsole ", (picture.console, "underline cyan")))
    parts: list[RenderableType] = [Panel(head), _teams(picture), _findings(picture)]
    parts += [_alert(delivery) for delivery in picture.deliveries[-2:]]
    return Group(*parts)


def _teams(picture: Picture) -> RenderableType:
    table = Table(title="Spend per minute by team (USD)", expand=True, title_justify="left", box=None, pad_edge=False)
    table.add_column("team")
    table.add_column("last minute", justify="right")
    table.add_column("usual", justify="right")
    table.add_column("")
    most = max((usd for _, usd, _ in picture.teams), default=Decimal(0)) or Decimal(1)
    for team, usd, usual in picture.teams:
        unlike = usual > 0 and usd > 2 * usual
        bar = Text("█" * max(1, int(30 * usd / most)), style="red" if unlike else "cyan")
        table.add_row(team, f"{usd:.3f}", f"{usual:.3f}", bar)
    return table


def _findings(picture: Picture) -> RenderableType:
    if not picture.findings:
        return Text("\nNo findings so far.", style="dim")
    table = Table(title="\nFindings", expand=True, title_justify="left", box=None, pad_edge=False)
    for column in ("kind", "series", "severity"):
        table.add_column(column)
    table.add_column("excess so far", justify="right")
    for kind, series, severity, excess in picture.findings[:6]:
        table.add_row(kind, series, severity, f"{excess:.2f} USD")
    return table


def _alert(delivery: Delivery) -> RenderableType:
    return Panel(Text(delivery.body), title=Text(delivery.title, style="bold"), border_style="red", title_align="left")
