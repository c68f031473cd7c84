"""What spreadsheet programs make of what was typed: errors, shortened numbers, dates. No text is made up for it."""

from __future__ import annotations

import re
from typing import Final

FORMAT: Final = "give the column the format Text"

_ERRORS: Final = frozenset({"#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!"})
_ERROR: Final = "is an error of the spreadsheet"
_TOO_WIDE = re.compile(r"#{3,}")
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
_MONTH: Final = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"\d{{1,2}}-(?:{_MONTH})|(?:{_MONTH})-\d{{2}}|\d{{4}}([-/])\d{{1,2}}\1\d{{1,2}}|\d{{1,2}}/\d{{1,2}}/(?:\d\d){{1,2}}"
    r"|(?:\d{4}年)?\d{1,2}月\d{1,2}日",
    re.IGNORECASE,
)
_WITH_POINT = re.compile(r"(\d+)\.0+")


def why_not(text: str) -> str:
    """Why the text of a cell cannot be what was typed; "" where it can. Goes behind what the cell is."""
    if "#" not in text and "+" not in text:  # nearly always, and there are millions
        return ""
    if text in _ERRORS:
        return _ERROR
    if _TOO_WIDE.fullmatch(text):
        return "was wider than its column: make the column wider, and save the file again"
    return f"was a number, which Excel has shortened: {FORMAT}" if is_shortened(text) else ""


def is_shortened(text: str) -> bool:
    """Is it a number that is not all there, "1.38E+10"?"""
    return _SCIENTIFIC.fullmatch(text) is not None


def doubt(local: str) -> str:
    """What speaks against this being what an account is called, where it stands without its domain; "" for nothing."""
    if _DATE.fullmatch(local):
        return f"may have been taken for a date: write the whole address, or {FORMAT} and write it again"
    number = _WITH_POINT.fullmatch(local)
    if number is not None:
        return f"may have been the number {number[1]}: write it without the point, or the whole address"
    return ""
