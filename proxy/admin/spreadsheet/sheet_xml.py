"""What a sheet's XML says that openpyxl does not tell of one that it reads row by row."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final
from xml.parsers import expat

from openpyxl.utils import range_boundaries

from proxy.admin.spreadsheet.table import MOST_COLUMNS, Unreadable

LAST_ROW: Final = 1_048_576  # of any sheet
_MERGED_MOST: Final = 1_000_000  # cells
_LONGEST_TAG: Final = 512  # octets
_SPECIAL = re.compile(rb"hidden=|mergeCell |<(?:\w+:)?f[ />]")
_ROW = re.compile(rb"""<(?:\w+:)?row(?=[\s/>])(?:[^>]*?\sr=["'](\d{1,9})["'])?[^>]*>""")
_VALUES: Final = (b"v>", b"is>", b"<f", b":f")  # ends of values and beginnings of formulas; or what looks like one

Cell = tuple[int, int]  # row and column, both from 1


@dataclass(slots=True)
class Special:
    """What a sheet's XML says beside values."""

    last_row: int | None = None  # that has a value or a formula, 0: none has; None where rows have no numbers
    disordered: bool = False  # is a row there twice, or below one with a higher number?
    hidden: set[int] = field(default_factory=set)  # rows
    without_result: dict[int, list[int]] = field(default_factory=dict)  # columns of formulas, by row
    merged: dict[int, dict[int, Cell]] = field(default_factory=dict)  # by row and column, the first cell of them
    merged_cells: int = 0

    @classmethod
    def of(cls, source: Any) -> Special:
        """Raises what expat raises, and LookupError or ValueError, over a sheet that is damaged; and Unreadable."""
        special = cls()
        if not special._glance(source):
            return special
        source.seek(0)
        reader = _SheetReader(special)
        while octets := source.read(65_536):
            reader.parser.Parse(octets, False)
        reader.parser.Parse(b"", True)
        return special

    def _glance(self, source: Any) -> bool:
        """Find out about the rows; and is there anything else? Most sheets have nothing, and to look for it costs a
        hundredth of what parsing does."""
        number, numbered, found, before = 0, True, False, b""
        self.last_row = 0
        while octets := source.read(1 << 20):
            text = before + octets
            found = found or _SPECIAL.search(text) is not None
            end = max(map(text.rfind, _VALUES))
            if number and end + len(b"is>") > len(before):
                self.last_row = number
            for row in _ROW.finditer(text, max(0, len(before) - _LONGEST_TAG)):
                if row.end() <= len(before):
                    continue
                numbered = numbered and row[1] is not None
                self.disordered = self.disordered or (row[1] is not None and int(row[1]) <= number)
                number = int(row[1] or 0)
                if row.start() < end:
                    self.last_row = number
            before = text[-_LONGEST_TAG:]
        if not numbered or not number:
            self.last_row = None
        return found

    def merge(self, reference: str) -> None:
        left, top, right, bottom = range_boundaries(reference)
        right, bottom = min(right, MOST_COLUMNS), min(bottom, LAST_ROW)
        self.merged_cells += (right - left + 1) * (bottom - top + 1)
        if self.merged_cells > _MERGED_MOST:
            raise Unreadable("has too many merged cells: take the merging away, and save it again")
        for row in range(top, bottom + 1):
            columns = self.merged.setdefault(row, {})
            columns.update(dict.fromkeys(range(left, right + 1), (top, left)))


class _SheetReader:
    """expat's callbacks. Elements may have any prefix."""

    def __init__(self, special: Special) -> None:
        self._special = special
        self._row = self._column = 0
        self._reference = ""
        self._formula = self._value = self._result = False
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _begin(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if name == "v":
            self._value = True
        elif name == "c":
            self._reference = attributes.get("r", "")
            self._column += 1
            self._formula = self._value = False
            self._result = attributes.get("t") == "str"  # text may be empty; then its <v> is, or is not there
        elif name == "row":
            self._row = int(attributes.get("r", self._row + 1))
            self._column = 0
            if attributes.get("hidden") in {"1", "true"}:
                self._special.hidden.add(self._row)
        elif name == "f":
            self._formula = True
        elif name == "mergeCell":
            self._special.merge(attributes["ref"])

    def _characters(self, _text: str) -> None:
        if self._value:
            self._result = True

    def _end(self, tag: str) -> None:
        self._value = False
        if self._formula and tag.rpartition(":")[2] == "c":
            if not self._result:
                column = range_boundaries(self._reference)[0] if self._reference else self._column
                self._special.without_result.setdefault(self._row, []).append(column)
            self._formula = False
