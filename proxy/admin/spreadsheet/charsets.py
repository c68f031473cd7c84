"""Which characters the octets of a text file are.

A byte order mark decides; then UTF-16 without one, which plain text shows by its zero octets; then strict UTF-8. What
is left is nearly always GB18030 or Big5, and most texts in one of them can be decoded as the other, to characters that
nobody uses. So both are tried, strictly, and the one counts in which known column titles stand or, failing that, whose
characters are the common ones: the first level of GB 2312, or the frequent characters of Big5 (A4–C6). A text that
looks rare in both is refused, since it may be of a Western code page, or something else altogether; and so is one that
looks common in both, as two or three characters may.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.admin.spreadsheet.table import Unreadable
from proxy.admin.spreadsheet.titles import field_of

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SHOWN: Final = {
    "utf-8": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
    "gb18030": "GB18030",
    "cp950": "Big5",
}
_LOOKED_AT: Final = 65_536  # characters
_RARE_AT_MOST: Final = 0.25  # share of rare characters among those that are not ASCII
_WORD = re.compile(r"[^\W\d_]+")
_TITLE_LINES: Final = 25


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, and the charset's name as people know it."""

    text: str
    charset: str


def decode(data: bytes, charset: str | None = None) -> Decoded:
    """The text, without its byte order mark. `charset`: the administrator says which. Raises Unreadable."""
    if charset is not None:
        return _as_told(data, charset)
    for mark, name in _MARKS:
        if data.startswith(mark):
            return Decoded(_strictly(data[len(mark) :], name), _SHOWN[name])
    if b"\0" in data:
        name = _utf16_without_mark(data)
        return Decoded(_strictly(data, name), _SHOWN[name])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return _chinese(data)
    _see_that_it_is_not_by_chance(data, text)
    return Decoded(text, "UTF-8")


def _see_that_it_is_not_by_chance(data: bytes, text: str) -> None:
    """Some words of GB18030 are valid UTF-8 of two octets a character: Greek, Hebrew or Arabic letters, as it were.
    Raises Unreadable where the text could be either."""
    head = text[:_LOOKED_AT]
    if head.isascii() or max(head) >= "\u0800" or _is_latin(head):
        return
    try:
        chinese = data.decode("gb18030")
    except UnicodeDecodeError:
        return
    if _rare(chinese[:_LOOKED_AT], "gb18030") == 0:
        raise _doubtful([("utf-8", text), ("gb18030", chinese)])


def _is_latin(text: str) -> bool:
    """Has every word that is not ASCII accents, and as many letters without?"""
    accents = sum(not character.isascii() for character in text)
    for word in _WORD.findall(text):
        within = [character for character in word if not character.isascii()]
        if len(within) * 2 > len(word) or not all("\u00c0" <= character <= "\u017f" for character in within):
            return False
        accents -= len(within)
    return accents == 0


def _as_told(data: bytes, charset: str) -> Decoded:
    try:
        name = codecs.lookup(charset).name
        text = data.decode(name)
    except UnicodeError as error:
        raise Unreadable(f"is not {charset}{_at(data, error)}: give another --charset, or none") from None
    except (LookupError, TypeError, ValueError):
        raise Unreadable(
            f'"{charset}" is no charset that is known here: write gb18030, big5, utf-8 or utf-16'
        ) from None
    if not isinstance(text, str):
        raise Unreadable(f'"{charset}" is no charset: write gb18030, big5, utf-8 or utf-16')
    return Decoded(text.removeprefix("\ufeff"), charset)


def _at(data: bytes, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return ""
    line = data.count(b"\n", 0, error.start) + 1
    return f" (line {line}, octet 0x{data[error.start]:02X})"


def _strictly(data: bytes, name: str) -> str:
    try:
        return data.decode(name)
    except UnicodeDecodeError as error:
        text = f"begins as {_SHOWN[name]} and is broken further on{_at(data, error)}"
        raise Unreadable(f"{text}: save it again as CSV UTF-8, or as XLSX") from None


def _utf16_without_mark(data: bytes) -> str:
    """Separators, digits and line ends have their zero octet first or last. Raises Unreadable where it is neither."""
    head = data[:_LOOKED_AT]
    first, last = head[0::2].count(0), head[1::2].count(0)
    if len(data) % 2 == 0 and max(first, last) > 4 * min(first, last):
        return "utf-16-le" if last > first else "utf-16-be"
    raise Unreadable("is no text: it has zero octets in it; save it as XLSX or as CSV UTF-8")


# GB18030 or Big5


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    text: str
    titles: int  # known titles in its first lines
    rare: float  # share of rare characters among those that are not ASCII

    @property
    def plausible(self) -> bool:
        return self.titles > 1 or self.rare <= _RARE_AT_MOST


def _chinese(data: bytes) -> Decoded:
    found = []
    failed: UnicodeError | None = None
    for name in ("gb18030", "cp950"):
        try:
            text = data.decode(name)
        except UnicodeDecodeError as error:
            failed = error if failed is None else failed
        else:
            found.append(_Candidate(name, text, _titles(text), _rare(text[:_LOOKED_AT], name)))
    if not found:
        assert failed is not None
        text = f"is neither UTF-8 nor GB18030 nor Big5{_at(data, failed)}"
        raise Unreadable(f"{text}: save it as CSV UTF-8 or as XLSX, or say with --charset what it is")
    best = min(found, key=lambda candidate: (-candidate.titles, candidate.rare))
    rivals = [other for other in found if other is not best and other.plausible and other.titles == best.titles]
    if not best.plausible or rivals:
        raise _doubtful([(candidate.name, candidate.text) for candidate in found])
    return Decoded(best.text, _SHOWN[best.name])


def _doubtful(readings: Sequence[tuple[str, str]]) -> Unreadable:
    """To be raised."""
    examples = " or ".join(f'"{_example(text)}" ({_SHOWN[name]})' for name, text in readings)
    return Unreadable(
        f"its charset cannot be told for sure: is it {examples}? Say with --charset which it is, for instance gb18030, "
        "big5 or windows-1252, or save it as CSV UTF-8 or as XLSX"
    )


def _titles(text: str) -> int:
    known = 0
    for line in text[:8_192].splitlines()[:_TITLE_LINES]:
        for separator in ",;\t":
            fields = {field_of(cell.strip(' "')) for cell in line.split(separator)}
            known = max(known, len(fields - {None}) if not line.isascii() else 0)
    return known


def _rare(text: str, name: str) -> float:
    others = [character for character in text if not character.isascii()]
    if not others:
        return 1.0
    return sum(not _is_common(character, name) for character in others) / len(others)


def _is_common(character: str, name: str) -> bool:
    big5 = character.encode("cp950", "replace")
    if len(big5) == 2 and 0xA1 <= big5[0] <= 0xC6:
        return True
    code = character.encode("gb18030")
    symbol = code[0] in {0xA1, 0xA3}  # punctuation, and full-width ASCII
    return name == "gb18030" and len(code) == 2 and code[1] >= 0xA1 and (symbol or 0xB0 <= code[0] <= 0xD7)


def _example(text: str) -> str:
    """The first word that is not ASCII."""
    word = next((word for word in text.split() if not word.isascii()), "")
    start = next((n for n, character in enumerate(word) if not character.isascii()), 0)
    return "".join(c if c.isprintable() else "�" for c in word[max(0, start - 4) : start + 12])
