"""XLSX to rows of text, a sheet each.

openpyxl reads the cells, row by row, as they were last computed. What it does not tell of a sheet that is read so is
looked for in the sheet's XML before (`sheet_xml`): hidden rows, which are read like others, and told of; merged cells,
which all get the text of the first; formulas of which no result is stored; the last row that has anything. A cell that
Excel has changed into something else than what was typed (a date, a shortened number, an error) is `odd`: no text is
made up for it.
"""

from __future__ import annotations

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final
from xml.etree.ElementTree import ParseError
from xml.parsers import expat

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from proxy.admin.spreadsheet.mangled import FORMAT, why_not
from proxy.admin.spreadsheet.packed import checked
from proxy.admin.spreadsheet.sheet_xml import LAST_ROW, Cell, Special
from proxy.admin.spreadsheet.table import MOST_COLUMNS, MOST_ROWS, Row, Table, Unreadable
from proxy.config.mistakes import printable

_BATCH: Final = 500
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")  # a character that XML cannot have: ECMA-376 part 1, 22.9.2.19

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
_DATE: Final = f"is a date: {FORMAT} and write it again"
_SHORTENED: Final = f"is a number of more than 15 digits, of which Excel keeps 15: {FORMAT}"


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
    if hidden and not found:
        raise Unreadable(
            f"has no visible sheet with anything in it; hidden are {_named(hidden)}: --sheet names one to be read"
        )
    if hidden:
        found[0].remarks.append(f"not read, because hidden: the sheets {_named(hidden)}; --sheet names one to be read")
    return found


def _named(names: Collection[str]) -> str:
    some = ", ".join(f'"{printable(name)}"' for name in islice(names, 10))
    return some if len(names) <= 10 else f"{some} and {len(names) - 10} more"


def _table(sheet: Any, archive: zipfile.ZipFile) -> Table | None:
    """None for a sheet with nothing in it."""
    try:
        with archive.open(sheet._worksheet_path) as source:
            special = Special.of(source)
    except _DAMAGE:
        raise Unreadable(_DAMAGED) from None
    if special.disordered:  # openpyxl would leave some out
        raise Unreadable(_DAMAGED)
    if special.last_row == 0:
        return None
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


def _rows(sheet: Any, special: Special) -> Iterator[Row]:
    sheet.reset_dimensions()  # some programs write wrong ones
    cells = sheet.iter_rows(max_row=special.last_row)
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
            if filled > MOST_ROWS or number > LAST_ROW:
                raise Unreadable(f"has more than {MOST_ROWS:,} rows: import it in parts")
            yield row
        if number > LAST_ROW:
            raise Unreadable(_DAMAGED)


def _row(number: int, values: Any, special: Special, above: dict[Cell, str]) -> Row:
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


def _unescaped(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return found[0] if "\ud800" <= character <= "\udfff" else character


def _text(cell: Any) -> tuple[str, str]:
    """A cell's text, and why it cannot be relied on."""
    value = cell.value
    if isinstance(value, str):
        value = _ESCAPED.sub(_unescaped, value) if "_x" in value else value
        return value, why_not(value)
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
