"""One command and its tagged reply: the only place where errors become replies.

Every command gets exactly one tagged reply. Handlers return `Done` or raise (see `proxy.imap.answers`); what else
they raise is the store's, which has its own replies, or a defect, which goes into the log. Used by the session alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.python.failure import Failure

from mailstore.errors import MailstoreError, StorageCorrupt
from proxy.imap import responses
from proxy.imap.answers import Bad, Done, Leave, No, refusal, server_bug
from proxy.imap.grammar.parse import parse
from proxy.imap.grammar.syntax import BadCharset, BadSyntax
from proxy.imap.outgoing import ClientGone
from proxy.imap.table import find
from proxy.imap.uidonly import speaks_of_numbers
from proxy.imap.view import BadSequence
from proxy.wire.commands import Ready, Refused
from proxy.wire.tally import now

if TYPE_CHECKING:
    from proxy.imap.session import Session

BAD_IN_A_ROW: Final = 20  # so many broken commands, one after the other, are no mail client


class Answering:
    """Answers one session's commands, and counts those that were broken."""

    def __init__(self, session: Session) -> None:
        self.broken = 0  # in all
        self._session = session
        self._doing = ""  # the command that is being answered, once it is known
        self._in_a_row = 0

    async def answer(self, ready: Ready) -> None:
        """Raises ClientGone."""
        session = self._session
        began, self._doing = now(), ""
        try:
            await self._perform(ready)
            self._in_a_row = 0
        except BadSyntax as error:
            self._refuse(ready.tag, error.text.encode())
        except Bad as error:
            self._refuse(ready.tag, error.text, error.code)
        except BadSequence:
            self._refuse(ready.tag, b"Invalid message number.")
        except Leave as error:
            session.leave(error.text)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  whatever a handler did wrong, the client gets a reply
            session.report("imap command failed", Failure(error))  # type: ignore[no-untyped-call]
            self.no(ready.tag, server_bug())
        finally:
            ready.close()
            if self._doing:
                session.terms.tally.command("imap", self._doing, began)

    async def _perform(self, ready: Ready) -> None:
        """Parse, check, carry out, tell what changed, and reply with OK or NO."""
        session = self._session
        reply: Done | No
        expunge = with_uid = False
        try:
            command = parse(ready, utf8=session.utf8)
            entry = find(command, session.state)
            self._doing = entry.name
            if not session.manner.numbers and speaks_of_numbers(command):
                raise Bad(b"Message numbers are not used after ENABLE UIDONLY.", b"UIDREQUIRED")
            expunge, with_uid = entry.expunge, command.uid
            reply = await entry.handler(session, command, command.arguments)
        except BadCharset as error:
            if error.saves and session.view is not None:
                session.view.save(())  # RFC 5182 2.1: a SEARCH that fails empties "$"
            reply = No(error.text.encode(), error.code.encode())
        except No as error:
            reply = error
        except MailstoreError as error:
            reply = refusal(error)
            session.log.warning("imap store error", reason=str(error) or type(error).__name__, **session.who())
            if isinstance(error, StorageCorrupt):  # it is mended at the next opening
                session.leave(b"The mailbox has to be repaired; log in again.")
        await session.sync(expunge=expunge, with_uid=with_uid)
        if isinstance(reply, Done):
            session.out.write(responses.status(ready.tag, b"OK", reply.text, reply.code))
        else:
            self.no(ready.tag, reply)

    def over_limit(self, event: Refused) -> None:
        """A command that the reader did not take (RFC 7888 4, RFC 4469)."""
        text, code = event.text.encode(), event.code.encode()
        if event.status == "BAD":
            self._refuse(event.tag, text, code)
        else:
            self.no(event.tag, No(text, code))
        if event.close:
            self._session.leave(text)

    def no(self, tag: bytes, error: No) -> None:
        self._session.out.write(responses.status(tag, b"NO", error.text, error.code))

    def _refuse(self, tag: bytes, text: bytes, code: bytes | None = None) -> None:
        """BAD. A client that says nothing else is none."""
        self._session.out.write(responses.status(tag, b"BAD", text, code))
        self.broken += 1
        self._in_a_row += 1
        if self._in_a_row >= BAD_IN_A_ROW:
            self._session.leave(b"Too many invalid commands.")
