"""Cells that a spreadsheet program would take for a formula, made harmless, and as they were before.

    defused, undefused   any text
    marked, unmarked     names of accounts: an apostrophe before them says that they are text, and is none of theirs

A user may have a name, and a message a UIDL, that a spreadsheet carries out. In everything that is written for
spreadsheets such a cell has an apostrophe before it, which they show as text (OWASP, "CSV Injection").
"""

from __future__ import annotations

import re
from typing import Final

_BEGINNING: Final = r" *[=+\-@\t\r\n＝＋－＠]"
_FORMULA = re.compile(f"'*{_BEGINNING}")  # with what would be undone, so that `undefused` gives each cell back
_DEFUSED = re.compile(f"'+{_BEGINNING}")


def defused(text: str) -> str:
    """A cell that no spreadsheet program takes for a formula, and that `undefused` undoes."""
    return f"'{text}" if _FORMULA.match(text) else text


def undefused(text: str) -> str:
    """A cell as it was before `defused`."""
    return text[1:] if _DEFUSED.match(text) else text


def marked(name: str) -> str:
    """A cell that no spreadsheet program takes for a formula, and that `unmarked` undoes."""
    return f"'{name}" if name.startswith("'") else defused(name)


def unmarked(cell: str) -> str:
    """Without the apostrophe that many programs put before what they want to stay text, as `marked` does. Only for what
    begins with none itself unless it is `marked`; a person's name may: 't Hart."""
    return cell.lstrip().removeprefix("'")
