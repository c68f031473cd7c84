"""Lists of accounts, as Excel, WPS and old mail systems write them: from a file's octets to rows of text, and back.

    charsets   which characters a text file's octets are
    delimited  text to rows (CSV)
    packed     what a workbook's ZIP file may be; what files that look like one are
    workbook   XLSX to rows
    sheet_xml  what a workbook's parser does not tell of a sheet
    mangled    what spreadsheet programs have made of cells
    titles     which column is which, by its title
    values     one cell to an address, a size, a department's path
    writing    rows to CSV and XLSX
    formulas   cells that a spreadsheet would carry out

Nothing is guessed silently: what was understood is in `Table.understood` and `Table.remarks`, for the administrator to
see before it counts. What cannot be understood safely raises Unreadable, with what to do about it.
"""

from __future__ import annotations

from proxy.admin.spreadsheet.table import Row, Table, Unreadable

__all__ = ["Row", "Table", "Unreadable"]
