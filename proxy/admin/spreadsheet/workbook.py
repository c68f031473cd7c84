"""XLSX to rows of text, a sheet each.

openpyxl reads the cells, row by row, as they were last computed. What it does not tell of a sheet that is read so is
looked for in the sheet's XML before: hidden rows, which are read like others, and told of; merged cells, which all get
the text of the first; formulas of which no result is stored. A cell that Excel has changed into something else than
what was typed (a date, a shortened number, an error) is `odd`: no text is made up for it.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final
from xml.etree.ElementTree import ParseError
from xml.parsers import expat

import openpyxl
from openpyxl.utils import range_boundaries
from openpyxl.utils.exceptions import InvalidFileException

from proxy.admin.spreadsheet.packed import checked
from proxy.admin.spreadsheet.table import MOST_COLUMNS, MOST_ROWS, Row, Table, Unreadable
from proxy.config.mistakes import printable

_LAST_ROW: Final = 1_048_576  # of any sheet
_MERGED_MOST: Final = 1_000_000  # cells
_BATCH: Final = 500
_ERRORS: Final = frozenset({"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!"})
_SPECIAL = re.compile(rb"hidden=|mergeCell |<(?:\w+:)?f[ />]")

# What openpyxl raises over files that are not as they should be.
_DAMAGE: Final = (
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    EOFError,
    OSError,
    ParseError,
    expat.ExpatError,
    InvalidFileException,
    zipfile.BadZipFile,
    zlib.error,
)
_DAMAGED: Final = "is a damaged workbook: open it in Excel or WPS, save it again, and import that"

_NO_RESULT: Final = "is a formula whose result is not stored: open the file in Excel, save it, and import that"
_DATE: Final = "is a date: give the column the format Text and write it again"
_SHORTENED: Final = "is a number of more than 15 digits, of which Excel keeps 15: give the column the format Text"
_ERROR: Final = "is an error of the spreadsheet"

Cell = tuple[int, int]  # row and column, both from 1


def tables(data: bytes, wanted: Collection[str] = ()) -> list[Table]:
    """The visible sheets that have something in them, or the wanted ones, by name. Raises Unreadable."""
    archive = checked(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions, which are nothing to us
        try:
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        except _DAMAGE:
            raise Unreadable(_DAMAGED) from None
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    lacking = [name for name in wanted if name not in sheets]
    if lacking:
        raise Unreadable(f'has no sheet "{lacking[0]}"; there are {_named(sheets)}')
    hidden = [name for name, sheet in sheets.items() if sheet.sheet_state != "visible" and name not in wanted]
    chosen = [sheets[name] for name in wanted or sheets if name not in hidden]
    found = [table for sheet in chosen if (table := _table(sheet, archive)) is not None]
    for table in found:
        table.one_of_several = len(found) > 1
    if hidden and found:
        found[0].remarks.append(f"not read, because hidden: the sheets {_named(hidden)}; --sheet names one to be read")
    return found


def _named(names: Collection[str]) -> str:
    some = ", ".join(f'"{printable(name)}"' for name in islice(names, 10))
    return some if len(names) <= 10 else f"{some} and {len(names) - 10} more"


def _table(sheet: Any, archive: zipfile.ZipFile) -> Table | None:
    """None for a sheet with nothing in it."""
    try:
        with archive.open(sheet._worksheet_path) as source:
            special = _Special.of(source)
    except _DAMAGE:
        raise Unreadable(_DAMAGED) from None
    rows = _rows(sheet, special)
    first = next(rows, None)
    if first is None:
        return None
    title = printable(sheet.title)
    table = Table(_again(first, rows), f'XLSX, sheet "{title}"', title)
    if special.hidden:
        n = len(special.hidden)
        table.remarks.append(
            f"{n} rows are hidden in the sheet, and read like the others"
            if n > 1
            else "1 row is hidden in the sheet, and read like the others"
        )
    return table


def _again(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _rows(sheet: Any, special: _Special) -> Iterator[Row]:
    sheet.reset_dimensions()  # some programs write wrong ones
    cells = sheet.iter_rows()
    number = filled = 0
    above: dict[Cell, str] = {}  # texts of merged cells that go on further down
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                batch = list(islice(cells, _BATCH))
            except _DAMAGE:
                raise Unreadable(_DAMAGED) from None
        if not batch:
            return
        for values in batch:
            number += 1
            try:
                row = _row(number, values[:MOST_COLUMNS], special, above)
            except _DAMAGE:  # styles that a cell has and the workbook has not
                raise Unreadable(_DAMAGED) from None
            if not any(row.cells) and not row.odd:
                continue
            filled += 1
            if filled > MOST_ROWS or number > _LAST_ROW:
                raise Unreadable(f"has more than {MOST_ROWS:,} rows: import it in parts")
            yield row
        if number > _LAST_ROW:
            raise Unreadable(_DAMAGED)


def _row(number: int, values: Any, special: _Special, above: dict[Cell, str]) -> Row:
    texts, odd = [], {}
    for column, cell in enumerate(values):
        text, why = ("", "") if cell.value is None else _text(cell)
        texts.append(text)
        if why:
            odd[column] = why
    for column in special.without_result.get(number, ()):
        odd[column - 1] = _NO_RESULT
    for column, anchor in special.merged.get(number, {}).items():
        if anchor == (number, column):
            above[anchor] = texts[column - 1] if column <= len(texts) else ""
            continue
        texts += [""] * (column - len(texts))
        texts[column - 1] = above.get(anchor, "")
    return Row(number, texts, odd)


def _text(cell: Any) -> tuple[str, str]:
    """A cell's text, and why it cannot be relied on."""
    value = cell.value
    if isinstance(value, str):
        return value, _ERROR if value in _ERRORS else ""
    if isinstance(value, bool):
        return ("TRUE" if value else "FALSE"), ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        text = str(value)
        if len(text.lstrip("-")) > 15:
            return text, _SHORTENED
        zeros = str(cell.number_format)
        return (text.zfill(len(zeros)) if set(zeros) == {"0"} else text), ""
    if isinstance(value, (date, datetime, time, timedelta)):
        return str(value), _DATE
    return str(value), ""


