"""Logging in: with which command, and what a refusal means.

Each refused attempt counts towards a lock-out at the legacy server, so a second one follows only where the first was
refused for what it was, not for the password:

* LOGIN where the server takes it: every other client logs in with it. Its arguments are quoted, or literals.
* AUTHENTICATE PLAIN (RFC 4616) where LOGINDISABLED is announced and PLAIN as well, and for names and passwords that
  are not ASCII: as UTF-8 they have a meaning there, and in LOGIN have none (RFC 3501 6.2.3).

Where neither is possible without encryption, no password is sent. It is in no error: where a server's words repeat
it, they are not quoted.
"""

from __future__ import annotations

import enum

from proxy.imap.client.commands import PLAIN, Raw, Verb, plain_response, sendable
from proxy.imap.client.refusals import refusal
from proxy.imap.client.replies import capabilities_in
from proxy.imap.client.responses import Reply
from proxy.imap.client.session import NO_CAPABILITIES, Capabilities, Session
from proxy.legacy.errors import LoginNotPossible, LoginRejected
from proxy.wire.door import Secret


class Mechanism(enum.Enum):
    LOGIN = "LOGIN"
    PLAIN = "SASL PLAIN"


def mechanisms(capabilities: Capabilities, *, ascii_only: bool) -> list[Mechanism]:
    """What to try, in this order; none where the server announces that it lets nobody log in as things are."""
    able = [] if "LOGINDISABLED" in capabilities else [Mechanism.LOGIN]
    if "AUTH=PLAIN" in capabilities:
        able.insert(len(able) if ascii_only else 0, Mechanism.PLAIN)
    return able


def check_sendable(user: bytes, password: Secret) -> None:
    """Raises LoginRejected for what IMAP cannot carry, and what therefore is no account's password there."""
    if not user or not sendable(user) or not sendable(password.reveal()):
        raise LoginRejected("the name or the password cannot be sent over IMAP")


async def log_in(session: Session, user: bytes, password: Secret, *, once: bool = False) -> None:
    """Raises what `refusals.refusal` makes of NO and BAD, or another LegacyError. `once`: nothing is tried after a
    refusal."""
    check_sendable(user, password)
    secret = password.reveal()
    able = mechanisms(session.capabilities, ascii_only=user.isascii() and secret.isascii())
    if not able:
        text = "the server takes no password on this connection (LOGINDISABLED)"
        remedy = "" if session.wire.encrypted else '; try `tls = "starttls"` or "implicit"'
        raise LoginNotPossible(text + remedy)
    if once:
        able = able[:1]
    for last, mechanism in zip([*[False] * (len(able) - 1), True], able, strict=True):
        reply = await _attempt(session, mechanism, user, secret)
        if reply.ok:
            # Others than before, and they may come with the answer (RFC 3501 6.2.3).
            session.capabilities = capabilities_in(reply) or NO_CAPABILITIES
            return
        error = refusal(reply, withhold=(secret, plain_response(user, secret)))
        if last or not isinstance(error, LoginNotPossible) or reply.code is not None:
            raise error


async def _attempt(session: Session, mechanism: Mechanism, user: bytes, secret: bytes) -> Reply:
    if mechanism is Mechanism.LOGIN:
        return await session.run(Verb.LOGIN, user, secret, slow=True)
    response = plain_response(user, secret)
    if "SASL-IR" in session.capabilities:
        return await session.run(Verb.AUTHENTICATE, PLAIN, Raw(response), slow=True)
    return await session.run(Verb.AUTHENTICATE, PLAIN, chunks=[response + b"\r\n"], slow=True)
