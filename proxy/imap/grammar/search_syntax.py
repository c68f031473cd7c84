"""SEARCH as values: its keys, and what of the result a client wants (RFC 3501 6.4.4).

Made by `proxy.imap.grammar.search_keys` and `search_returns`, read by whoever searches. Everything here is frozen.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date
from typing import Final

from proxy.imap.grammar.sequences import SequenceSet
from proxy.imap.grammar.syntax import Arguments

MAX_SEARCH_DEPTH: Final = 100  # And, Or and Not inside each other: a recursive evaluation is safe


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more keys; none of them is an And."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more keys; none of them is an Or (`OR a OR b c` is one Or of three)."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of a key, which is no Not itself."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class Flag:
    """ANSWERED, UNANSWERED, KEYWORD, UNKEYWORD and their like. Keywords compare without regard to case."""

    name: str  # "\\Seen", "$Forwarded"
    present: bool


@dataclass(frozen=True, slots=True)
class Recent:
    """RECENT, and OLD when not `present`. NEW is And((Recent(True), Flag("\\\\Seen", False)))."""

    present: bool


@dataclass(frozen=True, slots=True)
class Header:
    """HEADER, and BCC, CC, FROM, SUBJECT, TO. `name` in lower case; an empty `text` asks for the field."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """TEXT: header or body."""

    text: str


@dataclass(frozen=True, slots=True)
class Body:
    text: str


@dataclass(frozen=True, slots=True)
class Size:
    """LARGER (more octets than) or SMALLER (fewer octets than)."""

    larger: bool
    octets: int


class When(enum.Enum):
    """BEFORE is earlier than the day, SINCE the day or later, by the date as written (RFC 3501 6.4.4)."""

    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


@dataclass(frozen=True, slots=True)
class Dated:
    """By the internal date, or, with `sent`, by the Date: header field."""

    when: When
    day: date
    sent: bool


@dataclass(frozen=True, slots=True)
class Within:
    """OLDER and YOUNGER: the internal date lies so many seconds back or more, or so many or fewer (RFC 5032)."""

    older: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class Saved:
    """SAVEDBEFORE, SAVEDON and SAVEDSINCE: by the day on which a message came into the folder (RFC 8514 4.3)."""

    when: When
    day: date


@dataclass(frozen=True, slots=True)
class ObjectId:
    """EMAILID, and THREADID with `thread` (RFC 8474 6)."""

    thread: bool
    value: str


@dataclass(frozen=True, slots=True)
class UidSet:
    sequence: SequenceSet


@dataclass(frozen=True, slots=True)
class Modseq:
    """MODSEQ: changed at this modseq or later (RFC 7162 3.1.5). Which flag changed is not kept, so an entry
    that the client names narrows nothing."""

    value: int


@dataclass(frozen=True, slots=True)
class NumberSet:
    """Message sequence numbers, in UID SEARCH too."""

    sequence: SequenceSet


SearchKey = (
    And
    | Or
    | Not
    | All
    | Flag
    | Recent
    | Header
    | Text
    | Body
    | Size
    | Dated
    | Within
    | Saved
    | ObjectId
    | UidSet
    | NumberSet
    | Modseq
)


@dataclass(frozen=True, slots=True)
class Returns:
    """SEARCH RETURN (…): what of its result a client wants (RFC 4731 3.1, RFC 5182 2.1, RFC 9394 3.1).

    `partial` is a range of places in the result, from 1 up, or from -1, which is the last, down.
    """

    min: bool = False
    max: bool = False
    all: bool = False
    count: bool = False
    save: bool = False
    partial: tuple[int, int] | None = None

    @property
    def whole(self) -> bool:
        """Is the result as a whole of interest, and not a few messages of it?"""
        return self.all or self.count or not (self.min or self.max or self.partial)


@dataclass(frozen=True, slots=True)
class Search(Arguments):
    """SEARCH. `charset` is as declared, in capitals. The key is at most MAX_SEARCH_DEPTH keys deep."""

    charset: str | None
    key: SearchKey
    returns: Returns | None = None  # None: without RETURN
    by_modseq: bool = False  # is MODSEQ among the keys?
