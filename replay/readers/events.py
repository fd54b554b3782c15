"""From the rows of a layout to events, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from replay.readers.base import Item
from replay.readers.layouts import Layout
from replay.readers.lines import Line
from replay.readers.values import seconds
from streams.core.usage.decode import Rejected


def events(layout: Layout, rows: Iterable[Line]) -> Iterator[Item]:
    """The events of each row, and what is wrong with a row that can't be any. An id is the row's content, and which of
    its events it is; `in_order` numbers equal ones."""
    to_events = layout.mapper()
    for line in rows:
        if line.fault is not None:
            yield Item(row=line.number, fault=line.fault)
            continue
        try:
            drafts = list(to_events(line.row))
        except Rejected as rejected:
            yield Item(row=line.number, fault=rejected.rejection)
            continue
        for part, (kind, time, data, own) in enumerate(drafts):
            event: dict[str, object] = {
                "specversion": "1.0",
                "id": own or (f"{line.digest}.{part}" if part else line.digest),
                "source": layout.source,
                "type": kind,
                "data": data,
            }
            if time is not None:
                event["time"] = time
            yield Item(row=line.number, event=event, time=seconds(str(time)))
