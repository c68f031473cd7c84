"""From a transport to where a login can follow: TLS, greeting, capabilities, and what follows from them."""

from __future__ import annotations

from proxy.legacy.connection import first_words
from proxy.legacy.dialling import Dial
from proxy.legacy.errors import LegacyUnreachable, TlsFailed
from proxy.legacy.settings import TlsMode
from proxy.legacy.wire import Wire
from proxy.pop3.client.asking import Greeting, Line
from proxy.pop3.client.commands import Verb, command
from proxy.pop3.client.protocol import Expectation
from proxy.pop3.client.refusals import unwelcome
from proxy.pop3.client.replies import NO_CAPABILITIES, parse_capabilities, parse_stamp
from proxy.pop3.client.session import Session

CAPA_LIMIT = 64 * 1024
_NO_STLS = 'try `tls = "implicit"` with port 995; with `tls = "none"` the network can read the passwords'


class ClosedAtCapa(LegacyUnreachable):
    """The server hung up on CAPA, as some do on commands that they do not know (fetchmail has met them)."""


async def open_session(dial: Dial[Expectation], tls: TlsMode) -> Session:
    """A new connection, ready for a login. Raises LegacyError."""
    try:
        return await _open(await dial(), tls, capa=True)
    except ClosedAtCapa:
        return await _open(await dial(), tls, capa=False)


async def _open(wire: Wire[Expectation], tls: TlsMode, *, capa: bool) -> Session:
    session = Session(wire)
    try:
        if tls == "implicit":
            await wire.start_tls()
        await _be_greeted(session)
        if capa:
            await _learn(session)
        if tls == "starttls":
            await _upgrade(session)
            if capa:
                await _learn(session)
        if "UTF8" in session.capabilities:
            await _take_all_octets(session)
        if session.capabilities.get("IMPLEMENTATION", ())[:1] == ("CYRUS",):
            session.wire.take_bare_line_ends()  # it sends lines as it stores them, and doubles dots behind any LF
    except BaseException:
        wire.abort()
        raise
    return session


async def _be_greeted(session: Session) -> None:
    try:
        asked = session.ask(Greeting("the connection", session.wire.abort), b"")
        greeting = await first_words(asked, session.wire)
    except LegacyUnreachable as error:
        hint = "a server does so with more connections than it allows one address (`connections`), or a blocked one"
        raise LegacyUnreachable(f"{error.text}; {hint}", remedy="") from None
    if not greeting.ok:
        raise unwelcome(greeting)
    session.greeting = greeting.text
    session.stamp = parse_stamp(greeting.words)


async def _learn(session: Session) -> None:
    """Ask for the capabilities (RFC 2449 5). A server that does not know CAPA has none."""
    taken: list[bytes] = []
    try:
        refused = await session.block(Verb.CAPA, take=taken.append, limit=CAPA_LIMIT)
    except LegacyUnreachable as error:
        raise ClosedAtCapa(error.text) from None
    session.capabilities = NO_CAPABILITIES if refused else parse_capabilities(b"".join(taken))
    session.pipelining = "PIPELINING" in session.capabilities


async def _take_all_octets(session: Session) -> None:
    """UTF8 (RFC 6856 2.1). A server that knows it may keep messages with 8-bit headers from a client that has not
    said so: Courier gives out a notice instead, "Cannot display Unicode content", with the message attached to it.
    Where it is refused the client is one like all others."""
    await session.line(Verb.UTF8)


async def _upgrade(session: Session) -> None:
    """STLS (RFC 2595 4). Where it is not to be had, nothing goes on in plaintext."""
    if session.capabilities and "STLS" not in session.capabilities:
        raise TlsFailed("the server does not offer STLS", _NO_STLS)
    asked = Line("STLS", session.wire.abort, ends_plaintext=True)
    reply = await session.ask(asked, command(Verb.STLS))
    if not reply.ok:
        raise TlsFailed(f"the server refused STLS: {reply.text}", _NO_STLS)
    # What was said before may have come from somebody in between.
    session.stamp, session.capabilities, session.pipelining = None, NO_CAPABILITIES, False
    await session.wire.start_tls()
