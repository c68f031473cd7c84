"""One LMTP session, without a transport: octets and events in, octets out through a `Wire` (RFC 2033).

    GREETING ──LHLO──→ READY ──MAIL──→ SENDER ──RCPT──→ RECIPIENTS ──DATA──→ READY

Rules:

1. Commands are obeyed one after another, in the order sent, however far ahead the client sends (RFC 2920). What comes
   behind DATA is the message only if DATA was answered 354.
2. Nothing is said to be stored before it is on stable storage. A session that ends before its reply has promised
   nothing: the client keeps the message and comes again.
3. What goes wrong becomes a reply, a log line or a close in one place: `_obey`. What the disk or the database refuse is
   a 4: the message stays with the client.
4. All is bounded: the length of a line, recipients, what is sent ahead, errors, time, and a message's size.
5. Log lines carry no mail, and no address but the accounts' here.

Made and driven by `proxy.lmtp.server`; the commands are in `proxy.lmtp.commands`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mailstore.errors import MailstoreError
from proxy.lmtp import commands
from proxy.lmtp.counter import Counter, Recipient
from proxy.lmtp.errors import BadCommand, Ended, Refused
from proxy.lmtp.grammar import Path, Sender
from proxy.lmtp.state import State
from proxy.wire.faults import kind, where
from proxy.wire.lines import LineReader, LineTooLong
from proxy.wire.tally import Tally

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

AHEAD: Final = 262_144  # octets that a client may send ahead before reading pauses
TURN: Final = 200  # commands of one client after which the others get their turn


@dataclass(frozen=True, slots=True)
class Limits:
    """All that a client can make a session hold. Sizes are in octets, times in seconds."""

    message: int = 50 * 1024 * 1024
    line: int = 4_096  # RFC 5321 4.5.3.1.4 asks for 512, and extensions for more
    errors: int = 50  # bad commands
    command_timeout: float = 300.0  # until the next command (RFC 5321 4.5.3.2.7)
    data_timeout: float = 180.0  # until the next piece of a message


class Wire(Protocol):
    """What a session needs of its connection."""

    @property
    def address(self) -> str:
        """The client's IP address, "" where it has none."""

    @property
    def blocked(self) -> bool:
        """Has the client so much to read already that writing should wait for `drained`?"""

    async def drained(self) -> None:
        """Wait until no longer blocked. Raises Ended."""

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        """Send what was written, then close."""


