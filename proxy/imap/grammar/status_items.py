"""What STATUS asks for, and what LIST (RFC 5819) and NOTIFY (RFC 5465) ask for with it."""

from __future__ import annotations

from typing import Final

from proxy.imap.grammar.syntax import BadSyntax, StatusItem
from proxy.imap.grammar.tokens import Cursor

_ITEMS: Final = {item.value: item for item in StatusItem}


def status_items(cursor: Cursor) -> tuple[StatusItem, ...]:
    """ "(" status-att *(SP status-att) ")": each once, in the order asked"""
    words = cursor.listed(cursor.word, len(_ITEMS) * 2)
    try:
        items = tuple(dict.fromkeys(_ITEMS[word] for word in words))
    except KeyError:
        raise BadSyntax("there is no such STATUS item") from None
    if not items:
        raise BadSyntax("STATUS has to ask for something")
    return items
