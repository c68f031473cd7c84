"""What is to be told of two standings of an account, and what the session did itself (RFC 5465 5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mailstore.index.rows import Folder
from mailstore.index.special import ACCOUNT
from mailstore.standing import FolderStanding, Standing
from proxy.imap.differences import Annotated, Differences, Own, differences
from tests.proxy.imap.test_imap_interest import interest

MESSAGES = "(MessageNew MessageExpunge)"


def standing(
    names: Mapping[int, str],
    subscriptions: Iterable[str] = (),
    annotations: Mapping[tuple[int, str], bytes] | None = None,
) -> Standing:
    folders = {number: FolderStanding(Folder(number, name, 100 + number), 1, 1) for number, name in names.items()}
    return Standing(folders, frozenset(subscriptions), annotations or {})


def come_on(before: Standing, **changes: tuple[int, int]) -> Standing:
    """With other (uidnext, modseq) for the folders of these names."""
    folders = {
        number: FolderStanding(each.folder, *changes.get(each.folder.name, (each.uidnext, each.highestmodseq)))
        for number, each in before.folders.items()
    }
    return Standing(folders, before.subscriptions, before.annotations)


def told(before: Standing, after: Standing, groups: str, own: Own | None = None) -> Differences:
    return differences(before, after, interest(groups), own or Own(), None)


def names(found: Differences) -> list[tuple[str, bytes, str | None]]:
    return [(line.name, b" ".join(line.attributes), line.old_name) for line in found.names]


def test_folders_that_came_went_and_moved() -> None:
    before = standing({1: "INBOX", 2: "a", 3: "a/b", 4: "c"}, ["c"])
    after = standing({1: "INBOX", 2: "d", 3: "d/b", 5: "a"}, ["c"])
    assert names(told(before, after, "(PERSONAL (MailboxName))")) == [
        ("a", b"\\HasNoChildren", None),
        ("c", b"\\NonExistent \\Subscribed \\HasNoChildren", None),
        ("d", b"\\HasChildren", "a"),
        ("d/b", b"\\HasNoChildren", "a/b"),
    ]
    assert len(told(before, before, "(PERSONAL (MailboxName SubscriptionChange))")) == 0


def test_a_name_that_went_to_another_folder_is_one_line() -> None:
    before, after = standing({2: "a", 3: "b"}), standing({3: "a"})
    assert names(told(before, after, "(PERSONAL (MailboxName))")) == [("a", b"\\HasNoChildren", "b")]
    gone_and_back = standing({7: "a", 3: "b"})
    assert names(told(before, gone_and_back, "(PERSONAL (MailboxName))")) == [("a", b"\\HasNoChildren", None)]


def test_a_folder_that_is_renamed_matches_by_either_name() -> None:
    before, after = standing({2: "a"}), standing({2: "b"})
    for mailbox, lines in (("a", 1), ("b", 1), ("c", 0)):
        assert len(told(before, after, f"(MAILBOXES {mailbox} (MailboxName))")) == lines


def test_a_name_and_its_subscription_are_one_line() -> None:
    before, after = standing({}), standing({2: "a"}, ["a", "z"])
    assert names(told(before, after, "(PERSONAL (MailboxName SubscriptionChange))")) == [
        ("a", b"\\Subscribed \\HasNoChildren", None),
        ("z", b"\\NonExistent \\Subscribed \\HasNoChildren", None),
    ]
    assert [line.name for line in told(after, before, "(SUBSCRIBED (SubscriptionChange))").names] == ["a", "z"]


def test_annotations() -> None:
    before = standing({1: "INBOX", 2: "a"}, (), {(1, "/x"): b"1", (ACCOUNT, "/x"): b"1", (2, "/gone"): b"1"})
    after = standing({1: "INBOX", 3: "b"}, (), {(1, "/x"): b"2", (1, "/y"): b"1", (3, "/new"): b"1"})
    both = "(PERSONAL (MailboxMetadataChange ServerMetadataChange))"
    assert told(before, after, both).annotated == [Annotated("", ("/x",)), Annotated("INBOX", ("/x", "/y"))]
    assert told(before, after, "(MAILBOXES b (ServerMetadataChange))").annotated == [Annotated("", ("/x",))]
    own = Own()
    own.annotated("INBOX", ["/x"])
    own.annotated("", ["/x"])
    assert told(before, after, both, own).annotated == [Annotated("INBOX", ("/y",))]


def test_messages() -> None:
    before = standing({1: "INBOX", 2: "a", 3: "b"})
    after = come_on(before, INBOX=(5, 4), a=(1, 2))
    found = differences(before, after, interest(f"(PERSONAL {MESSAGES})"), Own(), 1)
    assert [changed.folder.folder.name for changed in found.messages] == ["a"]
    assert found.messages[0].before == before.folders[2]
    assert len(told(before, after, f"(SUBTREE b {MESSAGES})")) == 0


def test_messages_in_a_new_folder() -> None:
    made = standing({2: "a"})
    assert len(told(standing({}), made, f"(PERSONAL {MESSAGES})")) == 0
    (changed,) = told(standing({}), come_on(made, a=(2, 2)), f"(PERSONAL {MESSAGES})").messages
    assert changed.before is None


def test_own_messages_count_as_often_as_they_came() -> None:
    before = standing({1: "INBOX"})
    own = Own()
    own.added(101, [1])
    own.added(101, [2, 3])
    assert own.has_added(101, 3)
    assert not own.has_added(102, 3)
    assert len(told(before, come_on(before, INBOX=(4, 3)), f"(PERSONAL {MESSAGES})", own)) == 0
    with_another = come_on(before, INBOX=(5, 4))
    assert len(told(before, with_another, f"(PERSONAL {MESSAGES})", own)) == 1


def test_own_names() -> None:
    own = Own()
    assert not own
    own.created("a/b/")
    own.deleted("c")
    own.renamed("d", "e/f")
    own.subscribed("g")
    assert own
    before = standing({2: "c", 3: "d", 4: "d/x", 5: "h"})
    after = standing({3: "e/f", 4: "e/f/x", 6: "a", 7: "a/b", 8: "e", 9: "a/c"}, ["g", "i"])
    found = told(before, after, "(PERSONAL (MailboxName SubscriptionChange))", own)
    assert [line.name for line in found.names] == ["a/c", "h", "i"]
