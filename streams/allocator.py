"""The C library's allocator, told to keep what was freed for what is needed next."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's names for them: https://man7.org/linux/man-pages/man3/mallopt.3.html
KEPT_BYTES = 64 << 20  # freed at the end of the memory, before some of it goes back to the system
LARGE_BYTES = 32 << 20  # a piece is mapped alone, and goes back as soon as it is freed; the most that glibc takes


def keep_memory() -> None:
    """Let freed memory stay with the process, up to `KEPT_BYTES` of it, whatever the size of the pieces.

    What `price` fetches comes in pieces of some hundred kilobytes, each of which lives for milliseconds. glibc gives
    such memory back at once and asks for it anew, and the kernel clears each page again, which was half to two thirds
    of the page faults of a worker of `price` alone. In a worker of all stages it is a small part of them, and nothing
    was gained. Does nothing where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
