"""APPEND and COPY: what adds messages (RFC 3501 6.3.11, 6.4.7, RFC 4315 3)."""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING

from mailstore.errors import NoSuchFolder
from mailstore.index.rows import Copied
from proxy.imap import responses
from proxy.imap.answers import Done, No, expunge_issued, try_create
from proxy.imap.grammar.syntax import Append, Command, Copy

if TYPE_CHECKING:
    from proxy.imap.session import Session


async def append(session: Session, _command: Command, arguments: Append) -> Done:
    """The literal's file is closed by the session, with the command."""
    if arguments.message.size == 0:
        raise No(b"A message cannot be empty.")
    data = arguments.message.data
    message: IO[bytes] = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        appended = await session.run(
            lambda home: home.append(arguments.folder, message, arguments.flags, arguments.internal_date)
        )
    except NoSuchFolder as error:
        raise try_create(error) from None
    session.stale = True  # the selected mailbox may be the target
    return Done(b"Append completed.", b"APPENDUID %d %d" % (appended.uidvalidity, appended.uid))


async def copy(session: Session, command: Command, arguments: Copy) -> Done:
    """Messages that another session has expunged are left out; COPYUID says which were copied."""
    view = session.selected
    uids = view.uids_of(view.find(arguments.sequence, uid=command.uid))
    if not uids:
        return Done(b"No messages found.")
    try:
        copied = await session.run(lambda home: home.copy(view.folder.id, uids, arguments.folder))
    except NoSuchFolder as error:
        raise try_create(error) from None
    session.stale = True
    if not copied.sources:
        if command.uid:
            return Done(b"No messages found.")
        raise expunge_issued()
    return Done(b"Copy completed.", copy_uid(copied))


def copy_uid(copied: Copied) -> bytes:
    """The response code of COPY and MOVE (RFC 4315 3)."""
    sources, targets = responses.numbers(copied.sources), responses.numbers(copied.targets)
    return b"COPYUID %d %b %b" % (copied.uidvalidity, sources, targets)
