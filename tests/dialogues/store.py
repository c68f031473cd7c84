"""The real store, as dialogues use it: made, filled as a move fills it, damaged."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from mailstore import delivery, landing
from mailstore.entries import Landed, Listed
from mailstore.index.rows import NO_FLAGS, shared_flags
from mailstore.mailbox import Announce
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome

NOW = 1_700_100_000  # the store's clock stands still: file names, UIDVALIDITY and \\Recent are the same each time


def make_home(path: Path, announce: Announce) -> MailHome:
    """An account without mail in `path`/Maildir. Close it."""
    return MailHome(MailboxEngine(), 1, path / "Maildir", announce=announce, clock=lambda: NOW)


def deliver(home: MailHome, messages: Iterable[tuple[bytes, str, Iterable[str], int]]) -> None:
    """Put messages (octets, UIDL, flags, internal date) into INBOX as a move does: UIDLs kept, UIDs in order."""
    messages = tuple(messages)
    listed = [Listed(position, uidl, len(octets)) for position, (octets, uidl, _, _) in enumerate(messages, 1)]
    entries = home.ledger.record_listing(listed, (), hold_uids=True)
    landed = []
    with delivery.placed(home.maildir, "", home.token, NOW) as place:
        for entry, (octets, _, flags, date) in zip(entries, messages, strict=True):
            file, size = place.message(io.BytesIO(octets), shared_flags(flags))
            digest = hashlib.sha256(octets).digest()
            landed.append(Landed(entry, size, digest, date, shared_flags(flags), file))
        place.settle()
        home.ledger.enter(landed)


def list_only(home: MailHome, messages: Iterable[tuple[bytes, str]]) -> None:
    """List messages (octets, UIDL) in INBOX before they are here."""
    listed = [Listed(position, uidl, len(octets)) for position, (octets, uidl) in enumerate(messages, 1)]
    home.ledger.record_listing(listed, (), hold_uids=True)
    home.ledger.show(NO_FLAGS)


def header_comes(home: MailHome, number: int, octets: bytes) -> None:
    """The header of the `number`th message that was listed so is here."""
    noted = landing.noted(number, octets, seen="headers", now=NOW)
    assert noted is not None
    home.oncoming.note([noted])


def arrives(home: MailHome, number: int, octets: bytes) -> None:
    """The whole of it is here."""
    (entry,) = (entry for entry in home.ledger.entries() if entry.id == number)
    place = landing.Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    written = place.write([(entry, octets)])
    place.settle(written)
    place.close()
    home.enter([each.landed for each in written])


def abandoned(home: MailHome, number: int, _octets: bytes) -> None:
    """It cannot be fetched."""
    home.ledger.quarantine(number, "the legacy server refuses this message")


def lose(home: MailHome, number: int) -> None:
    """Remove the file of INBOX's message `number` behind the store's back."""
    path = home.maildir.find("", home.maildrop()[number - 1].file)
    assert path is not None
    path.unlink()


def drop(home: MailHome, name: str, octets: bytes) -> None:
    """Deliver into INBOX as another program does."""
    passing = home.maildir.root / "tmp" / name
    passing.write_bytes(octets)
    passing.rename(home.maildir.root / "new" / name)


def make(home: MailHome, name: str, octets: bytes) -> None:
    """Make a folder as another program does, with one message in it."""
    directory = home.maildir.root / ("." + name.replace("/", "."))
    for part in ("tmp", "new", "cur"):
        (directory / part).mkdir(parents=True)
    (directory / "new" / f"{NOW}.1.elsewhere").write_bytes(octets)


def rename(home: MailHome, number: int, letters: str) -> None:
    """Give the file of INBOX's message `number` other flags behind the store's back."""
    unique = home.maildrop()[number - 1].file
    path = home.maildir.find("", unique)
    assert path is not None
    path.rename(path.with_name(f"{unique}:2,{letters}"))
