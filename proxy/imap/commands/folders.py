"""Folders and subscriptions (RFC 3501 6.3.3–6.3.10, RFC 2342, RFC 3348)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mailstore.mailhome import MailHome
from proxy.imap import responses
from proxy.imap.answers import Done
from proxy.imap.grammar.syntax import Command, FolderName, ListPattern, NoArguments, Rename, StatusItem, StatusItems
from proxy.imap.listing import Listed, listed, subscribed
from proxy.imap.manner import CONDSTORE

if TYPE_CHECKING:
    from mailstore.index.rows import Folder, Status
    from proxy.imap.session import Session


async def create(session: Session, _command: Command, arguments: FolderName) -> Done:
    await session.run(lambda home: home.create(arguments.name))
    return Done(b"Create completed.")


async def delete(session: Session, _command: Command, arguments: FolderName) -> Done:
    """A session that deletes its own selected mailbox goes on without one."""

    def deleted(home: MailHome) -> set[int]:
        home.delete(arguments.name)
        return {folder.id for folder in home.folders()}

    left = await session.run(deleted)
    if session.view is not None and session.view.folder.id not in left:
        session.deselect()
    return Done(b"Delete completed.")


async def rename(session: Session, _command: Command, arguments: Rename) -> Done:
    await session.run(lambda home: home.rename(arguments.old, arguments.new))
    session.stale = True  # INBOX gives its messages away
    return Done(b"Rename completed.")


async def subscribe(session: Session, _command: Command, arguments: FolderName) -> Done:
    await session.run(lambda home: home.subscribe(arguments.name))
    return Done(b"Subscribe completed.")


async def unsubscribe(session: Session, _command: Command, arguments: FolderName) -> Done:
    await session.run(lambda home: home.unsubscribe(arguments.name))
    return Done(b"Unsubscribe completed.")


async def list_folders(session: Session, _command: Command, arguments: ListPattern) -> Done:
    if not arguments.pattern:  # asks for the separator (RFC 3501 6.3.8)
        session.untagged(b'LIST (\\Noselect) "/" ""')
        return Done(b"List completed.")

    def looked(home: MailHome) -> list[Folder]:
        home.reconcile_folders()
        return home.folders()

    folders = await session.run(looked)
    pattern = arguments.reference + arguments.pattern
    _show(session, b"LIST", listed((folder.name for folder in folders), pattern))
    return Done(b"List completed.")


async def list_subscribed(session: Session, _command: Command, arguments: ListPattern) -> Done:
    names, folders = await session.run(lambda home: (home.subscriptions(), home.folders()))
    pattern = arguments.reference + arguments.pattern
    _show(session, b"LSUB", subscribed(names, (folder.name for folder in folders), pattern))
    return Done(b"Lsub completed.")


def _show(session: Session, response: bytes, lines: Iterable[Listed]) -> None:
    for line in lines:
        session.untagged(
            b'%b %b "/" %b' % (response, responses.parenthesized(line.attributes), session.folder_name(line.name))
        )


async def status(session: Session, _command: Command, arguments: StatusItems) -> Done:
    if StatusItem.HIGHESTMODSEQ in arguments.items:
        session.enable(CONDSTORE)  # RFC 7162 3.1

    def looked(home: MailHome) -> Status:
        home.reconcile_named(arguments.folder)
        return home.status(arguments.folder)

    figures = await session.run(looked)
    items = (b"%b %d" % (item.value.encode(), _figure(figures, item)) for item in arguments.items)
    session.untagged(b"STATUS %b %b" % (session.folder_name(arguments.folder), responses.parenthesized(items)))
    return Done(b"Status completed.")


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


async def namespace(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """One personal namespace without a prefix; nobody shares anything."""
    session.untagged(b'NAMESPACE (("" "/")) NIL NIL')
    return Done(b"Namespace completed.")
