"""STATUS responses, whichever command asked for them (RFC 3501 7.2.4, RFC 5819, RFC 5465 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxy.imap import responses
from proxy.imap.grammar.syntax import StatusItem
from proxy.imap.manner import CONDSTORE

if TYPE_CHECKING:
    from mailstore.index.rows import Status
    from proxy.imap.session import Session


def note_items(session: Session, items: Iterable[StatusItem]) -> None:
    """Who asks for HIGHESTMODSEQ is aware of modseqs from here on (RFC 7162 3.1)."""
    if StatusItem.HIGHESTMODSEQ in items:
        session.enable(CONDSTORE)


def tell_status(session: Session, folder: str, figures: Status, items: Iterable[StatusItem]) -> None:
    limit = session.terms.limits.message
    found = (b"%b %b" % (item.value.encode(), _value(figures, item, limit)) for item in items)
    session.untagged(b"STATUS %b %b" % (session.folder_name(folder), responses.parenthesized(found)))


def _value(figures: Status, item: StatusItem, append_limit: int) -> bytes:
    if item is StatusItem.MAILBOXID:
        return b"(%b)" % figures.object_id.encode()  # RFC 8474 4.3
    return b"%d" % (append_limit if item is StatusItem.APPENDLIMIT else _figure(figures, item))


def _figure(figures: Status, item: StatusItem) -> int:
    match item:
        case StatusItem.MESSAGES:
            return figures.messages
        case StatusItem.RECENT:
            return figures.recent
        case StatusItem.UIDNEXT:
            return figures.uidnext
        case StatusItem.UIDVALIDITY:
            return figures.uidvalidity
        case StatusItem.UNSEEN:
            return figures.unseen
        case StatusItem.HIGHESTMODSEQ:
            return figures.highestmodseq
        case StatusItem.SIZE:
            return figures.size
        case StatusItem.DELETED:
            return figures.deleted
        case StatusItem.DELETED_STORAGE:
            return figures.deleted_size
        case _:
            raise AssertionError(f"{item} is no figure of a folder")
