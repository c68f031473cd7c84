"""One IMAP session: its state, and its commands one after the other (RFC 3501 3 and 5.5).

Invariants:

- A command starts only when the one before it is answered; what a client pipelines waits in the reader.
- Every command gets exactly one tagged reply, and `_answer` is the only place that makes one. Handlers
  return `Done` or raise (see `proxy.imap.answers`); they write untagged responses only.
- What other sessions did is told before the tagged reply and while idling, through `sync` alone.
- A session that is asked to end (`leave`) answers its current command first, then says BYE.

The session knows no transport: it writes to an `Outgoing` and asks its `Connection` for the rest.
Made and fed by `proxy.imap.server`; handlers in `proxy.imap.commands` use everything public here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import IO, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mailstore.errors import MailstoreError, NoSuchFolder, StorageCorrupt
from mailstore.mailhome import MailHome
from proxy.imap import responses
from proxy.imap.answers import Bad, Done, Leave, No, refusal, server_bug
from proxy.imap.bell import Bell
from proxy.imap.compression import BrokenStream, Compression
from proxy.imap.grammar.parse import parse
from proxy.imap.grammar.syntax import BadCharset, BadSyntax
from proxy.imap.manner import CONDSTORE, PLAIN, QRESYNC, REV2, UTF8, Manner
from proxy.imap.outgoing import ClientGone, Outgoing
from proxy.imap.state import State
from proxy.imap.surroundings import Connection, Log
from proxy.imap.table import ENABLED_BY_CLIENT, capabilities, find
from proxy.imap.uidonly import speaks_of_numbers
from proxy.imap.view import BadSequence, View
from proxy.wire import faults
from proxy.wire.commands import UNTAGGED, CommandReader, Continue, Event, RawLine, Ready, Refused
from proxy.wire.door import Gate, Home, Terms

HELD_INPUT = 256 * 1024  # octets that a client may send ahead while a command is being answered
BAD_IN_A_ROW = 20  # so many broken commands, one after the other, are no mail client

T = TypeVar("T")


class Session:
    """One client's session, from greeting to goodbye."""

    def __init__(
        self,
        connection: Connection,
        out: Outgoing,
        gate: Gate,
        terms: Terms,
        log: Log,
        clock: IReactorTime,
        spool: Callable[[], IO[bytes]],
    ) -> None:
        self.connection = connection
        self.out = out
        self.gate = gate
        self.terms = terms
        self.log = log
        self.clock = clock
        self.spool = spool  # a file for a message on its way in
        self.reader = CommandReader(terms.limits, spool)
        self.state = State.NOT_AUTHENTICATED
        self.view: View | None = None
        self.failed_logins = 0
        self.held_login: Deferred[Home] | None = None  # a LOGIN that the gate has not answered
        self.compression: Compression | None = None  # from COMPRESS on (RFC 4978)
        self.stale = False  # the selected mailbox may have changed since the last sync
        self.reason = "the client left"  # why the session ended, for the log
        self.running = False  # a command is being answered
        self.enabled: set[str] = set()  # extensions that the client switched on (RFC 5161)
        self.manner = PLAIN  # what that means for responses
        self._home: Home | None = None
        self._unwatch: Callable[[], None] | None = None
        self._leaving: bytes | None = None  # the text of BYE, once the session is to end; b"" when it was said
        self._input_over = False
        self._tls_next = False
        self._compress_next = False
        self._ended = False
        self._released = False
        self._bad = 0  # broken commands in all
        self._bad_in_a_row = 0
        self._news = Bell()  # input, a change, or the end

    # What the connection calls

    def greet(self) -> None:
        self.out.write(responses.status(UNTAGGED, b"OK", b"%b ready." % self.terms.hostname.encode(), self.capability))
        self.out.flush()

    def received(self, data: bytes) -> None:
        if self.compression is None:
            self.reader.feed(data)
        else:
            self.compression.received(data)
        self._news.ring()
        self._go_on()
        if self.running and (self._held_back or self.reader.pending > HELD_INPUT):
            self.connection.pause()

    def input_ended(self) -> None:
        """The client says no more and may still read: answer what it has said, then close without a word."""
        self._input_over = True
        if self.held_login is not None:
            self.held_login.cancel()
        self._news.ring()
        self._go_on()

    def leave(self, text: bytes) -> None:
        """Answer the command in progress, say BYE and close. A held login is refused for now."""
        if self._leaving is None:
            self._leaving = text
            self.reason = text.decode()
        if self.held_login is not None:
            self.held_login.cancel()
        self._news.ring()
        self._go_on()

    def connection_lost(self) -> None:
        self._ended = True
        self.out.close()
        if self.held_login is not None:
            self.reason = "the client left while its login was held"
            self.held_login.cancel()
        self._news.ring()
        if not self.running:
            self._release()

    # What handlers use

    @property
    def home(self) -> Home:
        """The account's home. Only after login."""
        if self._home is None:
            raise Bad(b"Log in first.")
        return self._home

    @property
    def selected(self) -> View:
        """The selected mailbox. Only while one is."""
        if self.view is None:
            raise Bad(b"No mailbox selected.")
        return self.view

    @property
    def capability(self) -> bytes:
        """`CAPABILITY …` as it is at this moment (RFC 3501 6.1.1)."""
        names = capabilities(
            self.state,
            tls=self.tls_offered,
            login=self.login_allowed,
            append_limit=self.terms.limits.message,
            compress=self.compression is None,
        )
        return b" ".join((b"CAPABILITY", *names))

    @property
    def tls_offered(self) -> bool:
        return self.terms.tls is not None and not self.connection.secure and self.compression is None

    @property
    def login_allowed(self) -> bool:
        return self.terms.login_allowed(secure=self.connection.secure, loopback=self.connection.loopback)

    @property
    def can_enable(self) -> frozenset[str]:
        return ENABLED_BY_CLIENT

    def enable(self, *names: str) -> None:
        """Switch extensions on. QRESYNC brings CONDSTORE with it (RFC 7162 3.2.3).

        Who becomes aware of modseqs with a mailbox selected is told where it stands (RFC 7162 3.1).
        """
        knew = self.manner.modseq
        self.enabled.update(names)
        if QRESYNC in self.enabled:
            self.enabled.add(CONDSTORE)
        self.manner = Manner.of(self.enabled)
        if self.view is not None:
            self.view.manner = self.manner
            if self.manner.modseq and not knew:
                self.untagged(b"OK [HIGHESTMODSEQ %d] Highest" % self.view.settled)

    async def settled_modseq(self) -> bytes | None:
        """Tell what changed, then HIGHESTMODSEQ as a code, where the client knows modseqs (RFC 7162 3.2.7)."""
        await self.sync(expunge=True)
        if self.view is None or not self.manner.modseq:
            return None
        return b"HIGHESTMODSEQ %d" % self.view.settled

    @property
    def rev2(self) -> bool:
        """Has the client said ENABLE IMAP4rev2?"""
        return REV2 in self.enabled

    @property
    def utf8(self) -> bool:
        """Are folder names UTF-8 (RFC 6855 3, RFC 9051 5.1)?"""
        return bool(self.enabled & {REV2, UTF8})

    def folder_name(self, name: str) -> bytes:
        """A folder's name as this client reads it."""
        return responses.folder_name(name, utf8=self.utf8)

    def leave_quietly(self, reason: str) -> None:
        """End after the reply to this command, without another word."""
        self._leaving = b""
        self.reason = reason

    def break_off(self) -> None:
        """A response cannot be sent to its end: nothing after it would be understood, so nothing is said."""
        self.out.mute()
        self.leave_quietly("a response was cut short")

    def start_tls_after_reply(self) -> None:
        self._tls_next = True

    def compress_after_reply(self) -> None:
        self._compress_next = True

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        """One whole operation of the store, in a thread."""
        return await self.home.run(operation)

    def untagged(self, response: bytes) -> None:
        self.out.write(b"* %b\r\n" % response)

    def logged_in(self, home: Home) -> None:
        self._home = home
        self.connection.arrived()
        self._unwatch = home.watch(self._changed)
        self.state = State.AUTHENTICATED
        self.reader.authenticated = True

    def logged_out(self) -> None:
        """Nobody is logged in any more, and nothing that the client had switched on counts (RFC 8437 2)."""
        self.deselect()
        self._let_go_of_home()
        self.enabled.clear()
        self.manner = PLAIN
        self.stale = False
        self.state = State.NOT_AUTHENTICATED
        self.reader.authenticated = False
        if not self.connection.departed():
            self.leave(b"Too many connections.")

    def _let_go_of_home(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        if self._home is not None:
            self._home.close()
            self._home = None

    def select(self, view: View) -> None:
        self.view = view
        self.state = State.SELECTED

    def deselect(self) -> None:
        """No mailbox is selected from here on. Harmless where none was."""
        self.view = None
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    async def look(self) -> None:
        """Notice what other programs did to the selected mailbox; `sync` tells it."""
        view = self.view
        if view is not None and await self.run(lambda home: home.reconcile(view.folder.id)):
            self.stale = True

    async def sync(self, *, expunge: bool, with_uid: bool = False) -> None:
        """Tell what happened in the selected mailbox (RFC 3501 5.2, 7.4.1)."""
        view = self.view
        if view is None:
            return
        if self.stale:
            self.stale = False
            try:
                changes = await self.run(
                    lambda home: home.changes(view.folder.id, view.modseq, claim_recent=view.writable)
                )
            except NoSuchFolder:
                self.deselect()
                self.leave(b"Selected mailbox was deleted, have to disconnect.")
                return
            except MailstoreError as error:
                self.stale = True  # it is told when the store can be read again
                self.log.warning("imap changes unreadable", reason=str(error), **self._who())
                return
            view.apply(changes)
        self.out.write(view.flush(expunge=expunge, with_uid=with_uid))

    async def line(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> bytes:
        """The client's next line as it is: a SASL response, IDLE's end. Raises Bad, Leave, ClientGone.

        `meanwhile` is called before each wait, and so after each change to the account's mail.
        """
        self.reader.raw_line()
        while True:
            event = self._next()
            if isinstance(event, RawLine):
                return event.line
            if isinstance(event, Refused):
                if event.close:
                    raise Leave(event.text.encode())
                raise Bad(event.text.encode())
            if meanwhile is not None:
                await meanwhile()
            self.out.flush()
            await self._woken()

    async def breathe(self) -> None:
        """Let the reactor see to others in the middle of a long computation. Raises ClientGone."""
        pause: Deferred[None] = Deferred()
        self.clock.callLater(0, pause.callback, None)
        await pause
        await self.out.drained()

    # Inside

    def _changed(self, folder_id: int) -> None:
        """A folder of the account changed. Without a view the one being selected at this moment may be it."""
        if self.view is None or self.view.folder.id == folder_id:
            self.stale = True
            self._news.ring()

    async def _woken(self) -> None:
        """Wait for input, a change or the end. Raises Leave, ClientGone."""
        await self._news.wait()
        if self._ended or self._input_over:
            raise ClientGone
        if self._leaving is not None:
            raise Leave(self._leaving)

    def _go_on(self) -> None:
        if not self.running and not self._ended:
            self.running = True
            Deferred.fromCoroutine(self._work()).addErrback(self._broken)

    async def _work(self) -> None:
        """Answer what is there. Ends when more has to arrive, or for good."""
        try:
            while self._leaving is None and (event := self._next()) is not None:
                if isinstance(event, Continue):
                    self.out.write(b"+ OK\r\n")
                elif isinstance(event, Refused):
                    self._over_limit(event)
                elif isinstance(event, Ready):
                    await self._answer(event)
                self.out.flush()
                if self._tls_next:
                    self._start_tls()
                if self._compress_next:
                    self._start_compression()
                await self.out.drained()
                if not self._held_back:
                    self.connection.resume()
            self.connection.resume()
        except ClientGone:
            self._input_over = True
        finally:
            self.running = False
        if self._input_over and self._leaving is None:
            self.leave_quietly(self.reason)
        if self._leaving is not None and not self._ended:
            self._say_goodbye()
        if self._ended:
            self._release()

    def _start_tls(self) -> None:
        """Whatever came in plaintext after STARTTLS was not said by who speaks TLS (RFC 3501 6.2.1, RFC 7457)."""
        self._tls_next = False
        self.reader.clear()
        self.connection.start_tls()

    def _start_compression(self) -> None:
        """What came before the client could know that compression is on is not compressed, and should not be there."""
        self._compress_next = False
        self.reader.clear()
        self.compression = Compression()
        self.out.compress(self.compression.deflate)

    @property
    def _held_back(self) -> bool:
        """Is there so much compressed input that no more should come?"""
        return self.compression is not None and self.compression.held > HELD_INPUT

    def _next(self) -> Event | None:
        """What the client says next. Compressed input is made larger only as far as it is needed."""
        while (event := self.reader.next()) is None and self.compression is not None and self.compression.waiting:
            try:
                self.reader.feed(self.compression.inflate())
            except BrokenStream:
                self.leave(b"The compressed data cannot be read.")
        return event

    def _say_goodbye(self) -> None:
        self._ended = True
        if self._leaving:
            if self.reader.unfinished:  # its client would not know whether the rest was taken
                self._no(self.reader.unfinished, No(self._leaving, b"UNAVAILABLE"))
            self.out.write(responses.status(UNTAGGED, b"BYE", self._leaving))
        self.out.flush()
        self.connection.close()

    def _release(self) -> None:
        """Let go of everything, and leave one line in the log. Idempotent."""
        if self._released:
            return
        self._released = True
        self.log.info("imap session ended", reason=self.reason, broken_commands=self._bad, **self._who())
        self.reader.close()
        self.deselect()
        self._let_go_of_home()

    def _broken(self, failure: Failure) -> None:
        """An error outside any command: nothing can be trusted any more."""
        self._report("imap session failed", failure)
        if not self._ended:
            self._leaving = b"Internal error; it was logged."
            self._say_goodbye()
        self._release()

    def _report(self, event: str, failure: Failure) -> None:
        self.log.error(event, error=faults.kind(failure), where=faults.where(failure), **self._who())

    def _who(self) -> dict[str, str]:
        return {"peer": self.connection.peer, "account": self._home.account if self._home else ""}

    # Replies

    async def _answer(self, ready: Ready) -> None:
        """One command and its tagged reply: the only place where errors become replies."""
        try:
            await self._perform(ready)
            self._bad_in_a_row = 0
        except BadSyntax as error:
            self._refuse(ready.tag, error.text.encode())
        except Bad as error:
            self._refuse(ready.tag, error.text, error.code)
        except BadSequence:
            self._refuse(ready.tag, b"Invalid message number.")
        except Leave as error:
            self.leave(error.text)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001  whatever a handler did wrong, the client gets a reply
            self._report("imap command failed", Failure(error))  # type: ignore[no-untyped-call]
            self._no(ready.tag, server_bug())
        finally:
            ready.close()

    async def _perform(self, ready: Ready) -> None:
        """Parse, check, carry out, tell what changed, and reply with OK or NO."""
        reply: Done | No
        expunge = with_uid = False
        try:
            command = parse(ready, utf8=self.utf8)
            entry = find(command, self.state)
            if not self.manner.numbers and speaks_of_numbers(command):
                raise Bad(b"Message numbers are not used after ENABLE UIDONLY.", b"UIDREQUIRED")
            expunge, with_uid = entry.expunge, command.uid
            reply = await entry.handler(self, command, command.arguments)
        except BadCharset as error:
            if error.saves and self.view is not None:
                self.view.save(())  # RFC 5182 2.1: a SEARCH that fails empties "$"
            reply = No(error.text.encode(), error.code.encode())
        except No as error:
            reply = error
        except MailstoreError as error:
            reply = refusal(error)
            self.log.warning("imap store error", reason=str(error) or type(error).__name__, **self._who())
            if isinstance(error, StorageCorrupt):  # it is mended at the next opening
                self.leave(b"The mailbox has to be repaired; log in again.")
        await self.sync(expunge=expunge, with_uid=with_uid)
        if isinstance(reply, Done):
            self.out.write(responses.status(ready.tag, b"OK", reply.text, reply.code))
        else:
            self._no(ready.tag, reply)

    def _no(self, tag: bytes, error: No) -> None:
        self.out.write(responses.status(tag, b"NO", error.text, error.code))

    def _refuse(self, tag: bytes, text: bytes, code: bytes | None = None) -> None:
        """BAD. A client that says nothing else is none."""
        self.out.write(responses.status(tag, b"BAD", text, code))
        self._bad += 1
        self._bad_in_a_row += 1
        if self._bad_in_a_row >= BAD_IN_A_ROW:
            self.leave(b"Too many invalid commands.")

    def _over_limit(self, event: Refused) -> None:
        """A command that the reader did not take (RFC 7888 4, RFC 4469)."""
        text, code = event.text.encode(), event.code.encode()
        if event.status == "BAD":
            self._refuse(event.tag, text, code)
        else:
            self._no(event.tag, No(text, code))
        if event.close:
            self.leave(text)
