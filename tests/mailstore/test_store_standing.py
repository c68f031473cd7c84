"""How an account stands, and what happened in a folder since."""

from __future__ import annotations

import pytest

from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, SEEN, StoreMode
from mailstore.index.special import ACCOUNT
from mailstore.mailhome import MailHome
from mailstore.standing import MessageChanges
from tests.mailstore.store_rig import append, folder_id

pytestmark = pytest.mark.usefixtures("either")  # wherever mailboxes are kept


def test_folders_and_subscriptions(home: MailHome) -> None:
    append(home, b"x")
    home.create("a/b")
    home.subscribe("a")
    home.subscribe("nowhere")
    stands = home.standing(annotations=False)
    assert {each.folder.name: (each.uidnext, each.highestmodseq) for each in stands.folders.values()} == {
        "INBOX": (2, 2),
        "a": (1, 1),
        "a/b": (1, 1),
    }
    assert all(number == each.folder.id for number, each in stands.folders.items())
    assert stands.subscriptions == {"a", "nowhere"}
    assert stands.annotations == {}


def test_annotations(home: MailHome) -> None:
    home.create("a", ["\\Sent"])
    home.make_special_folders({})  # leaves a note for itself, which is no annotation
    home.annotations.change("a", {"/private/comment": b"x" * 10_000})
    home.annotations.change("", {"/private/comment": b"y"})
    before = home.standing(annotations=True).annotations
    number = folder_id(home, "a")
    of_folder = {(number, "/private/comment"), (number, "/private/specialuse")}
    assert before.keys() == of_folder | {(ACCOUNT, "/private/comment")}
    home.annotations.change("a", {"/private/comment": b"x" * 9_999 + b"z", "/private/specialuse": b"\\Junk"})
    after = home.standing(annotations=True).annotations
    assert {key for key in after if after[key] != before[key]} == of_folder


def test_what_happened_in_a_folder(home: MailHome) -> None:
    def since() -> MessageChanges:
        return home.changes_since(before, home.standing(annotations=False).folders[INBOX_ID].uidnext)

    append(home, b"x")
    append(home, b"y")
    before = home.standing(annotations=False).folders[INBOX_ID]
    assert since() == MessageChanges(new=False, expunged=False)
    home.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN, DELETED])
    assert since() == MessageChanges(new=False, expunged=False)
    home.expunge(INBOX_ID)
    assert since() == MessageChanges(new=False, expunged=True)
    append(home, b"z")
    assert since() == MessageChanges(new=True, expunged=True)
    before = home.standing(annotations=False).folders[INBOX_ID]
    assert since() == MessageChanges(new=False, expunged=False)
