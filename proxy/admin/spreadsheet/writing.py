"""Rows of text to a file that Excel and WPS open as it is meant: CSV in UTF-8 with its byte order mark, or XLSX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

_ROWS: Final = 1_000  # of a piece
_LIKE_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")  # ECMA-376 part 1, 22.9.2.19
_WIDTHS: Final = (32, 20, 36, 12, 36, 24)  # characters


def as_csv(rows: Iterable[Sequence[str]], *, mark: bool) -> Iterator[str]:
    """Piece by piece. `mark`: begin with the byte order mark, without which Excel takes UTF-8 for something else."""
    if mark:
        yield "\ufeff"
    left = iter(rows)
    while some := list(islice(left, _ROWS)):
        piece = io.StringIO(newline="")
        csv.writer(piece).writerows(some)
        yield piece.getvalue()


def as_xlsx(rows: Iterable[Sequence[str]], sheet: str) -> bytes:
    """A workbook of one sheet, all of whose cells are text, with the first row kept in sight."""
    from openpyxl import Workbook  # noqa: PLC0415 - takes a quarter of a second
    from openpyxl.cell import WriteOnlyCell  # noqa: PLC0415
    from openpyxl.styles import Font  # noqa: PLC0415

    book = Workbook(write_only=True)
    page = book.create_sheet(sheet)
    page.freeze_panes = "A2"
    for letter, width in zip("ABCDEF", _WIDTHS, strict=True):
        page.column_dimensions[letter].width = width
    bold = Font(bold=True)
    for number, row in enumerate([_LIKE_ESCAPED.sub("_x005F_", text) for text in row] for row in rows):
        if number:
            page.append(row)
            continue
        titles = [WriteOnlyCell(page, text) for text in row]
        for title in titles:
            title.font = bold
        page.append(titles)
    octets = io.BytesIO()
    book.save(octets)
    return octets.getvalue()
