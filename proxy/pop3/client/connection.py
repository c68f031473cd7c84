"""The legacy side as a migration uses it: connect, log in, list, retrieve, quit, over one connection.

    connection = await connect(reactor, legacy)      # greeting, CAPA, STLS
    await connection.login(b"user", password)        # the user's own password is checked here
    sizes = await connection.list_sizes()
    window = Window() if await connection.prove_pipelining() is Pipelining.ABLE else ONE_AT_A_TIME
    await connection.retrieve(list(sizes), sizes, sink, Pace(window))
    await connection.quit()

Invariants: nothing is ever deleted (there is no such command, see `commands`); the password is in no error and
no log; every failure is a `LegacyError`. Cancelling anything that is awaited here drops the connection: POP3
has no other way to take a command back.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from twisted.internet.interfaces import IReactorTime

from proxy.legacy.connection import LegacyConnection
from proxy.legacy.dialling import Dial, dialling
from proxy.legacy.errors import LegacyProtocolError, LoginNotPossible, LoginRejected, ServerRefused
from proxy.legacy.settings import Legacy
from proxy.pop3.client.asking import Line
from proxy.pop3.client.commands import Verb, command
from proxy.pop3.client.errands import Agenda, Errands, HeaderSink
from proxy.pop3.client.login import ClosedBeforePassword, attempt, check_sendable, mechanisms
from proxy.pop3.client.opening import CAPA_LIMIT, open_session
from proxy.pop3.client.pace import Pace
from proxy.pop3.client.protocol import ClientProtocol, Expectation
from proxy.pop3.client.refusals import declined, unsupported
from proxy.pop3.client.replies import (
    Capabilities,
    Listing,
    Reply,
    octets,
    parse_capabilities,
    parse_count,
    parse_stat,
)
from proxy.pop3.client.retrieval import Retrieval, Sink
from proxy.pop3.client.session import Session
from proxy.wire.door import Secret

LISTING_LIMIT = 128 * 1024 * 1024  # octets of LIST or UIDL; `replies.LISTED_LIMIT` bounds the messages
TOP_LIMIT = 16 * 1024 * 1024
PROBE_TIME = 5.0  # seconds for the second of two answers, once the first is there

T = TypeVar("T")


class Pipelining(enum.Enum):
    """May commands be sent before the answers to those before them are there?"""

    ABLE = "able"
    UNABLE = "unable"  # this connection is good, for one command at a time
    UNABLE_REOPEN = "unable, reopen"  # this connection is spoilt: connect and log in again, then one at a time


class Connection(LegacyConnection[Session]):
    """A connection to a legacy server, made by `connect`."""

    def __init__(self, dial: Dial[Expectation], session: Session, legacy: Legacy, clock: IReactorTime) -> None:
        super().__init__(session, legacy, clock)
        self.apop_in_vain = False  # was a right password refused by APOP?
        self._dial = dial
        self._retrieved = False

    @classmethod
    async def open(cls, dial: Dial[Expectation], legacy: Legacy, clock: IReactorTime) -> Connection:
        """As `connect`, over a transport of the caller's making. Raises LegacyError."""
        return cls(dial, await open_session(dial, legacy.tls), legacy, clock)

    @property
    def capabilities(self) -> Capabilities:
        """What CAPA listed before the login, names in capitals; empty where the server knows no CAPA."""
        return self._session.capabilities

    @property
    def greeting(self) -> str:
        """What the server said first, readable: which software it is, if it says."""
        return self._session.greeting

    @property
    def expires(self) -> bool:
        """Does the server announce that it keeps nothing that was fetched (RFC 2449 6.7)?"""
        return self.capabilities.get("EXPIRE", ())[:1] == ("0",)

    async def login(self, user: bytes, password: Secret, *, apop: bool = True) -> None:
        """Check a password, and open the mailbox with it. Not `apop`: without trying APOP first.

        Raises LoginRejected (wrong), MaildropInUse, LegacyBusy, LoginNotPossible, or another LegacyError.
        A name or password that POP3 cannot carry (line end, NUL, more than 1,024 octets) is LoginRejected.
        """
        check_sendable(user, password)
        session = self._session
        stamp = session.stamp if apop else None
        first, *rest = mechanisms(stamp, session.capabilities, encrypted=session.wire.encrypted)
        try:
            await attempt(session, first, user, password)
        except (LoginRejected, LoginNotPossible):
            if not rest:
                raise
            try:
                await attempt(session, rest[0], user, password)
            except ClosedBeforePassword:  # it hung up after the first, as qmail's popup does
                self._session = await open_session(self._dial, self.legacy.tls)
                await attempt(self._session, rest[0], user, password)
            self.apop_in_vain = True

    async def stat(self) -> tuple[int, int]:
        """Messages and octets in the mailbox."""
        reply = await self._session.line(Verb.STAT, slow=True)
        if not reply.ok:
            raise _refused(Verb.STAT, reply)
        return self._understood(lambda: parse_stat(reply.words))

    async def count(self) -> int | None:
        """Messages in the mailbox by STAT; None where it does not say, or says nonsense: nothing depends on it."""
        reply = await self._session.line(Verb.STAT, slow=True)
        return parse_count(reply.words) if reply.ok else None

    async def capa(self) -> Capabilities | None:
        """What CAPA lists now: behind a login that may be more, and other limits (RFC 2449 5 and 6); None where it
        lists nothing any more. What is known of this connection stays as it is."""
        taken: list[bytes] = []
        refused = await self._session.block(Verb.CAPA, take=taken.append, limit=CAPA_LIMIT)
        return None if refused else parse_capabilities(b"".join(taken))

    async def last(self) -> int | None:
        """The number of the last message that was fetched, as servers of RFC 1460 know it; None where it has no
        LAST."""
        reply = await self._session.line(Verb.LAST)
        return parse_count(reply.words) if reply.ok else None

    async def list_sizes(self) -> dict[int, int | None]:
        """Each message's octets by its number, in the server's order; None where it does not say."""
        listing, refused = await self._listing(Verb.LIST)
        if refused is not None:
            raise _refused(Verb.LIST, refused)
        return {number: octets(word) for number, word in self._understood(listing.entries)}

    async def uidl(self) -> list[tuple[int, bytes]] | None:
        """Each message's number and unique-id, in the server's order; b"" where it does not say.

        None when the server has no UIDL. A refusal that may be for today only is raised instead.
        """
        listing, refused = await self._listing(Verb.UIDL)
        if refused is None:
            return self._understood(listing.entries)
        if "UIDL" in self.capabilities or not unsupported(refused):
            raise _refused(Verb.UIDL, refused)
        return None

    async def top(self, number: int, lines: int) -> bytes:
        """A message's header, and the first `lines` lines of its body."""
        taken: list[bytes] = []
        refused = await self._session.block(Verb.TOP, number, lines, take=taken.append, limit=TOP_LIMIT)
        if refused is not None:
            raise _refused(Verb.TOP, refused)
        return b"".join(taken)

    async def noop(self) -> None:
        """Keep the session from timing out at the server."""
        reply = await self._session.line(Verb.NOOP)
        if not reply.ok:
            raise _refused(Verb.NOOP, reply)

    async def prove_pipelining(self) -> Pipelining:
        """May RETRs be pipelined on this server? To be called after a login, with nothing else awaited.

        PIPELINING among the capabilities is a promise (RFC 2449 6.6). Many servers can and do not say so; some
        drop whatever came behind the first command of a packet, or leave it in a buffer until more comes.
        Nothing but trying tells them apart: two NOOPs in one write, and both must be answered. When the second
        is not, nobody knows what the server still holds, and the connection is dropped.
        """
        session = self._session
        if session.pipelining:
            return Pipelining.ABLE
        first, second = Line("NOOP", self.abort), Line("NOOP", self.abort)
        earlier, later = first.pending(), second.pending()
        later.addErrback(lambda _: None)  # the connection ended: what that means is told below
        session.wire.ask(command(Verb.NOOP) * 2, first)
        session.wire.ask(b"", second)
        await earlier
        timer = self._clock.callLater(PROBE_TIME, self.abort)
        reply = cast("Reply | None", await later)
        if timer.active():
            timer.cancel()
        if reply is None:
            return Pipelining.UNABLE_REOPEN
        session.pipelining = reply.ok  # -ERR: it noticed, and does not like it
        return Pipelining.ABLE if reply.ok else Pipelining.UNABLE

    async def retrieve(self, numbers: Sequence[int], sizes: Mapping[int, int | None], sink: Sink, pace: Pace) -> None:
        """Hand the messages of `numbers` to `sink`, in this order, while nothing else is awaited.

        `sizes` is LIST's. Where the server cannot pipeline, `pace` is limited to ONE_AT_A_TIME.
        Raises LegacyError, whose `message` is the one that was under way, or whatever the sink raised.
        """
        await self.begin_retrieving(numbers, sizes, sink, pace).pending()

    def begin_retrieving(
        self, numbers: Sequence[int], sizes: Mapping[int, int | None], sink: Sink, pace: Pace
    ) -> Retrieval:
        """The same for who awaits it later."""
        self._retrieved = True
        wire = self._session.wire

        def send(commands: bytes, times: int) -> None:
            wire.ask(commands, retrieval, times)

        retrieval = Retrieval(numbers, sizes, sink, pace, send=send, give_up=self.abort, seconds=self._clock.seconds)
        retrieval.start()
        return retrieval

    def take_bare_line_ends(self) -> None:
        """From now on, take a message for complete whose last lines end in a bare LF: after BareLineEnds."""
        self._session.wire.take_bare_line_ends()

    async def run_errands(self, agenda: Agenda, sink: HeaderSink) -> None:
        """Hand what `agenda` says to `sink`, headers and messages in the order in which they are asked for, while
        nothing else is awaited. Raises as `retrieve` does."""
        wire = self._session.wire

        def send(commands: bytes, times: int) -> None:
            wire.ask(commands, errands, times)

        errands = Errands(agenda, sink, send, self.abort)
        result = errands.pending()
        errands.start()
        await result

    async def quit(self) -> None:
        """End the session politely, and return when the connection is closed. Raises nothing.

        QUIT is what makes a server remove or hide what was fetched, where it does that: it is then not said. A session
        that ends without it changes nothing (RFC 1939 6).
        """
        unsaid = self._retrieved and self.expires
        await self._leave(None if unsaid else self._session.line(Verb.QUIT))

    async def _listing(self, verb: Verb) -> tuple[Listing, Reply | None]:
        listing = Listing(verb.name)
        return listing, await self._session.block(verb, take=listing.feed, limit=LISTING_LIMIT, slow=True)

    def _understood(self, read: Callable[[], T]) -> T:
        """What `read` makes of an answer. A server whose answer makes no sense is not asked anything more."""
        try:
            return read()
        except LegacyProtocolError as error:
            self._session.wire.end(error)
            raise


def _refused(verb: Verb, reply: Reply) -> ServerRefused:
    return declined(verb.name, reply)


async def connect(reactor: Any, legacy: Legacy) -> Connection:
    """Connect to a legacy server, up to where a login can follow. Raises LegacyError."""
    return await Connection.open(dialling(reactor, legacy, ClientProtocol), legacy, reactor)
