"""NOTIFY: which events in which mailboxes a client wants to be told of (RFC 5465 8)."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxy.imap.grammar.fetch_items import fetch_items
from proxy.imap.grammar.syntax import Arguments, BadSyntax, FetchItem
from proxy.imap.grammar.tokens import Cursor

MAX_GROUPS: Final = 200
MAX_EVENTS: Final = 50
MAX_NAMES: Final = 5_000  # of mailboxes, in one group


class NotifyEvent(enum.Enum):
    """What may happen; the value is its spelling on the wire."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"


_E = NotifyEvent
MESSAGE_EVENTS: Final = frozenset({_E.MESSAGE_NEW, _E.MESSAGE_EXPUNGE, _E.FLAG_CHANGE})
_EVENTS: Final[Mapping[str, NotifyEvent]] = {event.value.upper(): event for event in NotifyEvent}


class Mailboxes(enum.Enum):
    """filter-mailboxes. The first two are of the selected mailbox, whichever that is at the time."""

    SELECTED = "SELECTED"
    SELECTED_DELAYED = "SELECTED-DELAYED"
    INBOXES = "INBOXES"
    PERSONAL = "PERSONAL"
    SUBSCRIBED = "SUBSCRIBED"
    SUBTREE = "SUBTREE"  # the mailboxes named, and all below them
    MAILBOXES = "MAILBOXES"  # the mailboxes named


_MAILBOXES: Final[Mapping[str, Mailboxes]] = {each.value: each for each in Mailboxes}
_OF_SELECTED: Final = frozenset({Mailboxes.SELECTED, Mailboxes.SELECTED_DELAYED})
_NAMED: Final = frozenset({Mailboxes.SUBTREE, Mailboxes.MAILBOXES})


@dataclass(frozen=True, slots=True)
class EventGroup:
    """Some mailboxes, and what is wanted of them; no events stand for NONE.

    `fetch` is what is wanted of each new message in the selected mailbox.
    """

    mailboxes: Mailboxes
    names: frozenset[str]
    events: frozenset[NotifyEvent]
    fetch: tuple[FetchItem, ...] = ()

    @property
    def of_selected(self) -> bool:
        return self.mailboxes in _OF_SELECTED


@dataclass(frozen=True, slots=True)
class Notify(Arguments):
    """NOTIFY SET, and NOTIFY NONE, which has no groups. `status`: figures of the mailboxes are wanted at once.

    `unsupported`: there is an event among them that this server knows nothing of. Then the rules for events are
    not checked.
    """

    groups: tuple[EventGroup, ...]
    status: bool = False
    unsupported: bool = False


def notify(cursor: Cursor) -> Notify:
    """notify = "NOTIFY" SP ("SET" [SP "STATUS"] SP event-group *(SP event-group) / "NONE")"""
    cursor.space()
    word = cursor.word()
    if word == "NONE":
        return Notify(())
    if word != "SET":
        raise BadSyntax("NOTIFY takes SET or NONE")
    cursor.space()
    status = cursor.skip_word(b"STATUS")
    if status:
        cursor.space()
    unsupported: list[bytes] = []
    groups = [_group(cursor, unsupported)]
    while cursor.more():
        if len(groups) >= MAX_GROUPS:
            raise BadSyntax("a list is too long")
        groups.append(_group(cursor, unsupported))
    if not unsupported:
        _check(groups)
    return Notify(tuple(groups), status, bool(unsupported))


def _group(cursor: Cursor, unsupported: list[bytes]) -> EventGroup:
    """event-group = "(" filter-mailboxes SP events ")"; names of events that are not known go to `unsupported`."""
    cursor.expect(b"(")
    mailboxes = _MAILBOXES.get(cursor.word())
    if mailboxes is None:
        raise BadSyntax("NOTIFY knows no such mailboxes")
    cursor.space()
    names: frozenset[str] = frozenset()
    if mailboxes in _NAMED:
        names = _names(cursor)
        cursor.space()
    events: dict[NotifyEvent, tuple[FetchItem, ...]] = {}
    if not cursor.skip_word(b"NONE"):
        found = cursor.listed(lambda: _event(cursor, unsupported), MAX_EVENTS)
        if not found:
            raise BadSyntax("a list of events is empty")
        events = {event: fetch for event, fetch in found if event is not None}
    cursor.expect(b")")
    return EventGroup(mailboxes, names, frozenset(events), events.get(_E.MESSAGE_NEW, ()))


def _names(cursor: Cursor) -> frozenset[str]:
    """one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")" """
    if not cursor.next_is(b"("):
        return frozenset({cursor.folder()})
    names = cursor.listed(cursor.folder, MAX_NAMES)
    if not names:
        raise BadSyntax("a list of mailboxes is empty")
    return frozenset(names)


def _event(cursor: Cursor, unsupported: list[bytes]) -> tuple[NotifyEvent | None, tuple[FetchItem, ...]]:
    """event = "MessageNew" [SP "(" fetch-att *(SP fetch-att) ")"] / event-name; event-ext = atom"""
    name = cursor.atom()
    event = _EVENTS.get(name.decode("ascii").upper())
    if event is None:
        unsupported.append(name)
    fetch: tuple[FetchItem, ...] = ()
    if cursor.next_is(b" (") and event is _E.MESSAGE_NEW:
        cursor.space()
        fetch = fetch_items(cursor)
    return event, fetch


def _check(groups: list[EventGroup]) -> None:
    """What the rules beside the ABNF forbid (RFC 5465 5, 6.1, 8)."""
    if sum(group.of_selected for group in groups) > 1:
        raise BadSyntax("the selected mailbox is there twice")
    for group in groups:
        messages = group.events & MESSAGE_EVENTS
        if messages and not messages >= {_E.MESSAGE_NEW, _E.MESSAGE_EXPUNGE}:
            raise BadSyntax("events of messages need both MessageNew and MessageExpunge")
        if group.of_selected and group.events - MESSAGE_EVENTS:
            raise BadSyntax("of the selected mailbox there are events of messages only")
        if group.fetch and not group.of_selected:
            raise BadSyntax("FETCH items are for the selected mailbox only")
