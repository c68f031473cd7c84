"""Logging in: with which mechanism, and what a refusal means.

Each refused attempt counts towards a lock-out at the legacy server, so there are at most two, and two only
where the first may have been refused for what it was rather than for the password:

* APOP (RFC 1939 7) first where the greeting has a stamp and the connection is not encrypted: the password
  then does not cross the line. Servers put a stamp into their greeting without being able to do APOP (qmail's
  popup does, over most checkers of passwords, and solid-pop3d for whoever has given it no secret), so USER and PASS
  follow when it is refused. Where they then succeed, APOP is tried no more at that server: each attempt is a failed
  login in its log, for which what guards it may lock this machine out.
* Otherwise USER and PASS: every server has them, and they are what its other users log in with.
* SASL PLAIN (RFC 5034) instead of these only when CAPA lacks USER and offers it. Over TLS all of them tell
  the server the same, and servers that treat them differently treat AUTH worse.

The password is in no error: where a server's words repeat it, they are not quoted.
"""

from __future__ import annotations

import enum
import hashlib

from proxy.legacy.errors import LegacyUnreachable, LoginRejected
from proxy.pop3.client.asking import SaslLine
from proxy.pop3.client.commands import COMMAND_LIMIT, Verb, command, plain_response, sasl_line, sendable
from proxy.pop3.client.refusals import refusal
from proxy.pop3.client.replies import Capabilities, Reply
from proxy.pop3.client.session import Session
from proxy.wire.door import Secret


class Mechanism(enum.Enum):
    APOP = "APOP"
    USER = "USER and PASS"
    PLAIN = "SASL PLAIN"


class ClosedBeforePassword(LegacyUnreachable):
    """The connection was lost at USER: the server has not seen the password, and has counted nothing."""


def mechanisms(stamp: bytes | None, capabilities: Capabilities, *, encrypted: bool) -> list[Mechanism]:
    """What to try, one or two."""
    plain_only = bool(capabilities) and "USER" not in capabilities and "PLAIN" in capabilities.get("SASL", ())
    last = Mechanism.PLAIN if plain_only else Mechanism.USER
    return [Mechanism.APOP, last] if stamp and not encrypted else [last]


def check_sendable(user: bytes, password: Secret) -> None:
    """Raises LoginRejected for what POP3 cannot carry, and what therefore is no account's password there."""
    if not user or not sendable(user) or not sendable(password.reveal()):
        raise LoginRejected("the name or the password cannot be sent over POP3")


async def attempt(session: Session, mechanism: Mechanism, user: bytes, password: Secret) -> None:
    """Log in. Raises what `refusals.refusal` makes of -ERR, or another LegacyError."""
    secret = password.reveal()
    if mechanism is Mechanism.APOP and session.stamp is not None:
        digest = hashlib.md5(session.stamp + secret, usedforsecurity=False).hexdigest().encode("ascii")
        reply = await session.line(Verb.APOP, user, digest, slow=True)
    elif mechanism is Mechanism.PLAIN:
        reply = await _plain(session, plain_response(user, secret))
    else:
        reply = await _user_and_pass(session, user, secret)
    if not reply.ok:
        raise refusal(reply, withhold=(secret, plain_response(user, secret)))


async def _user_and_pass(session: Session, user: bytes, secret: bytes) -> Reply:
    try:
        reply = await session.line(Verb.USER, user)
    except LegacyUnreachable as error:
        raise ClosedBeforePassword(error.text) from None
    return await session.line(Verb.PASS, secret, slow=True) if reply.ok else reply


async def _plain(session: Session, response: bytes) -> Reply:
    """AUTH PLAIN (RFC 5034 4), with the response in the command where it fits, or for the challenge."""
    whole = len(b"AUTH PLAIN ") + len(response) + 2 <= COMMAND_LIMIT
    line = command(Verb.AUTH, b"PLAIN", response) if whole else command(Verb.AUTH, b"PLAIN")
    wire = session.wire
    return await session.ask(SaslLine("AUTH", wire.abort, wire.answer, sasl_line(response)), line)
