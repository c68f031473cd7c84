"""MOVE and UID MOVE: from the selected mailbox to another, or not at all (RFC 6851)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstore.errors import NoSuchFolder
from proxy.imap.answers import Done, expunge_issued, read_only, try_create
from proxy.imap.commands.appending import copy_uid
from proxy.imap.grammar.syntax import Command, Copy

if TYPE_CHECKING:
    from proxy.imap.session import Session


async def move(session: Session, command: Command, arguments: Copy) -> Done:
    """COPYUID is told before the messages go (RFC 6851 4.3); their EXPUNGE or VANISHED comes with the sync."""
    view = session.selected
    if not view.writable:
        raise read_only()
    uids = view.uids_of(view.find(arguments.sequence, uid=command.uid))
    if not uids:
        return Done(b"No messages found.")
    try:
        moved = await session.run(lambda home: home.move(view.folder.id, uids, arguments.folder))
    except NoSuchFolder as error:
        raise try_create(error) from None
    session.stale = True
    if not moved.sources:
        if command.uid:
            return Done(b"No messages found.")
        raise expunge_issued()
    session.untagged(b"OK [%b] Moved UIDs." % copy_uid(moved))
    return Done(b"Move completed.", await session.settled_modseq())
