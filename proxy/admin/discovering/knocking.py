"""What answers at a place: its greeting, what it says it can do, its TLS and its certificate. Nobody logs in.

TLS is spoken as the daemon speaks it to legacy servers (`proxy.legacy.tls`), so what is found to work here works there,
and what does not comes with the line of the configuration that would let it. Blocking; called from threads.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone

from proxy.admin.discovering.places import Place
from proxy.legacy.errors import TlsFailed
from proxy.legacy.settings import Legacy
from proxy.legacy.tls import check_identity, client_options
from proxy.legacy.tls_faults import described, explain, fingerprint
from proxy.legacy.words import readable

CONNECTING: Final = 3.0  # seconds
WHOLE: Final = 8.0  # seconds for one conversation
_LINE: Final = 2048  # octets; more is none of a mail server's greeting or capability line
_LINES: Final = 64
_GREETINGS: Final = {"pop3": (b"+OK",), "imap": (b"* OK", b"* PREAUTH")}
_SPEAKERS: Final = {"pop3": "a POP3", "imap": "an IMAP"}


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A connection's TLS. `trouble` and `remedy` say why the daemon would not take it as it is, and what to set."""

    version: str
    certificate: str  # whose, and until when
    fingerprint: str
    trouble: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one place says. `trouble` says why it is of no use; "" where it is a mail server that can be spoken to."""

    place: Place
    address: str = ""
    greeting: str = ""
    capabilities: tuple[str, ...] = ()
    tls: Encrypted | None = None
    trouble: str = ""

    @property
    def answers(self) -> bool:
        return bool(self.greeting)

    def can(self, word: str) -> bool:
        return any(capability.upper().split()[0] == word for capability in self.capabilities)


class _Closed(Exception):
    """The text says what the server did instead of answering."""


class Line(Protocol):
    """What a conversation is held over."""

    def send(self, data: bytes) -> None: ...
    def receive(self) -> bytes: ...


def knock(place: Place, address: str, trust: Legacy | None = None) -> Heard:
    """One or two conversations: a second one where the server's TLS is only taken with settings of its own. `trust` has
    those that the configuration gives it."""
    strict = replace(trust or Legacy(place.host, place.port, place.tls), tls=place.tls, port=place.port)
    try:
        return _conversation(place, address, strict)
    except TlsFailed as refused:
        try:
            heard = _conversation(
                place, address, Legacy(place.host, place.port, place.tls, verify=False, minimum="1.0")
            )
        except (TlsFailed, OSError, _Closed):
            return Heard(place, address, trouble=refused.reason)
        if heard.tls is not None:
            heard = replace(heard, tls=replace(heard.tls, trouble=refused.reason, remedy=refused.remedy))
        return heard
    except _Closed as error:
        return Heard(place, address, trouble=str(error))
    except TimeoutError:
        return Heard(place, address, trouble="does not answer")
    except OSError as error:
        return Heard(place, address, trouble=(error.strerror or "cannot be reached").lower())


def _conversation(place: Place, address: str, legacy: Legacy) -> Heard:
    """Raises TlsFailed, _Closed, OSError."""
    end = time.monotonic() + WHOLE
    with socket.create_connection((address, place.port), CONNECTING) as connection:
        plain = _Plain(connection, end)
        talk = _Talk(plain)
        tls = None
        if place.tls == "implicit":
            talk, tls = _encrypted(plain, legacy)
        greeting = talk.line()
        if not greeting.upper().startswith(_GREETINGS[place.protocol]):
            raise _Closed(f"answers, but not as {_SPEAKERS[place.protocol]} server does ({readable(greeting)[:60]})")
        capabilities = tuple(talk.capabilities(place.protocol))
        heard = Heard(place, address, readable(greeting), capabilities, tls)
        if place.tls == "starttls":
            heard = _upgraded(heard, plain, talk, legacy)
        return heard


def _upgraded(heard: Heard, plain: _Plain, talk: _Talk, legacy: Legacy) -> Heard:
    """After STLS or STARTTLS; a server that has none of it is spoken to in the clear."""
    place = heard.place
    word = "STLS" if place.protocol == "pop3" else "STARTTLS"
    if not heard.can(word) and heard.capabilities:
        return replace(heard, place=replace(place, tls="none"))
    said = talk.command(word, place.protocol)
    if not said.upper().startswith((b"+OK", b"A OK")):
        return replace(heard, place=replace(place, tls="none"))
    upgraded, tls = _encrypted(plain, legacy)
    return replace(heard, tls=tls, capabilities=tuple(upgraded.capabilities(place.protocol)))


class _Plain:
    """A socket, until a time."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection = connection
        self._end = end

    def send(self, data: bytes) -> None:
        self._connection.settimeout(self._left())
        self._connection.sendall(data)

    def receive(self) -> bytes:
        """What comes next; b"" where the server has closed."""
        self._connection.settimeout(self._left())
        return self._connection.recv(16_384)

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Secure:
    """TLS over it, by memory: OpenSSL never touches the socket."""

    def __init__(self, plain: _Plain, tls: SSL.Connection) -> None:
        self._plain, self._tls = plain, tls

    def handshake(self) -> None:
        """Raises SSL.Error, _Closed, OSError."""
        self._until_done(self._tls.do_handshake)
        self._flush()

    def send(self, data: bytes) -> None:
        self._tls.sendall(data)
        self._flush()

    def receive(self) -> bytes:
        try:
            found: bytes = self._until_done(lambda: self._tls.recv(16_384))
        except (SSL.ZeroReturnError, _Closed):
            return b""
        return found

    def _until_done(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                return step()
            except SSL.WantReadError:
                self._flush()
                data = self._plain.receive()
                if not data:
                    raise _Closed("closes the connection") from None
                self._tls.bio_write(data)

    def _flush(self) -> None:
        while True:
            try:
                data = self._tls.bio_read(16_384)
            except SSL.WantReadError:
                return
            self._plain.send(data)


def _encrypted(plain: _Plain, legacy: Legacy) -> tuple[_Talk, Encrypted]:
    """Raises TlsFailed, OSError."""
    options: Any = client_options(legacy)
    connection: SSL.Connection = options.clientConnectionForTLS(None)
    connection.set_connect_state()
    line = _Secure(plain, connection)
    try:
        line.handshake()
    except SSL.Error as error:
        raise explain(error, connection, legacy) from None
    except (_Closed, ConnectionError):
        raise explain(ConnectionDone(), connection, legacy) from None
    check_identity(connection, legacy)
    shown = connection.get_peer_certificate()
    leaf = None if shown is None else shown.to_cryptography()
    version = connection.get_protocol_version_name()
    if leaf is None:
        return _Talk(line), Encrypted(version, "none", "")
    return _Talk(line), Encrypted(version, described(leaf), fingerprint(leaf))


class _Talk:
    """Lines of a mail protocol, few and short."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._buffer = b""
        self._lines = 0

    def line(self) -> bytes:
        """The next line without its end. Raises _Closed, OSError."""
        self._lines += 1
        while b"\n" not in self._buffer:
            if len(self._buffer) > _LINE or self._lines > _LINES:
                raise _Closed("sends what no mail server sends")
            try:
                data = self._line.receive()
            except SSL.Error:
                raise _Closed("breaks off its encryption") from None
            if not data:
                raise _Closed("closes the connection")
            self._buffer += data
        found, _, self._buffer = self._buffer.partition(b"\n")
        return found.rstrip(b"\r")

    def command(self, word: str, protocol: str) -> bytes:
        """The line that answers it."""
        self._line.send(f"{word}\r\n".encode() if protocol == "pop3" else f"a {word}\r\n".encode())
        said = self.line()
        while protocol == "imap" and said.startswith(b"* "):
            said = self.line()
        return said

    def capabilities(self, protocol: str) -> Iterator[str]:
        """What CAPA lists, a line each, or CAPABILITY, a word each; nothing where it is refused."""
        if protocol == "pop3":
            if self.command("CAPA", protocol).upper().startswith(b"+OK"):
                while (said := self.line()) != b".":
                    if words := readable(said):
                        yield words
            return
        self._line.send(b"a CAPABILITY\r\n")
        while (said := self.line()).startswith(b"* "):
            if said[2:].upper().startswith(b"CAPABILITY "):
                yield from readable(said[13:]).split()
