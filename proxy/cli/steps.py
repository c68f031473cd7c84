"""How far a command is that goes through accounts one by one: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Steps:
    """A context. The bar is on standard error, and goes when the block ends."""

    def __init__(self) -> None:
        self._shown: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console  # noqa: PLC0415 - rich takes a tenth of a second
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

            columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
            self._shown = Progress(*columns, console=Console(stderr=True), transient=True)
            self._shown.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._shown.stop()

    def at(self, what: str, account: str, done: int, whole: int) -> None:
        """`what` is being done to the account; `done` of all are behind."""
        if self._shown is None:
            return
        if what not in self._tasks:
            self._tasks[what] = self._shown.add_task(what, total=whole)
        self._shown.update(self._tasks[what], completed=done, description=f"{what} {account}")
