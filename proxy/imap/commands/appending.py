"""APPEND, COPY and REPLACE: what adds messages (RFC 3501 6.3.11, 6.4.7, RFC 4315 3).

Several messages (RFC 3502), messages from parts (RFC 4469) and one in the place of another (RFC 8508) are each
one operation of the store: all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mailstore.errors import NoSuchFolder
from mailstore.index.rows import Appended, AppendedMany, Copied, HandedIn
from mailstore.mailhome import MailHome
from proxy.imap import responses
from proxy.imap.answers import Done, No, expunge_issued, read_only, try_create
from proxy.imap.catenating import Surroundings, catenated, opened
from proxy.imap.grammar.appending import AppendMany, NewMessage, Replace
from proxy.imap.grammar.syntax import Append, Command, Copy
from proxy.wire.commands import UNTAGGED

if TYPE_CHECKING:
    from proxy.imap.session import Session


BRIEF = 256 * 1024  # octets of a message that is written in no time


async def append(session: Session, _command: Command, arguments: Append | AppendMany) -> Done:
    """The literals' files are closed by the session, with the command."""
    if isinstance(arguments, AppendMany):
        stored = await _hand_in(session, arguments.folder, arguments.messages)
        code = b"APPENDUID %d %b" % (stored.uidvalidity, responses.numbers(stored.uids))
        return Done(b"Append completed.", code)
    if arguments.message.size == 0:
        raise No(b"A message cannot be empty.")
    literal = arguments.message

    view = session.view
    shown = None if view is None else view.shown

    def operation(home: MailHome) -> Appended:
        return home.append(arguments.folder, opened(literal), arguments.flags, arguments.internal_date, shown=shown)

    run = session.run_briefly if literal.size <= BRIEF else session.run
    try:
        appended = await run(operation)
    except NoSuchFolder as error:
        raise try_create(error) from None
    session.own.added(appended.uidvalidity, [appended.uid])
    if view is not None and view.folder.uidvalidity == appended.uidvalidity:
        session.made(view, appended.changes)
    return Done(b"Append completed.", b"APPENDUID %d %d" % (appended.uidvalidity, appended.uid))


async def replace(session: Session, command: Command, arguments: Replace) -> Done:
    """APPENDUID is told before the old message's EXPUNGE (RFC 8508 3.4)."""
    view = session.selected
    if not view.writable:
        raise read_only()
    uids = view.uids_of(view.find(arguments.sequence, uid=command.uid))
    if not uids:
        raise expunge_issued()
    stored = await _hand_in(session, arguments.folder, [arguments.message], replacing=(view.folder.id, uids[0]))
    code = b"APPENDUID %d %b" % (stored.uidvalidity, responses.numbers(stored.uids))
    session.out.write(responses.status(UNTAGGED, b"OK", b"The new message is there.", code))
    view.expunged(uids[:1])
    return Done(b"Replace completed.")


async def _hand_in(
    session: Session,
    folder: str,
    messages: Sequence[NewMessage],
    *,
    replacing: tuple[int, int] | None = None,
) -> AppendedMany:
    """Store messages in one visit. An empty one takes all of them back (RFC 3502 6.3.11)."""
    if any(message.literal is not None and not message.literal.size for message in messages):
        raise No(b"A message cannot be empty.")
    selected = None if session.view is None else session.view.folder.id
    around = Surroundings(session.home.account, session.terms.hostname, selected)
    spool, limit = session.spool, session.terms.limits.message

    def operation(home: MailHome) -> AppendedMany:
        with ExitStack() as files:
            handed_in = []
            for message in messages:
                if message.literal is not None:
                    source = opened(message.literal)
                else:
                    source = files.enter_context(catenated(home, message.parts, around, spool, limit))
                handed_in.append(HandedIn(source, frozenset(message.flags), message.internal_date))
            return home.append_many(folder, handed_in, replacing=replacing)

    try:
        stored = await session.run(operation)
    except NoSuchFolder as error:
        raise try_create(error) from None
    session.own.added(stored.uidvalidity, stored.uids)
    session.stale = True
    return stored


async def copy(session: Session, command: Command, arguments: Copy) -> Done:
    """Messages that another session has expunged are left out; COPYUID says which were copied."""
    copied = await transferred(session, command, arguments, MailHome.copy)
    return Done(b"No messages found.") if copied is None else Done(b"Copy completed.", copy_uid(copied))


async def transferred(
    session: Session, command: Command, arguments: Copy, transfer: Callable[[MailHome, int, list[int], str], Copied]
) -> Copied | None:
    """What COPY and MOVE have in common. None: none of the messages is there. Raises No."""
    view = session.selected
    uids = view.uids_of(view.find(arguments.sequence, uid=command.uid))
    if not uids:
        return None
    try:
        copied = await session.run_briefly(lambda home: transfer(home, view.folder.id, uids, arguments.folder))
    except NoSuchFolder as error:
        raise try_create(error) from None
    session.stale = True
    if copied.sources:
        session.own.added(copied.uidvalidity, copied.targets)
        return copied
    if command.uid:
        return None
    raise expunge_issued()


def copy_uid(copied: Copied) -> bytes:
    """The response code of COPY and MOVE (RFC 4315 3)."""
    sources, targets = responses.numbers(copied.sources), responses.numbers(copied.targets)
    return b"COPYUID %d %b %b" % (copied.uidvalidity, sources, targets)
