"""What FETCH needs of messages, read from the store: the half of FETCH that runs in a thread.

`Plan` sorts the items that a client asks for by what they cost: nothing (the session's view has them),
a row of the index, the header, the whole message. `read` answers for as many messages as BATCH_OCTETS
allow, in one visit to the store. What of a message is longer than LARGE octets is not read here but
handed back as a span of the open message, which the session sends piece by piece.

Pure but for the store: no transport, no reactor, no session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mailstore.content import Content
from mailstore.errors import MessageLost, NoSuchMessage, NotArrived, NotCarriedOver, StillAway
from mailstore.index.awaited import Away
from mailstore.index.rows import SEEN, Flagged, Row, StoreMode
from mailstore.mailhome import MailHome
from mailstore.message.arrival import header_end
from mailstore.message.envelope import Envelope, envelope
from mailstore.message.facts import KEPT_FIELDS, Facts, computed
from mailstore.message.octets import Windows
from mailstore.message.section import Span, header_fields, locate
from mailstore.message.structure import Structure, structure
from mailstore.message.walker import Part, find, walk
from proxy.imap import decoding, responses
from proxy.imap.ahead import FactsAhead, Opener
from proxy.imap.answers import No
from proxy.imap.decoding import Decoded
from proxy.imap.grammar import dates
from proxy.imap.grammar.syntax import BinarySection, BodySection, FetchAttribute, FetchItem

LARGE = 256 * 1024  # octets of one message that are read at once
MOST = 8 * 1024 * 1024  # octets of one message that may be computed rather than sent from its file
BATCH_OCTETS = 256 * 1024  # octets of messages read in one visit to the store
BATCH_MESSAGES = 500
FIRST_LOOK = 16 * 1024  # octets in which the header of nearly every message ends

Piece = bytes | Span | Decoded  # the last two are of the message's Content

_AS_SECTION = {
    FetchAttribute.RFC822: BodySection((), "", (), False, None, b"RFC822"),
    FetchAttribute.RFC822_HEADER: BodySection((), "HEADER", (), True, None, b"RFC822.HEADER"),
    FetchAttribute.RFC822_TEXT: BodySection((), "TEXT", (), False, None, b"RFC822.TEXT"),
    FetchAttribute.RFC822_PEEK: BodySection((), "", (), True, None, b"RFC822"),
    FetchAttribute.RFC822_TEXT_PEEK: BodySection((), "TEXT", (), True, None, b"RFC822.TEXT"),
}
_FROM_ROW = {FetchAttribute.INTERNALDATE, FetchAttribute.RFC822_SIZE, FetchAttribute.SAVEDATE}
_OBJECTS = {FetchAttribute.EMAILID, FetchAttribute.THREADID}
_FACTS = {FetchAttribute.ENVELOPE, FetchAttribute.BODY, FetchAttribute.BODYSTRUCTURE, FetchAttribute.PREVIEW} | _OBJECTS
_FROM_VIEW = {FetchAttribute.FLAGS, FetchAttribute.UID, FetchAttribute.MODSEQ}


class Plan:
    """The items of one FETCH, by what they need."""

    def __init__(
        self, items: Sequence[FetchItem], *, with_uid: bool, with_modseq: bool = False, peek: bool = False
    ) -> None:
        """`with_uid`: a UID FETCH, which answers with the UID whether or not it was asked for; `with_modseq`:
        one with CHANGEDSINCE, which answers with MODSEQ (RFC 7162 3.1.4.1); `peek`: nothing becomes \\Seen."""
        self.uid = with_uid or FetchAttribute.UID in items
        self.flags = FetchAttribute.FLAGS in items
        self.modseq = with_modseq or FetchAttribute.MODSEQ in items
        self.row_items = [item for item in items if item in _FROM_ROW]
        self.dated = FetchAttribute.INTERNALDATE in self.row_items
        self.content_items = [
            _AS_SECTION.get(item, item) if isinstance(item, FetchAttribute) else item
            for item in items
            if item not in _FROM_ROW and item not in _FROM_VIEW
        ]
        self.wants_facts = any(_is_fact(item) for item in self.content_items)
        self.large_facts = any(not isinstance(item, BodySection) for item in self.content_items)
        self.sets_seen = not peek and any(
            isinstance(item, BodySection | BinarySection) and not item.peek for item in self.content_items
        )

    @property
    def from_view(self) -> bool:
        """Can the view answer alone?"""
        return not self.row_items and not self.content_items


@dataclass(slots=True)
class Answer:
    """One message's items but FLAGS and UID, ready to send: pieces to be joined as they are.

    `content` is open where a piece is a span, and whoever takes the answer closes it.
    """

    uid: int
    pieces: list[Piece]
    content: Content | None = None


@dataclass(slots=True)
class Batch:
    """What one visit to the store gave."""

    answers: list[Answer] = field(default_factory=list)
    taken: int = 0  # how many of the UIDs asked for are dealt with, one way or the other
    gone: int = 0  # … of these, expunged
    lost: list[int] = field(default_factory=list)  # … and these cannot be read
    away: list[int] = field(default_factory=list)  # … and these are not here, and waited for in vain
    cut: bool = False  # what comes next is not here yet, and not dealt with
    refused: No | None = None  # … and one of them not as the client wants it, which the reply says
    flagged: Sequence[Flagged] = ()  # became \Seen by this
    made: int | None = None  # … under this modseq


def read(home: MailHome, folder_id: int, uids: Sequence[int], plan: Plan, unseen: Collection[int]) -> Batch:
    """Answer for some of `uids`, from the first on. Those in `unseen` become \\Seen, if the plan says so."""
    with home.together():
        batch = _read(home, folder_id, uids, plan)
    _mark_seen(home, folder_id, batch, plan, unseen)
    return batch


def _read(home: MailHome, folder_id: int, uids: Sequence[int], plan: Plan) -> Batch:
    batch = Batch()
    octets = 0
    largest = None if plan.large_facts else LARGE
    facts = FactsAhead(home, folder_id, uids, wanted=plan.wants_facts, largest=largest)
    rows = {row.uid: row for row in home.rows(folder_id, uids)} if plan.row_items else None
    away: Mapping[int, Away] | None = None
    if rows is not None:  # of the same state as these
        away = home.away(folder_id, uids) if any(row.away for row in rows.values()) else {}
    with Opener(home, folder_id, uids, away) as opener:
        for uid in uids:
            if octets >= BATCH_OCTETS or facts.late(uid):
                break
            batch.taken += 1
            if rows is not None and uid not in rows:
                batch.gone += 1
                continue
            try:
                answer = _answer(opener, uid, plan, rows[uid] if rows is not None else None, facts.of(uid))
            except NotArrived:
                if batch.taken == 1:
                    raise
                batch.taken -= 1  # first what is here
                batch.cut = True
                break
            except NoSuchMessage:
                batch.gone += 1
                continue
            except (NotCarriedOver, StillAway):
                batch.away.append(uid)
                continue
            except MessageLost:
                batch.lost.append(uid)
                continue
            except No as error:
                batch.refused = error
                continue
            batch.answers.append(answer)
            if answer.content is not None:
                break
            octets += sum(len(piece) for piece in answer.pieces if isinstance(piece, bytes))
    return batch


def _mark_seen(home: MailHome, folder_id: int, batch: Batch, plan: Plan, unseen: Collection[int]) -> None:
    uids = [answer.uid for answer in batch.answers if answer.uid in unseen] if plan.sets_seen else []
    if not uids:
        return
    try:
        stored = home.store(folder_id, uids, StoreMode.ADD, (SEEN,))
    except BaseException:
        for answer in batch.answers:
            if answer.content is not None:
                answer.content.close()
        raise
    batch.flagged, batch.made = stored.flagged, stored.modseq


def _answer(opener: Opener, uid: int, plan: Plan, row: Row | None, facts: Facts | None) -> Answer:
    pieces: list[Piece] = []
    if row is not None:
        if plan.dated and not row.dated:
            opener.header(uid)  # brings the date
        pieces.append(b" ".join(_row_item(item, row) for item in plan.row_items))
    if not plan.content_items:
        return Answer(uid, pieces)
    message = OpenMessage(lambda: opener.open(uid), facts, lambda: opener.header(uid))
    try:
        _add_content(pieces, message, plan)
    except BaseException:
        message.close()
        raise
    if any(not isinstance(piece, bytes) for piece in pieces):
        return Answer(uid, pieces, message.content)
    message.close()
    return Answer(uid, pieces)


def _add_content(pieces: list[Piece], message: OpenMessage, plan: Plan) -> None:
    octets = 0
    for item in plan.content_items:
        if pieces:
            pieces.append(b" ")
        found = message.item(item, inline=LARGE - octets)
        octets += sum(len(piece) for piece in found if isinstance(piece, bytes))
        if octets > MOST:
            raise No(b"Too much at once of one message.", b"LIMIT")
        pieces.extend(found)


def _is_fact(item: FetchItem) -> bool:
    """Is it among what the store keeps of each message?"""
    if not isinstance(item, BodySection):
        return item in _FACTS
    return not item.path and item.what == "HEADER.FIELDS" and KEPT_FIELDS.issuperset(_names(item))


def _names(item: BodySection) -> list[bytes]:
    return [name.lower() for name in item.fields]


def _row_item(item: FetchItem, row: Row) -> bytes:
    if item is FetchAttribute.INTERNALDATE:
        return b"INTERNALDATE " + dates.internal_date(row.internal_date)
    if item is FetchAttribute.SAVEDATE:
        return b"SAVEDATE " + (responses.NIL if row.save_date is None else dates.internal_date(row.save_date))
    return b"RFC822.SIZE %d" % row.size


class OpenMessage:
    """One message, of which no more is read than its items need, and that once; what `facts` has is not read at all.

    It is opened when it is first read, which raises NoSuchMessage and MessageLost. Close it.
    """

    def __init__(
        self,
        opened: Callable[[], Content],
        facts: Facts | None = None,
        alone: Callable[[], bytes | None] = lambda: None,
    ) -> None:
        """`alone` gives its header where that is here and the message is not; it raises as `opened` does."""
        self._opened = opened
        self._facts = facts
        self._alone = alone

    @cached_property
    def content(self) -> Content:
        return self._opened()

    def close(self) -> None:
        if "content" in self.__dict__:
            self.content.close()

    @cached_property
    def data(self) -> bytes | Windows:
        return self.content.whole()

    @cached_property
    def root(self) -> Part:
        return walk(self.data)

    @cached_property
    def header(self) -> bytes:
        """The message's own header with its blank line."""
        if "root" in self.__dict__:
            return self.root.header
        if "content" not in self.__dict__ and (header := self._alone()) is not None:
            return header
        start = self.content.read(0, FIRST_LOOK)
        end = header_end(start)
        if end < len(start) or len(start) == self.content.size:
            return start[:end]
        return self.root.header

    @cached_property
    def facts(self) -> Facts:
        """What is kept of it, or computed now."""
        return computed(self.data)[0] if self._facts is None else self._facts

    @cached_property
    def envelope(self) -> Envelope:
        return envelope(self.header) if self._facts is None else self._facts.envelope

    @cached_property
    def structure(self) -> Structure:
        return structure(self.root, self.data) if self._facts is None else self._facts.structure

    def header_with(self, names: Collection[bytes]) -> bytes:
        """A header block in which the fields of these names (in lower case) are all that the message has."""
        if self._facts is not None and KEPT_FIELDS.issuperset(names):
            return self._facts.header
        return self.header

    def item(self, item: FetchItem, *, inline: int = LARGE) -> list[Piece]:
        """Name and value of a data item (RFC 3501 7.4.2). Only up to `inline` octets of a section are read."""
        if isinstance(item, BodySection):
            return self._section(item, inline)
        if isinstance(item, BinarySection):
            return self._binary(item, inline)
        match item:
            case FetchAttribute.ENVELOPE:
                return [b"ENVELOPE " + responses.envelope(self.envelope)]
            case FetchAttribute.PREVIEW:
                return [b"PREVIEW " + responses.string(self.facts.preview.encode())]
            case FetchAttribute.EMAILID:
                return [b"EMAILID (%b)" % self.facts.email_id.encode()]
            case FetchAttribute.THREADID:
                return [b"THREADID (%b)" % self.facts.thread_id.encode()]
            case FetchAttribute.BODY:
                return [b"BODY " + responses.body(self.structure, extended=False)]
            case FetchAttribute.BODYSTRUCTURE:
                return [b"BODYSTRUCTURE " + responses.body(self.structure, extended=True)]
            case _:
                raise AssertionError(f"{item} is not read from a message")

    def _section(self, item: BodySection, inline: int) -> list[Piece]:
        """A section that the message does not have is empty, as with Dovecot; the RFC leaves it open."""
        if item.what in {"HEADER.FIELDS", "HEADER.FIELDS.NOT"}:
            header = self.header_with(_names(item)) if _is_fact(item) else self._header_of(item.path)
            if header is None:
                return [item.echo + b" " + responses.literal(b"")]
            chosen = header_fields(header, item.fields, exclude=item.what == "HEADER.FIELDS.NOT")
            span = _part_of(Span(0, len(chosen)), item.partial)
            return [item.echo + b" " + responses.literal(chosen[span.offset : span.offset + span.length])]
        if item.what == "HEADER" and not item.path and "content" not in self.__dict__ and self._alone() is not None:
            span = _part_of(Span(0, len(self.header)), item.partial)
            return [item.echo + b" " + responses.literal(self.header[span.offset : span.offset + span.length])]
        span = _part_of(self.span(item.path, item.what) or Span(0, 0), item.partial)
        if span.length > inline:
            return [b"%b {%d}\r\n" % (item.echo, span.length), span]
        return [item.echo + b" " + responses.literal(self.content.read(span.offset, span.length))]

    def _binary(self, item: BinarySection, inline: int) -> list[Piece]:
        """A part without its transfer encoding; a message as such has none (RFC 3516 4.2). Raises No."""
        if not item.path:
            return decoding.plain(item, Span(0, self.content.size), self.content, inline)
        part = find(self.root, item.path)
        if part is None:
            return decoding.plain(item, Span(0, 0), self.content, inline)
        return decoding.pieces_of(item, part, self.data, self.content, inline)

    def span(self, path: tuple[int, ...], what: str) -> Span | None:
        """Where a section is. Most are found without looking at the whole message."""
        if not path and not what:
            return Span(0, self.content.size)
        if not path and what in {"HEADER", "TEXT"} and len(self.header) < self.content.size:
            end = self.root.body if "root" in self.__dict__ else len(self.header)
            return Span(0, end) if what == "HEADER" else Span(end, self.content.size - end)
        return locate(self.root, path, what)

    def _header_of(self, path: tuple[int, ...]) -> bytes | None:
        if not path:
            return self.header
        span = locate(self.root, path, "HEADER")
        return None if span is None else self.content.read(span.offset, span.length)


def _part_of(span: Span, partial: tuple[int, int] | None) -> Span:
    """`<first.count>` of a section; what lies beyond its end is left off (RFC 3501 6.4.5)."""
    if partial is None:
        return span
    first = min(partial[0], span.length)
    return Span(span.offset + first, min(partial[1], span.length - first))
