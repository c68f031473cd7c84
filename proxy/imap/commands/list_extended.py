"""LIST with options: selection, several patterns, RETURN, and STATUS in the same round trip (RFC 5258, RFC 5819)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstore.errors import NoSuchFolder
from mailstore.mailhome import MailHome
from proxy.imap import responses
from proxy.imap.chosen import Chosen, chosen
from proxy.imap.commands.statuses import note_items, tell_status
from proxy.imap.grammar.list_options import ListExtended

if TYPE_CHECKING:
    from mailstore.index.rows import Status
    from proxy.imap.session import Session


async def list_extended(session: Session, arguments: ListExtended) -> None:
    """Each folder's STATUS follows its LIST; one that cannot be selected has none (RFC 5819 2).

    What other programs did is noticed as by the plain LIST and by STATUS.
    """
    note_items(session, arguments.status)

    def look(home: MailHome) -> list[tuple[Chosen, Status | None]]:
        home.reconcile_folders()
        lines = chosen(home.folders(), home.subscriptions(), arguments)
        return [(line, _figures(home, line) if arguments.status else None) for line in lines]

    for line, figures in await session.run(look):
        session.untagged(list_response(session, line))
        if figures is not None:
            tell_status(session, line.name, figures, arguments.status)


def _figures(home: MailHome, line: Chosen) -> Status | None:
    if not line.selectable:
        return None
    try:
        return home.status(line.name, looking=True)
    except NoSuchFolder:  # another process deleted it since
        return None


def list_response(session: Session, line: Chosen) -> bytes:
    """mailbox-list = "(" [mbx-list-flags] ")" SP … SP mailbox [SP mbox-list-extended] (RFC 5258 6)"""
    told = b'LIST %b "/" %b' % (responses.parenthesized(line.attributes), session.folder_name(line.name))
    if line.childinfo:
        told += b' ("CHILDINFO" %b)' % responses.parenthesized(line.childinfo)
    if line.old_name is not None:
        told += b' ("OLDNAME" (%b))' % session.folder_name(line.old_name)
    return told
