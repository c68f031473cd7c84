"""USER and PASS, AUTH, and what a client sees while its login is held.

A first login takes as long as the old mailbox takes to come over. The legacy server's yes is known early, so
the reply is begun early and sent slowly, `+OK .....`, in one line that stays below the 512 octets of RFC 2449 4.
Once it is begun it cannot turn into -ERR: a login that fails after that is closed without the line's end.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstore.errors import MailstoreError
from mailstore.index.folders import INBOX_ID
from mailstore.mailhome import MailHome
from proxy.pop3.errors import BadCommand, Refused
from proxy.pop3.maildrop import Maildrop
from proxy.wire.door import Credentials, Hold, Home, LoginRefused, Refusal, Secret

if TYPE_CHECKING:
    from proxy.pop3.session import Session, Wire

MECHANISMS: Final = (b"PLAIN", b"LOGIN")
CODES: Final = {  # RFC 2449 8.1.1, RFC 3206 3 and 4
    Refusal.WRONG: "AUTH",
    Refusal.UNAVAILABLE: "SYS/TEMP",
    Refusal.IN_USE: "IN-USE",
    Refusal.BLOCKED: "SYS/PERM",
}
DOTS: Final = 430  # in one reply of 512 octets, with room for `+OK ` and the end of the line
QUICK_DOTS: Final = 300  # so many at the usual pace, 15 minutes of them; then SLOWER times as slowly
SLOWER: Final = 10
LOOKS: Final = 6  # how often in a notice's time the hold is looked at


class SlowReply:
    """The reply to a login that may take long. `begun` when part of it is out."""

    def __init__(self, session: Session, hold: Hold) -> None:
        self._wire: Wire = session.wire
        self._session = session
        self._hold = hold
        self._clock: IReactorTime = session.clock
        self._pace = session.terms.limits.hold_notice
        self._due = self._clock.seconds() + self._pace
        self._dots = 0
        self._call: IDelayedCall | None = self._clock.callLater(self._pace / LOOKS, self._look)
        self.begun = False

    def _look(self) -> None:
        self._call = self._clock.callLater(self._pace / LOOKS, self._look)
        if not self._hold.accepted or self._clock.seconds() < self._due:
            return
        if not self.begun:
            self.begun = self._session.midway = True
            self._wire.write(b"+OK")
        elif self._dots < DOTS:
            self._wire.write(b"." if self._dots else b" .")
            self._dots += 1
        self._due = self._clock.seconds() + self._pace * (1 if self._dots < QUICK_DOTS else SLOWER)

    def stop(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def finish(self, text: str) -> None:
        """The login is done: the rest of the line, or all of it."""
        self.stop()
        self._wire.write(f"{'' if self.begun else '+OK'} {text}\r\n".encode())
        self._session.midway = False


def require_login_allowed(session: Session) -> None:
    """Raises Refused where a password must not be sent as the connection is."""
    if not session.login_allowed:
        raise Refused("no login without encryption" + (", use STLS first" if session.tls_offered else ""))


async def log_in(session: Session, username: bytes, password: bytes) -> None:
    """Ask the gate and enter TRANSACTION. Raises Refused."""
    require_login_allowed(session)
    session.username = None
    log = session.log.bind(user=readable(username))
    hold = Hold()
    reply = SlowReply(session, hold)
    try:
        home = await session.waited_for(
            session.gate.login(Credentials(username, Secret(password), "pop3", session.wire.peer, session.trace), hold)
        )
        maildrop = await _opened(home)
    except LoginRefused as refusal:
        session.failed_logins += 1
        session.turned_away = refusal.ends
        log.info("pop3 login refused", refusal=refusal.refusal.value, reason=refusal.text, begun=reply.begun)
        raise Refused(refusal.text, CODES[refusal.refusal]) from None
    except MailstoreError as error:
        log.error("pop3 maildrop cannot be opened", reason=str(error))  # noqa: TRY400 - the reason says all
        raise Refused(str(error), "SYS/TEMP") from None
    finally:
        reply.stop()
    session.enter(home, maildrop)
    session.log.info("pop3 login", messages=maildrop.count, octets=maildrop.octets, held=reply.begun)
    reply.finish(f"{maildrop.count} messages ({maildrop.octets} octets)")


async def _opened(home: Home) -> Maildrop:
    """Lock the maildrop and see what is in it. The home is closed where that fails."""
    try:
        await _lock(home)
        return await home.run(_looked)
    except BaseException:
        home.close()
        raise


async def _lock(home: Home) -> None:
    if not await home.lock_maildrop():
        raise LoginRefused(Refusal.IN_USE, "another POP3 session holds this mailbox")


def _looked(mail: MailHome) -> Maildrop:
    """With what other programs delivered or removed."""
    mail.reconcile(INBOX_ID)
    return Maildrop(mail.maildrop())


async def authenticate(session: Session, mechanism: bytes, initial: bytes | None) -> None:
    """AUTH with a mechanism (RFC 5034 4). Raises Refused."""
    require_login_allowed(session)
    response = None if initial is None else _decoded(b"" if initial == b"=" else initial)
    if mechanism == b"PLAIN":
        username, password = _plain(response if response is not None else await _asked(session, b""))
    elif mechanism == b"LOGIN":
        username = response if response is not None else await _asked(session, b"Username:")
        password = await _asked(session, b"Password:")
    else:
        raise BadCommand("no such mechanism")
    if not username or b"\0" in username + password:
        raise BadCommand("no user name")
    await log_in(session, username, password)


async def _asked(session: Session, challenge: bytes) -> bytes:
    line = await session.ask(binascii.b2a_base64(challenge, newline=False))
    if line == b"*":
        raise Refused("cancelled")
    return _decoded(line)


def _decoded(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise BadCommand("not base64") from None


def _plain(response: bytes) -> tuple[bytes, bytes]:
    """RFC 4616 2: [authzid] NUL authcid NUL passwd. Nobody may act for another here."""
    parts = response.split(b"\0")
    if len(parts) != 3:
        raise BadCommand("not a PLAIN response")
    authorize, username, password = parts
    if authorize not in {b"", username}:
        raise Refused("nobody may log in for another user", "AUTH")
    return username, password


def readable(username: bytes) -> str:
    """A name that a stranger sent, fit for a log line."""
    text = username[:100].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else "?" for c in text)
