"""The power fails in the midst of a first login. The state is on a filesystem in a loop file, and the file is copied at
chosen moments: what the daemon only wrote, and nobody brought to the device, is not in it.

What a device with a cache of its own would lose beyond that is not modelled: the kernel asks it to flush what was
waited for, and it is believed."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import loops
from tests.faults.ferrying import Ferry, Nursery
from tests.faults.standing import StandingServer
from tests.faults.test_faults_killed import MESSAGES
from tests.memory import in_memory

MOST = int(os.environ.get("MAILFERRY_KILLS", "1"))
MOMENTS = [1, 60, 130, 260, 399] if MOST == 1 else list(range(1, len(MESSAGES), max(4, 100 // MOST)))


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Cut:
    """A copy of the filesystem, and what everybody had been told was here at that moment."""

    image: Path
    stored: frozenset[int]
    state: str | None


def told(ferry: Ferry) -> tuple[frozenset[int], str | None]:
    """What anybody who asked would be told: seen through the databases as they are open, where a transaction is seen
    only when it is durable."""
    stored: frozenset[int] = frozenset()
    state = None
    for path, query in (
        (ferry.root / "state" / "accounts.db", "SELECT state FROM accounts"),
        (ferry.maildir.with_name("Maildir.db"), "SELECT position FROM ledger WHERE outcome = 'stored'"),
    ):
        if path.exists():
            database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            rows = [row[0] for row in database.execute(query)]
            database.close()
            if path.name == "accounts.db":
                state = rows[0] if rows else None
            else:
                stored = frozenset(rows)
    return stored, state


def cuts_of_one_login(ferry: Ferry, legacy: StandingServer, image: Path) -> list[Cut]:
    cuts: list[Cut] = []

    def cut() -> None:
        with ferry.standing_still():
            copy = image.with_name(f"cut{len(cuts)}")
            loops.cut_off(image, copy)
            cuts.append(Cut(copy, *told(ferry)))

    legacy.at = dict.fromkeys(MOMENTS, cut)
    ferry.start()
    assert ferry.login().startswith(b"+OK"), ferry.log.read_text()
    cut()  # the client has been told: everything is here
    ferry.kill()
    assert len(cuts) == len(MOMENTS) + 1
    return cuts


@pytest.mark.parametrize("journal", [True, False], ids=["ext4", "ext4 without a journal"])
def test_nothing_past_a_barrier_is_lost(nursery: Nursery, *, journal: bool) -> None:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory, StandingServer(MESSAGES) as legacy:
        legacy.bursts = 20
        image, where = Path(directory) / "image", Path(directory) / "disk"
        loops.make_image(image, 24 * loops.MIB, journal=journal)
        with loops.mounted(image, where, journal=journal):
            with Ferry(where, nursery, legacy.port) as ferry:
                cuts = cuts_of_one_login(ferry, legacy, image)
        assert len(cuts[-1].stored) == len(MESSAGES)
        assert any(0 < len(cut.stored) < len(MESSAGES) for cut in cuts)
        for cut in cuts if journal or MOST > 1 else cuts[1::2]:
            loops.repair(cut.image)
            with loops.mounted(cut.image, where, journal=journal), Ferry(where, nursery, legacy.port) as ferry:
                found = ferry.told()
                assert cut.stored <= found.stored, f"{len(cut.stored - found.stored)} messages are lost"
                before = legacy.settled()
                ferry.start()
                assert ferry.login().startswith(b"+OK"), ferry.log.read_text()
                ferry.stop()
                # Without a journal a file may be back under the name that it was renamed from, until it is swept.
                ferry.check(MESSAGES, passing=not journal)
                assert legacy.settled() - before == len(MESSAGES) - len(found.stored)
            cut.image.unlink()
