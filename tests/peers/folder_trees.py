"""Folders at the legacy Dovecot, and what a client sees of folders anywhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime

from imapclient import IMAPClient

from proxy.imap.grammar.folder_names import encode
from tests.dialogues.fixtures import FIRST_DATE, HOUR
from tests.legacy.dovecot import PASSWORD, Dovecot

LETTERS = {"\\Seen": "S", "\\Answered": "R", "\\Flagged": "F", "\\Draft": "D", "\\Deleted": "T"}


@dataclass(frozen=True)
class Seen:
    """A message as a client sees it."""

    raw: bytes
    flags: frozenset[str]
    date: int


def written(number: int, folder: str, size: int = 0) -> bytes:
    """A message that says where it was written."""
    head = f"Subject: {number}\r\nMessage-ID: <{number}.{abs(hash(folder))}@old>\r\n\r\n".encode()
    return head + f"Number {number} in {folder}.\r\n".encode() + b"x" * size + b"\r\n" * bool(size)


def flags_for(number: int) -> frozenset[str]:
    """Every combination of the system flags, in turn."""
    return frozenset(flag for bit, flag in enumerate(LETTERS) if number >> bit & 1)


def write_folder(legacy: Dovecot, user: str, folder: str, count: int, *, first: int = 1, size: int = 0) -> None:
    """Write messages `first`, … into a folder, each with its flags and an hour after the one before, of `size` more."""
    root = legacy.maildir(user)
    directory = root
    if folder != "INBOX":
        directory = root / encode("." + folder.replace("/", ".")).decode()
        for name in ("cur", "new", "tmp"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / "maildirfolder").touch()
    for number in range(first, first + count):
        letters = "".join(sorted(LETTERS[flag] for flag in flags_for(number)))
        date = FIRST_DATE + number * HOUR
        file = directory / "cur" / f"{date}.M{number}P1.old:2,{letters}"
        file.write_bytes(written(number, folder, size))
        os.utime(file, (date, date))
    legacy.own()


def tree(port: int, user: str) -> dict[str, list[Seen]]:
    """Every folder that can be opened with its messages, as a client sees them."""
    found = {}
    with IMAPClient("127.0.0.1", port, ssl=False, timeout=120) as client:
        client.login(user, PASSWORD)
        for attributes, _, name in client.list_folders():
            if b"\\Noselect" not in attributes:
                client.select_folder(name, readonly=True)
                found[name] = _messages(client)
    return found


def _messages(client: IMAPClient) -> list[Seen]:
    client.normalise_times = False
    uids = client.search(["ALL"])
    if not uids:
        return []
    got = client.fetch(uids, ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"])
    return [
        Seen(
            got[uid][b"BODY[]"],
            frozenset(flag.decode() for flag in got[uid][b"FLAGS"]) - {"\\Recent"},
            int(_utc(got[uid][b"INTERNALDATE"]).timestamp()),
        )
        for uid in sorted(got)
    ]


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