class Session:
    """See the module's text. Its public part is for the commands; `run`, `received`, `lost` and `drain` are for the
    server."""

    def __init__(
        self,
        wire: Wire,
        counter: Counter,
        hostname: str,
        limits: Limits,
        *,
        log: FilteringBoundLogger,
        tally: Tally,
        clock: IReactorTime,
        now: Callable[[], float],
    ) -> None:
        """`clock` is for timeouts, `now` the time of day."""
        self.wire = wire
        self.counter = counter
        self.hostname = hostname
        self.limits = limits
        self.log = log
        self.tally = tally
        self.now = now
        self.state = State.GREETING
        self.client = ""
        self.sender: Sender | None = None
        self.recipients: list[tuple[Path, Recipient]] = []
        self.quitting = False
        self._clock = clock
        self._reader = LineReader(limits.line)
        self._reading = True
        self._no_more_input = False
        self._over = False
        self._draining = False
        self._errors = 0
        self._waiting: Deferred[None] | None = None  # for octets

    # For the commands

    def reply(self, code: int, enhanced: str, text: str) -> None:
        self.wire.write(f"{code} {enhanced} {text}\r\n".encode())

    def refuse(self, refused: Refused) -> None:
        self.reply(refused.code, refused.enhanced, refused.text)

    def forget_message(self) -> None:
        """No message is under way any more."""
        self.sender = None
        self.recipients = []
        if self.state is not State.GREETING:
            self.state = State.READY

    async def more_data(self) -> bytes:
        """What comes next of a message, as it comes. Raises Ended."""
        if self._draining:
            raise Ended
        if not self._reader.pending:
            await self._more(self.limits.data_timeout)
        return self._reader.take()

    def give_back(self, data: bytes) -> None:
        """What came behind a message are commands."""
        behind = self._reader.take()
        self._reader.feed(data + behind)

    # For the server

    async def run(self) -> None:
        """Greet, obey until the end, and leave everything tidy. Never raises."""
        try:
            self.wire.write(f"220 {self.hostname} LMTP server ready\r\n".encode())
            await self._converse()
            if not self.quitting:
                self.reply(421, "4.3.2", "the server is going down")
        except Ended:
            pass
        finally:
            self._over = True
            self.wire.close()

    def received(self, data: bytes) -> None:
        """Octets from the client."""
        if self._over:
            return
        self._reader.feed(data)
        if self._reader.pending > AHEAD and self._reading and self._waiting is None:
            self._reading = False
            self.wire.pause_reading()
        self._wake()

    def input_ended(self) -> None:
        """The client sends no more; what it has sent is answered."""
        self._no_more_input = True
        self._wake()

    def lost(self) -> None:
        """The connection is gone. A message that is being stored is stored; nobody waits for what comes behind it."""
        self._end()

    def drain(self) -> None:
        """Close, but not before a message that is here as a whole is stored and answered."""
        self._draining = True
        if self._waiting is not None:
            self.reply(421, "4.3.2", "the server is going down")
            self._end()

    def log_end(self, reason: str) -> None:
        """Say why the session is ended, where that is not the client's QUIT."""
        self.log.info("lmtp session ended", reason=reason)

    def log_fault(self, failure: Failure) -> None:
        """A defect: its type and place; the values in its text could be mail."""
        self.log.error("lmtp fault", error=kind(failure), where=where(failure))

    # Within

    async def _converse(self) -> None:
        count = 0
        while not (self.quitting or self._draining):
            await self._obey()
            if self.wire.blocked:
                await self.wire.drained()
            count += 1
            if count % TURN == 0:
                turn: Deferred[None] = Deferred()
                self._clock.callLater(0, turn.callback, None)
                await turn

    async def _obey(self) -> None:
        """One command and its reply: the one place where what goes wrong is answered."""
        try:
            await commands.obey(self, await self._next_line())
        except BadCommand as error:
            self._errors += 1
            self.refuse(error)
            if self._errors >= self.limits.errors:
                self.log_end("too many bad commands")
                self.reply(421, "4.7.0", "too many bad commands")
                raise Ended from None
        except Refused as error:
            self.refuse(error)
        except MailstoreError as error:
            self.log.error("lmtp store refuses", reason=str(error))  # noqa: TRY400 - the reason says all
            self.reply(451, "4.3.0", "something went wrong here, try again later")
        except Ended:
            raise
        except Exception as error:  # noqa: BLE001 - the connection's one place; this is a defect of ours
            self.log_fault(Failure(error))  # type: ignore[no-untyped-call]
            self.reply(421, "4.3.0", "something went wrong here, try again later")
            raise Ended from None

    async def _next_line(self) -> bytes:
        """Raises BadCommand for one that is too long, Ended."""
        while not self._over:
            try:
                line = self._reader.next()
            except LineTooLong:
                raise BadCommand("line too long", 500, "5.5.2") from None
            if line is not None:
                self._read_on()
                return line
            await self._more(self.limits.command_timeout)
        raise Ended

    async def _more(self, seconds: float) -> None:
        """Wait until something has come. Raises Ended."""
        if self._over or self._no_more_input:
            raise Ended
        self._read_on()
        self._waiting = Deferred()
        timer = self._clock.callLater(seconds, self._time_is_up)
        try:
            await self._waiting
        finally:
            self._waiting = None
            if timer.active():
                timer.cancel()

    def _time_is_up(self) -> None:
        self.log_end("idle")
        self.reply(421, "4.4.2", "nothing has come for too long")
        self._end()

    def _wake(self) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.callback(None)

    def _read_on(self) -> None:
        if not self._reading and self._reader.pending <= AHEAD // 2:
            self._reading = True
            self.wire.resume_reading()

    def _end(self) -> None:
        """Stop at the next point where that is possible, at once when waiting."""
        self._over = True
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.errback(Ended())
