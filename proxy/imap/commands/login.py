"""STARTTLS, AUTHENTICATE and LOGIN: from a stranger to an account (RFC 3501 6.2, RFC 4616, RFC 9585).

A password goes to the gate as a Secret and nowhere else. While the gate holds a login until the old
mailbox is here, the client is told how far that is.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall

from proxy.imap import responses
from proxy.imap.answers import Bad, Done, No
from proxy.imap.grammar.syntax import Authenticate, Command, Login, NoArguments
from proxy.imap.outgoing import ClientGone
from proxy.wire.commands import UNTAGGED
from proxy.wire.door import Credentials, Hold, Home, LoginRefused, Refusal, Secret

if TYPE_CHECKING:
    from proxy.imap.session import Session

_CODES = {
    Refusal.WRONG: b"AUTHENTICATIONFAILED",
    Refusal.UNAVAILABLE: b"UNAVAILABLE",
    Refusal.IN_USE: b"INUSE",
    Refusal.BLOCKED: b"CONTACTADMIN",
}


async def starttls(session: Session, command: Command, _arguments: NoArguments) -> Done:
    if not session.tls_offered:
        raise Bad(b"TLS is already active." if session.connection.secure else b"TLS is not available.")
    session.start_tls_after_reply()
    return Done(b"Begin TLS negotiation now.")


async def login(session: Session, command: Command, arguments: Login) -> Done:
    _needs_privacy(session)
    return await _admit(session, command.tag, arguments.username, arguments.password)


async def unauthenticate(session: Session, _command: Command, _arguments: NoArguments) -> Done:
    """Back to where a connection begins, but for its encryption (RFC 8437 2)."""
    session.log.info("imap unauthenticated", peer=session.connection.peer, account=session.home.account)
    session.logged_out()
    return Done(b"Logged out; another may log in.")


async def authenticate(session: Session, command: Command, arguments: Authenticate) -> Done:
    if arguments.mechanism not in {"PLAIN", "LOGIN"}:
        raise No(b"Unsupported authentication mechanism.")
    _needs_privacy(session)
    initial = None if arguments.initial is None else _initial(arguments.initial)
    if arguments.mechanism == "PLAIN":
        username, password = _plain(await _challenge(session, b"") if initial is None else initial)
    else:
        username = await _challenge(session, b"Username:") if initial is None else initial
        password = Secret(await _challenge(session, b"Password:"))
    return await _admit(session, command.tag, username, password)


def _needs_privacy(session: Session) -> None:
    if not session.login_allowed:
        raise No(b"Passwords are taken over TLS only.", b"PRIVACYREQUIRED")


def _initial(sent: bytes) -> bytes:
    """An initial response; "=" stands for an empty one (RFC 4959 3)."""
    return b"" if sent == b"=" else _decoded(sent)


async def _challenge(session: Session, text: bytes) -> bytes:
    """Ask, and take the answer. "*" takes the whole command back (RFC 3501 6.2.2)."""
    session.out.write(b"+ %b\r\n" % base64.b64encode(text))
    line = await session.line()
    if line == b"*":
        raise Bad(b"Authentication cancelled.")
    return _decoded(line)


def _decoded(sent: bytes) -> bytes:
    try:
        return base64.b64decode(sent, validate=True)
    except (binascii.Error, ValueError):
        raise Bad(b"Invalid base64.") from None


def _plain(message: bytes) -> tuple[bytes, Secret]:
    """[authzid] NUL authcid NUL passwd (RFC 4616 2)."""
    parts = message.split(b"\0")
    if len(parts) != 3:
        raise Bad(b"Invalid PLAIN response.")
    acting_for, username, password = parts
    if acting_for not in {b"", username}:
        raise No(b"Nobody may act for another account.", b"AUTHORIZATIONFAILED")
    return username, Secret(password)


async def _admit(session: Session, tag: bytes, username: bytes, password: Secret) -> Done:
    """Ask the gate. Any refusal is answered NO with its code; too many end the connection."""
    credentials = Credentials(username, password, "imap", session.connection.peer, session.trace)
    try:
        home = await _held(session, tag, credentials)
    except LoginRefused as refused:
        session.log.info("imap login refused", peer=session.connection.peer, reason=refused.refusal.value)
        session.failed_logins += 1
        if refused.ends or session.failed_logins >= session.terms.limits.attempts:
            session.leave(b"Too many failed logins.")
        raise No(refused.text.encode("ascii", "replace"), _CODES[refused.refusal]) from None
    session.logged_in(home)
    session.log.info("imap login", peer=session.connection.peer, account=home.account, tls=session.connection.secure)
    return Done(b"Logged in.", session.capability)


async def _held(session: Session, tag: bytes, credentials: Credentials) -> Home:
    """Wait for the gate, telling the client how far it is (RFC 9585). Raises LoginRefused, No, ClientGone.

    A client that leaves, or a server that shuts down, ends the wait and not the move.
    """
    hold = Hold()
    waiting = Deferred.fromCoroutine(session.gate.login(credentials, hold))

    def tell() -> None:
        if hold.accepted:
            session.out.write(responses.status(UNTAGGED, b"OK", b"Moving your mail here.", in_progress(tag, hold)))
            session.out.flush()

    notices = LoopingCall(tell)
    notices.clock = session.clock
    session.held_login = waiting
    running = notices.start(session.terms.limits.hold_notice, now=False)
    try:
        home = await waiting
    except CancelledError:
        raise No(b"Server is shutting down; try again later.", b"UNAVAILABLE") from None
    finally:
        session.held_login = None
        notices.stop()
        running.addErrback(lambda _: None)
    if session.out.closed:
        home.close()
        raise ClientGone
    return home


def in_progress(tag: bytes, hold: Hold) -> bytes:
    """The response code of RFC 9585 4: both counts, or NIL while the goal is unknown."""
    if hold.total <= 0:
        return b"INPROGRESS (%b NIL NIL)" % responses.string(tag)
    return b"INPROGRESS (%b %d %d)" % (responses.string(tag), min(hold.done, hold.total), hold.total)
