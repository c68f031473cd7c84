"""What a client that has said NOTIFY wants to be told of which mailbox (RFC 5465 6).

Several groups may speak of one mailbox, and each adds what it wants of it; the groups after one that wants NONE of it
do not count. Only SELECTED and SELECTED-DELAYED speak of messages in the selected mailbox, and of nothing else.

Pure. Names are Unicode with "/" between levels, INBOX in capitals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from proxy.imap.grammar.folder_names import INBOX
from proxy.imap.grammar.notify import EventGroup, Mailboxes, Notify, NotifyEvent
from proxy.imap.grammar.syntax import FetchItem
from proxy.imap.listing import parents

NOTHING: Final[frozenset[NotifyEvent]] = frozenset()


class Interest:
    """One NOTIFY command, as it is asked about."""

    def __init__(self, notify: Notify) -> None:
        selected = next((group for group in notify.groups if group.of_selected), None)
        self._others = [group for group in notify.groups if not group.of_selected]
        self.selected = NOTHING if selected is None else selected.events
        self.fetch: tuple[FetchItem, ...] = () if selected is None else selected.fetch
        self.delayed = selected is not None and selected.mailboxes is Mailboxes.SELECTED_DELAYED
        self.anywhere = frozenset(event for group in self._others for event in group.events)
        self.named = sum(len(group.names) for group in self._others)

    def of(self, name: str, *, subscribed: bool) -> frozenset[NotifyEvent]:
        """What is wanted of a mailbox; where it is the selected one, without its messages."""
        wanted: set[NotifyEvent] = set()
        for group in self._others:
            if _MATCHES[group.mailboxes](group, name, subscribed):
                if not group.events:
                    break
                wanted |= group.events
        return frozenset(wanted)

    def wants(self, event: NotifyEvent, names: Collection[str], subscribed: Collection[str]) -> bool:
        """Is this event wanted of any of these mailboxes?"""
        return event in self.anywhere and any(event in self.of(name, subscribed=name in subscribed) for name in names)


def _in_subtree(group: EventGroup, name: str, _subscribed: bool) -> bool:
    return name in group.names or any(level in group.names for level in parents(name))


# What this server delivers goes to INBOX alone, and all mailboxes are personal.
_MATCHES: Final[Mapping[Mailboxes, Callable[[EventGroup, str, bool], bool]]] = {
    Mailboxes.INBOXES: lambda _group, name, _subscribed: name == INBOX,
    Mailboxes.PERSONAL: lambda _group, _name, _subscribed: True,
    Mailboxes.SUBSCRIBED: lambda _group, _name, subscribed: subscribed,
    Mailboxes.SUBTREE: _in_subtree,
    Mailboxes.MAILBOXES: lambda group, name, _subscribed: name in group.names,
}
