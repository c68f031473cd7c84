"""Folders and subscriptions (RFC 3501 6.3.3–6.3.10, RFC 2342, RFC 3348)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mailstore.mailhome import MailHome
from proxy.imap import responses
from proxy.imap.answers import Done
from proxy.imap.commands.list_extended import list_extended
from proxy.imap.commands.statuses import note_items, tell_status
from proxy.imap.grammar.list_options import CreateFor, ListExtended
from proxy.imap.grammar.syntax import Command, FolderName, ListPattern, NoArguments, Rename, StatusItems
from proxy.imap.listing import Listed, listed, subscribed

if TYPE_CHECKING:
    from mailstore.index.rows import Folder
    from proxy.imap.session import Session


async def create(session: Session, _command: Command, arguments: FolderName) -> Done:
    uses = arguments.uses if isinstance(arguments, CreateFor) else ()
    mailbox_id = await session.run(lambda home: home.object_id(home.create(arguments.name, uses)))
    session.own.created(arguments.name)
    return Done(b"Create completed.", b"MAILBOXID (%b)" % mailbox_id.encode())  # RFC 8474 4.1


async def delete(session: Session, _command: Command, arguments: FolderName) -> Done:
    """A session that deletes its own selected mailbox goes on without one."""

    def deleted(home: MailHome) -> set[int]:
        home.delete(arguments.name)
        return {folder.id for folder in home.folders()}

    left = await session.run(deleted)
    session.own.deleted(arguments.name)
    if session.view is not None and session.view.folder.id not in left:
        session.deselect()
    return Done(b"Delete completed.")


async def rename(session: Session, _command: Command, arguments: Rename) -> Done:
    await session.run(lambda home: home.rename(arguments.old, arguments.new))
    session.own.renamed(arguments.old, arguments.new)
    session.stale = True  # INBOX gives its messages away
    return Done(b"Rename completed.")


async def subscribe(session: Session, _command: Command, arguments: FolderName) -> Done:
    await session.run(lambda home: home.subscribe(arguments.name))
    session.own.subscribed(arguments.name)
    return Done(b"Subscribe completed.")


async def unsubscribe(session: Session, _command: Command, arguments: FolderName) -> Done:
    await session.run(lambda home: home.unsubscribe(arguments.name))
    session.own.subscribed(arguments.name)
    return Done(b"Unsubscribe completed.")


def _folders_now(home: MailHome) -> list[Folder]:
    """With those that other programs made."""
    home.reconcile_folders()
    return home.folders()


async def list_folders(session: Session, _command: Command, arguments: ListPattern | ListExtended) -> Done:
    if isinstance(arguments, ListExtended):
        await list_extended(session, arguments)
    elif not arguments.pattern:  # asks for the separator (RFC 3501 6.3.8)
        session.untagged(b'LIST (\\Noselect) "/" ""')
    else:
        folders = await session.run_briefly(_folders_now)
        pattern = arguments.reference + arguments.pattern
        uses = {folder.name: folder.special_use for folder in folders}
        _show(session, b"LIST", listed((folder.name for folder in folders), pattern, uses))
    return Done(b"List completed.")


async def list_subscribed(session: Session, _command: Command, arguments: ListPattern) -> Done:
    names, folders = await session.run_briefly(lambda home: (home.subscriptions(), _folders_now(home)))
    pattern = arguments.reference + arguments.pattern
    _show(session, b"LSUB", subscribed(names, (folder.name for folder in folders), pattern))
    return Done(b"Lsub completed.")


def _show(session: Session, response: bytes, lines: Iterable[Listed]) -> None:
    for line in lines:
        session.untagged(
            b'%b %b "/" %b' % (response, responses.parenthesized(line.attributes), session.folder_name(line.name))
        )


async def status(session: Session, _command: Command, arguments: StatusItems) -> Done:
    note_items(session, arguments.items)

    figures = await session.run_briefly(lambda home: home.status(arguments.folder, looking=True))
    tell_status(session, arguments.folder, figures, arguments.items)
    view = session.view
    if view is not None and view.folder.uidvalidity == figures.uidvalidity:
        session.changed_up_to(figures.highestmodseq)
    return Done(b"Status completed.")


async def namespace(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """One personal namespace without a prefix; nobody shares anything."""
    session.untagged(b'NAMESPACE (("" "/")) NIL NIL')
    return Done(b"Namespace completed.")
