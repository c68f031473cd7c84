"""From a transport to where a login can follow: TLS, greeting, capabilities."""

from __future__ import annotations

from proxy.imap.client.asking import Greeting
from proxy.imap.client.commands import Verb
from proxy.imap.client.protocol import Expectation
from proxy.imap.client.refusals import refused, unwelcome
from proxy.imap.client.replies import CapabilityList, capabilities_in
from proxy.imap.client.session import NO_CAPABILITIES, Session
from proxy.legacy.connection import first_words
from proxy.legacy.dialling import Dial
from proxy.legacy.errors import LoginNotPossible, TlsFailed
from proxy.legacy.settings import TlsMode

_NO_STARTTLS = 'try `tls = "implicit"` with IMAP port 993; with `tls = "none"` the network can read the passwords'


async def open_session(dial: Dial[Expectation], tls: TlsMode) -> Session:
    """A new connection, ready for a login. Raises LegacyError."""
    wire = await dial()
    session = Session(wire)
    try:
        if tls == "implicit":
            await wire.start_tls()
        await _be_greeted(session)
        if tls == "starttls":
            await learn(session)
            await _upgrade(session)
        await learn(session)
    except BaseException:
        wire.abort()
        raise
    return session


async def _be_greeted(session: Session) -> None:
    greeting = Greeting(session.wire.abort)
    result = greeting.pending()
    session.send(b"", greeting)
    reply = await first_words(result, session.wire)
    if reply.status == "PREAUTH":
        raise LoginNotPossible("the server lets this machine in without a password, so it cannot check any (PREAUTH)")
    if not reply.ok:
        raise unwelcome(reply)
    session.greeting = reply.text
    session.capabilities = capabilities_in(reply) or NO_CAPABILITIES


async def learn(session: Session) -> None:
    """Ask for the capabilities (RFC 3501 6.1.1), where the server has not told them by itself."""
    if session.capabilities:
        return
    listed = CapabilityList()
    reply = await session.run(Verb.CAPABILITY, take=listed.take)
    if not reply.ok:
        raise refused("CAPABILITY", reply)
    session.capabilities = listed.names


async def _upgrade(session: Session) -> None:
    """STARTTLS (RFC 3501 6.2.1). Where it is not to be had, nothing goes on in plaintext."""
    if "STARTTLS" not in session.capabilities:
        raise TlsFailed("the server does not offer STARTTLS", _NO_STARTTLS)
    reply = await session.run(Verb.STARTTLS, ends_plaintext=True)
    if not reply.ok:
        raise TlsFailed(f"the server refused STARTTLS: {reply.text}", _NO_STARTTLS)
    session.capabilities = NO_CAPABILITIES  # what was said before may have come from somebody in between
    await session.wire.start_tls()
