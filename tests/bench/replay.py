"""What a replay of a made-up bill takes: `python -m tests.bench.replay --rows 1000000`.

It writes the bill into a temporary folder and runs `spendstream replay` on it as a process of its own. CPU time is the
process's own, user and system; the peak is of its resident memory. What the disk does is in the wall time only.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from tests.bench.bills import write_bill

app = typer.Typer(add_completion=False)
COMMAND = Path(sys.executable).with_name("spendstream")


@app.command()
def main(
    *,
    rows: Annotated[int, typer.Option(min=1, help="line items in the bill")] = 100_000,
    watch: Annotated[bool, typer.Option(help="watch every series, as by default; else the whole alone")] = True,
) -> None:
    """Write a bill, replay it, and say what that took."""
    with TemporaryDirectory() as folder:
        bill, out = Path(folder) / "bill.csv", Path(folder) / "out"
        write_bill(bill, rows)
        overrides = [] if watch else ["--set", "roll.series=[[]]"]
        began = time.monotonic()
        subprocess.run(  # noqa: S603  our own command
            [COMMAND, "replay", bill, "--out", out, *overrides],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wall = time.monotonic() - began
        megabytes = bill.stat().st_size / 1e6
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    typer.echo(
        f"{rows:,} rows, {megabytes:,.0f} MB: {cpu:.1f} s of CPU ({cpu / rows * 1e6:.1f} us a row), {wall:.1f} s, "
        f"peak {used.ru_maxrss / 1024:,.0f} MB"
    )


if __name__ == "__main__":
    app()
