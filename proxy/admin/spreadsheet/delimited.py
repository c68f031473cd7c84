"""CSV in its many kinds, to rows: cells apart by commas, semicolons, tabs or bars, quoted as RFC 4180 has it, with line
ends in them or not; lines ended in any way. A row's number is the one that Excel shows, not the line's."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Final

from proxy.admin.spreadsheet.charsets import decode
from proxy.admin.spreadsheet.mangled import why_not
from proxy.admin.spreadsheet.table import MOST_COLUMNS, MOST_ROWS, Row, Table, Unreadable
from proxy.admin.spreadsheet.titles import field_of

_SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", "，": "full-width commas"}
_SEP_LINE = re.compile(r'"?sep=(.)"?[ ,;\t]*(?:\r\n|\r|\n|$)', re.IGNORECASE)
_LOOKED_AT: Final = 50  # rows, to tell what is between the cells
_END_OF_OLD: Final = "\x1a"  # of a file, as CP/M and DOS had it
_SPACED_QUOTE = re.compile(r' +"')
_AS_TEXT = re.compile(r'="(.*)"', re.DOTALL)  # how a CSV file says to Excel that what looks like a number is text


def table(data: bytes, charset: str | None = None) -> Table:
    """The file as a table. Raises Unreadable."""
    decoded = decode(data, charset)
    text = decoded.text.rstrip(_END_OF_OLD)
    if "\0" in text:
        raise Unreadable("is no text: it has zero characters in it; save it as XLSX or as CSV UTF-8")
    said = _SEP_LINE.match(text)
    if said is not None:
        separator, text = said[1], text[said.end() :]
    else:
        separator = _separator(text)
    apart = _SEPARATORS.get(separator, f'"{separator}"')
    spaced = _has_spaced_quotes(text, separator)
    made = Table(_rows(text, separator, spaced=spaced), f"CSV in {decoded.charset}, cells apart by {apart}")
    if spaced:
        made.remarks.append(f"spaces behind the {apart} are none of the cells', since quotation marks are behind them")
    return made


def _separator(text: str) -> str:
    """The one by which most known titles come out in one row; without titles, the one that gives the same number of
    cells, more than one, in most rows."""
    best, most = ",", (0, 0)
    for separator in _SEPARATORS:
        titles, shapes = 0, Counter[int]()
        try:
            for cells in islice(csv.reader(io.StringIO(text, newline=""), delimiter=separator), _LOOKED_AT):
                titles = max(titles, len({field_of(cell) for cell in cells} - {None}))
                if len(cells) > 1:
                    shapes[len(cells)] += 1
        except csv.Error:
            continue
        score = titles, max(shapes.values(), default=0)
        if score > most:
            best, most = separator, score
    return best


def _has_spaced_quotes(text: str, separator: str) -> bool:
    """Does a cell's quotation begin behind a space? By RFC 4180 it would be none, and end at a comma within."""
    if f'{separator} "' not in text and f'{separator}  "' not in text:
        return False
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return any(_SPACED_QUOTE.match(cell) for cells in rows for cell in cells)
    except csv.Error:
        return False  # which is told of where the rows are read


def _rows(text: str, separator: str, *, spaced: bool) -> Iterator[Row]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=spaced)
    number = 0
    try:
        for number, cells in enumerate(rows, 1):
            if number > MOST_ROWS:
                raise Unreadable(f"has more than {MOST_ROWS:,} rows: import it in parts")
            if any(cells):
                yield _row(number, cells[:MOST_COLUMNS])
    except csv.Error as error:
        if "limit" in str(error):
            text = f"has more than {csv.field_size_limit():,} characters: is a quotation mark missing?"
            raise Unreadable(f"row {number + 1}: a cell that begins there {text}") from None
        raise Unreadable(
            f"row {number + 1}: a quoted cell that begins there does not end as it should: double the quotes that are "
            "inside it, or save the file again as CSV UTF-8 or as XLSX"
        ) from None


def _plain(cell: str) -> str:
    found = _AS_TEXT.fullmatch(cell)
    return cell if found is None else found[1].replace('""', '"')


def _row(number: int, cells: list[str]) -> Row:
    texts = [_plain(cell) if cell.startswith("=") else cell for cell in cells]
    odd = {column: why for column, text in enumerate(texts) if (why := why_not(text.strip()))}
    return Row(number, texts, odd)
