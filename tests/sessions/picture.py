"""What a strict client believes of its mailbox: built from the server's words alone, each held against the rules.

EXISTS lengthens, EXPUNGE and VANISHED shorten, FETCH fills in (RFC 3501 7.3, 7.4; RFC 7162 3.2.10; RFC 9586). The
model is asked only whether what was said was ever so; what a client does not know it has to ask for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.sessions.hearing import Exists, Expunged, Fetched, KnownFlags, Recent, Vanished
from tests.sessions.model import Flags, Folder, Message

RECENT = "\\Recent"


@dataclass(frozen=True)
class Ways:
    """What a session has enabled."""

    enabled: frozenset[str] = frozenset()

    @property
    def modseq(self) -> bool:
        return bool(self.enabled & {"CONDSTORE", "QRESYNC"})

    @property
    def vanished(self) -> bool:
        return bool(self.enabled & {"QRESYNC", "UIDONLY"})

    @property
    def numbers(self) -> bool:
        return "UIDONLY" not in self.enabled

    @property
    def qresync(self) -> bool:
        return "QRESYNC" in self.enabled

    @property
    def rev2(self) -> bool:
        return "IMAP4rev2" in self.enabled


@dataclass
class Entry:
    """One message, as far as it is known."""

    uid: int | None = None
    flags: Flags | None = None
    modseq: int | None = None
    recent: bool | None = None
    version: int = 0  # the oldest of the model's versions that it may still be told of


@dataclass
class Picture:
    """One session's selected mailbox."""

    session: str
    folder: Folder
    writable: bool
    ways: Ways
    entries: list[Entry] = field(default_factory=list)
    recent: int | None = None  # as RECENT said
    known_flags: Flags = frozenset()
    saved: list[int] = field(default_factory=list)  # what `$` stands for …
    saved_known: bool = True  # … if that is known
    highest: int = 0  # HIGHESTMODSEQ as it was told last
    told: set[int] = field(default_factory=set)  # UIDs whose FLAGS came since the last command began

    def uids(self) -> list[int]:
        """All, which must be known."""
        known = [entry.uid for entry in self.entries if entry.uid is not None]
        assert len(known) == len(self.entries)
        return known

    def entry(self, uid: int) -> Entry | None:
        return next((entry for entry in self.entries if entry.uid == uid), None)

    def number(self, uid: int) -> int:
        return next(n for n, entry in enumerate(self.entries, 1) if entry.uid == uid)

    def unknown(self) -> range:
        """The numbers of messages of which something is missing, from the first to the last."""
        lacking = [n for n, entry in enumerate(self.entries, 1) if self._lacks(entry)]
        return range(lacking[0], lacking[-1] + 1) if lacking else range(0)

    def _lacks(self, entry: Entry) -> bool:
        return entry.uid is None or entry.flags is None or (self.ways.modseq and entry.modseq is None)

    # What the server says

    def exists(self, said: Exists) -> None:
        assert said.count >= len(self.entries), "EXISTS shrank"
        self.entries.extend(Entry() for _ in range(said.count - len(self.entries)))

    def recent_told(self, said: Recent) -> None:
        assert not self.ways.rev2, "RECENT after ENABLE IMAP4rev2"
        assert said.count <= len(self.entries)
        self.recent = said.count

    def flags_known(self, said: KnownFlags) -> None:
        self.known_flags = said.flags

    def expunged(self, said: Expunged) -> None:
        assert not self.ways.vanished, "EXPUNGE where VANISHED was to be said"
        assert 1 <= said.number <= len(self.entries), "EXPUNGE of a number that is not there"
        uid = self.entries.pop(said.number - 1).uid
        if uid is not None:
            self._gone(uid)

    def vanished(self, said: Vanished) -> None:
        assert self.ways.vanished, "VANISHED where EXPUNGE was to be said"
        assert list(said.uids) == sorted(set(said.uids))
        for uid in said.uids:
            if said.earlier:
                assert self.entry(uid) is None, "EARLIER is for what has no number any more"
            else:
                del self.entries[self._place(uid)]
            self._gone(uid)

    def _gone(self, uid: int) -> None:
        message = self.folder.message(uid)
        assert message is not None, f"UID {uid} is said to be gone and never was"
        assert message.gone is not None, f"UID {uid} is said to be gone and is there"
        if uid in self.saved:
            self.saved.remove(uid)

    def fetched(self, said: Fetched) -> Entry:
        assert said.by_uid is not self.ways.numbers, "FETCH and UIDFETCH are mistaken for each other"
        if self.ways.numbers:
            assert 1 <= said.number <= len(self.entries), "FETCH of a number that is not there"
            entry = self.entries[said.number - 1]
            if said.uid is not None:
                self._named(said.number - 1, said.uid)
        else:
            assert b"UID" not in said.items
            entry = self.entries[self._place(said.number)]
            entry.uid = said.number
        self._learn(entry, said)
        return entry

    def _named(self, index: int, uid: int) -> None:
        """A number is a message's for as long as no EXPUNGE is said, and UIDs ascend (RFC 3501 2.3.1)."""
        entry = self.entries[index]
        assert entry.uid in (None, uid), f"number {index + 1} was UID {entry.uid} and is {uid}"
        entry.uid = uid
        known = [each.uid for each in self.entries if each.uid is not None]
        assert known == sorted(set(known)), f"UIDs do not ascend: {known}"

    def _place(self, uid: int) -> int:
        """Where a UID is. One that is not known is among the nameless: behind the next lower, or, where there are no
        numbers and the nameless may be anywhere, at the place that it gets among the named."""
        for index, entry in enumerate(self.entries):
            if entry.uid == uid:
                return index
        below = [index for index, entry in enumerate(self.entries) if entry.uid is not None and entry.uid < uid]
        place = below[-1] + 1 if below else 0
        if not self.ways.numbers:
            nameless = next((index for index, entry in enumerate(self.entries) if entry.uid is None), None)
            assert nameless is not None, f"UID {uid} is spoken of and cannot be there"
            place -= nameless < place
            self.entries.insert(place, self.entries.pop(nameless))
        assert place < len(self.entries), f"UID {uid} is spoken of and cannot be there"
        assert self.entries[place].uid is None, f"UID {uid} is spoken of and cannot be there"
        return place

    def _learn(self, entry: Entry, said: Fetched) -> None:
        """Flags as they were at some time, and never older than what was told before."""
        flags, modseq = said.flags, said.modseq
        if modseq is not None:
            assert entry.modseq is None or modseq >= entry.modseq, "a MODSEQ went back"
            entry.modseq = modseq
        if flags is not None:
            assert not (self.ways.rev2 and RECENT in flags), "\\Recent after ENABLE IMAP4rev2"
            assert flags - {RECENT} <= self.known_flags, f"{flags} are used before FLAGS tells of them"
            recent, flags = RECENT in flags, flags - {RECENT}
            assert not entry.recent or recent, "\\Recent went away"
            entry.recent, entry.flags = recent, flags
        if entry.uid is None:
            return
        message = self.folder.message(entry.uid)
        assert message is not None, f"UID {entry.uid} never was"
        if flags is not None:
            self.told.add(entry.uid)
            entry.version = self._version(message, entry, flags)
            self._recent(message, recent=bool(entry.recent))
        if modseq is not None:
            self.folder.order.told(entry.uid, modseq, flags)

    def _version(self, message: Message, entry: Entry, flags: Flags) -> int:
        for index in range(entry.version, len(message.versions)):
            if message.versions[index][1] == flags:
                return index
        was = [sorted(flags) for _, flags in message.versions]
        raise AssertionError(f"UID {message.uid} is told as {sorted(flags)}; it was {was}, told was {entry.version}")

    def _recent(self, message: Message, *, recent: bool) -> None:
        """One session, which may change the mailbox, has a message as \\Recent (RFC 3501 2.3.2)."""
        if not self.writable or self.ways.rev2:
            return
        if recent:
            assert message.recent in (None, self.session), f"UID {message.uid} is \\Recent in two sessions"
            message.recent = self.session
        if message.first_told and self.folder.parted_recent:
            if recent:
                assert self.session in message.first_told, f"UID {message.uid} is \\Recent; another was told before"
            else:
                assert message.first_told != {self.session}, f"UID {message.uid} is not \\Recent in the first session"

    def answered(self, uids: Iterable[int], what: str) -> None:
        """The FLAGS of all of these were told during this command."""
        missing = set(uids) - self.told
        assert not missing, f"{what}: nothing was told of {sorted(missing)}"
