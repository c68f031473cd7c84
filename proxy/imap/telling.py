"""Telling a client what happened in its selected mailbox (RFC 3501 5.2, 7.4.1). Used by the session alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstore.errors import MailstoreError, NoSuchFolder

if TYPE_CHECKING:
    from proxy.imap.session import Session
    from proxy.imap.view import View


async def tell_selected(session: Session, view: View, *, expunge: bool, with_uid: bool) -> None:
    """What others did, and what this session did itself. After NOTIFY as much of it as is wanted, with each
    message's UID (RFC 5465 5.1), and with what is wanted of new messages behind their EXISTS (5.2)."""
    if session.stale and not await _catch_up(session, view):
        return
    notifying, new = session.notifying, view.untold
    session.out.write(view.flush(expunge=expunge, with_uid=with_uid or notifying is not None))
    if notifying is None or not new:
        return
    try:
        await notifying.tell_new(view, new)
    except MailstoreError as error:  # the client has their EXISTS, and asks for itself
        session.log.warning("imap changes unreadable", reason=str(error), **session.who())


async def _catch_up(session: Session, view: View) -> bool:
    """Take in what changed. False: the mailbox is gone, and so is the session."""
    session.stale = False
    claim_recent = view.writable and view.tells_messages
    try:
        view.apply(
            await session.run_briefly(lambda home: home.changes(view.folder.id, view.modseq, claim_recent=claim_recent))
        )
    except NoSuchFolder:
        session.deselect()
        session.leave(b"Selected mailbox was deleted, have to disconnect.")
        return False
    except MailstoreError as error:
        session.stale = True  # it is told when the store can be read again
        session.log.warning("imap changes unreadable", reason=str(error), **session.who())
    return True
