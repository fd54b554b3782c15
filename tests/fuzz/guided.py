"""`make fuzz ENGINE=atheris`: the same targets under libFuzzer, which goes on from each value that reaches new code.

One process a target, for it never returns; what it has found stays in `build/fuzz/TARGET`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import atheris
import typer

with atheris.instrument_imports(include=["streams", "replay", "schemas"], enable_loader_override=False):
    from tests.fuzz.mutate import TOKENS
    from tests.fuzz.targets import TARGETS, Target

FOLDER = Path(__file__).parents[2] / "build" / "fuzz"
SLOW_SECONDS = 5
MOST_MB = 2_000
LONGEST_WORD = 64  # libFuzzer takes no longer ones in a dictionary


def main(
    only: Annotated[str, typer.Argument(help="one target; all in turn without it")] = "",
    seconds: Annotated[int, typer.Option(help="for each target")] = 60,
) -> None:
    """Exit status 1 when a target broke: the value that did it is said, and kept in build/fuzz."""
    if not only:
        command = [sys.executable, "-m", "tests.fuzz.guided", f"--seconds={seconds}"]
        failed = [one.name for one in TARGETS if subprocess.run([*command, one.name], check=False).returncode]  # noqa: S603
        if failed:
            typer.echo(f"broken: {', '.join(failed)}", err=True)
            raise typer.Exit(1)
        return
    target = next((one for one in TARGETS if one.name == only), None)
    if target is None:
        typer.echo(f"Error: there is no target {only}; there are {', '.join(one.name for one in TARGETS)}", err=True)
        raise typer.Exit(2)
    fuzz(target, seconds)


def fuzz(target: Target, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    corpus = FOLDER / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = FOLDER / "words.txt"
    words.write_text("".join(_word(token) for token in TOKENS if 0 < len(token) <= LONGEST_WORD), encoding="ascii")
    options = {
        "max_total_time": seconds, "timeout": SLOW_SECONDS, "rss_limit_mb": MOST_MB, "max_len": 8_192,
        "dict": words, "artifact_prefix": f"{FOLDER}/{target.name}-", "print_final_stats": 1, "verbosity": 0,
    }  # fmt: skip
    atheris.Setup([sys.argv[0], *(f"-{name}={value}" for name, value in options.items()), str(corpus)], target.take)
    sys.stdout.write(f"{target.name}:\n")
    sys.stdout.flush()
    atheris.Fuzz()


def _word(token: bytes) -> str:
    """A line of libFuzzer's dictionary."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n'


if __name__ == "__main__":
    typer.run(main)
