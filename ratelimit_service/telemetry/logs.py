"""Logs: a line for each event on standard error, ours and the libraries' alike.

What callers send is logged at DEBUG only, and passwords in URLs never.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Final, TextIO

import structlog
from structlog.processors import ExceptionRenderer
from structlog.stdlib import ProcessorFormatter
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

_CREDENTIALS: Final = re.compile(r"://[^\s/@\"']*@")


def configure_logs(level: str, stream: TextIO | None = None, *, json: bool) -> None:
    """Write events of ``level``, a name of the standard library's, and above.

    As JSON objects, or for people, with colours where the stream (standard error) is a
    terminal. May be called again; the last call holds.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(_renderers(stream, json=json), shared))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            *shared,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _renderers(stream: TextIO, *, json: bool) -> list[Processor]:
    """Choose how events look. Tracebacks come without local variables, which hold secrets."""
    if json:
        transformer = ExceptionDictTransformer(show_locals=False)
        return [ExceptionRenderer(transformer), structlog.processors.JSONRenderer()]
    return [
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


class _Formatter(ProcessorFormatter):
    """Renders an event, and takes the credentials out of every URL in it."""

    def __init__(self, renderers: list[Processor], foreign: list[Processor]) -> None:
        super().__init__(
            processors=[ProcessorFormatter.remove_processors_meta, *renderers],
            foreign_pre_chain=foreign,
        )

    def format(self, record: logging.LogRecord) -> str:
        """Render one event as one line; a traceback for people adds lines."""
        return _CREDENTIALS.sub("://***@", super().format(record))
