"""What a server asks at the door: who may come in, and what they are handed.

The POP3 and the IMAP server know the gate only through the types of this module, so that neither
imports it and the dialogues in tests can put a scripted gate in its place. `proxy.login.gate` is
the real one, and `proxy.daemon.service` hands it over.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from mailstore.mailbox import Announce
from mailstore.mailhome import MailHome
from proxy.wire import trace
from proxy.wire.arrivals import Arrivals
from proxy.wire.tally import Tally
from proxy.wire.trusted import Trusted

T = TypeVar("T")


class Secret:
    """A password on its way through the program. It cannot print itself."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One attempt to log in, as the client sent it (RFC 3501 6.2.3, RFC 1939 7, RFC 4616)."""

    username: bytes
    password: Secret
    protocol: str  # "imap", "pop3", or "submission": another program asks
    peer: str  # the client's address, without port
    trace: str = field(default_factory=trace.new)  # of the session: what its lines in the log have in common


class Refusal(enum.Enum):
    """Why a login is refused, in the words of RFC 5530 and RFC 3206."""

    WRONG = "wrong"  # IMAP [AUTHENTICATIONFAILED], POP3 [AUTH]: the password is wrong
    UNAVAILABLE = "unavailable"  # IMAP [UNAVAILABLE], POP3 [SYS/TEMP]: try again later
    IN_USE = "in-use"  # IMAP [INUSE], POP3 [IN-USE]: another session holds the mailbox
    BLOCKED = "blocked"  # IMAP [CONTACTADMIN], POP3 [SYS/PERM]: a person has to look at it


class Because(enum.Enum):
    """What is behind a refusal, where a person can do something about it that depends on it. Protocols have no words
    for it; the portal has."""

    DOWN = "down"  # the legacy server cannot be reached, or does not answer
    BUSY = "busy"  # … or does not want to now
    NOT_POSSIBLE = "not-possible"  # … or will not let this account in until a person changes something
    PAUSED = "paused"  # an administrator wants it left alone
    TOO_MANY = "too-many"  # wrong passwords of this account
    HELD = "held"  # the password is right, and the old mailbox is not all here yet
    BROKEN = "broken"  # the store here cannot be used


class LoginRefused(Exception):
    """The gate says no. `text` is fit for the client: no secrets, no internals, ASCII."""

    def __init__(self, refusal: Refusal, text: str, because: Because | None = None) -> None:
        super().__init__(text)
        self.refusal = refusal
        self.text = text
        self.because = because
        self.ends = False  # is the connection to be closed with it?


@dataclass(slots=True)
class Hold:
    """How far a held login is. The gate writes it, the session that waits reads it from time to time.

    `accepted` turns true when the password is known to be right and all that is missing is mail.
    Counts are of messages; `total` is 0 until the old mailbox has been listed.
    """

    accepted: bool = False
    done: int = 0
    total: int = 0


class Home(Protocol):
    """A logged-in session's handle on its account's mail. Made by the gate, closed by the session."""

    @property
    def account(self) -> str:
        """`local@domain`, for log lines."""

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        """Run one whole operation of the synchronous store in a thread; those of one account run in order."""

    async def run_briefly(self, operation: Callable[[MailHome], T]) -> T:
        """As `run`, for an operation that is expected to be brief and may be begun twice: it is tried where it is
        asked for, and goes to a thread if it turns out not to be (`MailHome.briefly`)."""

    def watch(self, changed: Announce) -> Callable[[], None]:
        """Have `changed` called in the reactor's thread after each change to a folder of this account, by whichever
        session and process, and with `special.ACCOUNT` (0) after each to which folders, subscriptions and annotations
        there are. What it was is for the store to say. Gives back what ends the watch."""

    def attend(self, folder_id: int) -> Callable[[], None]:
        """Until the end, which this gives back, notice at once what other programs do to a folder's Maildir, or with
        `special.ACCOUNT` which folders they make and remove. What they did before counts as well."""

    async def lock_maildrop(self) -> bool:
        """Take the account's POP3 lock (RFC 1939 4); False when another POP3 session holds it, on whichever node.
        Released by `close`. Raises StorageFailed."""

    def close(self) -> None:
        """End the use of this handle. Idempotent."""


class Gate(Protocol):
    """Who may come in."""

    async def login(self, credentials: Credentials, hold: Hold) -> Home:
        """Check the password, wait until the whole old mailbox is here, and hand over its home.

        Cancelling the wait (the client left) never stops a move.
        Raises LoginRefused.
        """


@dataclass(frozen=True, slots=True)
class Limits:
    """All that a stranger or a client can make a session hold (invariant 10). Sizes are in octets, times in seconds."""

    line: int = 65_536  # a command line after login
    line_before_login: int = 8_192
    literal: int = 65_536  # a literal that is not a message
    literal_before_login: int = 4_096
    message: int = 128 * 1024 * 1024  # a message handed in by APPEND
    attempts: int = 6  # failed logins on one connection
    login_timeout: float = 60.0  # until a connection has logged in
    idle_timeout: float = 1_800.0  # RFC 3501 5.4, at least 30 minutes
    pop3_idle_timeout: float = 600.0  # RFC 1939 3, at least 10 minutes
    stalled_timeout: float = 120.0  # a client that does not read what it asked for
    farewell_timeout: float = 10.0  # … or the goodbye, when the daemon stops or nobody has logged in; over TLS, that
    # does not say its own, or never ends the handshake
    notified: int = 1_000  # mailboxes that one NOTIFY may watch, and responses that it may make of one look at them
    hold_notice: float = 3.0  # how often a held login is told how far it is


@dataclass(frozen=True, slots=True)
class Terms:
    """What a listener offers to those who connect to it."""

    hostname: str
    tls: object | None = None  # an IOpenSSLServerConnectionCreator for STARTTLS and STLS; None: not offered
    plaintext_login: str = "loopback"  # never | loopback | always
    limits: Limits = field(default_factory=Limits)
    arrivals: Arrivals = field(default_factory=Arrivals)  # one for all listeners of a process
    tally: Tally = field(default_factory=Tally)  # … and another
    trusted: Trusted = field(default_factory=Trusted)  # who may say for whom they speak

    def login_allowed(self, *, secure: bool, loopback: bool) -> bool:
        """May a password be sent over this connection as it is now?"""
        return secure or self.plaintext_login == "always" or (self.plaintext_login == "loopback" and loopback)
