"""Logs: structured, to standard error; text for a terminal, JSON for everything else."""

from __future__ import annotations

import logging
import sys

import structlog


def quiet() -> None:
    """Say nothing of what is below us: a command tells its user itself what went wrong."""
    for name in ("faust", "mode", "aiokafka", "kafka", "uvicorn", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def configure(level: str = "INFO") -> None:
    """Set up logging once per process. The libraries below us say only what went wrong."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for chatty in ("faust", "mode", "aiokafka", "kafka", "apprise", "httpx", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # a port in use is raised, and said once
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
