"""Names of folders' directories, as other servers write them.

Maildir++ parts levels by "."; within a level Dovecot and Courier write modified UTF-7 (RFC 3501 5.1.3) or, newer ones
and where told to, UTF-8. What a level may not hold Dovecot's listescape writes as an escape character and two hex
digits. Which of these it is no directory says: modified UTF-7 is tried first where nothing is known, since a name that
is none nearly never looks like it.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

_SHIFTED: Final = re.compile(r"&([A-Za-z0-9+,]*)-")
_STRAY: Final = re.compile(r"&(?![A-Za-z0-9+,]*-)")
CHARSETS: Final = ("auto", "utf-7", "utf-8")


def from_utf7(text: str) -> str:
    """Raises ValueError for what is no modified UTF-7."""
    if not text.isascii() or _STRAY.search(text):
        raise ValueError("no modified UTF-7")
    return _SHIFTED.sub(_unshifted, text)


def _unshifted(match: re.Match[str]) -> str:
    code = match[1].replace(",", "/")
    if not code:
        return "&"
    try:
        return base64.b64decode(code + "=" * (-len(code) % 4), validate=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("no modified UTF-7") from error


def decoded(level: str, charset: str) -> str:
    """A level of a name. `charset` is one of CHARSETS."""
    if charset == "utf-8":
        return level
    try:
        return from_utf7(level)
    except ValueError:
        return level


def unescaped(level: str, escape: str) -> str:
    """What listescape wrote. "": nothing was escaped."""
    if not escape:
        return level
    return re.sub(re.escape(escape) + r"([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), level)


def folder_of(directory: str, charset: str, escape: str) -> str:
    """The folder in a Maildir++ directory, which begins with "."."""
    return "/".join(decoded(unescaped(level, escape), charset) for level in directory.removeprefix(".").split("."))


def dovecot_directory(name: str) -> str:
    """The directory that Dovecot has for a folder of this name with Maildir++, UTF-8 and listescape_char = "%"."""
    if name == "INBOX":
        return ""
    levels = [level.replace("%", "%25").replace(".", "%2e") for level in name.split("/")]
    if levels[0].startswith("~"):
        levels[0] = "%7e" + levels[0][1:]
    return "".join("." + level for level in levels)