@dataclass(slots=True)
class _Special:
    """What a sheet's XML says beside values."""

    hidden: set[int] = field(default_factory=set)  # rows
    without_result: dict[int, list[int]] = field(default_factory=dict)  # columns of formulas, by row
    merged: dict[int, dict[int, Cell]] = field(default_factory=dict)  # by row and column, the first cell of them
    merged_cells: int = 0

    @classmethod
    def of(cls, source: Any) -> _Special:
        special = cls()
        if not _has_something(source):
            return special
        source.seek(0)
        reader = _SheetReader(special)
        while octets := source.read(65_536):
            reader.parser.Parse(octets, False)
        reader.parser.Parse(b"", True)
        return special

    def merge(self, reference: str) -> None:
        left, top, right, bottom = range_boundaries(reference)
        right, bottom = min(right, MOST_COLUMNS), min(bottom, _LAST_ROW)
        self.merged_cells += (right - left + 1) * (bottom - top + 1)
        if self.merged_cells > _MERGED_MOST:
            raise Unreadable("has too many merged cells: take the merging away, and save it again")
        for row in range(top, bottom + 1):
            columns = self.merged.setdefault(row, {})
            columns.update(dict.fromkeys(range(left, right + 1), (top, left)))


def _has_something(source: Any) -> bool:
    """Most sheets have not, and a look for that costs a hundredth of what parsing does."""
    before = b""
    while octets := source.read(1 << 20):
        if _SPECIAL.search(before + octets):
            return True
        before = octets[-64:]
    return False


class _SheetReader:
    """expat's callbacks. Elements may have any prefix."""

    def __init__(self, special: _Special) -> None:
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
