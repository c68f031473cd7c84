"""One POP3 session, without a transport: octets and events in, octets out through a `Wire`.

    AUTHORIZATION --login--> TRANSACTION --QUIT--> UPDATE        (RFC 1939 3)

Rules:

1. Commands are obeyed one after another, in the order sent, however far ahead the client sends (RFC 2449 6.6).
2. Only QUIT in TRANSACTION removes anything. Every other end, whoever's doing, leaves the maildrop as it was.
3. What goes wrong becomes a reply, a log line or a close in one place: `_obey`. Once part of a reply is out
   (`midway`), there is no -ERR to be said any more: the connection is closed, so that the client cannot take
   the part for the whole.
4. All is bounded: the length of a line, what is sent ahead, errors, failed logins, time.
5. Log lines carry the peer and the account, never a password or mail.

Made and driven by `proxy.pop3.server`; the commands are in `proxy.pop3.commands`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from mailstore.errors import MailstoreError
from proxy.pop3 import commands
from proxy.pop3.errors import BadCommand, Ended, Refused
from proxy.pop3.maildrop import Maildrop
from proxy.pop3.retrieval import Retrieval
from proxy.pop3.state import State
from proxy.wire import trace
from proxy.wire.door import Gate, Home, Terms
from proxy.wire.faults import kind, where
from proxy.wire.lines import LineReader, LineTooLong

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

T = TypeVar("T")

AHEAD: Final = 65_536  # octets of commands that a client may send ahead before reading pauses
ERRORS_BEFORE_LOGIN: Final = 10  # bad commands that a stranger may send
ERRORS: Final = 100  # … and that a client may, in all
TURN: Final = 200  # commands of one client after which the others get their turn


class Wire(Protocol):
    """What a session needs of its connection."""

    @property
    def peer(self) -> str:
        """The client's address."""

    @property
    def loopback(self) -> bool: ...

    @property
    def secure(self) -> bool:
        """Is it encrypted?"""

    @property
    def blocked(self) -> bool:
        """Has the client so much to read already that writing should wait for `drained`?"""

    def write(self, data: bytes) -> None: ...

    async def drained(self) -> None:
        """Wait until no longer blocked. Raises Ended."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def arrived(self) -> None:
        """Somebody has logged in: the connection no longer counts as a stranger's. Idempotent."""

    def start_tls(self) -> None:
        """Behind what was written, encrypt."""

    def close(self) -> None:
        """Send what was written, then close."""


