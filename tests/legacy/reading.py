"""What a real legacy server gives out, read by two clients that are not mailferry's."""

from __future__ import annotations

import poplib
import socket
from typing import BinaryIO, Final
from unittest.mock import patch

from proxy.cli.demo_clients import Mail
from tests.legacy.dovecot import PASSWORD

_LONGEST: Final = 1 << 24  # octets of a line; poplib gives up after 2,048, which mail has

_AT_ONCE: Final = 20  # RETRs: one at a time, servers that write a message in pieces take 40 ms for each


def octets(port: int, user: str) -> list[Mail]:
    """Every octet: only CRLF ends a line, and one dot is taken from a line that begins with it (RFC 1939 3).

    At Cyrus, and there alone, LF ends a line as well: it doubles the dots behind them.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection, connection.makefile("rb") as file:

        def say(line: bytes) -> bool:
            connection.sendall(line + b"\r\n")
            return file.readline().startswith(b"+OK")

        assert file.readline().startswith(b"+OK")
        capabilities = _block(file) if say(b"CAPA") else b""
        end = b"\n" if b"IMPLEMENTATION Cyrus" in capabilities else b"\r\n"
        if b"UTF8" in capabilities:
            assert say(b"UTF8")  # RFC 6856 2.1; Courier gives out a notice instead of 8-bit headers without it
        assert say(b"USER " + user.encode()) and say(b"PASS " + PASSWORD.encode()) and say(b"UIDL")
        uidls = [line.split()[1].decode() for line in _block(file).splitlines()]
        found = []
        for number, uidl in enumerate(uidls, 1):
            if number % _AT_ONCE == 1:
                wanted = range(number, min(number + _AT_ONCE, len(uidls) + 1))
                connection.sendall(b"".join(b"RETR %d\r\n" % ahead for ahead in wanted))
            assert file.readline().startswith(b"+OK")
            found.append(Mail(uidl, _block(file, end)))
        assert say(b"QUIT")
        return found


def _block(file: BinaryIO, end: bytes = b"\r\n") -> bytes:
    lines: list[bytes] = []
    line = b""
    while line != b".\r\n":
        line = file.readline()
        assert line, "the connection was closed"
        while not line.endswith(end):
            line += file.readline()
        lines.append(line.removeprefix(b"."))
    return b"".join(lines[:-1])


def by_lines(port: int, user: str) -> list[list[bytes]]:
    """The lines of each message as poplib has them, whatever ended them."""
    with patch.object(poplib, "_MAXLINE", _LONGEST):
        session = _logged_in(port, user)
        found = [session.retr(number)[1] for number in range(1, session.stat()[0] + 1)]
        session.quit()
        return found


def delete(port: int, user: str, uidl: str) -> None:
    """As a mail client that tidies up the old mailbox."""
    session = _logged_in(port, user)
    listed = [entry.split() for entry in session.uidl()[1]]
    session.dele(next(int(number) for number, name in listed if name.decode() == uidl))
    session.quit()


def _logged_in(port: int, user: str) -> poplib.POP3:
    session = poplib.POP3("127.0.0.1", port, timeout=60)
    try:
        if "UTF8" in session.capa():
            session.utf8()
    except poplib.error_proto:
        pass  # it has no CAPA
    session.user(user)
    session.pass_(PASSWORD)
    return session
