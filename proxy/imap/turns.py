"""One thing after the other: a session's commands, what is told between them, and what follows a reply.

A command starts only when the one before it is answered; what a client pipelines waits in the reader. What NOTIFY
tells unasked has its turn when no command is here. STARTTLS and COMPRESS take effect behind their replies. Used by
the session alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from proxy.imap.answering import Answering
from proxy.imap.outgoing import ClientGone
from proxy.wire import trace
from proxy.wire.commands import Continue, Ready, Refused

if TYPE_CHECKING:
    from proxy.imap.session import Session


class Turns:
    """Whose turn it is in one session."""

    def __init__(self, session: Session) -> None:
        self.answering = Answering(session)
        self.running = False  # something is being answered or told
        self.tls_next = False
        self.compress_next = False
        self._session = session

    def go_on(self) -> None:
        """There may be something to do."""
        if not self.running and not self._session.ended:
            self.running = True
            Deferred.fromCoroutine(self._work()).addErrback(self._session.broken)

    async def _work(self) -> None:
        """Answer what is there. Ends when more has to arrive, or for good."""
        session = self._session
        trace.follow(session.trace)
        try:
            while session.leaving is None and await self._take_one():
                session.out.flush()
                self._switch()
                await session.out.drained()
                if not session.intake.held_back:
                    session.connection.resume()
            session.connection.resume()
        except ClientGone:
            session.input_over = True
        finally:
            self.running = False
        session.rest()

    async def _take_one(self) -> bool:
        """What the client says next, or what it is to be told unasked; False where there is neither."""
        session = self._session
        event = session.next_event()
        if event is None:
            if session.notifying is None or not session.notifying.due:
                return False
            await session.notifying.tell_unasked()
        elif isinstance(event, Continue):
            session.out.write(b"+ OK\r\n")
        elif isinstance(event, Refused):
            self.answering.over_limit(event)
        elif isinstance(event, Ready):
            await self.answering.answer(event)
        return True

    def _switch(self) -> None:
        """To TLS, or to compression, once the reply that says so is sent."""
        session = self._session
        if self.tls_next:
            # Whatever came in plaintext after STARTTLS was not said by who speaks TLS (RFC 3501 6.2.1, RFC 7457).
            self.tls_next = False
            session.intake.reader.clear()
            session.connection.start_tls()
        if self.compress_next:
            self.compress_next = False
            session.out.compress(session.intake.compress().deflate)