class Session:
    """See the module's text. Its public part is for the commands; `run`, `received`, `input_ended`, `lost` and
    `drain` are for the server."""

    def __init__(self, wire: Wire, gate: Gate, terms: Terms, log: FilteringBoundLogger, clock: IReactorTime) -> None:
        self.wire = wire
        self.gate = gate
        self.terms = terms
        self.clock = clock
        self.trace = trace.new()
        self.log = log.bind(peer=wire.peer, trace=self.trace)
        self.state = State.AUTHORIZATION
        self.username: bytes | None = None  # between USER and PASS
        self.failed_logins = 0
        self.turned_away = False  # by the gate: there are too many like it
        self.midway = False  # part of a reply is out
        self.quitting = False  # close after this command
        self._end_told = False
        self.maildrop = Maildrop(())
        self.retrieval = Retrieval()
        self._home: Home | None = None
        self._end_watch: Callable[[], None] = lambda: None
        self._reader = LineReader(terms.limits.line_before_login)
        self._lines: deque[bytes] = deque()
        self._ahead = 0  # octets in _lines
        self._too_long = False
        self._no_more_input = False
        self._reading = True
        self._over = False
        self._draining = False
        self._errors = 0
        self._overdue = False
        self._waiting: Deferred[None] | None = None  # for a line
        self._login: Deferred[Home] | None = None
        self._login_timer: IDelayedCall | None = clock.callLater(terms.limits.login_timeout, self._login_time_is_up)

    # For the commands

    @property
    def home(self) -> Home:
        """The account's mail; only in TRANSACTION."""
        assert self._home is not None
        return self._home

    @property
    def login_allowed(self) -> bool:
        """May a password be sent as the connection is now?"""
        return self.terms.login_allowed(secure=self.wire.secure, loopback=self.wire.loopback)

    @property
    def tls_offered(self) -> bool:
        return self.terms.tls is not None and not self.wire.secure

    def ok(self, text: str = "") -> None:
        self.wire.write(f"+OK {text}\r\n".encode() if text else b"+OK\r\n")

    async def ask(self, challenge: bytes) -> bytes:
        """Send a server challenge (RFC 5034 4) and wait for the line that answers it. Raises Ended."""
        self.wire.write(b"+ " + challenge + b"\r\n")
        return await self._next_line()

    async def flow(self) -> None:
        """Wait while the client has too much to read already. Raises Ended."""
        if self.wire.blocked:
            await self.wire.drained()
        if self._over:
            raise Ended

    def sent_ahead(self, most: int) -> Iterator[bytes]:
        """The next lines that the client sent already, at most so many."""
        return islice(self._lines, most)

    def forget_input(self) -> None:
        """Throw away what the client sent ahead (RFC 2595 4)."""
        self._lines.clear()
        self._ahead = 0
        self._reader.clear()
        self._too_long = False
        self._read_on()

    async def waited_for(self, login: Coroutine[Any, Any, Home]) -> Home:
        """Wait for the gate; the client's leaving ends the wait. Raises what the gate raises, and Ended."""
        self._login = Deferred.fromCoroutine(login)
        try:
            home = await self._login
        except CancelledError:
            raise Ended from None
        finally:
            self._login = None
        if self._over:
            home.close()
            raise Ended
        return home

    def enter(self, home: Home, maildrop: Maildrop) -> None:
        """AUTHORIZATION is done."""
        self._home = home
        self.wire.arrived()
        self._end_watch = home.watch(lambda _folder, _modseq=None: self.retrieval.forget())
        self.maildrop = maildrop
        self.state = State.TRANSACTION
        self.log = self.log.bind(account=home.account)
        self._stop_login_timer()

    def leave(self) -> None:
        """Give the maildrop back, and its lock with it."""
        if self._home is not None:
            self._end_watch()
            self._home.close()

    # For the server

    async def run(self) -> None:
        """Greet, obey until the end, and leave everything tidy. Never raises."""
        trace.follow(self.trace)
        try:
            self.ok(f"{self.terms.hostname} POP3 server ready")
            await self._converse()
        except Ended:
            pass
        finally:
            self._over = True
            if self.state is State.TRANSACTION and not self._end_told:
                self.log_end("quit" if self.quitting else "the client left")
            self._stop_login_timer()
            self.leave()
            self.wire.close()

    def received(self, data: bytes) -> None:
        """Octets from the client."""
        if self._over or self._too_long:
            return
        self._reader.feed(data)
        try:
            while (line := self._reader.next()) is not None:
                self._lines.append(line)
                self._ahead += len(line) + 2
        except LineTooLong:
            self._too_long = True
            self._reader.clear()
        if self._ahead > AHEAD:
            if self._login is not None:  # paused, we would not see it leave
                self.log_end("too much sent ahead of a login")
                self._end()
                return
            self._reading = False
            self.wire.pause_reading()
        self._wake()

    def input_ended(self) -> None:
        """The client sends no more; it may still read. One that waits for a login has left."""
        self._no_more_input = True
        if self._login is not None:
            self.log_end("left while held")
            self._end()
        self._wake()

    def lost(self) -> None:
        """The connection is gone."""
        if self._login is not None:
            self.log_end("left while held")
        self._end()

    @property
    def waits(self) -> bool:
        """Has somebody logged in, and is nothing of what they have asked for to be answered, or to be done by QUIT?"""
        whole = self.maildrop.count == len(self.maildrop)
        return self._waiting is not None and self.state is State.TRANSACTION and whole

    def drain(self) -> None:
        """Close, but not before the command in progress is answered. Nothing is removed but by a QUIT in progress."""
        self._draining = True
        if self._waiting is not None or self._login is not None:
            if self._login is not None and not self.midway:
                self.wire.write(b"-ERR [SYS/TEMP] the server is going down, try again later\r\n")
            self._end()

    def log_end(self, reason: str) -> None:
        """Say why the session is ended. Of those that have not logged in only what is not usual."""
        self._end_told = True
        self.log.info("pop3 session ended", reason=reason)

    def log_fault(self, failure: Failure) -> None:
        """A defect: its type and place; the values in its text could be a password or mail."""
        self.log.error("pop3 fault", error=kind(failure), where=where(failure))

    # Within

    async def _converse(self) -> None:
        count = 0
        while not self.quitting:
            await self._obey(await self._next_line())
            await self.flow()
            if self._draining or self._has_had_enough():
                return
            count += 1
            if count % TURN == 0:
                turn: Deferred[None] = Deferred()
                self.clock.callLater(0, turn.callback, None)
                await turn

    async def _obey(self, line: bytes) -> None:
        """One command and its reply: the one place where what goes wrong is answered."""
        self.midway = False
        try:
            await commands.obey(self, line)
        except BadCommand as error:
            self._errors += 1
            self._refuse(error.text, error.code)
        except Refused as error:
            self._refuse(error.text, error.code)
        except MailstoreError as error:
            self.log.error("pop3 store refuses", reason=str(error))  # noqa: TRY400 - the reason says all
            self._refuse(str(error), "SYS/TEMP")
        except Ended:
            raise
        except Exception as error:  # noqa: BLE001 - the connection's one place; this is a defect of ours
            self.log_fault(Failure(error))  # type: ignore[no-untyped-call]
            self._refuse("something went wrong here, try again later", "SYS/TEMP")

    def _refuse(self, text: str, code: str | None) -> None:
        if self.midway:
            self.log.warning("pop3 reply cut off", reason=text)
            raise Ended
        bracket = f"[{code}] " if code else ""
        self.wire.write(f"-ERR {bracket}{text}\r\n".encode("ascii", "replace"))

    async def _next_line(self) -> bytes:
        """Raises Ended."""
        while not self._lines:
            if self._too_long:
                self._refuse("line too long", None)
                self.log_end("line too long")
                raise Ended
            if self._over or self._no_more_input or self._draining:
                raise Ended
            self._read_on()
            await self._a_line()
        line = self._lines.popleft()
        self._ahead -= len(line) + 2
        if self._ahead < AHEAD // 2:
            self._read_on()
        return line

    async def _a_line(self) -> None:
        """Wait until something has come, but not longer than RFC 1939 3's autologout."""
        self._waiting = Deferred()
        timer: IDelayedCall | None = None
        if self.state is State.TRANSACTION:
            timer = self.clock.callLater(self.terms.limits.pop3_idle_timeout, self._idle_time_is_up)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer is not None and timer.active():
                timer.cancel()

    def _wake(self) -> None:
        if self._waiting is not None and (self._lines or self._too_long or self._no_more_input):
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    def _read_on(self) -> None:
        if not self._reading:
            self._reading = True
            self.wire.resume_reading()

    def _end(self) -> None:
        """Stop at the next point where that is possible, at once when waiting."""
        self._over = True
        if self._login is not None:
            self._login.cancel()
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.errback(Ended())

    def _has_had_enough(self) -> bool:
        before_login = self.state is State.AUTHORIZATION
        if self._errors >= (ERRORS_BEFORE_LOGIN if before_login else ERRORS):
            self.log_end("too many bad commands")
            return True
        if before_login and (self.turned_away or self.failed_logins >= self.terms.limits.attempts):
            self.log_end("too many failed logins")
            return True
        if before_login and self._overdue:
            self.log_end("no login")
            return True
        return False

    def _login_time_is_up(self) -> None:
        """RFC 1939 3: no reply. A login that the gate is busy with is not the client's delay."""
        self._login_timer = None
        self._overdue = True
        if self._login is None:
            self.log_end("no login")
            self._end()

    def _idle_time_is_up(self) -> None:
        self.log_end("idle")
        self._end()

    def _stop_login_timer(self) -> None:
        if self._login_timer is not None and self._login_timer.active():
            self._login_timer.cancel()
        self._login_timer = None
