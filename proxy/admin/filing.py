"""A file that somebody is to find whole: written beside its place, and put there when it is complete.

Made before the work begins, so that an hour's work is not lost to a directory that may not be written.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self


class NotFiled(Exception):
    """The text says which file, and why."""


class Filing:
    """A context: what was written is there when the block has ended well, and nothing is there when not. All of it
    raises NotFiled."""

    def __init__(self, name: str, *, octets: bool = False) -> None:
        """Of text in UTF-8, or of octets."""
        self._name = name
        self._target = Path(name)
        with self._failures():
            if self._target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._passing = self._target.with_name(f".{self._target.name}.{secrets.token_hex(4)}")
            self._file: IO[Any] = (
                self._passing.open("xb") if octets else self._passing.open("x", encoding="utf-8", newline="")
            )

    def write(self, text: str | bytes) -> None:
        """As the file was opened for."""
        with self._failures():
            self._file.write(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._failures():
                if kind is None:
                    self._file.flush()
                    os.fsync(self._file.fileno())
                self._file.close()
                if kind is None:
                    self._passing.replace(self._target)
        finally:
            self._passing.unlink(missing_ok=True)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise NotFiled(f"{self._name}: {why}") from error
