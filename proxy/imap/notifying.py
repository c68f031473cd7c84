"""What a session tells unasked, from its NOTIFY on (RFC 5465).

Invariants:

- Nothing piles up. An announcement only marks that something changed; what it was is found by comparing the account
  with how it stood when the client was told last. While the client does not read, nobody looks.
- Whatever happens in a large account, a session looks no more than a fifth of the time: after each look there is a
  rest. Of the selected mailbox it is told without one.
- Where one look finds more than `Limits.notified`, the client is told that it is told no more (RFC 5465 5.8).
- EXPUNGE comes unasked only where the client gave message numbers up for it (SELECTED), and not while a command of
  the client's is on its way here (RFC 5465 5.3, RFC 3501 7.4.1).

Made by the NOTIFY command, asked by the session. A session without it does nothing of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IDelayedCall

from mailstore.errors import MailstoreError, NoSuchFolder
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import Status
from mailstore.index.special import ACCOUNT
from mailstore.mailhome import MailHome
from mailstore.standing import FolderStanding, Standing
from proxy.imap import responses
from proxy.imap.answers import No
from proxy.imap.commands.fetch import fetch_new
from proxy.imap.commands.list_extended import list_response
from proxy.imap.commands.statuses import tell_status
from proxy.imap.differences import Annotated, Differences, MessagesChanged, Own, differences
from proxy.imap.grammar.notify import MESSAGE_EVENTS, Notify, NotifyEvent
from proxy.imap.grammar.syntax import StatusItem
from proxy.imap.interest import Interest

if TYPE_CHECKING:
    from proxy.imap.session import Session
    from proxy.imap.view import View

# Folders of one session whose directories are watched. Each is two inotify watches, of which a kernel gives a user
# 65,536 or more: enough for a thousand such accounts. What other programs do in the folders beyond is told when
# anybody asks for it.
MOST_ATTENDED: Final = 32
REST: Final = 4  # times as long as a look and what it told took, until the next
LONGEST_REST: Final = 2.0  # seconds
OVERFLOW: Final = b"NOTIFICATIONOVERFLOW"

E = NotifyEvent
_ANNOTATIONS: Final = frozenset({E.MAILBOX_METADATA_CHANGE, E.SERVER_METADATA_CHANGE})
_FIGURES: Final = (StatusItem.MESSAGES, StatusItem.UIDNEXT, StatusItem.UIDVALIDITY, StatusItem.UNSEEN)
_NONE: Final = Notify(())


class Notifying:
    """One session's events, from one NOTIFY to the next."""

    def __init__(self, session: Session, notify: Notify) -> None:
        self.interest = Interest(notify)
        self.own = Own()
        self._session = session
        self._standing = Standing()  # of what the client knows
        self._stale = False  # may the account stand otherwise by now?
        self._unasked = False  # is there perhaps something to tell?
        self._resting: IDelayedCall | None = None
        self._attended: dict[int, Callable[[], None]] = {}

    async def begin(self, *, status: bool) -> None:
        """From here on changes count. With `status`, the figures of all that is watched are told first. Raises No."""
        if self.interest.anywhere:
            self._standing = await self._look()
            watched = dict(self._watched())
            if max(len(watched), self.interest.named) > self._most:
                raise No(b"These are too many mailboxes to tell of.", OVERFLOW)
            for folder_id, events in watched.items() if status else ():
                if folder_id != self._selected:
                    await self._tell_status(folder_id, events)
        self._stale = True  # what happened meanwhile was announced to nobody

    def end(self) -> None:
        """Nothing is watched any more. Idempotent."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        for inattentive in self._attended.values():
            inattentive()
        self._attended.clear()

    # What the session calls

    def reselected(self) -> None:
        """Another mailbox is selected, or none."""
        view = self._session.view
        if view is not None:
            wanted = self.interest.selected
            view.tell_only(messages=E.MESSAGE_NEW in wanted, flags=E.FLAG_CHANGE in wanted)
        self._attend()

    def left(self, view: View) -> None:
        """This mailbox is selected no more: what the client knows of it is what it was told while it was. The rest
        is told now, if it is of interest from outside."""
        folder_id = view.folder.id
        if folder_id in self._standing.folders:
            uidnext = view.uids[-1] + 1 if view.uids else 1
            known = FolderStanding(view.folder, uidnext, view.settled)
            self._standing = replace(self._standing, folders={**self._standing.folders, folder_id: known})
            self._stale = self._unasked = True

    def changed(self, folder_id: int) -> bool:
        """Something in a folder, or with `special.ACCOUNT` elsewhere in the account, changed; is there something to
        tell of it?"""
        if folder_id == self._selected:
            self._unasked = self._unasked or bool(self.interest.selected)
        elif self._concerns(folder_id):
            self._stale = True
            self._unasked = self._unasked or self._resting is None
        return self._unasked

    @property
    def due(self) -> bool:
        """Is there perhaps something to tell while the client says nothing?"""
        view = self._session.view
        return self._unasked or (view is not None and view.untold_expunges and self._may_expunge)

    async def tell_unasked(self) -> None:
        self._unasked = False
        await self._session.sync(expunge=self._may_expunge)

    async def tell_new(self, view: View, uids: list[int]) -> None:
        """What is wanted of new messages in the selected mailbox, but for those that the session brought itself."""
        uids = [uid for uid in uids if not self.own.has_added(view.folder.uidvalidity, uid)]
        if len(uids) > self._most and self.interest.fetch:
            self._overflow()
        elif uids and self.interest.fetch:
            await fetch_new(self._session, view, uids, self.interest.fetch)

    async def tell(self) -> None:
        """What changed in the account, but for messages in the selected mailbox."""
        if self._resting is not None:
            return
        own, self.own = self.own, Own()
        if not self.interest.anywhere or not (self._stale or own):
            return
        self._stale = False
        before, begun = self._standing, self._session.clock.seconds()
        try:
            self._standing = await self._look()
            found = differences(before, self._standing, self.interest, own, self._selected)
            if len(found) > self._most:
                self._overflow()
                return
            await self._tell(found)
        except MailstoreError as error:
            self.own, self._stale, self._standing = own, True, before  # it is told when the store can be read again
            self._session.log.warning("imap changes unreadable", reason=str(error), **self._session.who())
            return
        self._attend()
        self._rest(REST * (self._session.clock.seconds() - begun))

    # Inside

    def _rest(self, seconds: float) -> None:
        if seconds > 0 and self._session.notifying is self:
            self._resting = self._session.clock.callLater(min(seconds, LONGEST_REST), self._rested)

    def _rested(self) -> None:
        self._resting = None
        if self._stale or self.own:
            self._unasked = True
            self._session.wake()

    @property
    def _most(self) -> int:
        return self._session.terms.limits.notified

    @property
    def _selected(self) -> int | None:
        view = self._session.view
        return None if view is None else view.folder.id

    @property
    def _may_expunge(self) -> bool:
        """May EXPUNGE come now, with no command in progress?"""
        at_once = bool(self.interest.selected) and not self.interest.delayed
        return at_once and not self._session.intake.reader.amid_command

    def _concerns(self, folder_id: int) -> bool:
        known = self._standing.folders.get(folder_id)
        if known is None:
            return bool(self.interest.anywhere)
        return bool(self._events(known.folder.name) & MESSAGE_EVENTS)

    def _events(self, name: str) -> frozenset[NotifyEvent]:
        return self.interest.of(name, subscribed=name in self._standing.subscriptions)

    def _watched(self) -> Iterator[tuple[int, frozenset[NotifyEvent]]]:
        """Folders whose messages are of interest, and the events, INBOX first."""
        for folder_id, standing in sorted(self._standing.folders.items(), key=lambda item: item[0] != INBOX_ID):
            events = self._events(standing.folder.name) & MESSAGE_EVENTS
            if events:
                yield folder_id, events

    async def _look(self) -> Standing:
        annotations = bool(self.interest.anywhere & _ANNOTATIONS)
        return await self._session.run(lambda home: home.standing(annotations=annotations))

    def _attend(self) -> None:
        """Have what other programs do noticed at once: to the selected folder, in which folders there are, and to as
        many of the others as there may be."""
        wanted = [self._selected] if self._selected is not None and self.interest.selected else []
        if self.interest.anywhere & (MESSAGE_EVENTS | {E.MAILBOX_NAME}):
            wanted.append(ACCOUNT)
        wanted += [folder_id for folder_id, _ in self._watched() if folder_id not in wanted]
        attended = dict.fromkeys(wanted[:MOST_ATTENDED])
        for folder_id in self._attended.keys() - attended.keys():
            self._attended.pop(folder_id)()
        for folder_id in attended:
            if folder_id not in self._attended:
                self._attended[folder_id] = self._session.home.attend(folder_id)

    # What is told

    async def _tell(self, found: Differences) -> None:
        session = self._session
        for line in found.names:
            session.untagged(list_response(session, line))
        for annotated in found.annotated:
            session.untagged(_metadata(session, annotated))
        for changed in found.messages:
            await self._tell_messages(changed)

    async def _tell_messages(self, changed: MessagesChanged) -> None:
        """RFC 5465 5.1 to 5.3: unless nothing but flags changed, of which the client wants to know nothing."""
        before, after = changed.before, changed.folder
        if before is not None and E.FLAG_CHANGE not in changed.events:
            kinds = await self._session.run(lambda home: home.changes_since(before, after.uidnext))
            if not kinds.new and not kinds.expunged:
                return
        await self._tell_status(after.folder.id, changed.events)

    async def _tell_status(self, folder_id: int, events: frozenset[NotifyEvent]) -> None:
        """All figures that RFC 5465 3.1 and 5 ask for, and UNSEEN, which a list of mailboxes shows. HIGHESTMODSEQ is
        for who wants to know of flags, or knows modseqs."""
        items = list(_FIGURES)
        if E.FLAG_CHANGE in events or self._session.manner.modseq:
            items.append(StatusItem.HIGHESTMODSEQ)
        name = self._standing.folders[folder_id].folder.name

        def figures(home: MailHome) -> Status | None:
            try:
                return home.status(name)
            except NoSuchFolder:  # since: the next look finds out
                return None

        found = await self._session.run(figures)
        if found is not None:
            tell_status(self._session, name, found, items)
            await self._session.out.drained()

    def _overflow(self) -> None:
        """As after NOTIFY NONE (RFC 5465 5.8)."""
        self._session.untagged(b"OK [%b] Too much changed at once; nothing more is told." % OVERFLOW)
        self._session.notify(Notifying(self._session, _NONE))


def _metadata(session: Session, annotated: Annotated) -> bytes:
    """metadata-resp = "METADATA" SP mailbox SP entry-list: which they are, without their values (RFC 5464 4.4.2)"""
    entries = b" ".join(responses.astring(entry.encode()) for entry in annotated.entries)
    return b"METADATA %b %b" % (session.folder_name(annotated.folder), entries)
