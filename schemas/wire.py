"""The format of what stands on our own topics, said in a header of every record, so that no release misreads another's.

Additive changes (a new field with a default) leave the format as it is: readers ignore what they do not know. What an
older reader would misread or leave out gets the next number, and is written only one release after it can be read.
"""

from __future__ import annotations

from collections.abc import Sequence

HEADER = "spendstream-format"
FORMAT = 5
"""The newest that this release reads. A record without the header is of format 1."""

HEADERS: list[tuple[str, bytes]] = [(HEADER, b"1")]
"""What most of our records carry."""

DEALT_HEADERS: list[tuple[str, bytes]] = [(HEADER, b"3")]
"""What charges and watermarks carry since an event's partition of charges goes by its identity. In format 2 it went by
the source partition: who reads them so takes a part for the whole."""

TICKS_HEADERS: list[tuple[str, bytes]] = [(HEADER, b"5")]
"""What ticks carry since they are packed. In format 4 they were JSON, as in states."""


class IncompatibleError(Exception):
    """Something is of a release that this one does not know. To try again is of no use; the text has the mend."""


def check_format(topic: str, partition: int, offset: int, headers: Sequence[tuple[str, bytes | None]]) -> None:
    """Raises IncompatibleError on a record that only a newer release can read. To skip it would lose what it says."""
    for name, value in headers:
        if name == HEADER and value not in _READ:
            shown = (value or b"").decode("ascii", "replace")[:20]
            raise IncompatibleError(
                f"{topic}:{partition}:{offset} has format {shown}, and this release reads up to {FORMAT}: run the "
                "newer release again, or upgrade every worker (docs/upgrading.md); nothing was skipped"
            )


_READ = frozenset(str(known).encode() for known in range(1, FORMAT + 1))
