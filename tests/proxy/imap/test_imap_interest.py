"""Which group speaks of which mailbox, and what several of them want together (RFC 5465 3.1, 6)."""

from __future__ import annotations

import pytest

from proxy.imap.grammar.notify import Notify, NotifyEvent
from proxy.imap.grammar.parse import parse
from proxy.imap.grammar.syntax import FetchAttribute
from proxy.imap.interest import Interest
from proxy.wire.commands import Ready

E = NotifyEvent
MESSAGES = "(MessageNew MessageExpunge)"
NEW = frozenset({E.MESSAGE_NEW, E.MESSAGE_EXPUNGE})


def interest(groups: str) -> Interest:
    command = parse(Ready(b"a", (f"NOTIFY SET {groups}".encode(),)))
    assert isinstance(command.arguments, Notify)
    return Interest(command.arguments)


@pytest.mark.parametrize(
    ("mailboxes", "matched"),
    [
        ("INBOXES", {"INBOX"}),
        ("PERSONAL", {"INBOX", "Lists", "Lists/a", "Lists/a/b", "Listsx"}),
        ("SUBSCRIBED", {"Lists/a"}),
        ("SUBTREE Lists", {"Lists", "Lists/a", "Lists/a/b"}),
        ("SUBTREE (Lists/a inbox)", {"INBOX", "Lists/a", "Lists/a/b"}),
        ("MAILBOXES Lists", {"Lists"}),
        ("MAILBOXES (Lists/% inBOX Nowhere)", {"INBOX"}),  # no wildcards (RFC 5465 6.6)
        ("SELECTED", set()),
        ("SELECTED-DELAYED", set()),
    ],
)
def test_which_mailboxes_a_group_speaks_of(mailboxes: str, matched: set[str]) -> None:
    wanted = interest(f"({mailboxes} {MESSAGES})")
    names = ["INBOX", "Lists", "Lists/a", "Lists/a/b", "Listsx"]
    found = {name for name in names if wanted.of(name, subscribed=name == "Lists/a")}
    assert found == matched


def test_groups_add_up() -> None:
    wanted = interest(f"(MAILBOXES INBOX {MESSAGES}) (PERSONAL (SubscriptionChange))")
    assert wanted.of("INBOX", subscribed=False) == NEW | {E.SUBSCRIPTION_CHANGE}
    assert wanted.of("a", subscribed=False) == {E.SUBSCRIPTION_CHANGE}


def test_none_ends_the_list_for_its_mailboxes() -> None:
    wanted = interest(f"(MAILBOXES a NONE) (MAILBOXES b (MailboxName)) (SUBTREE b NONE) (PERSONAL {MESSAGES})")
    assert wanted.of("a", subscribed=False) == set()
    assert wanted.of("b", subscribed=False) == {E.MAILBOX_NAME}
    assert wanted.of("b/c", subscribed=False) == set()
    assert wanted.of("c", subscribed=False) == NEW


def test_the_selected_mailbox_has_a_group_of_its_own() -> None:
    wanted = interest(f"(PERSONAL (MessageNew MessageExpunge FlagChange)) (SELECTED-DELAYED {MESSAGES})")
    assert wanted.selected == NEW
    assert wanted.delayed
    assert not interest(f"(SELECTED {MESSAGES})").delayed
    assert interest("(PERSONAL (MailboxName))").selected == interest("(SELECTED NONE)").selected == set()
    assert interest("(SELECTED (MessageNew (UID) MessageExpunge))").fetch == (FetchAttribute.UID,)


def test_notify_none() -> None:
    nothing = Interest(Notify(()))
    assert not nothing.selected
    assert not nothing.anywhere
    assert not nothing.of("INBOX", subscribed=True)


def test_wants() -> None:
    wanted = interest("(SUBSCRIBED (MailboxName))")
    assert wanted.wants(E.MAILBOX_NAME, ["a", "b"], {"b"})
    assert not wanted.wants(E.MAILBOX_NAME, ["a"], {"b"})
    assert not wanted.wants(E.SUBSCRIPTION_CHANGE, ["b"], {"b"})
