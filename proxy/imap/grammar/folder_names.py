"""Folder names between the wire and the store: modified UTF-7, INBOX in any case, and LIST's wildcards.

Inside, a name is Unicode with "/" between levels and INBOX in capitals (`mailstore.index.rows.Folder`).
On the wire it is modified UTF-7 (RFC 3501 5.1.3), or UTF-8 after ENABLE UTF8=ACCEPT (RFC 6855 3).

A name has one spelling only: what does not come out again as it went in is refused, so that `&AC8-` is
no second "/" and `&AEE-` no second "A". Control characters are in no name.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from proxy.imap.grammar.syntax import BadSyntax

SEPARATOR: Final = "/"
INBOX: Final = "INBOX"

# What stands for itself in modified UTF-7: %x20-25 / %x27-7e, that is printable US-ASCII without "&".
_PLAIN = re.compile(rb"[\x20-\x7e]*")
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")  # "&" *(modified BASE64) "-"
_ENCODED = re.compile(r"[^\x20-\x7e]+|&")
_INBOX = re.compile(r"\AINBOX(?=/|\Z)", re.IGNORECASE | re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def decode(name: bytes, *, utf8: bool = False) -> str:
    """The name that was sent, INBOX in capitals. With `utf8`, UTF-8 is taken and "&" stands for itself.

    Raises BadSyntax.
    """
    return with_inbox(decode_part(name, utf8=utf8))


def decode_part(part: bytes, *, utf8: bool = False) -> str:
    """LIST's reference or pattern, "inbox" as it was sent: only both together begin a name, and
    FolderPattern finds INBOX in any case. Raises BadSyntax."""
    if utf8:
        try:
            text = part.decode("utf-8")
        except UnicodeDecodeError:
            raise BadSyntax("a folder's name is not UTF-8") from None
    else:
        if _PLAIN.fullmatch(part) is None:
            raise BadSyntax("a folder's name is not modified UTF-7")
        text = _unshifted(part) if b"&" in part else part.decode("ascii")
    if _CONTROL.search(text) is not None:
        raise BadSyntax("a folder's name holds a control character")
    return text


def encode(name: str, *, utf8: bool = False) -> bytes:
    """The name as it is sent, without quotes. `name` is one that `decode` could have given."""
    if utf8:
        return name.encode("utf-8")
    return _ENCODED.sub(_shifted, name).encode("ascii")


def with_inbox(name: str) -> str:
    """The name with a first level of "inbox" in capitals (RFC 3501 5.1)."""
    return _INBOX.sub(INBOX, name, count=1)


def _shifted(match: re.Match[str]) -> str:
    run = match[0]
    if run == "&":
        return "&-"
    base64 = binascii.b2a_base64(run.encode("utf-16-be"), newline=False)
    return "&" + base64.rstrip(b"=").replace(b"/", b",").decode("ascii") + "-"


def _unshifted(name: bytes) -> str:
    try:
        text = _SHIFTED.sub(_utf8_of_shifted, name).decode("utf-8")
    except ValueError:  # binascii.Error and both Unicode errors among them
        raise BadSyntax("a folder's name is not modified UTF-7") from None
    if encode(text) != name:
        raise BadSyntax("a folder's name is not modified UTF-7")
    return text


def _utf8_of_shifted(match: re.Match[bytes]) -> bytes:
    base64 = match[1].replace(b",", b"/")
    if not base64:
        return b"&"
    return binascii.a2b_base64(base64 + b"=" * (-len(base64) % 4)).decode("utf-16-be").encode("utf-8")


class FolderPattern:
    """LIST's and LSUB's pattern (RFC 3501 6.3.8): "*" is anything, "%" anything without "/".

    Every position in the pattern that a prefix of the name can have led to is one bit of a number, so
    that a name costs its length times the pattern's length / 64, whatever the wildcards. INBOX is
    matched in any case.
    """

    __slots__ = ("_end", "_literals", "_masks", "_percents", "_stars")

    def __init__(self, pattern: str) -> None:
        self._masks: dict[str, int] = {}  # character: the positions where it is what the pattern wants
        self._stars = self._percents = 0  # positions of wildcards
        self._literals = 0
        bit = 1
        # A run of wildcards is one: "*" if there is one among them. So two never stand side by side.
        for piece in re.findall(r"[*%]+|[^*%]", pattern):
            if piece[0] not in "*%":
                self._masks[piece] = self._masks.get(piece, 0) | bit
                self._literals += 1
            elif "*" in piece:
                self._stars |= bit
            else:
                self._percents |= bit
            bit <<= 1
        self._end = bit

    def matches(self, name: str) -> bool:
        """Does the whole of `name` match?"""
        if self._literals > len(name):
            return False
        inbox = len(INBOX) if name == INBOX or name.startswith(INBOX + SEPARATOR) else 0
        wild = self._stars | self._percents
        reached = 1 | (1 & wild) << 1  # a wildcard may stand for nothing
        for index, character in enumerate(name):
            wanted = self._masks.get(character, 0)
            if index < inbox:
                wanted |= self._masks.get(character.lower(), 0)
            stays = self._stars if character == SEPARATOR else wild
            reached = (reached & wanted) << 1 | reached & stays
            if not reached:
                return False
            reached |= (reached & wild) << 1
        return bool(reached & self._end)


def matches(pattern: str, name: str) -> bool:
    """Does `name` match LIST's `pattern`? For many names make one FolderPattern."""
    return FolderPattern(pattern).matches(name)
