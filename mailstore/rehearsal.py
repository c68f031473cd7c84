"""One message's whole way into a mailbox, tried when the daemon starts.

What the disk does not allow is in the log then, and not first in a user's way. And the first login finds done what is
done once in a process: statements are compiled, which takes longer than to carry a hundred messages.
"""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path
from typing import Final

from mailstore.entries import Listed
from mailstore.landing import Landing
from mailstore.mailhome import MailHome
from mailstore.opening import Mailboxes, forget
from mailstore.writing import OpenWriter, Writer

PLACE: Final = "rehearsal"  # in the state directory, while it lasts
_NUMBERS: Final = 2**62
_MAIL: Final = b"Date: Thu, 1 Jan 2009 00:00:00 +0000\r\nMessage-ID: <rehearsal@localhost>\r\n\r\n\r\n"


def rehearse(engine: Mailboxes, state: Path, open_writer: OpenWriter = Writer) -> None:
    """Leaves nothing behind; a process that is killed at it leaves a few rows of no account where the index is on a
    server. Raises StorageFailed."""
    place = state / PLACE
    nobody = -1 - secrets.randbelow(_NUMBERS)  # no account has such a number, nor has another node's rehearsal
    shutil.rmtree(place, ignore_errors=True)  # a daemon was killed at it
    try:
        home = MailHome(engine, nobody, place / "Maildir")
        try:
            _carry(home, open_writer)
        finally:
            home.close()
            forget(engine, nobody)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _carry(home: MailHome, open_writer: OpenWriter) -> None:
    home.ledger.entries()
    entries = home.ledger.record_listing([Listed(1, "rehearsal", len(_MAIL))], (), hold_uids=True)
    home.ledger.sums()
    home.oncoming.unwanted()
    landing = Landing(home.maildir, home.token, seen="headers", clock=time.time, open_writer=open_writer)
    try:
        landing.clear_leftovers(entries)
        written = landing.write([(entry, _MAIL) for entry in entries])
        landing.settle(written)
    finally:
        landing.close()
    home.ledger.enter([message.landed for message in written])
    home.carried_over()
