"""IDLE: changes are told as they happen, until the client says DONE (RFC 2177)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.imap.answers import Bad, Done
from proxy.imap.grammar.syntax import Command, NoArguments

if TYPE_CHECKING:
    from proxy.imap.session import Session


async def idle(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """Ends with DONE, with the session, or after the inactivity limit (RFC 2177 3: clients renew it before)."""
    session.out.write(b"+ idling\r\n")
    limit = session.clock.callLater(session.terms.limits.idle_timeout, session.leave, b"Disconnected for inactivity.")

    async def tell() -> None:
        await session.sync(expunge=True)
        await session.out.drained()

    view = session.view
    inattentive = session.home.attend(view.folder.id) if view is not None else None
    session.idling = True
    try:
        line = await session.line(meanwhile=tell)
    finally:
        session.idling = False
        if inattentive is not None:
            inattentive()
        if limit.active():
            limit.cancel()
    if line.upper() != b"DONE":
        raise Bad(b"Expected DONE.")
    return Done(b"Idle completed.")
