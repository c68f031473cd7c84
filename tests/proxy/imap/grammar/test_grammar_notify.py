"""NOTIFY: event groups, the rules between events, and what is not known (RFC 5465 8)."""

from __future__ import annotations

import pytest

from proxy.imap.grammar.notify import EventGroup, Mailboxes, Notify, NotifyEvent
from proxy.imap.grammar.parse import parse
from proxy.imap.grammar.syntax import BadSyntax, BodySection, FetchAttribute
from proxy.wire.commands import Ready

E = NotifyEvent
MESSAGES = frozenset({E.MESSAGE_NEW, E.MESSAGE_EXPUNGE})


def parsed(text: str, *, utf8: bool = False) -> Notify:
    command = parse(Ready(b"a", (f"NOTIFY {text}".encode(),)), utf8=utf8)
    assert isinstance(command.arguments, Notify)
    return command.arguments


def test_none() -> None:
    assert parsed("NONE") == parsed("none ") == Notify(())


def test_groups_of_each_kind() -> None:
    words = "(inboxes NONE) (PERSONAL (MailboxName)) (subscribed (subscriptionCHANGE MailboxMetadataChange))"
    assert parsed(f"SET {words}").groups == (
        EventGroup(Mailboxes.INBOXES, frozenset(), frozenset()),
        EventGroup(Mailboxes.PERSONAL, frozenset(), frozenset({E.MAILBOX_NAME})),
        EventGroup(Mailboxes.SUBSCRIBED, frozenset(), frozenset({E.SUBSCRIPTION_CHANGE, E.MAILBOX_METADATA_CHANGE})),
    )


def test_named_mailboxes() -> None:
    words = '(subtree Lists (ServerMetadataChange)) (mailboxes (inbox "a b" &ZTZO9nux- a) NONE)'
    first, second = parsed(f"SET {words}").groups
    assert first == EventGroup(Mailboxes.SUBTREE, frozenset({"Lists"}), frozenset({E.SERVER_METADATA_CHANGE}))
    assert second.names == {"INBOX", "a b", "收件箱", "a"}
    assert parsed('SET (mailboxes "收件箱" NONE)', utf8=True).groups[0].names == {"收件箱"}


@pytest.mark.parametrize("word", ["SELECTED", "Selected-Delayed"])
def test_the_selected_mailbox(word: str) -> None:
    notify = parsed(f"SET STATUS ({word} (MessageNew (UID BODY.PEEK[HEADER] UID) MessageExpunge))")
    assert notify.status
    (group,) = notify.groups
    assert (group.mailboxes.value, group.events) == (word.upper(), MESSAGES)
    uid, header = group.fetch
    assert uid is FetchAttribute.UID
    assert isinstance(header, BodySection)


def test_no_status() -> None:
    assert not parsed("SET (PERSONAL (MessageNew MessageExpunge FlagChange))").status


@pytest.mark.parametrize(
    "text",
    [
        "SET (PERSONAL (AnnotationChange MessageNew MessageExpunge))",
        "SET (PERSONAL (AnnotationChange))",
        "SET (SELECTED (MailboxName Future.Event)) (SELECTED NONE)",
    ],
)
def test_an_event_that_is_not_known_is_no_mistake_of_syntax(text: str) -> None:
    assert parsed(text).unsupported


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SET",
        "SET STATUS",
        "SET ()",
        "SET (PERSONAL)",
        "SET (PERSONAL ())",
        "SET (PERSONAL MessageNew)",
        "SET (PERSONAL (MailboxName) (MailboxName))",
        "SET (PERSONAL NONE)(PERSONAL NONE)",
        "SET (PERSONAL NONE) x",
        "SET (PERSONAL NONEx)",
        "SET STATUSx (PERSONAL NONE)",
        "SET (MAILBOXES () NONE)",
        "SET (MAILBOXES NONE)",
        "SET (SUBTREE (a &AEE-) NONE)",
        "SET (SUBTREE-ONE a NONE)",
        "SET (PERSONAL (MailboxName (UID)))",
        "SET (SELECTED (MessageNew () MessageExpunge))",
        "SET (SELECTED (MessageNew (ALL) MessageExpunge))",
        "SET (PERSONAL (MessageNew))",
        "SET (PERSONAL (MessageExpunge))",
        "SET (PERSONAL (FlagChange))",
        "SET (PERSONAL (MessageNew FlagChange))",
        "SET (SELECTED (FlagChange MessageExpunge))",
        "SET (SELECTED (MailboxName))",
        "SET (SELECTED-DELAYED (MessageNew MessageExpunge SubscriptionChange))",
        "SET (SELECTED NONE) (SELECTED-DELAYED NONE)",
        "SET (SELECTED NONE) (PERSONAL NONE) (SELECTED NONE)",
        "SET (PERSONAL (MessageNew (UID) MessageExpunge))",
        "NONE x",
        "ALL",
    ],
)
def test_what_is_no_notify(text: str) -> None:
    with pytest.raises(BadSyntax):
        parsed(text)


def test_too_much_of_it() -> None:
    for text in ("(PERSONAL NONE) " * 201, f"(PERSONAL ({'MailboxName ' * 51}))", f"(MAILBOXES ({'a ' * 5_001}) NONE)"):
        with pytest.raises(BadSyntax):
            parsed(f"SET {text}")
