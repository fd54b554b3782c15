"""pyarrow, told to do without pandas."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pyarrow as pa


def without_pandas() -> None:
    """Let pyarrow find out now, for good, that it has no pandas.

    At the first array of a process it looks for pandas, which River brings along, in case it is given something of
    pandas' some day. That takes 0.2 s in the midst of the first batch, and 35 MB as long as the process lives, and no
    stage has anything of pandas'. Whoever imports pandas itself after this still gets it.
    """
    absent = _Absent()
    sys.meta_path.insert(0, absent)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(absent)


class _Absent:
    """Finds no pandas. https://docs.python.org/3/library/sys.html#sys.meta_path"""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> None:  # noqa: ARG002
        if name == "pandas":
            raise ImportError(name)
