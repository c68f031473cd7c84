"""An index that is lost, damaged, older than its record or a copy: UIDs, UIDVALIDITY, flags, keywords, POP3's names and
the ledger are what they were, no UID comes to mean another message, and what was deleted stays deleted.

What is made of a Maildir without index and record: test_store_damage, test_store_salvage."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mailstore.entries import Listed, Outcome
from mailstore.index.ahead import AHEAD
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import FLAGGED, StoreMode
from mailstore.landing import Landing
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.record import record_path
from tests.mailstore import index_damage
from tests.mailstore.index_damage import Damage, index_of, table
from tests.mailstore.killing import every_crash
from tests.mailstore.store_rig import (
    ACCOUNT,
    NOW,
    append,
    bodies,
    check_whole,
    cur,
    debris,
    directory_in_memory,
    names,
    open_home,
    put_in_place,
    rows,
)

COUNT = 40


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with directory_in_memory() as path:
        yield path


def old_mail(number: int) -> bytes:
    return b"Subject: old %d\r\n\r\nbody %d\r\n" % (number, number)


def listed(count: int) -> list[Listed]:
    return [Listed(n, f"u{n}", len(old_mail(n))) for n in range(1, count + 1)]


def fetch(home: MailHome) -> list[int]:
    """As a move does it, of whatever is owed; gives back the positions."""
    entries = [each for each in home.ledger.entries() if each.outcome is Outcome.LISTED]
    landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
    landing.clear_leftovers(entries)
    written = landing.write([(entry, old_mail(entry.position)) for entry in entries])
    landing.settle(written)
    landing.close()
    home.enter([each.landed for each in written])
    home.carried_over()
    return [entry.position for entry in entries]


class Reports(list[tuple[str, dict[str, Any]]]):
    def __call__(self, event: str, **figures: Any) -> None:
        self.append((event, figures))

    def of(self, event: str) -> dict[str, Any]:
        (figures,) = (figures for said, figures in self if said.startswith(event))
        return figures


def reopened(path: Path, said: Reports | None = None, account: int = ACCOUNT) -> MailHome:
    report = said if said is not None else Reports()
    home = MailHome(MailboxEngine(), account, path / "Maildir", clock=lambda: NOW + 1000, report=report)
    home.reconcile()
    return home


def fill(path: Path, count: int) -> None:
    """A moved account: keywords, messages deleted and moved away, a folder that was renamed, mail that came here."""
    path.mkdir()
    home = open_home(path)
    home.ledger.record_listing(listed(count), (), hold_uids=True)
    fetch(home)
    home.create("a/b")
    append(home, b"in b", "a/b", [FLAGGED, "$Work"])
    home.store_flags(INBOX_ID, [5], StoreMode.ADD, ["$Label1", FLAGGED])
    home.remove([7, count])
    home.move(INBOX_ID, [9], "a/b")
    append(home, b"delivered")
    home.rename("a/b", "a/c")
    home.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("lost") / "account"
    fill(path, COUNT)
    return path


@pytest.fixture
def account(template: Path, tmp_path: Path) -> Path:
    put_in_place(template, tmp_path / "account")
    return tmp_path / "account"


def picture(home: MailHome) -> Mapping[str, Any]:
    """What clients and moves are told."""
    return {
        "folders": {
            each.name: (
                *(each.id, each.uidvalidity),
                [(r.uid, r.flags, r.size, r.internal_date, r.uidl, r.file, r.save_date) for r in rows(home, each.name)],
                bodies(home, each.name),
            )
            for each in home.folders()
        },
        "ledger": home.ledger.entries(),
        "subscriptions": home.subscriptions(),
    }


def highest(home: MailHome) -> dict[str, tuple[int, int]]:
    return {name: (home.status(name).uidnext, home.status(name).highestmodseq) for name in names(home)}


def lost(path: Path) -> None:
    index_of(path).unlink()


DAMAGE: list[Damage] = [
    lost,
    index_damage.emptied,
    index_damage.header,
    index_damage.first_page,
    index_damage.truncated,
    index_damage.something_else,
    table("mailboxes"),
    table("folders"),
    table("messages"),
    table("ledger"),
]


@pytest.mark.parametrize("damage", DAMAGE, ids=[damage.__name__ for damage in DAMAGE])
def test_all_is_as_it_was(account: Path, damage: Damage) -> None:
    home = open_home(account)
    before, counters = picture(home), highest(home)
    home.close()
    damage(account)
    (account / "Maildir.db.suspect").touch()  # as after an error: the whole file is looked at
    said = Reports()
    home = reopened(account, said)
    assert picture(home) == before
    check_whole(home)
    assert debris(home) == []
    figures = said.of("index is made again from its record")
    assert (figures["ledger_rows"], figures["lost_octets"]) == (COUNT, 0)
    for name, (uidnext, modseq) in highest(home).items():
        assert uidnext > counters[name][0]
        assert modseq > counters[name][1]
    assert append(home, b"new") == COUNT + 2 + AHEAD
    assert fetch(home) == []  # nothing is owed, nothing is asked for again
    home.close()
    home = reopened(account, again := Reports())
    assert again == []
    home.close()


def test_an_older_index_gives_no_uid_twice(account: Path) -> None:
    """Put back from yesterday, while the Maildir is today's."""
    before = index_of(account).read_bytes()
    home = open_home(account)
    uid = append(home, b"since then")
    home.remove([1])
    now = picture(home)
    home.close()
    index_of(account).write_bytes(before)  # the same file: nothing but its record tells
    said = Reports()
    home = reopened(account, said)
    assert any("older than its record" in event for event, _ in said)
    assert picture(home) == now
    assert append(home, b"another") > uid
    home.close()


