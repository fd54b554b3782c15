"""What the allocator is told: each case in a process of its own, since it is for good."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
from streams.allocator import keep_memory
{told}
libc = ctypes.CDLL(None)
libc.sbrk.argtypes, libc.sbrk.restype = [ctypes.c_ssize_t], ctypes.c_void_p

def use():
    return [b"x" * (1 << 20) for _ in range(20)]

before = libc.sbrk(0)
use()
use()
print(libc.sbrk(0) - before)
"""


def kept(told: str) -> int:
    """By how many bytes the heap of a fresh interpreter has grown after 20 MiB were used and freed twice.

    Page faults, which this is for, are no measure: of large pages there are few, and some kernels count none.
    """
    program = PROGRAM.format(told=told)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603  ours
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_freed_memory_stays_with_the_process() -> None:
    used = 20 << 20
    assert kept("") < used / 2, "glibc keeps it by itself"
    assert kept("keep_memory()") > used * 0.9
