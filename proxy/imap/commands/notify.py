"""NOTIFY: what is to be told unasked from here on (RFC 5465 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.imap.answers import Done, No
from proxy.imap.grammar.notify import Notify, NotifyEvent
from proxy.imap.grammar.syntax import Command, FetchAttribute
from proxy.imap.manner import CONDSTORE
from proxy.imap.notifying import Notifying

if TYPE_CHECKING:
    from proxy.imap.session import Session

_KNOWN = b" ".join(event.value.encode() for event in NotifyEvent)


async def notify(session: Session, _command: Command, arguments: Notify) -> Done:
    """NOTIFY SET tells at once what has changed in the selected mailbox, as NOOP does."""
    if arguments.unsupported:
        raise No(b"There are events among these that are not known here.", b"BADEVENT (%b)" % _KNOWN)
    notifying = Notifying(session, arguments)
    if FetchAttribute.MODSEQ in notifying.interest.fetch:
        session.enable(CONDSTORE)  # RFC 7162 3.1
    await notifying.begin(status=arguments.status)
    session.notify(notifying)
    if arguments.groups:
        await session.look()
        session.stale = True
    return Done(b"Notify completed.")
