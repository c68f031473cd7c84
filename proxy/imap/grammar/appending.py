"""APPEND and REPLACE: messages that a client hands in (RFC 3501 6.3.11, RFC 3502, RFC 3516, RFC 4469, RFC 8508)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.imap.grammar.sequences import SequenceSet
from proxy.imap.grammar.syntax import Append, Arguments, BadSyntax
from proxy.imap.grammar.tokens import MAX_FLAGS, Cursor
from proxy.imap.grammar.utf8_message import utf8_message
from proxy.wire.commands import Literal

MAX_PARTS: Final = 1_000  # of one CATENATE


@dataclass(frozen=True, slots=True)
class Url:
    """A part of a message that is to be found behind an IMAP URL (RFC 4469 3)."""

    text: bytes


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message and what comes with it. `parts` is one Literal, or what CATENATE puts together.

    Files of the literals as in `Append`.
    """

    flags: tuple[str, ...]
    internal_date: int | None
    parts: tuple[Literal | Url, ...]

    @property
    def literal(self) -> Literal | None:
        """The whole message, where it is one literal."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only if isinstance(only, Literal) else None


@dataclass(frozen=True, slots=True)
class AppendMany(Arguments):
    """APPEND of several messages, or of one with CATENATE."""

    folder: str
    messages: tuple[NewMessage, ...]


@dataclass(frozen=True, slots=True)
class Replace(Arguments):
    """REPLACE and UID REPLACE: `sequence` is one number."""

    sequence: SequenceSet
    folder: str
    message: NewMessage


def append(cursor: Cursor) -> Append | AppendMany:
    """append = "APPEND" SP mailbox 1*append-message (RFC 3502 6.3.11)"""
    cursor.space()
    folder = cursor.folder()
    cursor.space()
    messages = [_message(cursor)]
    while cursor.more():
        messages.append(_message(cursor))
    first = messages[0]
    if len(messages) == 1 and first.literal is not None:
        return Append(folder, first.flags, first.internal_date, first.literal)
    return AppendMany(folder, tuple(messages))


def replace(cursor: Cursor) -> Replace:
    """replace = "REPLACE" SP seq-number SP mailbox append-message (RFC 8508 4)"""
    cursor.space()
    sequence = cursor.sequence_set()
    if len(sequence.ranges) != 1 or sequence.ranges[0][0] != sequence.ranges[0][1]:
        raise BadSyntax("REPLACE takes one message")
    cursor.space()
    folder = cursor.folder()
    cursor.space()
    return Replace(sequence, folder, _message(cursor))


def _message(cursor: Cursor) -> NewMessage:
    """append-message = [flag-list SP] [date-time SP] append-data, the space before it read already"""
    flags: tuple[str, ...] = ()
    if cursor.next_is(b"("):
        flags = tuple(dict.fromkeys(filter(None, cursor.listed(cursor.flag_or_recent, MAX_FLAGS))))
        cursor.space()
    internal_date = None
    if cursor.next_is(b'"'):
        internal_date = cursor.date_time()
        cursor.space()
    if cursor.next_is_word("CATENATE"):
        cursor.word()
        cursor.space()
        parts = tuple(cursor.listed(lambda: _part(cursor), MAX_PARTS))
        if not parts:
            raise BadSyntax("CATENATE has to name parts")
        return NewMessage(flags, internal_date, parts)
    return NewMessage(flags, internal_date, (utf8_message(cursor) or _literal(cursor),))


def _part(cursor: Cursor) -> Literal | Url:
    """cat-part = "URL" SP astring / "TEXT" SP (literal / literal8) (RFC 4469 5) / utf8-literal (RFC 6855 4)"""
    if (text := utf8_message(cursor)) is not None:
        return text
    word = cursor.word()
    cursor.space()
    if word == "URL":
        return Url(cursor.astring())
    if word != "TEXT":
        raise BadSyntax("a part is URL or TEXT")
    return _literal(cursor)


def _literal(cursor: Cursor) -> Literal:
    message = cursor.literal()
    if message is None:
        raise BadSyntax("a message has to be a literal")
    return message