def test_what_was_lost_with_its_files_is_asked_for_again(account: Path) -> None:
    home = open_home(account)
    gone = [path for path in cur(home).iterdir() if path.read_bytes() in {old_mail(3), old_mail(4), b"delivered"}]
    home.close()
    lost(account)
    for path in gone:
        path.unlink()
    said = Reports()
    home = reopened(account, said)
    assert said.of("message files are missing")["messages"] == 2
    assert fetch(home) == [3, 4]
    assert {row.uidl: row.uid for row in rows(home) if row.uid > AHEAD} == {
        "u3": COUNT + 2 + AHEAD,
        "u4": COUNT + 3 + AHEAD,
    }
    outcomes = {entry.uidl: entry.outcome for entry in home.ledger.entries()}
    assert [uidl for uidl, outcome in outcomes.items() if outcome is Outcome.DELETED] == ["u7", "u9", f"u{COUNT}"]
    check_whole(home)
    home.close()


def test_files_that_the_record_does_not_know_become_messages(account: Path) -> None:
    """The power took the last half minute of the record, and the index."""
    before = record_path(index_of(account)).read_bytes()
    home = open_home(account)
    uid = append(home, b"last")
    late = Listed(COUNT + 1, "late", len(old_mail(COUNT + 1)))
    home.ledger.record_listing([late], (), hold_uids=False)
    fetch(home)
    home.close()
    lost(account)
    record_path(index_of(account)).write_bytes(before)
    home = reopened(account)
    found = bodies(home)
    assert sorted(u for u in found if u > COUNT + 1) == [uid + AHEAD, uid + AHEAD + 1]
    home.ledger.record_listing([late], (), hold_uids=False)
    fetch(home)  # it is known again by its content
    assert list(bodies(home).values()).count(old_mail(COUNT + 1)) == 1
    assert "late" in {row.uidl for row in rows(home)}
    check_whole(home)
    home.close()


def test_accounts_that_were_made_anew_find_their_mail(account: Path) -> None:
    home = open_home(account)
    before = picture(home)
    home.close()
    for number in (ACCOUNT + 1, ACCOUNT + 2):
        if number == ACCOUNT + 2:
            lost(account)  # … and the index with them
        home = reopened(account, account=number)
        assert picture(home) == before
        append(home, b"x", "a")
        home.remove([rows(home, "a")[0].uid]) if not rows(home, "a") else home.move(2, [rows(home, "a")[0].uid], "a/c")
        before = picture(home)
        assert fetch(home) == []
        home.close()


