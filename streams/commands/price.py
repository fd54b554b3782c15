"""`spendstream price`: what would this cost, list and negotiated, on a date."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from schemas.base import plain_decimal
from schemas.records import PriceStatus
from schemas.workload import Workload
from streams.commands.common import ConfigOption, SetOption, UserError, settings_of
from streams.core.price.quote import Quote, quotes
from streams.io.rates import checked, load_pricer


def price(
    models: Annotated[list[str] | None, typer.Argument(help="models to compare: gpt-5 azure/gpt-4o")] = None,
    *,
    input_tokens: Annotated[int, typer.Option(help="of one call, cached ones included")] = 0,
    output_tokens: Annotated[int, typer.Option(help="of one call, reasoning included")] = 0,
    cached: Annotated[int, typer.Option(help="how many of the input tokens are read from the cache")] = 0,
    batch: Annotated[bool, typer.Option("--batch", help="through the batch API")] = False,
    tier: Annotated[list[str] | None, typer.Option(help="service tier; repeat it to compare")] = None,
    calls: Annotated[str, typer.Option(help="how many such calls")] = "1",
    gpu: Annotated[list[str] | None, typer.Option(help="provider/accelerator: aws/H100; repeat it to compare")] = None,
    hours: Annotated[str, typer.Option(help="how many GPU-hours")] = "1",
    capacity: Annotated[str, typer.Option(help="of the GPUs: on_demand, spot, reserved or owned")] = "on_demand",
    region: Annotated[str, typer.Option(help="of the GPUs")] = "",
    account: Annotated[str, typer.Option(help="whose negotiated prices hold")] = "",
    workload: Annotated[Path | None, typer.Option(help="a TOML file of planned [[calls]] and [[gpus]]")] = None,
    at: Annotated[str, typer.Option(help="the day whose prices hold, 2026-01-31 (default: today)")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="JSON in place of a table")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """What would this cost: models, tiers, GPUs or a planned workload side by side, list and negotiated."""
    settings = settings_of(config, overrides)
    if workload is not None:
        plan = _checked(_read(workload), str(workload))
    elif not models and not gpu:
        raise UserError("name a model, a --gpu or a --workload")
    else:
        plan = _checked(
            {
                "days": 1,
                "calls": [
                    {
                        "name": model, "models": [model], "tiers": tier or ["standard"], "batch": batch,
                        "calls_per_day": calls, "input_tokens": input_tokens, "output_tokens": output_tokens,
                        "cached_tokens": cached, "account": account,
                    }
                    for model in models or ()
                ],
                "gpus": [_gpus(name, hours, capacity, region, account) for name in gpu or ()],
            },
            "price",
        )  # fmt: skip
    moment = _moment(at)
    try:
        pricer = load_pricer(settings.prices.rates_dir, settings.prices.fx_file)
        found = list(quotes(pricer, plan, moment))
    except (ValueError, LookupError) as error:
        raise UserError(str(error)) from None
    if as_json:
        typer.echo(orjson.dumps([_as_json(quote) for quote in found], option=orjson.OPT_INDENT_2).decode())
    else:
        _show(found, moment)


def _gpus(name: str, hours: str, capacity: str, region: str, account: str) -> dict[str, Any]:
    provider, slash, accelerator = name.partition("/")
    if not slash:
        raise UserError(f"--gpu {name}: must be provider/accelerator, such as aws/H100")
    return {
        "name": name, "provider": provider, "accelerator": accelerator, "gpus": hours, "hours_per_day": 1,
        "capacity_type": capacity, "region": region, "account": account,
    }  # fmt: skip


def _read(file: Path) -> Any:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise UserError(f"{file}: can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: is not TOML: {error}") from None


def _checked(content: Any, place: str) -> Workload:
    faults: list[str] = []
    plan = checked(Workload, content, place, faults)
    if plan is None:
        raise UserError("; ".join(faults))
    return plan


def _moment(text: str) -> datetime:
    """The start of the day in UTC, or the moment itself where a time is given."""
    if not text:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"--at {text}: must be a date such as 2026-01-31") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _as_json(quote: Quote) -> dict[str, Any]:
    priced = quote.price
    costs = {name: getattr(priced, name) for name in ("list_cost", "contracted_cost", "effective_cost", "billed_cost")}
    costs["estimated_cost"] = priced.estimated_cost
    return {
        "name": quote.name,
        "provider": quote.provider,
        "model": quote.model,
        "tier": quote.tier,
        "status": priced.status.value,
        "currency": priced.currency,
        "units": plain_decimal(quote.units.normalize()),
        "unit": quote.unit,
        **{name: _plain(quote.total(cost)) for name, cost in costs.items()},
        "per_unit": {name: _plain(cost) for name, cost in costs.items()},
        "unit_prices": {name: plain_decimal(value) for name, value in priced.unit_prices.items()},
        "price_source": priced.source,
        "price_version": priced.version,
    }


def _plain(cost: Decimal | None) -> str | None:
    """Money without the zeros behind it; None stays null."""
    return None if cost is None else plain_decimal(cost.normalize()) if cost else "0"


def _show(found: list[Quote], moment: datetime) -> None:
    table = Table(title=f"at the prices of {moment:%Y-%m-%d}", title_justify="left", box=box.SIMPLE, pad_edge=False)
    table.add_column("what", overflow="fold", min_width=12)
    for name in ("units", "each", "list", "contracted", "effective"):
        table.add_column(name, justify="right", no_wrap=True)
    for quote in found:
        priced = quote.price
        known = priced.status is not PriceStatus.UNPRICED
        effective = priced.effective_cost if known else priced.estimated_cost
        table.add_row(
            _what(quote),
            f"{plain_decimal(quote.units.normalize())} {quote.unit}{'' if quote.units == 1 else 's'}",
            _money(effective, known=known),
            _money(quote.total(priced.list_cost)),
            _money(quote.total(priced.contracted_cost)),
            f"{_money(quote.total(effective), known=known)} {priced.currency}",
        )
    console = Console()
    console.print(table, width=max(console.width, 100), crop=False)  # a pipe has no width: cut no number off
    for quote in found:
        version = f" ({quote.price.version})" if quote.price.version else ""
        console.print(f"{_what(quote)}: {quote.price.source}{version}", highlight=False, soft_wrap=True)


def _what(quote: Quote) -> str:
    model = f"{quote.provider}/{quote.model}"
    named = model if quote.name in {quote.model, model} else f"{quote.name}: {model}"
    return named if quote.tier in {"standard", "on_demand"} else f"{named} {quote.tier}"


def _money(cost: Decimal | None, *, known: bool = True) -> str:
    """Two decimals from a unit of currency on, else all that matter; an estimate is marked."""
    if cost is None:
        return "-"
    text = f"{cost:,.2f}" if abs(cost) >= 1 else plain_decimal(cost.normalize()) if cost else "0"
    return text if known else f"~{text}"
