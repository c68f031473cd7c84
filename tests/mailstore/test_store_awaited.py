"""Messages that are listed and not here yet: they count, have numbers and flags, and can be removed; nothing of them
can be read; and what was done to them holds when they come."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mailstore import landing as landing_module
from mailstore import schema
from mailstore.entries import Entry, Landed, Listed, Outcome
from mailstore.errors import NotArrived, NotCarriedOver, StillAway
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, FLAGGED, NO_FLAGS, SEEN, StoreMode
from mailstore.landing import Landing
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.writing import flags_by
from tests.mailstore.index_damage import without_record
from tests.mailstore.store_rig import (
    ACCOUNT,
    NOW,
    append,
    bodies,
    check_whole,
    debris,
    files,
    files_alone,
    open_home,
    read,
    rows,
)

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept

COUNT = 5
SENT = 1_700_000_000  # Tue, 14 Nov 2023 22:13:20 +0000


def old_mail(number: int, more: bytes = b"") -> bytes:
    status = b"Status: RO\r\n" if number % 2 else b""
    return b"Date: Tue, 14 Nov 2023 22:13:2%d +0000\r\n%b\r\nold %d\r\n%b" % (number, status, number, more)


def head(number: int) -> bytes:
    return old_mail(number).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def listed(count: int = COUNT) -> list[Listed]:
    return [Listed(n, f"u{n}", len(old_mail(n))) for n in range(1, count + 1)]


@pytest.fixture
def entries(home: MailHome) -> list[Entry]:
    """Five messages, listed to the user and not here."""
    made = home.ledger.record_listing(listed(), (), hold_uids=True)
    home.ledger.show(NO_FLAGS)
    return made


def landed(home: MailHome, entries: Sequence[Entry], **more: bytes) -> list[Landed]:
    """Their files are in place, and the index does not know."""
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    written = landing.write([(entry, old_mail(entry.position, **more)) for entry in entries])
    landing.settle(written)
    landing.close()
    return [each.landed for each in written]


def arrive(home: MailHome, entries: Sequence[Entry], **more: bytes) -> None:
    home.enter(landed(home, entries, **more))


def note(home: MailHome, entries: Sequence[Entry], seen: str = "headers") -> list[int]:
    noted = [landing_module.noted(entry.id, head(entry.position), seen=seen, now=NOW) for entry in entries]
    return home.oncoming.note([each for each in noted if each is not None])


def outcomes(home: MailHome) -> dict[str, str]:
    return {entry.uidl: entry.outcome.value for entry in home.ledger.entries()}


def missing(home: MailHome, *uids: int) -> tuple[list[int], bool]:
    with pytest.raises(NotArrived) as caught:
        home.open_many(INBOX_ID, uids)
    return sorted(caught.value.uids), caught.value.whole


def test_the_whole_mailbox_is_listed_with_its_uids_sizes_and_uidls(home: MailHome, entries: list[Entry]) -> None:
    found = rows(home)
    assert [(r.uid, r.uidl, r.size) for r in found] == [(n, f"u{n}", len(old_mail(n))) for n in range(1, COUNT + 1)]
    assert all(row.away and not row.dated for row in found)
    assert home.oncoming.complete()
    status = home.status("INBOX")
    assert (status.messages, status.uidnext, status.unseen) == (COUNT, COUNT + 1, COUNT)
    assert status.size == sum(len(old_mail(n)) for n in range(1, COUNT + 1))
    assert [row.uidl for row in home.maildrop()] == [f"u{n}" for n in range(1, COUNT + 1)]


def test_nothing_of_them_can_be_read_and_all_that_are_asked_for_are_named(home: MailHome, entries: list[Entry]) -> None:
    arrive(home, entries[:2])
    assert missing(home, 1, 2, 3, 5) == ([3, 5], True)
    assert read(home, 2) == old_mail(2)
    assert home.facts(INBOX_ID, [1, 2, 3]).keys() == {1, 2}
    for operation in (home.copy, home.move):
        with pytest.raises(NotArrived):
            operation(INBOX_ID, [1, 4], "INBOX")
    with pytest.raises(NotArrived):
        home.rename("INBOX", "elsewhere")
    assert [folder.name for folder in home.folders()] == ["INBOX"]


def test_who_waits_no_more_is_told_that_they_are_still_away(home: MailHome, entries: list[Entry]) -> None:
    with pytest.raises(StillAway):
        home.without_waiting(lambda mail: mail.open(INBOX_ID, 3))
    assert missing(home, 3) == ([3], True)


def test_they_arrive_in_any_order_at_their_places(home: MailHome, entries: list[Entry]) -> None:
    for entry in (entries[3], entries[0], *entries[1:3], entries[4]):
        arrive(home, [entry])
    assert bodies(home) == {n: old_mail(n) for n in range(1, COUNT + 1)}
    assert [row.internal_date for row in rows(home)] == [SENT + n for n in range(1, COUNT + 1)]
    assert [SEEN in row.flags for row in rows(home)] == [True, False, True, False, True]
    assert set(outcomes(home).values()) == {"stored"}
    assert home.oncoming.places() == []
    check_whole(home)


def test_a_header_brings_date_and_flags_and_is_all_that_is_known(home: MailHome, entries: list[Entry]) -> None:
    before = home.select("INBOX", writable=False).highestmodseq
    assert note(home, entries[2:4]) == []
    away = home.away(INBOX_ID, range(1, COUNT + 1))
    assert {uid: each.header for uid, each in away.items()} == {1: None, 2: None, 3: head(3), 4: head(4), 5: None}
    found = {row.uid: row for row in rows(home)}
    assert (found[3].internal_date, found[4].internal_date) == (SENT + 3, SENT + 4)
    changes = home.changes(INBOX_ID, before, claim_recent=False)
    assert [(each.uid, each.flags) for each in changes.changed] == [(3, frozenset({SEEN}))]
    error = home.absent(1, away, header=True)
    assert isinstance(error, NotArrived)
    assert (sorted(error.uids), error.whole) == ([1, 2, 5], False)
    arrive(home, entries)
    assert bodies(home)[3] == old_mail(3)
    assert home.changes(INBOX_ID, before, claim_recent=False).changed != changes.changed  # 1 and 5 are seen as well
    check_whole(home)


@pytest.mark.parametrize("with_header", [False, True])
def test_flags_that_were_changed_hold_whatever_the_header_says(
    home: MailHome, entries: list[Entry], with_header: bool
) -> None:
    home.store_flags(INBOX_ID, [1, 2], StoreMode.ADD, [FLAGGED, "work"])
    home.store_flags(INBOX_ID, [3], StoreMode.REMOVE, [SEEN])
    if with_header:
        note(home, entries)
    arrive(home, entries)
    flags = {row.uid: row.flags for row in rows(home)}
    assert flags == {
        1: frozenset({FLAGGED, "work"}),
        2: frozenset({FLAGGED, "work"}),
        3: NO_FLAGS,
        4: NO_FLAGS,
        5: frozenset({SEEN}),
    }
    check_whole(home)
    assert not home.reconcile()
    assert {row.uid: row.flags for row in rows(home)} == flags


def test_flags_of_the_configuration_are_there_from_the_start(home: MailHome) -> None:
    entries = home.ledger.record_listing(listed(), (), hold_uids=True)
    home.ledger.show(flags_by("all"))
    assert home.status("INBOX").unseen == 0
    before = home.select("INBOX", writable=False).highestmodseq
    note(home, entries, seen="all")
    assert not home.changes(INBOX_ID, before, claim_recent=False).changed


def test_what_was_removed_is_not_taken_in_when_it_comes(home: MailHome, entries: list[Entry]) -> None:
    home.store_flags(INBOX_ID, [2], StoreMode.ADD, [DELETED])
    assert home.expunge(INBOX_ID) == [2]
    home.remove([4])
    assert home.oncoming.unwanted() == [2, 4]
    assert (outcomes(home)["u2"], outcomes(home)["u4"]) == ("deleted", "deleted")
    assert note(home, entries[3:4]) == [2, 4]
    arrive(home, entries)
    assert bodies(home) == {n: old_mail(n) for n in (1, 3, 5)}
    assert debris(home) == []
    assert outcomes(home)["u2"] == "deleted"
    sums = home.carried_over()
    assert (sums.messages_done, sums.messages_total) == (5, 5)
    assert home.oncoming.unwanted() == []


def test_the_file_of_one_that_was_removed_is_nobody_elses_message(home: MailHome, entries: list[Entry]) -> None:
    """A crash between the barrier and the index, with the message removed meanwhile: the next move takes it away."""
    on_their_way = landed(home, entries[:2])
    home.remove([2])
    assert not home.reconcile()
    assert [row.uid for row in rows(home)] == [1, 3, 4, 5]
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    landing.clear_leftovers([], home.oncoming.unwanted())
    landing.close()
    assert files(home) == [on_their_way[0].file + ":2,S"]


def test_what_is_not_here_is_not_missed(home: MailHome, entries: list[Entry], tmp_path: Path) -> None:
    arrive(home, entries[1:2])
    for other in (home, open_home(tmp_path)):  # in this process and in another one
        assert not other.reconcile()
        assert [row.uid for row in rows(other)] == [1, 2, 3, 4, 5]
        if other is not home:
            other.close()
    next((home.maildir.root / "cur").iterdir()).unlink()
    assert home.reconcile()
    assert [row.uid for row in rows(home)] == [1, 3, 4, 5]


def test_one_that_is_longer_than_it_was_listed_gets_its_true_size(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    home = MailHome(
        MailboxEngine(),
        ACCOUNT,
        tmp_path / "Maildir",
        report=lambda event, **figures: told.append((event, figures)),
        clock=lambda: NOW,
    )
    entries = home.ledger.record_listing(listed(), (), hold_uids=True)
    home.ledger.show(NO_FLAGS)
    arrive(home, entries[:2], more=b"more")
    arrive(home, entries[2:])
    assert [row.size - len(old_mail(row.uid)) for row in rows(home)] == [4, 4, 0, 0, 0]
    assert told == [("messages are not as long as the legacy server listed them", {"messages": 2})]
    check_whole(home)
    home.close()


def test_one_in_quarantine_keeps_its_place_and_is_waited_for_by_nobody(home: MailHome, entries: list[Entry]) -> None:
    home.ledger.quarantine(entries[1].id, "it cannot be fetched")
    with pytest.raises(NotCarriedOver):
        home.open(INBOX_ID, 2)
    found = {row.uid: row for row in rows(home)}
    assert found[2].internal_date == NOW  # it has to have one
    assert missing(home, 1, 3) == ([1, 3], True)
    arrive(home, [entries[1]])  # tried again
    assert read(home, 2) == old_mail(2)


def test_one_that_is_gone_at_the_old_server_is_listed_no_more(home: MailHome, entries: list[Entry]) -> None:
    before = home.select("INBOX", writable=False).highestmodseq
    home.ledger.record_listing([], [entries[2].id], hold_uids=True, shown=NO_FLAGS)
    assert [row.uid for row in rows(home)] == [1, 2, 4, 5]
    assert home.changes(INBOX_ID, before, claim_recent=False).gone == [3]
    assert (outcomes(home)["u3"], home.oncoming.unwanted()) == ("gone", [])
    home.ledger.record_listing([], [], hold_uids=True, shown=NO_FLAGS, again=[entries[2].id])
    assert [(row.uid, row.uidl) for row in rows(home)][-1] == (6, "u3")  # a UID is never given twice
    arrive(home, [entries[2]])
    assert read(home, 6) == old_mail(3)


def test_what_is_new_at_the_old_server_is_listed_at_once(home: MailHome, entries: list[Entry]) -> None:
    delivered = append(home, b"a: b\r\n\r\nnew here\r\n")
    (new,) = home.ledger.record_listing([Listed(6, "u6", len(old_mail(6)))], [], hold_uids=True, shown=NO_FLAGS)
    assert [row.uidl for row in rows(home)][-1] == "u6"
    assert new.uid == rows(home)[-1].uid == delivered + 1
    arrive(home, [new])
    assert read(home, delivered + 1) == old_mail(6)


def test_those_that_are_here_already_keep_their_places(home: MailHome) -> None:
    """A move that began as one that holds the login."""
    entries = home.ledger.record_listing(listed(), (), hold_uids=True)
    arrive(home, entries[1:3])
    home.ledger.show(NO_FLAGS)
    assert [(row.uid, row.away) for row in rows(home)] == [(1, True), (2, False), (3, False), (4, True), (5, True)]
    arrive(home, [entries[0], *entries[3:]])
    assert bodies(home) == {n: old_mail(n) for n in range(1, COUNT + 1)}


def test_what_has_no_uidl_is_named_as_everything_here(home: MailHome) -> None:
    nameless = [Listed(each.position, "", each.octets) for each in listed()]
    entries = home.ledger.record_listing(nameless, (), hold_uids=True)
    home.ledger.show(NO_FLAGS)
    before = [row.uidl for row in rows(home)]
    arrive(home, entries)
    assert [row.uidl for row in rows(home)] == before
    uidvalidity = home.select("INBOX", writable=False).folder.uidvalidity
    assert before == [f"mf{uidvalidity:x}.{n}" for n in range(1, COUNT + 1)]


@files_alone
def test_after_an_index_was_lost_everything_is_listed_anew(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    entries = home.ledger.record_listing(listed(), (), hold_uids=True)
    home.ledger.show(NO_FLAGS)
    arrive(home, entries[3:])
    note(home, entries[:2])
    home.close()
    without_record(tmp_path)
    os.truncate(tmp_path / "Maildir.db", 100)
    for log in tmp_path.glob("Maildir.db-*"):
        log.unlink()
    home = open_home(tmp_path)
    assert not home.oncoming.complete()  # nobody is let in before the old server has said what there is
    assert home.recognition.needed()
    assert sorted(bodies(home).values()) == sorted(old_mail(n) for n in (4, 5))
    again = home.ledger.record_listing(listed(), (), hold_uids=True)
    arrive(home, again)
    home.carried_over()
    assert sorted(bodies(home).values()) == [old_mail(n) for n in range(1, COUNT + 1)]
    home.close()


@files_alone
def test_a_damaged_index_tells_what_was_awaited_and_nobody_is_let_in(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    entries = home.ledger.record_listing(listed(), (), hold_uids=True)
    home.ledger.show(NO_FLAGS)
    arrive(home, entries[3:])
    home.suspect()
    with home._database.write() as connection:
        connection.exec_driver_sql("DROP INDEX awaited_ledger")
        connection.exec_driver_sql("UPDATE mailboxes SET token = ''")  # taken for damage at the next opening
    home.close()
    without_record(tmp_path)
    home = open_home(tmp_path)
    assert not home.oncoming.complete()
    assert home.oncoming.places() == []
    assert {e.uidl: e.uid for e in home.ledger.entries() if e.outcome is Outcome.LISTED} == {"u1": 1, "u2": 2, "u3": 3}
    arrive(home, [e for e in home.ledger.entries() if e.outcome is Outcome.LISTED])
    assert bodies(home) == {n: old_mail(n) for n in range(1, COUNT + 1)}
    home.close()


def test_the_index_fills_with_what_is_here(home: MailHome, entries: list[Entry]) -> None:
    arrive(home, [entries[0], entries[4]])
    while home.kept.index_more(1.0):
        pass
    assert home.kept.unindexed(INBOX_ID, range(1, 6)) == [2, 3, 4]
    arrive(home, entries[1:4])
    while home.kept.index_more(1.0):
        pass
    assert home.kept.unindexed(INBOX_ID, range(1, 6)) == []


@files_alone
def test_all_fifty_thousand_are_listed_in_one_go(home: MailHome) -> None:
    """In statements whose number does not depend on how many there are."""
    home.ledger.record_listing([Listed(n, f"u{n}", n) for n in range(1, 2001)], (), hold_uids=True)
    statements: list[str] = []
    driver = home._database.driver
    driver.set_trace_callback(statements.append)
    home.ledger.show(NO_FLAGS)
    driver.set_trace_callback(None)
    assert len(statements) < 20
    with home._database.read() as connection:
        assert len(connection.execute(select(schema.awaited.c.uid)).all()) == 2000
