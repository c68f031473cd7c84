"""What a probe has found. Times in seconds, sizes in octets."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from proxy.admin.probing.software import software
from proxy.legacy.encryption import Encryption
from proxy.legacy.settings import TlsMode

Told = Callable[["Step", str], None]  # hears what is being done

_TLS = {"none": "not encrypted", "starttls": "STARTTLS", "implicit": "TLS from the first byte"}


class Step(enum.StrEnum):
    """What is being done."""

    CONNECTING = "connecting"  # to which host, and how
    LOGGING_IN = "logging_in"  # as whom
    LISTING = "listing"
    FOLDERS = "folders"
    DATES = "dates"
    AGAIN = "again"
    SPEED = "speed"
    POP3 = "pop3"


@dataclass(frozen=True, slots=True)
class Way:
    """How a server is reached."""

    port: int
    tls: TlsMode

    def __str__(self) -> str:
        return f"port {self.port}, {_TLS[self.tls]}"


@dataclass(frozen=True, slots=True)
class DeadEnd:
    """A way on which no login was possible."""

    way: Way
    why: str
    remedy: str


class Answer(enum.StrEnum):
    """What came of a login."""

    ACCEPTED = "accepted"
    WRONG = "wrong"  # name or password is
    IN_USE = "in use"
    BUSY = "busy"
    NOT_POSSIBLE = "not possible"
    BROKEN = "broken off"  # nobody knows whether it counts there


@dataclass(frozen=True, slots=True)
class LoginForm:
    """How an account may be called there. `form` as the configuration has it; "own": by a name of its own."""

    form: str
    user: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login that was tried. `words` of the server, or why it broke off."""

    login: LoginForm
    answer: Answer
    words: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class Server:
    """What it says of itself. Capabilities a line each, in capitals: behind the login, where it got so far."""

    greeting: str
    capabilities: Sequence[str]
    encryption: Encryption | None

    @property
    def software(self) -> str:
        """By its own words; "" where it keeps it to itself."""
        return software(self.greeting, self.capabilities)


@dataclass(slots=True)
class Ability:
    """Something that it says it can, and that was tried or not."""

    announced: bool = False
    works: bool | None = None  # None: not tried
    words: str = ""  # why it does not


class Lock(enum.StrEnum):
    """May a second session have the mailbox at the same time?"""

    NOT_TRIED = "not tried"
    SHARED = "shared"
    ONE_SESSION = "one session"
    REFUSED = "refused"  # for another reason


@dataclass(slots=True)
class Maildrop:
    """What a POP3 server can do."""

    uidl: Ability = field(default_factory=Ability)
    top: Ability = field(default_factory=Ability)
    pipelining: Ability = field(default_factory=Ability)
    last: int | None = None  # what LAST says; None: it has none
    expire: str | None = None  # the argument; None: not announced
    login_delay: str | None = None
    lock: Lock = Lock.NOT_TRIED
    lock_words: str = ""


@dataclass(frozen=True, slots=True)
class OldFolder:
    """A folder of an IMAP server; its messages are none where it cannot be opened."""

    name: str
    messages: int
    octets: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Largest:
    """The biggest message."""

    position: int
    octets: int
    folder: str = ""  # "" for a POP3 maildrop


@dataclass(slots=True)
class Mailbox:
    """What it holds."""

    messages: int
    octets: int
    listing_seconds: float
    largest: Largest | None = None
    oldest: int | None = None  # seconds since 1970
    newest: int | None = None
    dated: int = 0  # messages whose dates were looked at
    folders: Sequence[OldFolder] = ()


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast it gives, as a sample showed."""

    messages: int
    octets: int
    seconds: float
    at_once: bool  # were many asked for ahead of the answers?
    round_trip: float

    @property
    def rate(self) -> float:
        """Octets a second."""
        return self.octets / max(self.seconds, 1e-6)


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """What the accounts database has of the domain."""

    accounts: int
    here: int  # moved or final
    messages: int  # of those that are here, and of what is on its way
    octets: int

    @property
    def left(self) -> int:
        return self.accounts - self.here


@dataclass(slots=True)
class Probed:
    """All of it."""

    account: str
    domain: str
    host: str
    source: str  # "pop3" or "imap"
    dead_ends: list[DeadEnd] = field(default_factory=list)
    way: Way | None = None  # the one that led to it
    attempts: list[Attempt] = field(default_factory=list)
    server: Server | None = None
    maildrop: Maildrop | None = None
    uidls_by_pop3: str = ""  # with IMAP: what can be said of the POP3 side
    mailbox: Mailbox | None = None
    speed: Speed | None = None
    round_trip: float | None = None
    figures: DomainFigures | None = None
    remarks: list[str] = field(default_factory=list)
    trouble: str = ""  # why it did not get to its end
    seconds: float = 0.0

    @property
    def accepted(self) -> Attempt | None:
        """The login that was let in first."""
        return next((attempt for attempt in self.attempts if attempt.answer is Answer.ACCEPTED), None)
