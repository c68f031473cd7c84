"""A legacy server as somebody on the wire makes it look: plaintext before and instead of TLS, and real TLS behind.

The case's words are said in plaintext; behind the handshake an honest server answers, whose users have the password
`pass` and no mail. What came in plaintext is kept: no user and no password is to be among it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.legacy.threaded import ThreadedServer

SAID: Final = "your password has expired, renew it at http://evil.example/"  # what no user may come to read
_SAID: Final = SAID.encode()


@dataclass(frozen=True)
class Case:
    """What is said in plaintext. In IMAP's answers %t is the command's tag."""

    name: str
    greeting: bytes
    offers: bytes = b""  # the answer to CAPA or CAPABILITY
    yes: bytes = b""  # the answer to STLS or STARTTLS, and what comes in the same segment
    plaintext: bool = False  # goes on in plaintext, whatever comes
    right: bool = False  # may a login with the right password succeed?


_CAPA: Final = b"+OK\r\nSTLS\r\nUSER\r\nPIPELINING\r\n.\r\n"
_CAPABILITY: Final = b"* CAPABILITY IMAP4rev1 STARTTLS\r\n%t OK done\r\n"
POP3: Final = (
    Case("honest", b"+OK ready", _CAPA, b"+OK begin\r\n", right=True),
    Case("stripped", b"+OK " + _SAID, b"+OK\r\nUSER\r\n.\r\n"),
    Case("refused", b"+OK ready", _CAPA, b"-ERR [AUTH] " + _SAID + b"\r\n"),
    Case("refused-sys", b"+OK ready", _CAPA, b"-ERR [SYS/PERM] " + _SAID + b"\r\n"),
    Case("no-handshake", b"+OK ready", _CAPA, b"+OK begin\r\n", plaintext=True),
    Case(
        "answers-injected", b"+OK ready", _CAPA, b"+OK begin\r\n" + b"+OK " * 2 + b"\r\n" + b"+OK\r\n" * 9, right=True
    ),
    Case("half-answer-injected", b"+OK ready", _CAPA, b"+OK begin\r\n+OK the rest is behind TLS: ", right=True),
    Case("much-injected", b"+OK ready", _CAPA, b"+OK begin\r\n" + b"+OK\r\n" * 20_000),
    Case(
        "list-injected",
        b"+OK ready",
        _CAPA,
        b"+OK begin\r\n+OK\r\nSASL EVIL\r\n.\r\n+OK\r\n+OK\r\n+OK 1 9\r\n",
        right=True,
    ),
    Case("greeting-twice", b"+OK ready\r\n+OK again", _CAPA, b"+OK begin\r\n"),
    Case("login-refused-early", b"+OK ready", b"-ERR [AUTH] " + _SAID + b"\r\n", b"-ERR [AUTH] " + _SAID + b"\r\n"),
)
IMAP: Final = (
    Case("honest", b"* OK ready", _CAPABILITY, b"%t OK begin\r\n", right=True),
    Case("stripped", b"* OK [ALERT] " + _SAID, b"* CAPABILITY IMAP4rev1\r\n%t OK done\r\n"),
    Case("stripped-in-greeting", b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] " + _SAID, _CAPABILITY),
    Case("preauth", b"* PREAUTH [ALERT] " + _SAID, _CAPABILITY, b"%t OK begin\r\n"),
    Case("refused", b"* OK ready", _CAPABILITY, b"%t NO [ALERT] " + _SAID + b"\r\n"),
    Case("authentication-failed", b"* OK ready", _CAPABILITY, b"%t NO [AUTHENTICATIONFAILED] " + _SAID + b"\r\n"),
    Case("bad", b"* OK ready", _CAPABILITY, b"%t BAD " + _SAID + b"\r\n"),
    Case("referral", b"* OK ready", _CAPABILITY, b"%t NO [REFERRAL imap://evil.example/] " + _SAID + b"\r\n"),
    Case("no-handshake", b"* OK ready", _CAPABILITY, b"%t OK begin\r\n", plaintext=True),
    Case(
        "answers-injected",
        b"* OK ready",
        _CAPABILITY,
        b"%t OK begin\r\n" + b"".join(b"f%d OK done\r\n%04d OK done\r\na%d OK\r\n" % (n, n, n) for n in range(1, 40)),
        right=True,
    ),
    Case("half-answer-injected", b"* OK ready", _CAPABILITY, b"%t OK begin\r\n* OK {9}\r\n", right=True),
    Case(
        "mailbox-injected",
        b'* OK ready\r\n* LIST () "/" evil\r\n* 9 EXISTS',
        _CAPABILITY,
        b'%t OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=EVIL LOGINDISABLED\r\n* LIST () "/" evil\r\n* 9 EXISTS\r\n',
        right=True,
    ),
    Case(
        "capabilities-before-tls",
        b"* OK ready",
        b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=EVIL\r\n%t OK done\r\n",
        b"%t OK begin\r\n",
        right=True,
    ),
)


class Interceptor(ThreadedServer):
    """One case of one protocol, at one port."""

    def __init__(self, case: Case, protocol: str, context: ssl.SSLContext) -> None:
        self.case = case
        self.overheard: list[bytes] = []  # what came in plaintext
        self.inside: list[bytes] = []  # what came behind a handshake
        self._context = context
        self._answer: Callable[[bytes, list[bytes]], bytes] = _pop3 if protocol == "pop3" else _imap
        super().__init__()

    def serve(self, client: socket.socket) -> None:
        client.sendall(self.case.greeting + b"\r\n")
        with client.makefile("rb", buffering=0) as lines:  # unbuffered: the handshake is not to be read with it
            while line := lines.readline():
                self.overheard.append(line)
                words = line.split()
                verb = next(
                    (word for word in words if word.upper() in {b"CAPA", b"CAPABILITY", b"STLS", b"STARTTLS"}), b""
                )
                tag = words[0] if words else b""
                if verb.upper() in {b"STLS", b"STARTTLS"}:
                    client.sendall(self.case.yes.replace(b"%t", tag))
                    if b"OK begin" in self.case.yes and not self.case.plaintext:
                        self._secured(client)
                        return
                elif verb and self.case.offers:
                    client.sendall(self.case.offers.replace(b"%t", tag))
                else:
                    client.sendall(b"+OK\r\n" + tag + b" OK\r\n")

    def _secured(self, client: socket.socket) -> None:
        with self._context.wrap_socket(client, server_side=True) as inside, inside.makefile("rb") as lines:
            said: list[bytes] = []
            while line := lines.readline():
                self.inside.append(line)
                inside.sendall(self._answer(line.rstrip(b"\r\n"), said))
                said.append(line.rstrip(b"\r\n"))


def _pop3(line: bytes, _said: list[bytes]) -> bytes:
    verb, _, rest = line.partition(b" ")
    if verb == b"CAPA":
        return b"+OK\r\nUSER\r\nUIDL\r\n.\r\n"
    if verb == b"PASS":
        return b"+OK\r\n" if rest == b"pass" else b"-ERR [AUTH] wrong\r\n"
    if verb == b"STAT":
        return b"+OK 0 0\r\n"
    return b"+OK\r\n.\r\n" if verb in {b"UIDL", b"LIST"} else b"+OK\r\n"


def _imap(line: bytes, said: list[bytes]) -> bytes:
    tag, _, rest = line.partition(b" ")
    verb = rest.partition(b" ")[0].upper()
    if verb == b"CAPABILITY":
        return b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n"
    if verb == b"LOGIN":
        return tag + (b" OK in\r\n" if rest.strip(b'"').endswith(b"pass") else b" NO [AUTHENTICATIONFAILED] wrong\r\n")
    if verb == b"LIST":
        return b'* LIST () "/" INBOX\r\n' + tag + b" OK done\r\n"
    if verb == b"EXAMINE":
        return b"* 0 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [UIDNEXT 1] x\r\n" + tag + b" OK [READ-ONLY] done\r\n"
    return tag + b" OK done\r\n"
