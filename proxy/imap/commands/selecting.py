"""SELECT, EXAMINE and what ends them, CHECK, and EXPUNGE (RFC 3501 6.3.1, 6.3.2, 6.4.1–6.4.3, RFC 4315, RFC 3691)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.imap import responses
from proxy.imap.answers import Done, read_only
from proxy.imap.grammar.syntax import Command, FolderName, NoArguments, UidExpunge
from proxy.imap.view import View

if TYPE_CHECKING:
    from mailstore.index.rows import Snapshot
    from mailstore.mailhome import MailHome
    from proxy.imap.session import Session


async def select(session: Session, command: Command, arguments: FolderName) -> Done:
    """Also EXAMINE. Whatever comes of it, the mailbox selected before is not any more (RFC 3501 6.3.1)."""
    writable = command.name == "SELECT"
    session.deselect()
    session.stale = False  # set again by any change from here on

    def looked(home: MailHome) -> Snapshot:
        home.reconcile_named(arguments.name)
        return home.select(arguments.name, writable=writable)

    snapshot = await session.run(looked)
    view = View(snapshot, writable=writable)
    session.out.write(responses.flags_known(view.keywords))
    session.out.write(responses.flags_permanent(view.keywords, writable=writable))
    session.untagged(b"%d EXISTS" % len(view))
    session.untagged(b"%d RECENT" % view.recent)
    if (unseen := view.unseen) is not None:
        session.untagged(b"OK [UNSEEN %d] First unseen." % unseen)
    session.untagged(b"OK [UIDVALIDITY %d] UIDs valid" % snapshot.folder.uidvalidity)
    session.untagged(b"OK [UIDNEXT %d] Predicted next UID" % snapshot.uidnext)
    session.select(view)
    if writable:
        return Done(b"Select completed.", b"READ-WRITE")
    return Done(b"Examine completed.", b"READ-ONLY")


async def check(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """Everything is on disk already; the mailbox is looked at once more."""
    await session.look()
    session.stale = True
    return Done(b"Check completed.")


async def close(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """Expunge without a word, unless read-only, and deselect (RFC 3501 6.4.2)."""
    view = session.selected
    if view.writable:
        await session.run(lambda home: home.expunge(view.folder.id))
    session.deselect()
    return Done(b"Close completed.")


async def unselect(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """CLOSE without its expunge (RFC 3691)."""
    session.deselect()
    return Done(b"Unselect completed.")


async def expunge(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    view = _writable(session)
    await session.run(lambda home: home.expunge(view.folder.id))
    session.stale = True
    return Done(b"Expunge completed.")


async def uid_expunge(session: Session, _command: Command, arguments: UidExpunge) -> Done:
    """Only messages that are both \\Deleted and in the set (RFC 4315 2.1)."""
    view = _writable(session)
    uids = view.uids_of(view.find(arguments.sequence, uid=True))
    if uids:
        await session.run(lambda home: home.expunge(view.folder.id, uids))
        session.stale = True
    return Done(b"Expunge completed.")


def _writable(session: Session) -> View:
    view = session.selected
    if not view.writable:
        raise read_only()
    return view
