"""pyarrow without pandas: each case in a process of its own, since it is for good."""

from __future__ import annotations

import subprocess
import sys

ARRAYS = "pa.array([1]), pa.array(['a']), pa.array(numpy.arange(3))"


def told(program: str) -> list[str]:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603  ours
    return done.stdout.split()


def test_arrays_are_made_without_pandas() -> None:
    begin = "import sys, numpy, pyarrow as pa; from streams.arrow import without_pandas\n"
    assert told(f"{begin}{ARRAYS}; print('pandas' in sys.modules)") == ["True"], "pyarrow doesn't look for it any more"
    assert told(f"{begin}without_pandas(); {ARRAYS}; print('pandas' in sys.modules)") == ["False"]


def test_who_asks_for_pandas_gets_it() -> None:
    program = (
        "from streams.arrow import without_pandas\nwithout_pandas(); import pandas; print(pandas.Series([7]).sum())"
    )
    assert told(program) == ["7"]
