"""How a legacy server is to be spoken to: what the configuration's `[domain.….legacy]` maps onto."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from proxy.legacy.bandwidth import Bandwidth

TlsMode = Literal["none", "starttls", "implicit"]
TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]


@dataclass(frozen=True, slots=True)
class Legacy:
    """One legacy server. Times are in seconds."""

    host: str  # a name or an address; the certificate must be for it
    port: int
    tls: TlsMode
    verify: bool = True  # False: encrypted, but to whom is not known
    ca: Path | None = None  # PEM file of the certificates to trust instead of the system's
    minimum: TlsVersion = "1.2"
    ciphers: str | None = None  # OpenSSL cipher string; None: what is good for `minimum`
    fingerprints: tuple[str, ...] = ()  # certificates that are taken, whatever else is wrong with them: sha256:AB:CD…
    connect_timeout: float = 30.0
    reply_timeout: float = 60.0  # silence of the server while it owes an answer
    opening_timeout: float | None = None  # the same where it opens or walks the mailbox; None: five times that
    bandwidth: Bandwidth | None = (
        None  # how fast all connections to its host may be read from together; None: as they can
    )

    @property
    def ancient(self) -> bool:
        """Is `minimum` a version that OpenSSL speaks at its lowest security level only?"""
        return self.minimum in {"1.0", "1.1"}

    @property
    def lowered(self) -> bool:
        """Is OpenSSL's security level at its lowest?"""
        return self.ancient or "@SECLEVEL=0" in (self.ciphers or "")

    @property
    def slow_timeout(self) -> float:
        """How long PASS, STAT, LIST and UIDL may take: many servers read the whole mailbox for them."""
        return self.reply_timeout * 5 if self.opening_timeout is None else self.opening_timeout


@dataclass(frozen=True, slots=True)
class Window:
    """How far RETRs may run ahead of the answers. At least one message is always asked for.

    `commands` bounds the octets of commands that the server has not worked off: a server that reads nothing
    while it writes must find them all in its receive buffer.
    """

    messages: int = 2048
    octets: int = 32 * 1024 * 1024
    commands: int = 24 * 1024


ONE_AT_A_TIME = Window(messages=1)
FURTHEST = Window(octets=128 * 1024 * 1024)  # where the time is watched that a server takes (`proxy.pop3.client.pace`)
PROMISED = Window(messages=1024, octets=8 * 1024 * 1024)  # what a server that announces PIPELINING is sent at first
TRIED = Window(messages=64, octets=1024 * 1024)  # and one that does not, and was found to be able
CAREFUL = Window(messages=16, octets=1024 * 1024)  # for one that broke off while more was on its way
