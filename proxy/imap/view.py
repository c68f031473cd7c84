"""The sequence numbers that one session sees (RFC 3501 2.3.1.2 and 7.4.1).

What other sessions do to a mailbox is known here as soon as `apply` is told of it, but the client's
numbers change only when `flush` hands out the responses that say so. Between the two:

- a message that was expunged keeps its number, and may be asked for by it, until `flush(expunge=True)`
  has said EXPUNGE (a client that pipelines FETCH with numbers must never be given another message);
- a new message has no number until EXISTS was said;
- a flag is told as it is at the moment of telling.

A client may want to hear of less (`tell_only`, RFC 5465 3.1): then what others did keeps waiting, and what this
session did itself is told as always.

The view is pure: no I/O, no clock. A session owns one while a mailbox is selected. It holds 20 octets
a message: the UID, the modseq, and a reference to a flag set shared by all messages that have the same.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable

from mailstore.index.rows import Changes, Flagged, Flags, Shown, Snapshot, shared_flags
from proxy.imap import responses
from proxy.imap.grammar.sequences import SequenceSet
from proxy.imap.manner import PLAIN, Manner

FEW = 64  # so many expunged messages are cut out of the arrays one by one; more, and these are built anew

Spans = list[range]  # indexes (sequence number - 1), ascending, not touching each other


class BadSequence(Exception):
    """A sequence number beyond the number of messages, or "*" in an empty mailbox (RFC 3501 9, seq-number)."""


def spans_of(indexes: Iterable[int]) -> Spans:
    """Ascending indexes as ranges."""
    spans: Spans = []
    for index in indexes:
        if spans and spans[-1].stop == index:
            spans[-1] = range(spans[-1].start, index + 1)
        else:
            spans.append(range(index, index + 1))
    return spans


class View:
    """One session's picture of its selected mailbox."""

    __slots__ = (
        "_exists_told",
        "_flags_untold",
        "_gone",
        "_keywords_untold",
        "_known",
        "_modseqs_untold",
        "_newest",
        "_own_gone",
        "_recent",
        "_recent_told",
        "_tells_flags",
        "_withheld",
        "flags",
        "folder",
        "keywords",
        "manner",
        "modseq",
        "modseqs",
        "saved",
        "settled",
        "tells_messages",
        "uidnext",
        "uids",
        "writable",
    )

    def __init__(self, snapshot: Snapshot, *, writable: bool, manner: Manner = PLAIN) -> None:
        self.manner = manner
        self.folder = snapshot.folder
        self.writable = writable
        self.uids = array("I", snapshot.uids)
        self.flags = list(snapshot.flags)
        self.modseqs = snapshot.modseqs or array("Q", [snapshot.highestmodseq]) * len(self.uids)
        self.keywords = set(snapshot.keywords)
        self.modseq = snapshot.highestmodseq
        self.settled = snapshot.highestmodseq  # the client knows of all changes up to this one
        self.uidnext = snapshot.uidnext
        self.saved: array[int] = array("I")  # UIDs that "$" stands for, ascending (RFC 5182); none that was told gone
        self._known: set[Flags] = set()  # flag sets whose keywords are all in `keywords`
        self._recent: list[range] = []  # UIDs that are \Recent in this session
        self._gone: set[int] = set()  # UIDs expunged and not yet told
        self._flags_untold: set[int] = set()  # UIDs
        self._modseqs_untold: set[int] = set()  # UIDs whose flags are known to the client and whose modseq is not
        self.tells_messages = self._tells_flags = True  # are others' doings told?
        self._withheld: set[int] = set()  # UIDs whose flags others changed while that was not to be told
        self._own_gone: set[int] = set()  # UIDs that this session expunged while others' expunges are not to be told
        self._exists_told = len(self.uids)  # how many messages the client knows of
        self._keywords_untold = False
        self._newest = self.uids[-1] if self.uids else 0  # the highest UID that was ever here
        if self.uids and snapshot.recent_from <= self.uids[-1]:
            self._recent.append(range(snapshot.recent_from, self.uids[-1] + 1))
        self._recent_told = self.recent

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def recent(self) -> int:
        """How many messages are \\Recent, as RECENT is to say it."""
        uids = self.uids
        return sum(bisect_left(uids, span.stop) - bisect_left(uids, span.start) for span in self._recent)

    @property
    def unseen(self) -> int | None:
        """The sequence number of the first message without \\Seen."""
        seen: dict[Flags, bool] = {}
        for number, flags in enumerate(self.flags, 1):
            if flags not in seen:
                seen[flags] = "\\Seen" in flags
            if not seen[flags]:
                return number
        return None

    @property
    def untold_expunges(self) -> bool:
        """Is a message gone whose EXPUNGE the client was not yet sent?"""
        return bool(self._gone)

    @property
    def untold(self) -> list[int]:
        """The UIDs of new messages, of which the client has not heard yet."""
        return list(self.uids[self._exists_told :])

    def is_gone(self, uid: int) -> bool:
        """Was this message, which still has its number, expunged?"""
        return uid in self._gone

    def is_recent(self, uid: int) -> bool:
        return self.manner.recent and any(uid in span for span in self._recent)

    def index(self, uid: int) -> int | None:
        """Where a UID is: its sequence number - 1."""
        where = bisect_left(self.uids, uid)
        return where if where < len(self.uids) and self.uids[where] == uid else None

    # What the client asks for

    def find(self, sequence: SequenceSet, *, uid: bool) -> Spans:
        """The messages of a set of numbers, or of UIDs, of which those not there are passed over (RFC 3501 6.4.8).

        Raises BadSequence.
        """
        if sequence.saved:
            return self._saved_spans()
        if uid:
            return sequence.positions(self.uids)
        if not sequence.fits(len(self.uids)):
            raise BadSequence
        return [range(first - 1, last) for first, last in sequence.resolve(len(self.uids))]

    def save(self, uids: Iterable[int]) -> None:
        """Let "$" stand for these, ascending (RFC 5182)."""
        self.saved = array("I", uids)

    def _saved_spans(self) -> Spans:
        """Where those messages are that "$" stands for and that are still here."""
        return spans_of(index for uid in self.saved if (index := self.index(uid)) is not None)

    def uids_of(self, spans: Spans) -> list[int]:
        """The UIDs of `spans`, ascending."""
        return [uid for span in spans for uid in self.uids[span.start : span.stop]]

    # What happened in the mailbox

    def tell_only(self, *, messages: bool, flags: bool) -> None:
        """Of others' doings, tell new and expunged messages, and flags, or keep them until they are wanted."""
        self.tells_messages, self._tells_flags = messages, flags
        if flags:
            self._flags_untold |= self._withheld
            self._withheld.clear()

    def expunged(self, uids: Iterable[int]) -> None:
        """This session itself expunged these; `apply` is told of them as well."""
        if not self.tells_messages:
            self._own_gone.update(uids)

    def apply(self, changes: Changes) -> None:
        """Take in what others, or this session itself, did. Nothing is told before `flush`.

        New messages of which nothing is to be told are left out: the same changes are asked for again later.
        """
        if self.tells_messages or all(message.uid <= self._newest for message in changes.changed):
            self.modseq = max(self.modseq, changes.highestmodseq)
        self.uidnext = max(self.uidnext, changes.uidnext)
        for uid in changes.gone:
            where = self.index(uid)
            if where is None:
                continue
            self._forget_untold(uid)
            if where < self._exists_told:
                self._gone.add(uid)
            else:  # it came and went, and the client has heard of neither
                del self.uids[where], self.flags[where], self.modseqs[where]
        for message in changes.changed:
            where = self.index(message.uid)
            if where is None:
                if self.tells_messages:
                    self._arrived(message, changes.recent_from)
            elif message.uid not in self._gone:
                told = self.flags[where] == message.flags
                self._changed(where, message, told=told, wanted=self._tells_flags)

    def _arrived(self, message: Flagged, recent_from: int) -> None:
        if message.uid <= self._newest:
            return  # it was here, and its EXPUNGE was told
        self._newest = message.uid
        self.uids.append(message.uid)
        self.flags.append(self._learn(message.flags))
        self.modseqs.append(message.modseq)
        if message.uid >= recent_from:
            if self._recent and self._recent[-1].stop == message.uid:
                self._recent[-1] = range(self._recent[-1].start, message.uid + 1)
            else:
                self._recent.append(range(message.uid, message.uid + 1))

    @property
    def shown(self) -> Shown | None:
        """How far the client is, for an operation that may add a message; None where new ones are not told."""
        return Shown(self.folder.id, self.modseq, self.writable) if self.tells_messages else None

    def stored(
        self,
        results: Iterable[Flagged],
        expected: Callable[[Flags], Flags] | None = None,
        *,
        made: int | None = None,
    ) -> None:
        """Take in what this session's own STORE made of its messages.

        With `expected` (a .SILENT store) the client works the outcome out by itself: `expected` says
        what it makes of the flags that it has been told. A message is told only where that is not so,
        because another session had changed its flags too (RFC 3501 6.4.6). `made` is the modseq of the change.
        """
        for message in results:
            where = self.index(message.uid)
            if where is None:
                continue
            known = self.flags[where]
            self._changed(where, message, told=expected is not None and expected(known) == message.flags)
        if made == self.modseq + 1:  # nobody else has changed anything since: there is nothing to be looked up
            self.modseq = made

    def _changed(self, where: int, message: Flagged, *, told: bool, wanted: bool = True) -> None:
        """A message as it is now. `told`: the client knows these flags, though perhaps not the modseq; `wanted`: it
        wants to hear of it."""
        self.flags[where] = self._learn(message.flags)
        if not told:
            (self._flags_untold if wanted else self._withheld).add(message.uid)
        elif self.manner.modseq and self.modseqs[where] != message.modseq:
            (self._modseqs_untold if wanted else self._withheld).add(message.uid)
        self.modseqs[where] = message.modseq

    # What is told

    def flush(self, *, expunge: bool, with_uid: bool = False) -> bytes:
        """The untagged responses that bring the client up to date, in an order that is always right.

        `expunge` is False where EXPUNGE must not be sent: the answer to FETCH, STORE and SEARCH, and
        when no command is in progress (RFC 3501 7.4.1). `with_uid` adds the UID to each FETCH, as the
        answer to a UID command must (RFC 3501 6.4.8).
        """
        parts: list[bytes] = []
        if expunge and (gone := self._gone if self.tells_messages else self._gone & self._own_gone):
            parts.extend(self._expunged(gone))
        if not self._gone and not self._withheld:
            self.settled = self.modseq
        if self._exists_told != len(self.uids):
            self._exists_told = len(self.uids)
            parts.append(b"* %d EXISTS\r\n" % len(self.uids))
        recent = self.recent
        if recent != self._recent_told and self.manner.recent:
            self._recent_told = recent
            parts.append(b"* %d RECENT\r\n" % recent)
        parts.append(self.new_keywords())
        if self._flags_untold or self._modseqs_untold:
            parts.extend(self._fetches(with_uid))
        return b"".join(parts)

    def new_keywords(self) -> bytes:
        """FLAGS, where there are keywords that the client has not heard of: before they are used (RFC 3501 7.2.6)."""
        if not self._keywords_untold:
            return b""
        self._keywords_untold = False
        known = responses.flags_known(self.keywords)
        return known + responses.flags_permanent(self.keywords, writable=self.writable)

    def _expunged(self, gone: set[int]) -> Iterable[bytes]:
        """Highest number first, so that none of those still to come is shifted; or all in one VANISHED."""
        indexes = sorted((bisect_left(self.uids, uid) for uid in gone), reverse=True)
        if len(indexes) <= FEW:
            for index in indexes:
                del self.uids[index], self.flags[index], self.modseqs[index]
        else:
            left = zip(self.uids, self.modseqs, strict=True)
            self.modseqs = array("Q", (modseq for uid, modseq in left if uid not in gone))
            self.flags = [flags for uid, flags in zip(self.uids, self.flags, strict=True) if uid not in gone]
            self.uids = array("I", (uid for uid in self.uids if uid not in gone))
        self._gone = self._gone - gone
        self._own_gone.clear()
        self._exists_told -= len(gone)
        if self.manner.vanished:
            return (b"* VANISHED %b\r\n" % responses.numbers(sorted(gone)),)
        return (b"* %d EXPUNGE\r\n" % (index + 1) for index in indexes)

    def _learn(self, flags: Flags) -> Flags:
        """The shared object for `flags`. A keyword that the client has not heard of is noted."""
        flags = shared_flags(flags)
        if flags not in self._known:
            self._known.add(flags)
            unheard = {flag for flag in flags if not flag.startswith("\\")} - self.keywords
            self.keywords |= unheard
            self._keywords_untold = self._keywords_untold or bool(unheard)
        return flags

    def _fetches(self, with_uid: bool) -> list[bytes]:
        lines = []
        with_uid = (with_uid or self.manner.uid) and self.manner.numbers
        for uid in sorted(self._flags_untold | self._modseqs_untold):
            index = bisect_left(self.uids, uid)
            items = [b"UID %d" % uid] if with_uid else []
            if uid in self._flags_untold:
                items.append(b"FLAGS " + responses.flag_list(self.flags[index], recent=self.is_recent(uid)))
            if self.manner.modseq:
                items.append(b"MODSEQ (%d)" % self.modseqs[index])
            lines.append(b"%b%b)\r\n" % (self.manner.opening(index + 1, uid), b" ".join(items)))
        self._flags_untold.clear()
        self._modseqs_untold.clear()
        return lines

    def told(self, uid: int, *, modseq: bool = False) -> None:
        """The client was just sent this message's flags, perhaps with its modseq, in a FETCH that it asked for."""
        if modseq or not self.manner.modseq:
            self._forget_untold(uid)

    def _forget_untold(self, uid: int) -> None:
        self._flags_untold.discard(uid)
        self._modseqs_untold.discard(uid)
        self._withheld.discard(uid)
