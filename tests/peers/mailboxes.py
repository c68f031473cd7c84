"""Mailboxes at the legacy Dovecot, and what must come out of mailferry for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imapclient import IMAPClient

from proxy.cli.demo_clients import ImapClient, Mail, Pop3Client, differences
from proxy.cli.demo_mail import samples
from tests.dialogues.fixtures import FIRST_DATE, HOUR, letter
from tests.legacy.dovecot import PASSWORD, Dovecot
from tests.peers.daemon import Daemon

NOTHING_SAID = lambda done, total: None  # noqa: E731 - a held login's notices, where nobody looks at them
ROUGH = {
    "long_lines",
    "bare_lf",
    "nul",
    "no_header",
    "no_blank_line",
}  # what some clients cannot carry, whoever the server is


def fill(legacy: Dovecot, user: str, count: int, *, smooth: bool = False) -> None:
    """Write a user's mailbox; `smooth` leaves out what not every client can carry."""
    cur = legacy.maildir(user) / "cur"
    mail = [sample for sample in samples(count) if not (smooth and sample.kind in ROUGH)]
    for number, sample in enumerate(mail, 1):
        (cur / f"{1_300_000_000 + number}.M{number}P1.old:2,").write_bytes(sample.raw)
    legacy.own()


def write_letters(legacy: Dovecot, user: str, count: int) -> list[bytes]:
    """Write a mailbox of `Subject: letter N`, an hour after each other; gives them back."""
    cur = legacy.maildir(user) / "cur"
    mail = [letter(number) for number in range(1, count + 1)]
    for number, octets in enumerate(mail):
        file = cur / f"{FIRST_DATE + number * HOUR}.M{number}P1.old:2,"
        file.write_bytes(octets)
        os.utime(file, (FIRST_DATE + number * HOUR,) * 2)
    legacy.own()
    return mail


def original(legacy: Dovecot, user: str) -> list[Mail]:
    """The mailbox as the legacy server gives it out."""
    with Pop3Client(("127.0.0.1", legacy.pop3)) as client:
        client.login(user, PASSWORD)
        return client.inbox()


def over_imap(daemon: Daemon, user: str) -> list[Mail]:
    with ImapClient(daemon.imap) as client:
        client.login(f"{user}@123.com", PASSWORD, NOTHING_SAID)
        return client.inbox()


@contextmanager
def looking(port: int, user: str) -> Iterator[IMAPClient]:
    """Somebody else's session, at mailferry or at the legacy server."""
    with IMAPClient("127.0.0.1", port, ssl=False, timeout=60) as client:
        client.login(user, PASSWORD)
        yield client


def flags_of(client: IMAPClient, folder: str) -> dict[bytes, set[bytes]]:
    """Message-IDs of a folder with their flags, \\Recent left out: what is in it, wherever it is kept."""
    client.select_folder(folder, readonly=True)
    found = client.fetch(client.search(["ALL"]), ["FLAGS", "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"])
    return {
        message[b"BODY[HEADER.FIELDS (MESSAGE-ID)]"].split()[1]: set(message[b"FLAGS"]) - {b"\\Recent"}
        for message in found.values()
    }


def over_pop3(daemon: Daemon, user: str) -> list[Mail]:
    with Pop3Client(daemon.pop3) as client:
        client.login(f"{user}@123.com", PASSWORD)
        return client.inbox()


def assert_identical(old: list[Mail], daemon: Daemon, user: str) -> None:
    """Every byte, the order, and over POP3 the UIDLs."""
    assert old
    assert differences(old, over_imap(daemon, user)) == (len(old), [])
    assert differences(old, over_pop3(daemon, user)) == (len(old), [])


def texts(directory: Path) -> list[bytes]:
    """The messages of a Maildir or of a directory of files, as bytes with CRLF, in any order."""
    found = [file for file in directory.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return sorted(as_text(file.read_bytes()) for file in found if file.parent.name in {"cur", "new"})


def as_text(raw: bytes) -> bytes:
    """Line ends made CRLF, which is what most clients do or undo."""
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