def test_a_copy_goes_on_higher_and_asks_for_what_is_not_in_it(account: Path, tmp_path: Path) -> None:
    home = open_home(account)
    before, uidnext = picture(home), home.status("INBOX").uidnext
    home.close()
    shutil.copytree(account, tmp_path / "copy")
    said = Reports()
    home = reopened(tmp_path / "copy", said)
    assert said.of("index is a copy") == {"ahead": AHEAD}
    assert picture(home) == before
    assert append(home, b"new") == uidnext + AHEAD
    home.close()
    home = reopened(tmp_path / "copy", again := Reports())
    assert again == []
    home.close()


Part = Callable[[Path], bool]
PARTS: dict[str, Part] = {
    "index": lambda path: path.name.startswith("Maildir.db") and not path.name.endswith(".record"),
    "record": lambda path: path.name.endswith(".record"),
    "mail": lambda path: path.parent.name in {"cur", "new"},
}


@pytest.mark.parametrize("order", ["index record mail", "mail index record", "record mail index", "mail record index"])
def test_a_copy_whose_parts_are_of_different_moments(account: Path, tmp_path: Path, order: str) -> None:
    """Between two parts of a copy the daemon goes on: mail arrives, is read and is removed."""
    copy = tmp_path / "copy"
    home = open_home(account)
    home.ledger.record_listing(listed(COUNT + 8)[COUNT:], (), hold_uids=False)
    owed = [each for each in home.ledger.entries() if each.outcome is Outcome.LISTED]
    removed: list[int] = []
    for step, part in enumerate(order.split()):
        for path in [each for each in account.rglob("*") if PARTS[part](each)]:
            target = copy / path.relative_to(account)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        arriving = owed[2 * step : 2 * step + 2]
        landing = Landing(home.maildir, home.token, seen="headers", clock=lambda: NOW)
        written = landing.write([(entry, old_mail(entry.position)) for entry in arriving])
        landing.settle(written)
        landing.close()
        home.enter([each.landed for each in written])
        removed.append(10 + step)
        home.remove([10 + step])
        home.store_flags(INBOX_ID, [20 + step], StoreMode.ADD, [FLAGGED])
    given = {row.uid: row.file for row in rows(home)}
    in_copy = {path.read_bytes() for path in (copy / "Maildir" / "cur").iterdir()}
    home.close()

    home = reopened(copy)
    check_whole(home)
    found = {row.uid: row.file for row in rows(home)}
    assert all(given.get(uid, file) == file for uid, file in found.items())  # no UID means another message
    assert in_copy - set(bodies(home).values()) <= {old_mail(n) for n in removed}  # nothing of the copy is lost
    fetch(home)
    bodies_now = list(bodies(home).values())
    assert len(bodies_now) == len(set(bodies_now))
    owed_by_nobody = {entry.position for entry in home.ledger.entries() if entry.outcome is Outcome.DELETED}
    assert {old_mail(n) for n in range(1, COUNT + 9)} - set(bodies_now) <= {old_mail(n) for n in owed_by_nobody}
    assert owed_by_nobody <= {7, 9, COUNT, *removed}
    home.close()


@pytest.fixture
def few(tmp_path: Path) -> Path:
    fill(tmp_path / "few", 10)
    return tmp_path / "few"


def test_killed_at_any_step_of_making_it_again(few: Path) -> None:
    home = open_home(few)
    before = picture(home)
    home.close()
    lost(few)
    for path in every_crash(few, lambda path: reopened(path).close()):
        home = reopened(path)
        assert picture(home) == before
        check_whole(home)
        home.close()


def test_killed_between_an_index_and_its_record(few: Path) -> None:
    """Then the index is lost as well: what was told is there, and what was not told may be."""

    def operation(path: Path) -> None:
        home = open_home(path)
        append(home, b"one")
        (path / "told").touch()
        home.remove([2])
        (path / "told").unlink()
        home.close()

    for path in every_crash(few, operation):
        for file in path.glob("Maildir.db*"):
            if not file.name.endswith(".record"):
                file.unlink()
        home = reopened(path)
        check_whole(home)
        found = list(bodies(home).values())
        assert found.count(b"one") <= 1
        assert b"one" in found or not (path / "told").exists()
        assert {1, 3, 4, 5} <= bodies(home).keys()
        fetch(home)
        assert list(bodies(home).values()).count(old_mail(2)) <= 1
        home.close()
