"""A legacy server's folders, and messages that are carried over into them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from mailstore.entries import Entry, Listed, Marks, Outcome, Sums
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import StoreMode
from mailstore.landing import Landing
from mailstore.mailhome import MailHome
from mailstore.old_folders import OldFolder
from tests.mailstore import index_damage
from tests.mailstore.store_rig import (
    NOW,
    append,
    bodies,
    check_whole,
    cur,
    debris,
    files_alone,
    folder_id,
    lose_index,
    names,
    open_home,
    rows,
)

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept

SPECIAL = {"\\Sent": "Gesendet", "\\Trash": "Papierkorb"}


def old(name: str, here: str = "", *uses: str, subscribed: bool = False) -> OldFolder:
    return OldFolder(name, here or name, uses, subscribed)


def receive(home: MailHome, *folders: OldFolder, needed: Iterable[str] = ()) -> None:
    home.receive_folders([old("INBOX"), *folders], set(needed))


def listed(*messages: tuple[str, str]) -> list[Listed]:
    """Of (folder, identity), in this order."""
    return [Listed(n, "", 3, folder=folder, legacy_id=identity) for n, (folder, identity) in enumerate(messages, 1)]


def carry(home: MailHome, entries: Iterable[Entry], *, seen: str = "headers") -> Sums:
    """Land and enter a message `ID of FOLDER` for each row."""
    landing = Landing(home.maildir, home.token, seen=seen, clock=lambda: NOW, directories=home.directories_of_folders())
    try:
        written = landing.write([(entry, f"{entry.legacy_id} of {entry.folder}".encode()) for entry in entries])
        landing.settle(written)
        return home.enter([each.landed for each in written])
    finally:
        landing.close()


def test_folders_come_with_those_above_them_and_their_subscriptions(home: MailHome) -> None:
    receive(home, old("INBOX/below"), old("Work/工作", subscribed=True), old("a.b"))
    assert names(home) == ["INBOX", "INBOX/below", "Work", "Work/工作", "a.b"]
    assert home.subscriptions() == ["Work/工作"]
    receive(home, old("Work/工作"), old("a.b", subscribed=True))
    assert home.subscriptions() == ["Work/工作"]  # it was decided when they came


def test_a_use_goes_before_a_name(home: MailHome) -> None:
    home.make_special_folders(SPECIAL)
    receive(home, old("Sent Items", "Sent Items", "\\Sent"), old("Deleted", "Deleted", "\\Trash"))
    assert names(home) == ["INBOX", "Gesendet", "Papierkorb"]


def test_a_use_that_no_folder_has_goes_with_the_folder(home: MailHome) -> None:
    receive(home, old("Sent Items", "Sent Items", "\\Sent"), old("Notes", "Notes", "\\Flagged"))
    uses = {folder.name: folder.special_use for folder in home.folders()}
    assert uses == {"INBOX": (), "Sent Items": ("\\Sent",), "Notes": ()}


def test_no_two_folders_become_one(home: MailHome) -> None:
    home.make_special_folders({"\\Sent": "Sent"})
    receive(home, old("Sent Items", "Sent Items", "\\Sent"), old("Sent"), old("a:b", "a-b"), old("a/b", "a-b"))
    assert names(home) == ["INBOX", "Sent", "Sent (2)", "a-b", "a-b (2)"]


def test_a_folder_that_is_here_by_that_name_takes_it(home: MailHome) -> None:
    home.create("Work")
    receive(home, old("Work"))
    assert names(home) == ["INBOX", "Work"]


def test_a_folder_keeps_what_it_was_given_whatever_it_is_called(home: MailHome) -> None:
    receive(home, old("Work"))
    home.rename("Work", "Arbeit")
    receive(home, old("Work"), needed=["Work"])
    made = home.ledger.record_listing(listed(("Work", "1.1")), [], hold_uids=False)
    carry(home, made)
    assert bodies(home, "Arbeit") == {1: b"1.1 of Work"}


def test_a_folder_that_was_deleted_here_comes_back_for_new_mail_alone(home: MailHome) -> None:
    receive(home, old("Work"))
    carry(home, home.ledger.record_listing(listed(("Work", "1.1")), [], hold_uids=True))
    home.delete("Work")
    assert [entry.outcome for entry in home.ledger.entries()] == [Outcome.DELETED]
    receive(home, old("Work"))
    assert names(home) == ["INBOX"]
    receive(home, old("Work"), needed=["Work"])
    carry(home, home.ledger.record_listing(listed(("Work", "1.2")), [], hold_uids=False))
    assert bodies(home, "Work") == {1: b"1.2 of Work"}


def test_each_folder_holds_its_own_uids_in_a_first_move(home: MailHome) -> None:
    receive(home, old("Work"))
    both = [("INBOX", "7.1"), ("INBOX", "7.2"), ("Work", "8.1"), ("Work", "8.2")]
    made = home.ledger.record_listing(listed(*both), [], hold_uids=True)
    assert [(entry.folder_id, entry.uid) for entry in made] == [
        (INBOX_ID, 1),
        (INBOX_ID, 2),
        (folder_id(home, "Work"), 1),
        (folder_id(home, "Work"), 2),
    ]
    append(home, b"while it moves", "Work")
    sums = carry(home, [made[1], made[3]])
    carry(home, [made[0], made[2]])
    assert bodies(home) == {1: b"7.1 of INBOX", 2: b"7.2 of INBOX"}
    assert bodies(home, "Work") == {1: b"8.1 of Work", 2: b"8.2 of Work", 3: b"while it moves"}
    assert (sums.messages_done, sums.messages_total) == (2, 4)
    check_whole(home)
    assert debris(home) == []


def test_flags_and_dates_are_the_servers(home: MailHome) -> None:
    receive(home)
    for n, (seen, flags) in enumerate(
        [("headers", {"\\Seen", "$Junk"}), ("all", {"\\Seen", "$Junk"}), ("none", {"$Junk"})], 1
    ):
        (entry,) = home.ledger.record_listing(listed(("INBOX", f"1.{n}")), [], hold_uids=False)
        carry(home, [entry._replace(marks=Marks(frozenset({"\\Seen", "$Junk"}), 86_400))], seen=seen)
        assert rows(home)[-1].flags == flags
        assert rows(home)[-1].internal_date == 86_400


def test_a_message_that_is_removed_is_deleted_in_the_ledger_whichever_folder_it_was_in(home: MailHome) -> None:
    receive(home, old("Work"), old("Other"))
    both = [("INBOX", "7.1"), ("Work", "8.1"), ("Work", "8.2"), ("Work", "8.3")]
    carry(home, home.ledger.record_listing(listed(*both), [], hold_uids=True))
    work = folder_id(home, "Work")
    home.store(work, [1], StoreMode.ADD, ["\\Deleted"])
    home.expunge(work)
    home.move(work, [2], "Other")
    assert [entry.outcome.value for entry in home.ledger.entries()] == ["stored", "deleted", "deleted", "stored"]


def test_a_crash_before_the_index_is_cleared_up_in_every_folder(home: MailHome) -> None:
    receive(home, old("Work"))
    made = home.ledger.record_listing(listed(("INBOX", "7.1"), ("Work", "8.1")), [], hold_uids=True)
    landing = Landing(
        home.maildir, home.token, seen="headers", clock=lambda: NOW, directories=home.directories_of_folders()
    )
    landing.settle(landing.write([(entry, b"abc") for entry in made]))
    landing.close()
    home.reconcile()  # they belong to rows that are owed
    assert bodies(home, "Work") == {}
    again = Landing(
        home.maildir, home.token, seen="headers", clock=lambda: NOW, directories=home.directories_of_folders()
    )
    again.clear_leftovers(made)
    again.close()
    assert list(cur(home, "Work").iterdir()) == []
    carry(home, made)
    assert bodies(home, "Work") == {1: b"8.1 of Work"}
    assert debris(home) == []


def test_many_folders_do_not_cost_a_descriptor_each(home: MailHome) -> None:
    folders = [old(f"f{n}") for n in range(150)]
    receive(home, *folders)
    made = home.ledger.record_listing(listed(*[(folder.name, "1.1") for folder in folders]), [], hold_uids=True)
    carry(home, made)
    assert bodies(home, "f0") == {1: b"1.1 of f0"}
    assert bodies(home, "f149") == {1: b"1.1 of f149"}


def test_a_folder_that_goes_while_its_mail_comes_takes_it_along(home: MailHome) -> None:
    receive(home, old("Work"))
    made = home.ledger.record_listing(listed(("INBOX", "7.1"), ("Work", "8.1")), [], hold_uids=True)
    home.delete("Work")
    carry(home, made)
    assert [entry.outcome.value for entry in home.ledger.entries()] == ["stored", "deleted"]
    assert bodies(home) == {1: b"7.1 of INBOX"}


@files_alone
def test_a_lost_index_is_made_anew_with_the_ledger_of_every_folder(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    receive(home, old("Work"), old("Gone"))
    both = [("INBOX", "7.1"), ("Work", "8.1"), ("Work", "8.2"), ("Gone", "9.1")]
    carry(home, home.ledger.record_listing(listed(*both), [], hold_uids=True))
    home.delete("Gone")
    before = home.ledger.entries()
    home.suspect()  # the whole of it is looked at
    home.close()
    index_damage.table("expunged")(tmp_path)
    home = open_home(tmp_path)
    assert home.made_anew
    assert [(e.folder, e.folder_id, e.legacy_id, e.outcome, e.uid) for e in home.ledger.entries()] == [
        (e.folder, e.folder_id, e.legacy_id, e.outcome, e.uid) for e in before
    ]
    assert bodies(home, "Work") == {1: b"8.1 of Work", 2: b"8.2 of Work"}
    receive(home, old("Work"), old("Gone"))
    assert names(home) == ["INBOX", "Work"]
    home.close()


def test_without_any_index_what_comes_again_is_known_by_its_bytes_in_every_folder(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    receive(home, old("Work"))
    both = [("INBOX", "7.1"), ("Work", "8.1")]
    carry(home, home.ledger.record_listing(listed(*both), [], hold_uids=True))
    home.close()
    lose_index(tmp_path)
    home = open_home(tmp_path)
    receive(home, old("Work"))
    carry(home, home.ledger.record_listing(listed(*both), [], hold_uids=False))
    assert list(bodies(home).values()) == [b"7.1 of INBOX"]
    assert list(bodies(home, "Work").values()) == [b"8.1 of Work"]
    assert [entry.outcome.value for entry in home.ledger.entries()] == ["stored", "stored"]
    home.close()
