"""SELECT, EXAMINE and what ends them, CHECK, and EXPUNGE (RFC 3501 6.3.1, 6.3.2, 6.4.1–6.4.3, RFC 4315, RFC 3691)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstore.index.rows import DELETED
from proxy.imap import responses
from proxy.imap.answers import Bad, Done, read_only
from proxy.imap.commands.resync import tell_flags, tell_vanished
from proxy.imap.grammar.sequences import SequenceSet
from proxy.imap.grammar.syntax import Command, FolderName, NoArguments, Resync, Select, UidExpunge
from proxy.imap.manner import CONDSTORE, QRESYNC
from proxy.imap.view import View

if TYPE_CHECKING:
    from mailstore.index.rows import Changes, Snapshot
    from mailstore.mailhome import MailHome
    from proxy.imap.session import Session


async def select(session: Session, command: Command, arguments: FolderName) -> Done:
    """Also EXAMINE. Whatever comes of it, the mailbox selected before is not any more (RFC 3501 6.3.1)."""
    writable = command.name == "SELECT"
    resync = arguments.resync if isinstance(arguments, Select) else None
    if resync is not None and QRESYNC not in session.enabled:
        raise Bad(b"ENABLE QRESYNC comes first.")  # RFC 7162 3.2.5
    if session.view is not None:
        session.untagged(b"OK [CLOSED] Previous mailbox closed.")  # RFC 7162 3.2.11
    session.deselect()
    if isinstance(arguments, Select):
        session.enable(CONDSTORE)
    session.stale = False  # set again by any change from here on

    def looked(home: MailHome) -> tuple[Snapshot, str]:
        snapshot = home.select(arguments.name, writable=writable, looking=True)
        return snapshot, home.object_id(snapshot.folder)

    snapshot, mailbox_id = await session.run_briefly(looked)
    view = View(snapshot, writable=writable, manner=session.manner)
    session.out.write(responses.flags_known(view.keywords))
    session.out.write(responses.flags_permanent(view.keywords, writable=writable))
    session.untagged(b"%d EXISTS" % len(view))
    if not session.rev2:
        session.untagged(b"%d RECENT" % view.recent)
    if not session.rev2 and session.manner.numbers and (unseen := view.unseen) is not None:
        session.untagged(b"OK [UNSEEN %d] First unseen." % unseen)
    if session.rev2:
        session.untagged(b'LIST () "/" %b' % session.folder_name(snapshot.folder.name))  # RFC 9051 6.3.2
    session.untagged(b"OK [UIDVALIDITY %d] UIDs valid" % snapshot.folder.uidvalidity)
    session.untagged(b"OK [UIDNEXT %d] Predicted next UID" % snapshot.uidnext)
    session.untagged(b"OK [HIGHESTMODSEQ %d] Highest" % snapshot.highestmodseq)
    session.untagged(b"OK [MAILBOXID (%b)] Object id" % mailbox_id.encode())  # RFC 8474 4.2
    session.select(view)
    if resync is not None:
        await _resync(session, view, resync)
    if writable:
        return Done(b"Select completed.", b"READ-WRITE")
    return Done(b"Examine completed.", b"READ-ONLY")


async def _resync(session: Session, view: View, resync: Resync) -> None:
    """What the client has missed since it last looked (RFC 7162 3.2.5): nothing, if this is another mailbox now."""
    if resync.uidvalidity != view.folder.uidvalidity:
        return
    everything = SequenceSet(((1, max(1, view.uidnext - 1)),))
    known = resync.known or everything
    await tell_vanished(session, view, known, resync.modseq)
    changed = [place for span in view.find(known, uid=True) for place in span if view.modseqs[place] > resync.modseq]
    await tell_flags(session, view, changed)


async def check(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """Everything is on disk already; the mailbox is looked at once more."""
    await session.look()
    session.stale = True
    return Done(b"Check completed.")


async def close(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """Expunge without a word, unless read-only, and deselect (RFC 3501 6.4.2)."""
    view, code = session.selected, None
    if view.writable:
        gone = await session.run(lambda home: home.expunge(view.folder.id))
        if gone:
            session.own.changed(view.folder.uidvalidity)
        if gone and session.manner.modseq:
            code = await _modseq_of(session, view, gone)
    session.deselect()
    return Done(b"Close completed.", code)


async def _modseq_of(session: Session, view: View, gone: list[int]) -> bytes | None:
    """HIGHESTMODSEQ after CLOSE (RFC 7162 3.2.8), unless it covers more than what the client knows to go by it: of the
    rest it would never hear."""
    known = all(DELETED in view.flags[place] for uid in gone if (place := view.index(uid)) is not None)
    changes = await session.run(lambda home: home.changes(view.folder.id, view.settled, claim_recent=False))
    if not known or changes.changed or sorted(changes.gone) != sorted(gone):
        return None
    return b"HIGHESTMODSEQ %d" % changes.highestmodseq


async def unselect(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """CLOSE without its expunge (RFC 3691)."""
    session.deselect()
    return Done(b"Unselect completed.")


async def expunge(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    view = _writable(session)
    _expunged(session, view, await session.run_briefly(lambda home: home.expunged(view.folder.id)))
    return Done(b"Expunge completed.", await session.settled_modseq())


async def uid_expunge(session: Session, _command: Command, arguments: UidExpunge) -> Done:
    """Only messages that are both \\Deleted and in the set (RFC 4315 2.1)."""
    view = _writable(session)
    uids = view.uids_of(view.find(arguments.sequence, uid=True))
    if uids:
        _expunged(session, view, await session.run_briefly(lambda home: home.expunged(view.folder.id, uids)))
    return Done(b"Expunge completed.", await session.settled_modseq())


def _expunged(session: Session, view: View, changes: Changes | None) -> None:
    if changes is not None:
        view.expunged(changes.gone)
    session.made(view, changes)  # where nothing was left to be expunged, others may have done it


def _writable(session: Session) -> View:
    view = session.selected
    if not view.writable:
        raise read_only()
    return view
