"""One IMAP session: its state, and what its connection and its commands ask of it (RFC 3501 3 and 5.5).

Invariants:

- A command starts only when the one before it is answered (`proxy.imap.turns`).
- Every command gets exactly one tagged reply, and `proxy.imap.answering` is the only place that makes one.
  Handlers write untagged responses only.
- What other sessions did is told before the tagged reply, while idling, and after NOTIFY at any time between two
  commands; through `sync` alone.
- A session that is asked to end (`leave`) answers its current command first, then says BYE.

The session knows no transport: it writes to an `Outgoing` and asks its `Connection` for the rest.
Made and fed by `proxy.imap.server`; handlers in `proxy.imap.commands` use everything public here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import IO, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mailstore.index.rows import Changes
from mailstore.mailhome import MailHome
from proxy.imap import responses
from proxy.imap.answers import Bad, Leave, No
from proxy.imap.bell import Bell
from proxy.imap.compression import BrokenStream
from proxy.imap.differences import Own
from proxy.imap.intake import Intake
from proxy.imap.manner import CONDSTORE, PLAIN, QRESYNC, REV2, UTF8, Manner
from proxy.imap.notifying import Notifying
from proxy.imap.outgoing import ClientGone, Outgoing
from proxy.imap.state import State
from proxy.imap.surroundings import Connection, Log
from proxy.imap.table import ENABLED_BY_CLIENT, capabilities
from proxy.imap.telling import tell_selected
from proxy.imap.turns import Turns
from proxy.imap.view import View
from proxy.wire import faults, trace
from proxy.wire.commands import UNTAGGED, Event, RawLine, Refused
from proxy.wire.door import Gate, Home, Terms

T = TypeVar("T")

_ANYTHING: Final = 1 << 64  # above all modseqs


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
        self.trace = trace.new()
        self.log: Log = log.bind(trace=self.trace)
        self.clock = clock
        self.spool = spool  # a file for a message on its way in
        self.intake = Intake(terms.limits, spool)
        self.state = State.NOT_AUTHENTICATED
        self.view: View | None = None
        self.notifying: Notifying | None = None  # from NOTIFY on (RFC 5465)
        self.failed_logins = 0
        self.held_login: Deferred[Home] | None = None  # a LOGIN that the gate has not answered
        self.idling = False  # the command in progress is IDLE
        self._changed_up_to = 0  # the selected mailbox has changed up to this modseq
        self.reason = "the client left"  # why the session ended, for the log
        self.enabled: set[str] = set()  # extensions that the client switched on (RFC 5161)
        self.manner = PLAIN  # what that means for responses
        self.leaving: bytes | None = None  # the text of BYE, once the session is to end; b"" when it was said
        self.input_over = False  # the client says no more
        self.ended = False  # nothing can be said to the client any more
        self._home: Home | None = None
        self._unwatch: Callable[[], None] | None = None
        self._released = False
        self._turns = Turns(self)
        self._news = Bell()  # input, a change, or the end

    # What the connection calls

    def greet(self) -> None:
        self.out.write(responses.status(UNTAGGED, b"OK", b"%b ready." % self.terms.hostname.encode(), self.capability))
        self.out.flush()

    def received(self, data: bytes) -> None:
        self.intake.received(data)
        self._news.ring()
        self._turns.go_on()
        if self._turns.running and self.intake.full:
            self.connection.pause()

    def input_ended(self) -> None:
        """The client says no more and may still read: answer what it has said, then close without a word."""
        self.input_over = True
        if self.held_login is not None:
            self.held_login.cancel()
        self._news.ring()
        self._turns.go_on()

    def leave(self, text: bytes) -> None:
        """Answer the command in progress, say BYE and close. A held login is refused for now."""
        if self.leaving is None:
            self.leaving = text
            self.reason = text.decode()
        if self.held_login is not None:
            self.held_login.cancel()
        self._news.ring()
        self._turns.go_on()

    def connection_lost(self) -> None:
        self.ended = True
        self.out.close()
        if self.held_login is not None:
            self.reason = "the client left while its login was held"
            self.held_login.cancel()
        self._news.ring()
        if not self._turns.running:
            self._release()

    @property
    def running(self) -> bool:
        """Is something being answered or told?"""
        return self._turns.running

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
            compress=not self.compressed,
        )
        return b" ".join((b"CAPABILITY", *names))

    @property
    def tls_offered(self) -> bool:
        return self.terms.tls is not None and not self.connection.secure and not self.compressed

    @property
    def compressed(self) -> bool:
        return self.intake.compression is not None

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
        self.leaving = b""
        self.reason = reason

    def break_off(self) -> None:
        """A response cannot be sent to its end: nothing after it would be understood, so nothing is said."""
        self.out.mute()
        self.leave_quietly("a response was cut short")

    def start_tls_after_reply(self) -> None:
        self._turns.tls_next = True

    def compress_after_reply(self) -> None:
        self._turns.compress_next = True

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        """One whole operation of the store, in a thread."""
        return await self.home.run(operation)

    async def run_briefly(self, operation: Callable[[MailHome], T]) -> T:
        """The same for one that is expected to be brief, and may be begun twice."""
        return await self.home.run_briefly(operation)

    def untagged(self, response: bytes) -> None:
        self.out.write(b"* %b\r\n" % response)

    def report(self, event: str, failure: Failure) -> None:
        self.log.error(event, error=faults.kind(failure), where=faults.where(failure), **self.who())

    def who(self) -> dict[str, str]:
        return {"peer": self.connection.peer, "account": self._home.account if self._home else ""}

    def logged_in(self, home: Home) -> None:
        self._home = home
        self.connection.arrived()
        self._unwatch = home.watch(self._changed)
        self.state = State.AUTHENTICATED
        self.intake.reader.authenticated = True

    def logged_out(self) -> None:
        """Nobody is logged in any more, and nothing that the client had switched on counts (RFC 8437 2)."""
        self._end_notifying()
        self.deselect()
        self._let_go_of_home()
        self.enabled.clear()
        self.manner = PLAIN
        self.stale = False
        self.state = State.NOT_AUTHENTICATED
        self.intake.reader.authenticated = False
        if not self.connection.departed():
            self.leave(b"Too many connections.")

    def _let_go_of_home(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        if self._home is not None:
            self._home.close()
            self._home = None

    def notify(self, notifying: Notifying) -> None:
        """Tell from here on what this one says, in place of what was told so far."""
        self._end_notifying()
        self.notifying = notifying
        notifying.reselected()

    def _end_notifying(self) -> None:
        if self.notifying is not None:
            self.notifying.end()
            self.notifying = None

    @property
    def own(self) -> Own:
        """Where a handler notes what the client did itself, which it is not told again after NOTIFY."""
        return Own() if self.notifying is None else self.notifying.own

    def select(self, view: View) -> None:
        self.view = view
        self.state = State.SELECTED
        if self.notifying is not None:
            self.notifying.reselected()

    def deselect(self) -> None:
        """No mailbox is selected from here on. Harmless where none was."""
        view, self.view = self.view, None
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED
        if view is not None and self.notifying is not None:
            self.notifying.left(view)
            self.notifying.reselected()

    async def look(self) -> None:
        """Notice what other programs and other nodes did to the selected mailbox; `sync` tells it."""
        view = self.view
        if view is not None and await self.run_briefly(lambda home: home.reconcile(view.folder.id, view.modseq)):
            self.stale = True

    async def sync(self, *, expunge: bool, with_uid: bool = False) -> None:
        """Tell what happened in the selected mailbox, and after NOTIFY elsewhere. `expunge`: may EXPUNGE come now?"""
        if self.view is not None:
            await tell_selected(self, self.view, expunge=expunge, with_uid=with_uid)
        if self.notifying is not None and self.leaving is None:
            await self.notifying.tell()

    @property
    def stale(self) -> bool:
        """May the selected mailbox have changed since the last sync?"""
        return self._changed_up_to > (0 if self.view is None else self.view.modseq)

    @stale.setter
    def stale(self, stale: bool) -> None:
        self._changed_up_to = _ANYTHING if stale else 0

    def changed_up_to(self, modseq: int | None) -> None:
        """A command of this session's has seen a change of the selected mailbox with this modseq, if that is any."""
        self._changed_up_to = max(self._changed_up_to, modseq or 0)

    def made(self, view: View, changes: Changes | None) -> None:
        """A command of this session's has made `changes` in the mailbox that `view` shows. They are looked up where it
        is not known what they were, and with those of others that came before them."""
        if changes is not None and changes.highestmodseq == view.modseq + 1:
            view.apply(changes)
        else:
            self.stale = True

    async def line(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> bytes:
        """The client's next line as it is: a SASL response, IDLE's end. Raises Bad, Leave, ClientGone.

        `meanwhile` is called before each wait, and so after each change to the account's mail.
        """
        self.intake.reader.raw_line()
        while True:
            event = self.next_event()
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

    def wake(self) -> None:
        """There may be something to tell."""
        self._news.ring()
        self._turns.go_on()

    async def breathe(self) -> None:
        """Let the reactor see to others in the middle of a long computation. Raises ClientGone."""
        pause: Deferred[None] = Deferred()
        self.clock.callLater(0, pause.callback, None)
        await pause
        await self.out.drained()

    # Inside

    def _changed(self, folder_id: int, modseq: int | None = None) -> None:
        """A folder of the account changed. Without a view the one being selected at this moment may be it."""
        if self.view is None or self.view.folder.id == folder_id:
            self.changed_up_to(_ANYTHING if self.view is None or modseq is None else modseq)
            self._news.ring()
        if self.notifying is not None and self.notifying.changed(folder_id):
            self.wake()

    async def _woken(self) -> None:
        """Wait for input, a change or the end. Raises Leave, ClientGone."""
        await self._news.wait()
        if self.ended or self.input_over:
            raise ClientGone
        if self.leaving is not None:
            raise Leave(self.leaving)

    def rest(self) -> None:
        """Nothing is left to answer for now. A session that is to end does so here."""
        if self.input_over and self.leaving is None:
            self.leave_quietly(self.reason)
        if self.leaving is not None and not self.ended:
            self._say_goodbye()
        if self.ended:
            self._release()

    def next_event(self) -> Event | None:
        """What the client says next."""
        try:
            return self.intake.next()
        except BrokenStream:
            self.leave(b"The compressed data cannot be read.")
            return None

    def _say_goodbye(self) -> None:
        self.ended = True
        if self.leaving:
            if self.intake.reader.unfinished:  # its client would not know whether the rest was taken
                self._turns.answering.no(self.intake.reader.unfinished, No(self.leaving, b"UNAVAILABLE"))
            self.out.write(responses.status(UNTAGGED, b"BYE", self.leaving))
        self.out.flush()
        self.connection.close()

    def _release(self) -> None:
        """Let go of everything, and leave one line in the log. Idempotent."""
        if self._released:
            return
        self._released = True
        broken = self._turns.answering.broken
        self.log.info("imap session ended", reason=self.reason, broken_commands=broken, **self.who())
        self.intake.reader.close()
        self._end_notifying()
        self.deselect()
        self._let_go_of_home()

    def broken(self, failure: Failure) -> None:
        """An error outside any command: nothing can be trusted any more."""
        self.report("imap session failed", failure)
        if not self.ended:
            self.leaving = b"Internal error; it was logged."
            self._say_goodbye()
        self._release()
