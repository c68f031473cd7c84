"""The ledger: rows, held UIDs, and what they add up to."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import select

from mailstore import schema
from mailstore.entries import Entry, Landed, Listed, Outcome, Sums
from mailstore.errors import StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, SEEN, StoreMode
from mailstore.mailhome import MailHome
from tests.mailstore.store_rig import DATE, NOW, append, rows

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept


def listed(*uidls: str, first: int = 1) -> list[Listed]:
    return [Listed(position, uidl, 100 * position) for position, uidl in enumerate(uidls, first)]


def landed(entry: Entry, seen: bool = False) -> Landed:
    flags = frozenset({SEEN}) if seen else frozenset()
    return Landed(entry, 90, bytes(32), DATE, flags, f"{DATE}.L{entry.id}_x.host,S=90,W=90")


def stored(home: MailHome, entries: Sequence[Entry]) -> Sums:
    return home.ledger.enter([landed(entry) for entry in entries])


def outcomes(home: MailHome) -> dict[str, Outcome]:
    return {entry.uidl: entry.outcome for entry in home.ledger.entries()}


def reasons(home: MailHome) -> list[str]:
    with home._database.read() as connection:
        return list(connection.scalars(select(schema.ledger.c.reason).order_by(schema.ledger.c.id)))


def uids(home: MailHome) -> list[tuple[int, str]]:
    return [(row.uid, row.uidl) for row in home.maildrop()]


def test_an_empty_ledger(home: MailHome) -> None:
    assert home.ledger.entries() == []
    assert home.ledger.sums() == Sums(0, 0, 0, 0, 0)
    assert home.ledger.record_listing([], [], hold_uids=True) == []
    assert home.ledger.enter([]) == Sums(0, 0, 0, 0, 0)
    assert home.status("INBOX").uidnext == 1


def test_a_listing_is_kept_as_it_was(home: MailHome) -> None:
    made = home.ledger.record_listing(listed("a", "", "", "ü~!"), [], hold_uids=False)
    assert made == home.ledger.entries()
    assert [(e.id, e.position, e.uidl, e.octets) for e in made] == [
        (1, 1, "a", 100),
        (2, 2, "", 200),
        (3, 3, "", 300),
        (4, 4, "ü~!", 400),
    ]
    assert {(e.outcome, e.uid, e.attempts) for e in made} == {(Outcome.LISTED, None, 0)}
    more = home.ledger.record_listing(listed("b", first=9), [], hold_uids=False)
    assert [e.id for e in more] == [5]
    assert home.ledger.entries() == made + more


def test_held_uids_keep_the_order_whatever_comes_first(home: MailHome, announced: list[int]) -> None:
    made = home.ledger.record_listing(listed("a", "b", "c", "d"), [], hold_uids=True)
    assert [e.uid for e in made] == [1, 2, 3, 4]
    assert home.status("INBOX").uidnext == 5
    late = append(home, b"came here meanwhile")  # invariant 7: behind the old mail
    assert late == 5
    stored(home, [made[3], made[0]])
    stored(home, [made[1]])
    assert uids(home) == [(1, "a"), (2, "b"), (4, "d"), (5, f"mf{NOW:x}.5")]
    assert announced == [INBOX_ID] * 3
    more = home.ledger.record_listing(listed("e", first=5), [], hold_uids=True)
    assert more[0].uid == 6
    stored(home, [made[2]])
    assert [uidl for _, uidl in uids(home)][:4] == ["a", "b", "c", "d"]


def test_a_later_move_gives_uids_when_it_stores(home: MailHome) -> None:
    """A message must not appear below one that a session has seen (RFC 3501 2.3.1.1)."""
    made = home.ledger.record_listing(listed("a", "b"), [], hold_uids=False)
    append(home, b"new here")
    stored(home, [made[1], made[0]])
    assert uids(home) == [(1, f"mf{NOW:x}.1"), (2, "b"), (3, "a")]
    assert [(e.uid, e.outcome) for e in home.ledger.entries()] == [(3, Outcome.STORED), (2, Outcome.STORED)]


def test_a_batch_is_one_change(home: MailHome) -> None:
    made = home.ledger.record_listing(listed("a", "b", "c"), [], hold_uids=True)
    before = home.select("INBOX", writable=False).highestmodseq
    stored(home, made)
    changes = home.changes(INBOX_ID, before, claim_recent=False)
    assert [(c.uid, c.modseq) for c in changes.changed] == [(1, before + 1), (2, before + 1), (3, before + 1)]
    assert [(r.size, r.internal_date) for r in rows(home)] == [(90, DATE)] * 3


def test_sums(home: MailHome) -> None:
    made = home.ledger.record_listing(listed("a", "b", "c", "d", "e"), [], hold_uids=True)
    assert home.ledger.sums() == Sums(0, 5, 0, 1500, 0)
    assert stored(home, made[:2]) == Sums(2, 5, 300, 1500, 0)
    home.remove([1])  # what the user deletes was carried over all the same
    assert home.ledger.sums() == Sums(2, 5, 300, 1500, 0)
    home.ledger.quarantine(made[2].id, "too odd")
    assert home.ledger.sums() == Sums(2, 5, 300, 1500, 1)
    home.ledger.record_listing([], [made[3].id], hold_uids=True)  # vanished in time: not owed
    assert home.ledger.sums() == Sums(2, 4, 300, 1100, 1)
    assert stored(home, [made[4]]) == home.ledger.sums() == Sums(3, 4, 800, 1100, 1)
    assert [e.outcome for e in home.ledger.entries()] == ["deleted", "stored", "quarantined", "gone", "stored"]


def test_attempts_and_reasons(home: MailHome) -> None:
    made = home.ledger.record_listing(listed("a", "b"), [], hold_uids=True)
    home.ledger.count_attempt(made[0].id, "the connection broke")
    home.ledger.count_attempt(made[0].id, "it broke again")
    home.ledger.quarantine(made[1].id, "refused: ’no’")
    assert [(e.attempts, e.outcome) for e in home.ledger.entries()] == [(2, "listed"), (1, "quarantined")]
    assert reasons(home) == ["it broke again", "refused: ’no’"]
    assert [e.uid for e in home.ledger.entries()] == [1, 2]  # the place stays held
    stored(home, made)
    assert reasons(home) == ["", ""]
    assert outcomes(home) == {"a": Outcome.STORED, "b": Outcome.STORED}


def test_what_was_gone_and_comes_back_is_stored_after_all(home: MailHome) -> None:
    made = home.ledger.record_listing(listed("a"), [], hold_uids=True)
    home.ledger.record_listing(listed("b", first=2), [made[0].id], hold_uids=True)
    assert outcomes(home) == {"a": Outcome.GONE, "b": Outcome.LISTED}
    stored(home, home.ledger.entries())
    assert uids(home) == [(1, "a"), (2, "b")]


def test_a_batch_enters_whole_or_not_at_all(home: MailHome, announced: list[int]) -> None:
    made = home.ledger.record_listing(listed("a", "b"), [], hold_uids=True)
    with pytest.raises(StorageFailed):
        stored(home, [made[0], made[1], made[0]])
    assert uids(home) == []
    assert announced == []
    assert outcomes(home) == {"a": Outcome.LISTED, "b": Outcome.LISTED}
    stored(home, made)
    with pytest.raises(StorageFailed):  # entered again, as if the first time had not been noticed
        stored(home, made)
    assert uids(home) == [(1, "a"), (2, "b")]


# Invariant 8: what a user deletes here stays deleted


@pytest.mark.parametrize("how", ["quit", "expunge", "uid expunge", "rename"])
def test_the_ledger_remembers_what_the_user_deleted(home: MailHome, how: str) -> None:
    made = home.ledger.record_listing(listed("a", "b", "c"), [], hold_uids=True)
    for entry in made:
        written = home.maildir.path("", landed(entry).file, [])
        written.write_bytes(b"x" * 90)
    stored(home, made)
    home.store_flags(INBOX_ID, [1, 3], StoreMode.ADD, [DELETED])
    if how == "quit":
        home.remove([1, 3])
    elif how == "expunge":
        home.expunge(INBOX_ID)
    elif how == "uid expunge":
        home.expunge(INBOX_ID, [1, 2, 3])
    else:
        home.rename("INBOX", "old")
    left = {"a": "deleted", "b": "deleted" if how == "rename" else "stored", "c": "deleted"}
    assert outcomes(home) == left


def test_what_goes_from_another_folder_is_not_the_ledgers_business(home: MailHome) -> None:
    made = home.ledger.record_listing(listed("a"), [], hold_uids=True)
    stored(home, made)
    home.create("x")
    append(home, b"x", "x", flags=[DELETED])  # the same UID, another folder
    home.expunge(next(f.id for f in home.folders() if f.name == "x"))
    home.delete("x")
    assert outcomes(home) == {"a": Outcome.STORED}


def test_accounts_in_one_ledger_are_told_apart(home: MailHome) -> None:
    """In PostgreSQL the same tables hold all accounts: every statement must say whose rows it means."""
    from mailstore.ledger import Ledger

    made = home.ledger.record_listing(listed("a"), [], hold_uids=False)
    other = Ledger(home._database, home.account_id + 1, announce=lambda *_: None, clock=lambda: NOW)
    assert other.entries() == []
    assert other.record_listing(listed("a", "b"), [], hold_uids=False)[0].id == 1
    other.quarantine(1, "x")
    other.count_attempt(1, "x")
    other.record_listing([], [1], hold_uids=False)
    assert home.ledger.entries() == made
    assert home.ledger.sums() == Sums(0, 1, 0, 100, 0)
