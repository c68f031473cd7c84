"""What a file of whatever kind becomes: rows of text, numbered as the program shows them that it was made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

LARGEST: Final = 32 * 1024 * 1024  # octets of a file
MOST_ROWS: Final = 500_000
MOST_COLUMNS: Final = 256


class Unreadable(Exception):
    """The file cannot be read, or not safely. The text says why, and what to do about it; not which file."""


@dataclass(slots=True)
class Row:
    """One row. `odd`: columns (from 0) whose cell has no text that can be relied on, and why."""

    number: int  # from 1
    cells: list[str]
    odd: Mapping[int, str] = field(default_factory=dict)

    def cell(self, column: int) -> str:
        """ "" where the row ends before it."""
        return self.cells[column] if column < len(self.cells) else ""


@dataclass(slots=True)
class Table:
    """A file, or one sheet of it. `rows` can be gone through once, and may raise Unreadable on the way."""

    rows: Iterable[Row]
    understood: str  # "CSV in GB18030, cells apart by semicolons"
    sheet: str = ""
    one_of_several: bool = False  # sheets: then places name it
    remarks: list[str] = field(default_factory=list)

    def place(self, number: int) -> str:
        """Where a row is, for the administrator."""
        return self._within(f"row {number}")

    def places(self, first: int, last: int) -> str:
        """Where rows are."""
        return self._within(f"rows {first} to {last}")

    def _within(self, rows: str) -> str:
        return f'sheet "{self.sheet}", {rows}' if self.one_of_several else rows
