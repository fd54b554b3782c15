"""What the allocator is told: each case in a process of its own, since it is for good."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import resource
from streams.allocator import keep_memory
{told}

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def use():
    return [b"x" * (1 << 20) for _ in range(20)]

use()
before = faults()
for _ in range(5):
    use()
print(faults() - before)
"""


def faults(told: str) -> int:
    """How many pages a fresh interpreter asks the system for while it uses 20 MiB five times more."""
    program = PROGRAM.format(told=told)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603  ours
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_freed_memory_is_used_again() -> None:
    pages = (20 << 20) // 4096
    assert faults("") > pages, "glibc keeps it by itself"
    assert faults("keep_memory()") < pages / 10
