"""The small pieces of IMAP grammar: a cursor that walks over one command's text and literals.

Each method reads one thing of RFC 3501 9 from where the cursor stands and moves behind it, or raises
BadSyntax. No method looks at an octet more than a bounded number of times, and none recurses. Its ABNF
is beside each expression; where this server takes more than the RFC does, as Dovecot does, it says so.

Used by the argument parsers of this package only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Final, TypeVar

from mailstore.index.rows import SYSTEM_FLAGS
from proxy.imap.grammar import dates, folder_names
from proxy.imap.grammar.sequences import LAST_NUMBER, SAVED, STAR, SequenceSet
from proxy.imap.grammar.syntax import BadSyntax
from proxy.wire.commands import Fragment, Literal

T = TypeVar("T")

MAX_FLAGS: Final = 200  # in one command
LAST_MODSEQ: Final = 2**63 - 1  # RFC 7162 7
MAX_KEYWORD: Final = 128  # octets of one keyword

# atom = 1*ATOM-CHAR; ATOM-CHAR = any CHAR except ( ) { SP CTL % * DQUOTE \ ]
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
# astring = 1*ASTRING-CHAR / string; ASTRING-CHAR = ATOM-CHAR / "]"
# list-mailbox = 1*list-char / string; list-char = ATOM-CHAR / % / * / ]
# Both are read alike, and "\" is taken as well: some clients do not quote a password or DOMAIN\user.
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){"]+')
# quoted = DQUOTE *QUOTED-CHAR DQUOTE; QUOTED-CHAR = any TEXT-CHAR except DQUOTE and "\" / "\" (DQUOTE / "\")
# Octets above 127 are taken, and "\" before any other character, which it then leaves as it is.
_QUOTED = re.compile(rb'"([^"\\\x00\r\n]*+(?:\\[^\x00\r\n][^"\\\x00\r\n]*+)*)"')
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
# A word of the protocol: the name of a command, an item, a key
_WORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9.\-]*")
# flag = "\" atom / atom
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_SPACES = re.compile(rb" +")
_DIGITS = re.compile(rb"[0-9]+")
_MODSEQ = re.compile(rb"[0-9]{1,19}(?![0-9])")
# sequence-set = (seq-number / seq-range) *("," …); seq-range = seq-number ":" seq-number; seq-number = nz-number / "*"
_SEQUENCE = re.compile(rb"[0-9*][0-9*:,]*")
_RANGE = re.compile(rb"([0-9]{1,10}|\*)(?::([0-9]{1,10}|\*))?")
# seq-last-command = "$", and nothing of an atom behind it
_SAVED = re.compile(rb"\$(?=[ )]|\Z)")
# nil = "NIL"
_NIL = re.compile(rb'NIL(?![^\x00-\x20\x7f-\xff(){%*"\\\]])', re.IGNORECASE)

_NUMBER64_DIGITS: Final = 18  # number64 (RFC 9051 9) has up to 19; nothing here is near either

_SYSTEM_FLAGS: Final[Mapping[str, str]] = {flag.upper(): flag for flag in SYSTEM_FLAGS}
_RECENT: Final = "\\RECENT"


class Cursor:
    """Where a parser stands in one command. `utf8`: the client has said ENABLE UTF8=ACCEPT (RFC 6855)."""

    __slots__ = ("_at", "_fragments", "_index", "_text", "utf8")

    def __init__(self, fragments: Sequence[Fragment], *, utf8: bool = False) -> None:
        """`fragments` as `proxy.wire.commands.Ready` has them: text, literal, text, … text."""
        self.utf8 = utf8
        self._fragments = fragments
        self._index = 0  # of the text fragment
        self._at = 0  # in that text
        first = fragments[0] if fragments else b""
        if isinstance(first, Literal):
            raise BadSyntax("a literal is not expected here")
        self._text = first

    # --- Where it stands ---

    def next_is(self, octet: bytes) -> bool:
        """Is the next octet this one?"""
        return self._text.startswith(octet, self._at)

    def next_is_word(self, word: str) -> bool:
        """Is the next word this one, given in capitals?"""
        match = _WORD.match(self._text, self._at)
        return match is not None and match[0].upper() == word.encode("ascii")

    def more(self) -> bool:
        """Is there anything after a space? Moves behind the space if so."""
        spaces = _SPACES.match(self._text, self._at)
        if spaces is None or (spaces.end() == len(self._text) and self._index + 1 >= len(self._fragments)):
            return False
        self._at = spaces.end()
        return True

    def finish(self) -> None:
        """Nothing but spaces may be left (RFC 3501 9 allows none; many clients send one)."""
        if self._index + 1 < len(self._fragments) or self._text[self._at :].strip(b" "):
            raise BadSyntax("there is more than this command takes")

    # --- Marks ---

    def space(self) -> None:
        """One space, or several."""
        if not self._spaces():
            raise BadSyntax("an argument is missing")

    def skip(self, mark: bytes) -> bool:
        """Move behind `mark` if it is next."""
        if self._text.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False

    def skip_word(self, text: bytes) -> bool:
        """As `skip`, in capitals or not; `text` is in capitals."""
        if self._text[self._at : self._at + len(text)].upper() != text:
            return False
        self._at += len(text)
        return True

    def expect(self, mark: bytes) -> None:
        if not self.skip(mark):
            raise BadSyntax(f'"{mark.decode("ascii")}" is missing')

    def listed(self, item: Callable[[], T], most: int) -> list[T]:
        """`(item item …)`, the list may be empty, spaces are free inside the parentheses."""
        self.expect(b"(")
        found: list[T] = []
        self._spaces()
        while not self.skip(b")"):
            if len(found) >= most:
                raise BadSyntax("a list is too long")
            found.append(item())
            if not self._spaces() and not self.next_is(b")"):
                raise BadSyntax('a space or ")" is missing')
        return found

    # --- Words and strings ---

    def word(self) -> str:
        """A word of the protocol, in capitals."""
        match = _WORD.match(self._text, self._at)
        if match is None:
            raise BadSyntax("a word is missing")
        self._at = match.end()
        return match[0].upper().decode("ascii")

    def atom(self) -> bytes:
        return self._match(_ATOM, "an atom is missing")

    def string(self) -> bytes:
        """A quoted string or a literal."""
        if self.next_is(b'"'):
            match = _QUOTED.match(self._text, self._at)
            if match is None:
                raise BadSyntax("a quoted string is not closed")
            self._at = match.end()
            content = match[1]
            return _ESCAPED.sub(rb"\1", content) if b"\\" in content else content
        literal = self.literal()
        if literal is None or not isinstance(literal.data, bytes):
            raise BadSyntax("a string is missing")
        if not literal.binary and b"\0" in literal.data:
            raise BadSyntax("a string holds NUL")  # CHAR8 = %x01-ff
        return literal.data

    def nstring(self) -> bytes | None:
        """A string, or None for NIL."""
        match = _NIL.match(self._text, self._at)
        if match is None:
            return self.string()
        self._at = match.end()
        return None

    def astring(self) -> bytes:
        """A string, with or without quotes."""
        match = _ASTRING.match(self._text, self._at)
        if match is None:
            return self.string()
        self._at = match.end()
        return match[0]

    def literal(self) -> Literal | None:
        """The literal that stands here, if one does."""
        if self._at < len(self._text) or self._index + 2 >= len(self._fragments):
            return None
        literal, text = self._fragments[self._index + 1], self._fragments[self._index + 2]
        if not isinstance(literal, Literal) or not isinstance(text, bytes):
            return None
        self._index += 2
        self._at = 0
        self._text = text
        return literal

    # --- Numbers, sets, dates ---

    def number(self) -> int:
        """A number of at most 18 digits. RFC 3501 has 32 bits; sizes have outgrown them (RFC 9051, number64)."""
        digits = self._match(_DIGITS, "a number is missing")
        if len(digits) > _NUMBER64_DIGITS:
            raise BadSyntax("a number is too large")
        return int(digits)

    def modseq(self) -> int:
        """mod-sequence-valzer: a number of 63 bits (RFC 7162 7)."""
        value = int(self._match(_MODSEQ, "a modification sequence is missing"))
        if value > LAST_MODSEQ:
            raise BadSyntax("a modification sequence is too large")
        return value

    def next_is_sequence_set(self) -> bool:
        return _SEQUENCE.match(self._text, self._at) is not None or self._next_is_saved()

    def sequence_set(self) -> SequenceSet:
        """Numbers, or "$" (sequence-set =/ seq-last-command, RFC 5182 3)."""
        if self._next_is_saved():
            self._at += 1
            return SAVED
        text = self._match(_SEQUENCE, "a set of message numbers is missing")
        if b"," not in text:
            return SequenceSet((_range(text),))
        return SequenceSet(tuple(map(_range, text.split(b","))))

    def date(self) -> date:
        """date = date-text / DQUOTE date-text DQUOTE"""
        return dates.parse_date(self.string() if self.next_is(b'"') else self.atom())

    def date_time(self) -> int:
        """A moment in quotes, in seconds since 1970."""
        return dates.parse_date_time(self.string())

    # --- Folders and flags ---

    def folder(self) -> str:
        return folder_names.decode(self.astring(), utf8=self.utf8)

    def flag(self) -> str:
        """A flag that a client may set. System flags come as RFC 3501 2.3.2 writes them, keywords as sent.

        A system flag that is none, and \\Recent, which only the server sets, are refused, as by Dovecot.
        """
        flag = self._match(_FLAG, "a flag is missing").decode("ascii")
        if not flag.startswith("\\"):
            if len(flag) > MAX_KEYWORD:
                raise BadSyntax("a keyword is too long")
            return flag
        try:
            return _SYSTEM_FLAGS[flag.upper()]
        except KeyError:
            raise BadSyntax("there is no such system flag") from None

    def flag_or_recent(self) -> str:
        """A flag, or "" for \\Recent: clients that copy a message with APPEND send back what FETCH gave."""
        match = _FLAG.match(self._text, self._at)
        if match is not None and match[0].upper() == _RECENT.encode():
            self._at = match.end()
            return ""
        return self.flag()

    # --- Inside ---

    def _next_is_saved(self) -> bool:
        return _SAVED.match(self._text, self._at) is not None

    def _match(self, expression: re.Pattern[bytes], missing: str) -> bytes:
        match = expression.match(self._text, self._at)
        if match is None:
            raise BadSyntax(missing)
        self._at = match.end()
        return match[0]

    def _spaces(self) -> bool:
        match = _SPACES.match(self._text, self._at)
        if match is not None:
            self._at = match.end()
        return match is not None


def _range(text: bytes) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise BadSyntax("not a set of message numbers")
    first = _seq_number(match[1])
    return first, first if match[2] is None else _seq_number(match[2])


def _seq_number(text: bytes) -> int:
    if text == b"*":
        return STAR
    number = int(text)
    if not 0 < number <= LAST_NUMBER:
        raise BadSyntax("a message number is 0 or too large")
    return number
