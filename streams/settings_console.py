"""Settings of the console: the page of live spend and alerts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from streams.section import Seconds, Section


class Console(Section):
    """The console. Who may log in and do what are the tokens of the API (`api.tokens`).

    Without tokens it serves loopback alone, where whoever is on this machine may do everything.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8480
    poll_seconds: Annotated[float, Field(ge=0.2, le=60)] = 2.0  # how often ClickHouse is asked while somebody looks
    session_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 12.0
    max_viewers: Annotated[int, Field(ge=1)] = 200  # open pages at once; each holds a connection
    query_timeout_seconds: Seconds = 10.0  # a page must not wait as long as landing may
