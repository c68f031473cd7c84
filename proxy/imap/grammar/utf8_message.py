"""APPEND's message, or a part of it, after ENABLE UTF8=ACCEPT (RFC 6855 4)."""

from __future__ import annotations

from proxy.imap.grammar.syntax import BadSyntax
from proxy.imap.grammar.tokens import Cursor
from proxy.wire.commands import Literal


def utf8_message(cursor: Cursor) -> Literal | None:
    """utf8-literal = "UTF8" SP "(" literal8 ")", an append-data and a cat-part, if it is next.

    RFC 9755 has no such form any more, and what is handed in plainly may hold UTF-8 in its header all the same.
    """
    if not cursor.utf8 or not cursor.next_is_word("UTF8"):
        return None
    cursor.word()
    cursor.space()
    cursor.expect(b"(")
    message = cursor.literal()
    if message is None or not message.binary:
        raise BadSyntax("UTF8 takes a literal8")
    cursor.expect(b")")
    return message
