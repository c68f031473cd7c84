"""What a legacy server's folders are called here, and what they are for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore.maildir import folder_directory
from proxy.imap.client.replies import Folder
from proxy.migration.folder_names import name_here, old_folders


def folder(name: str, *attributes: str) -> Folder:
    return Folder(name.encode(), tuple(name.split("/")), frozenset(attributes), subscribed=False)


def uses(*folders: Folder) -> dict[str, tuple[str, ...]]:
    return {each.name: each.uses for each in old_folders(folders) if each.uses}


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        (("INBOX",), "INBOX"),
        (("INBOX", "a"), "INBOX/a"),
        (("inbox",), "inbox (2)"),  # below a namespace's prefix: "INBOX.inbox"
        (("a/b", "c"), "a-b/c"),
        (("", "a", " "), "_/a/_"),
        (("tab\there",), "tab here"),
        (("工作", "2009"), "工作/2009"),
        (("\ud800",), "_"),
    ],
)
def test_names(levels: tuple[str, ...], name: str) -> None:
    assert name_here(levels) == name


@given(st.lists(st.text(st.characters(), max_size=200), min_size=1, max_size=12))
def test_whatever_a_name_is_a_folder_can_be_made_under_it(levels: list[str]) -> None:
    name = name_here(levels)
    folder_directory(name)
    assert name.upper() != "INBOX" or name == "INBOX"


def test_what_the_server_says_counts() -> None:
    assert uses(folder("Sent"), folder("Ausgang", "\\sent"), folder("x", "\\spam")) == {
        "Ausgang": ("\\Sent",),
        "x": ("\\Junk",),
    }


def test_where_it_says_nothing_names_count_at_the_top_the_best_known_first() -> None:
    found = uses(
        folder("Sent Items"), folder("Sent"), folder("work/Drafts"), folder("已删除邮件"), folder("Junk E-mail")
    )
    assert found == {"Sent": ("\\Sent",), "已删除邮件": ("\\Trash",), "Junk E-mail": ("\\Junk",)}


def test_of_two_that_are_said_to_have_a_use_one_has_it() -> None:
    assert uses(folder("a", "\\sent"), folder("b", "\\sent")) == {"a": ("\\Sent",)}


def test_names_that_read_alike_stay_apart() -> None:
    alike = [
        Folder(b"a", ("a",), frozenset(), subscribed=False),
        Folder(b"&AGE-", ("a",), frozenset(), subscribed=False),
    ]
    first, second = old_folders(alike)
    assert first.name != second.name
    assert (first.here, second.here) == ("a", "a")
