"""The daemon's log: one line an event, JSON, on standard error; for people where that is a terminal.

Twisted's own events come the same way. A failure becomes its type and place, never a traceback: the values in
it could be a password or a mail.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from proxy.wire import trace
from proxy.wire.faults import kind, where

if TYPE_CHECKING:
    from structlog.typing import EventDict

RICH: Final = "rich"

_LEVELS = {
    LogLevel.debug: logging.DEBUG,
    LogLevel.info: logging.DEBUG,  # "Starting factory …": of no use to an administrator
    LogLevel.warn: logging.WARNING,
    LogLevel.error: logging.ERROR,
    LogLevel.critical: logging.CRITICAL,
}


def start(level: int = logging.INFO, **about: Any) -> Any:
    """Begin to log; gives back the logger. `about` stands in every line."""
    structlog = _structlog()
    people = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _add_trace,  # behind what conf/fail2ban looks at
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger(**about)
    globalLogBeginner.beginLoggingTo([_Bridge(log)], redirectStandardIO=False)
    return log


def _structlog() -> Any:
    """… without what it makes tracebacks beautiful with, where that is installed and not loaded yet: each process of
    the daemon would load all of it, and shows no traceback."""
    spared = RICH not in sys.modules
    if spared:
        cast(Any, sys.modules)[RICH] = None  # there is none, to the import system
    try:
        import structlog  # noqa: PLC0415
        import structlog.dev  # noqa: PLC0415
    finally:
        if spared:
            del sys.modules[RICH]
    return structlog


def _add_trace(_logger: Any, _method: str, line: EventDict) -> EventDict:
    """What it is part of, unless it says so itself."""
    if "trace" not in line and (current := trace.current()):
        line["trace"] = current
    return line


class _Unfailing:
    """A stream that takes no notice of a disk that is full or a reader that has gone: a line that cannot be written is
    no reason to refuse a login."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


@implementer(ILogObserver)
class _Bridge:
    """Takes Twisted's events."""

    def __init__(self, log: Any) -> None:
        self._log = log

    def __call__(self, event: LogEvent) -> None:
        level = _LEVELS.get(event.get("log_level", LogLevel.info), logging.INFO)
        failure = event.get("log_failure")
        namespace = event.get("log_namespace", "twisted")
        if isinstance(failure, Failure):
            self._log.error("unexpected", source=namespace, error=kind(failure), where=where(failure))
        elif level > logging.DEBUG:
            self._log.log(level, str(event.get("log_format", "")), source=namespace)
