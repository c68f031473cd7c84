"""MOVE and UID MOVE: from the selected mailbox to another, or not at all (RFC 6851)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstore.mailhome import MailHome
from proxy.imap.answers import Done, read_only
from proxy.imap.commands.appending import copy_uid, transferred
from proxy.imap.grammar.syntax import Command, Copy

if TYPE_CHECKING:
    from proxy.imap.session import Session


async def move(session: Session, command: Command, arguments: Copy) -> Done:
    """COPYUID is told before the messages go (RFC 6851 4.3); their EXPUNGE or VANISHED comes with the sync."""
    if not session.selected.writable:
        raise read_only()
    moved = await transferred(session, command, arguments, MailHome.move)
    if moved is None:
        return Done(b"No messages found.")
    session.untagged(b"OK [%b] Moved UIDs." % copy_uid(moved))
    session.selected.expunged(moved.sources)
    return Done(b"Move completed.", await session.settled_modseq())
