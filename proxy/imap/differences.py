"""What of the changes in an account a client that has said NOTIFY is to be told (RFC 5465 5).

Two standings of the account are compared, so that it does not matter who made the changes, in which process, and in
how many steps. What the session did itself in between is left out (RFC 5465 5). Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mailstore.index.special import ACCOUNT
from mailstore.standing import FolderStanding, Standing
from proxy.imap.chosen import Chosen, described
from proxy.imap.grammar.folder_names import SEPARATOR
from proxy.imap.grammar.notify import MESSAGE_EVENTS, NotifyEvent
from proxy.imap.interest import Interest
from proxy.imap.listing import parents

E = NotifyEvent


@dataclass(slots=True)
class Own:
    """What a session did itself since it looked last."""

    _names: set[str] = field(default_factory=set)
    _trees: set[str] = field(default_factory=set)
    _subscriptions: set[str] = field(default_factory=set)
    _annotations: set[tuple[str, str]] = field(default_factory=set)
    _changes: Counter[int] = field(default_factory=Counter)  # how many of a folder's modseqs, by its UIDVALIDITY
    _added: set[tuple[int, int]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self._names or self._trees or self._subscriptions or self._annotations or self._changes)

    def created(self, name: str) -> None:
        self._names.update((name.removesuffix(SEPARATOR), *parents(name)))

    def deleted(self, name: str) -> None:
        self._names.add(name)

    def renamed(self, old: str, new: str) -> None:
        self.created(new)
        self._trees.update((old, new.removesuffix(SEPARATOR)))

    def subscribed(self, name: str) -> None:
        """Or not any more."""
        self._subscriptions.add(name)

    def annotated(self, folder: str, entries: Iterable[str]) -> None:
        """`folder` is "" for the account."""
        self._annotations.update((folder, entry) for entry in entries)

    def changed(self, uidvalidity: int) -> None:
        """The messages of the folder with this UIDVALIDITY, which no other has, in one transaction."""
        self._changes[uidvalidity] += 1

    def added(self, uidvalidity: int, uids: Iterable[int]) -> None:
        """Messages, in one transaction."""
        self.changed(uidvalidity)
        self._added.update((uidvalidity, uid) for uid in uids)

    def has_named(self, name: str) -> bool:
        return name in self._names or any(name == top or name.startswith(top + SEPARATOR) for top in self._trees)

    def has_subscribed(self, name: str) -> bool:
        return name in self._subscriptions

    def has_annotated(self, folder: str, entry: str) -> bool:
        return (folder, entry) in self._annotations

    def changes(self, uidvalidity: int) -> int:
        return self._changes[uidvalidity]

    def has_added(self, uidvalidity: int, uid: int) -> bool:
        return (uidvalidity, uid) in self._added


@dataclass(frozen=True, slots=True)
class Annotated:
    """Entries of a folder, or of the account, which is "", that were set or taken away."""

    folder: str
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MessagesChanged:
    """A folder whose messages changed, and what is wanted of them. `before`: None for a new one."""

    folder: FolderStanding
    before: FolderStanding | None
    events: frozenset[NotifyEvent]


@dataclass(frozen=True, slots=True)
class Differences:
    names: Sequence[Chosen]
    annotated: Sequence[Annotated]
    messages: Sequence[MessagesChanged]

    def __len__(self) -> int:
        return len(self.names) + len(self.annotated) + len(self.messages)


def differences(before: Standing, after: Standing, interest: Interest, own: Own, selected: int | None) -> Differences:
    """`selected`: the id of the selected folder, of whose messages the session tells otherwise."""
    names = dict.fromkeys(_subscribed(before, after, interest, own))
    names |= _named(before, after, interest, own)
    existing = [standing.folder for standing in after.folders.values()]
    return Differences(
        described(names, existing, after.subscriptions),
        list(_annotated(before, after, interest, own)),
        list(_messages(before, after, interest, own, selected)),
    )


def _named(before: Standing, after: Standing, interest: Interest, own: Own) -> dict[str, str | None]:
    """Names that were made, deleted, or given to a folder in place of an old one, which is told with it."""
    subscribed = before.subscriptions | after.subscriptions
    told: dict[str, str | None] = {}
    for folder_id, standing in after.folders.items():
        name, was = standing.folder.name, before.folders.get(folder_id)
        if was is None or was.folder.name != name:
            told[name] = was.folder.name if was is not None else None
    there = {standing.folder.name for standing in after.folders.values()}
    for folder_id, was in before.folders.items():
        if folder_id not in after.folders and was.folder.name not in there:
            told[was.folder.name] = None
    return {
        name: old
        for name, old in told.items()
        if interest.wants(E.MAILBOX_NAME, [name] if old is None else [name, old], subscribed)
        and not own.has_named(name)
    }


def _subscribed(before: Standing, after: Standing, interest: Interest, own: Own) -> Iterator[str]:
    for name in before.subscriptions ^ after.subscriptions:
        if interest.wants(E.SUBSCRIPTION_CHANGE, [name], [name]) and not own.has_subscribed(name):
            yield name


def _annotated(before: Standing, after: Standing, interest: Interest, own: Own) -> Iterator[Annotated]:
    """An entry of a folder that came or went between the two is none of them."""
    changed: dict[int, list[str]] = {}
    for key in before.annotations.keys() | after.annotations.keys():
        if before.annotations.get(key) != after.annotations.get(key):
            changed.setdefault(key[0], []).append(key[1])
    for folder_id, entries in sorted(changed.items()):
        name = ""
        if folder_id != ACCOUNT:
            if folder_id not in before.folders or folder_id not in after.folders:
                continue
            name = after.folders[folder_id].folder.name
        if name:
            wanted = interest.wants(E.MAILBOX_METADATA_CHANGE, [name], after.subscriptions)
        else:
            wanted = E.SERVER_METADATA_CHANGE in interest.anywhere
        others = sorted(entry for entry in entries if not own.has_annotated(name, entry))
        if wanted and others:
            yield Annotated(name, tuple(others))


def _messages(
    before: Standing, after: Standing, interest: Interest, own: Own, selected: int | None
) -> Iterator[MessagesChanged]:
    for folder_id, standing in after.folders.items():
        was = before.folders.get(folder_id)
        modseq = 1 if was is None else was.highestmodseq  # 1: a folder as it is made
        folder = standing.folder
        if standing.highestmodseq == modseq or folder_id == selected:
            continue
        if standing.highestmodseq - modseq == own.changes(folder.uidvalidity):
            continue
        if was is None and own.has_named(folder.name):
            continue
        events = interest.of(folder.name, subscribed=folder.name in after.subscriptions) & MESSAGE_EVENTS
        if events:
            yield MessagesChanged(standing, was, events)
