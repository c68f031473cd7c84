"""What may be logged of an error that nobody expected: its type and its place."""

from __future__ import annotations

from types import TracebackType

from twisted.python.failure import Failure


def where(failure: Failure) -> str:
    """The innermost file and line, without the values of variables: they could be a password or a mail."""
    frame: TracebackType | None = failure.getTracebackObject()  # type: ignore[no-untyped-call]
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "unknown"


def kind(failure: Failure) -> str:
    """The name of its type."""
    return failure.type.__name__ if failure.type is not None else "unknown"
