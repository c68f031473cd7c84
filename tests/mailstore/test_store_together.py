"""Reads that are one transaction, wherever mailboxes are kept; and what a session is given of its own changes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from mailstore import schema
from mailstore.errors import NoSuchFolder
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, SEEN, Changes, Flagged, Shown, StoreMode
from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import append, open_home

pytestmark = pytest.mark.usefixtures("either")


@pytest.fixture
def others(home: MailHome, tmp_path: Path) -> Iterator[MailHome]:
    """The same mailbox, open in another process as it were."""
    append(home, b"one")
    append(home, b"two")
    opened = open_home(tmp_path)
    yield opened
    opened.close()


def seen(home: MailHome) -> list[int]:
    return [row.uid for row in home.rows(INBOX_ID, range(1, 10)) if SEEN in row.flags]


def test_what_is_read_together_is_one_state(home: MailHome, others: MailHome) -> None:
    with home.together():
        assert seen(home) == []
        others.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN])
        assert seen(home) == []
        assert home.status("INBOX").unseen == 2
        with home.together():
            assert seen(home) == []
        assert home.status("INBOX").unseen == 2
    assert seen(home) == [1]


def test_a_change_or_a_file_begins_another_state(home: MailHome, others: MailHome) -> None:
    with home.together():
        assert seen(home) == []
        others.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN])
        home.store_flags(INBOX_ID, [2], StoreMode.ADD, [SEEN])
        assert seen(home) == [1, 2]
        others.store_flags(INBOX_ID, [1], StoreMode.REMOVE, [SEEN])
        home.open(INBOX_ID, 1).close()
        assert seen(home) == [2]


def test_what_is_raised_ends_it_and_spoils_nothing(home: MailHome, others: MailHome) -> None:
    with home.together():
        with pytest.raises(NoSuchFolder):
            home.status("no such folder")
        others.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN])
        assert seen(home) == [1]
        others.store_flags(INBOX_ID, [2], StoreMode.ADD, [SEEN])
        assert seen(home) == [1]
    with pytest.raises(ZeroDivisionError), home.together():
        assert seen(home) == [1, 2]
        raise ZeroDivisionError
    others.store_flags(INBOX_ID, [1, 2], StoreMode.REMOVE, [SEEN])
    assert seen(home) == []
    home.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN])
    assert seen(others) == [1]


def test_a_look_sees_one_state_and_what_comes_behind_it_the_latest(home: MailHome, others: MailHome) -> None:
    with home._database.look() as connection:
        assert home._numbered(connection, INBOX_ID).uidnext == 3
    append(others, b"three")
    with home._database.look() as connection:
        assert home._numbered(connection, INBOX_ID).uidnext == 4
        assert connection.scalars(select(schema.messages.c.uid)).all() == [1, 2, 3]
        assert home._numbered(connection, INBOX_ID).uidnext == 4
    with pytest.raises(NoSuchFolder), home._database.look() as connection:
        home._numbered(connection, 99)
    with home._database.look():
        pass  # nothing is asked
    append(home, b"four")
    assert home.status("INBOX", looking=True).messages == 4


def test_who_appends_is_given_what_that_changed_to_what_he_shows(home: MailHome) -> None:
    append(home, b"one")
    home.create("other")
    known = home.select("INBOX", writable=True).highestmodseq

    def appended(modseq: int, *, claims: bool, folder: str = "INBOX") -> Changes | None:
        shown = Shown(INBOX_ID, modseq, claims_recent=claims)
        return home.append(folder, io.BytesIO(b"x"), [SEEN], None, shown=shown).changes

    def new(uid: int, modseq: int, recent_from: int) -> Changes:
        return Changes(modseq, uid + 1, recent_from, (Flagged(uid, modseq, frozenset({SEEN})),), ())

    assert appended(known, claims=True) == new(2, known + 1, recent_from=2)
    assert home.status("INBOX").recent == 0
    assert appended(known + 1, claims=False) == new(3, known + 2, recent_from=3)
    assert home.status("INBOX").recent == 1
    assert appended(known + 1, claims=True) is None  # there is more that he does not know
    assert home.status("INBOX").recent == 2
    assert appended(known + 3, claims=True, folder="other") is None


def test_who_expunges_is_given_what_that_changed(home: MailHome) -> None:
    for number in range(3):
        append(home, b"x", flags=[DELETED] if number else [])
    known = home.status("INBOX").highestmodseq
    assert home.expunged(INBOX_ID, [2]) == Changes(known + 1, 4, 1, (), [2])
    assert home.expunged(INBOX_ID, [2]) is None
    assert home.expunged(INBOX_ID) == Changes(known + 2, 4, 1, (), [3])
    assert home.expunged(INBOX_ID) is None
