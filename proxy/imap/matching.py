"""Does a message match? SEARCH keys evaluated step by step, the cheap ones first (RFC 3501 6.4.4).

A key is compiled once to a function of a `Candidate` that answers yes, no, or None for "not known from
what is here". The session's view answers for flags and numbers, a row of the index for dates and sizes,
and only what is then still open costs a look into the message. Texts are looked up in the store's index
before that, for all messages at once: see `TextTerm`. And, Or and Not know all three answers
(Kleene's logic), so a message that a cheap key rules out is never opened.

Strings match anywhere, without regard to case, in decoded text. Dates compare without time and zone:
the internal date in UTC, as it is shown by FETCH.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property

from mailstore.index.fulltext import Found
from mailstore.index.rows import Flags, Row
from mailstore.message import text
from mailstore.message.dates import sent_date
from proxy.imap.grammar.search_syntax import (
    All,
    And,
    Body,
    Dated,
    Flag,
    Header,
    Modseq,
    Not,
    NumberSet,
    ObjectId,
    Or,
    Recent,
    Saved,
    SearchKey,
    Size,
    Text,
    UidSet,
    When,
    Within,
)
from proxy.imap.reading import OpenMessage
from proxy.imap.view import View

Answer = bool | None


@dataclass(slots=True)
class Candidate:
    """What is known of a message so far."""

    index: int
    uid: int
    flags: Flags
    recent: bool
    row: Row | None = None
    now: float = 0.0  # the store's clock, where there is a row
    message: SearchedMessage | None = None


class SearchedMessage:
    """The texts of an open message, each made once."""

    def __init__(self, message: OpenMessage) -> None:
        self._message = message
        self._fields: dict[str, list[str]] = {}

    @property
    def object_ids(self) -> tuple[str, str]:
        """EMAILID and THREADID."""
        return self._message.facts.email_id, self._message.facts.thread_id

    @cached_property
    def sent(self) -> date | None:
        return sent_date(self._message.header_with([b"date"]))

    def field(self, name: str) -> list[str]:
        if name not in self._fields:
            octets = name.encode()
            values = text.header_text(self._message.header_with([octets]), octets)
            self._fields[name] = [text.fold(value) for value in values]
        return self._fields[name]

    def header_has(self, needle: str) -> bool:
        wanted = text.spaced(needle)
        return any(wanted in value for value in self._header)

    def body_has(self, needle: str) -> bool:
        return any(needle in text.fold(value) for value in text.body_texts(self._message.root, self._message.data))

    @cached_property
    def _header(self) -> list[str]:
        return [text.fold(value) for value in text.all_header_text(self._message.header)]


Test = Callable[[Candidate], Answer]


@dataclass(slots=True)
class TextTerm:
    """A text that a key looks for, folded, and where the store's index finds it, once it was asked."""

    needle: str
    columns: tuple[str, ...]  # "header", "body"
    whole: bool  # does the index alone decide? Else it only rules out: a field is less than the header
    found: Found | None = None

    def answer(self, candidate: Candidate) -> Answer:
        if self.found is None or candidate.uid in self.found.unclear:
            return None
        if candidate.uid not in self.found.matching:
            return False
        return True if self.whole else None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A key ready to be asked, and what the whole of it may need."""

    test: Test
    cost: int = 0  # FREE, ROW, HEADER or WHOLE
    terms: tuple[TextTerm, ...] = ()
    dated: bool = False  # does it ask for the internal date?


FREE, ROW, HEADER, WHOLE = range(4)


def compiled(key: SearchKey, view: View) -> Compiled:
    """A key for the messages of `view`."""
    match key:
        case And() | Or():
            terms = sorted((compiled(each, view) for each in key.keys), key=lambda term: term.cost)
            join = _all if isinstance(key, And) else _any
            inside = tuple(text_term for term in terms for text_term in term.terms)
            cost, dated = max(term.cost for term in terms), any(term.dated for term in terms)
            return Compiled(join([term.test for term in terms]), cost, inside, dated)
        case Not():
            inner = compiled(key.key, view)
            return Compiled(_opposite(inner.test), inner.cost, inner.terms, inner.dated)
        case All():
            return Compiled(lambda candidate: True)
        case Flag() | Recent():
            return Compiled(_flag(key) if isinstance(key, Flag) else _recent(key))
        case UidSet() | NumberSet():
            return Compiled(_among(view, key))
        case Modseq():
            return Compiled(lambda candidate: view.modseqs[candidate.index] >= key.value)
        case Size() | Within() | Saved():
            return Compiled(_of_row(key), ROW, dated=isinstance(key, Within))
        case ObjectId():
            return Compiled(_object_id(key), HEADER)
        case Dated():
            return Compiled(_sent(key), HEADER) if key.sent else Compiled(_arrived(key), ROW, dated=True)
        case Header():
            term = TextTerm(text.spaced(text.fold(key.text)), ("header",), whole=False)
            return Compiled(_header(key, term), HEADER, (term,) if term.needle else ())
        case Text():
            term = TextTerm(text.fold(key.text), ("header", "body"), whole=True)
            return Compiled(_text(term), WHOLE, (term,))
        case Body():
            term = TextTerm(text.fold(key.text), ("body",), whole=True)
            return Compiled(_body(term), WHOLE, (term,))


def _all(tests: Sequence[Test]) -> Test:
    def test(candidate: Candidate) -> Answer:
        result: Answer = True
        for each in tests:
            answer = each(candidate)
            if answer is False:
                return False
            if answer is None:
                result = None
        return result

    return test


def _any(tests: Sequence[Test]) -> Test:
    def test(candidate: Candidate) -> Answer:
        result: Answer = False
        for each in tests:
            answer = each(candidate)
            if answer:
                return True
            if answer is None:
                result = None
        return result

    return test


def _opposite(inner: Test) -> Test:
    def test(candidate: Candidate) -> Answer:
        answer = inner(candidate)
        return None if answer is None else not answer

    return test


def _flag(key: Flag) -> Test:
    """A dozen different flag sets are asked about, however many messages there are."""
    name = key.name.lower()
    known: dict[Flags, bool] = {}

    def test(candidate: Candidate) -> Answer:
        answer = known.get(candidate.flags)
        if answer is None:
            answer = any(flag.lower() == name for flag in candidate.flags) is key.present
            known[candidate.flags] = answer
        return answer

    return test


def _among(view: View, key: UidSet | NumberSet) -> Test:
    """A number that is not there matches nothing; other than in FETCH it is no mistake, as with Dovecot."""
    if key.sequence.saved:
        spans = view.find(key.sequence, uid=True)
    else:
        spans = key.sequence.positions(view.uids if isinstance(key, UidSet) else range(1, len(view) + 1))
    if len(spans) <= 8:
        return lambda candidate: any(candidate.index in span for span in spans)
    members = {index for span in spans for index in span}
    return lambda candidate: candidate.index in members


def _recent(key: Recent) -> Test:
    return lambda candidate: candidate.recent is key.present


def _of_row(key: Size | Within | Saved) -> Test:
    if isinstance(key, Size):
        return _size(key)
    return _within(key) if isinstance(key, Within) else _saved(key)


def _size(key: Size) -> Test:
    def test(candidate: Candidate) -> Answer:
        if candidate.row is None:
            return None
        return candidate.row.size > key.octets if key.larger else candidate.row.size < key.octets

    return test


def _arrived(key: Dated) -> Test:
    def test(candidate: Candidate) -> Answer:
        return None if candidate.row is None else _on_day(key.when, candidate.row.internal_date, key.day)

    return test


def _saved(key: Saved) -> Test:
    """A message of which it is not known when it came matches nothing (RFC 8514 4.3)."""

    def test(candidate: Candidate) -> Answer:
        if candidate.row is None:
            return None
        moment = candidate.row.save_date
        return moment is not None and _on_day(key.when, moment, key.day)

    return test


def _on_day(when: When, moment: int, limit: date) -> bool:
    try:
        day = datetime.fromtimestamp(moment, UTC).date()
    except (ValueError, OverflowError, OSError):
        return False
    return _in_time(when, day, limit)


def _object_id(key: ObjectId) -> Test:
    def test(candidate: Candidate) -> Answer:
        if candidate.message is None:
            return None
        email_id, thread_id = candidate.message.object_ids
        return key.value == (thread_id if key.thread else email_id)

    return test


def _within(key: Within) -> Test:
    def test(candidate: Candidate) -> Answer:
        if candidate.row is None:
            return None
        limit = int(candidate.now) - key.seconds
        return candidate.row.internal_date <= limit if key.older else candidate.row.internal_date >= limit

    return test


def _sent(key: Dated) -> Test:
    def test(candidate: Candidate) -> Answer:
        if candidate.message is None:
            return None
        day = candidate.message.sent
        return day is not None and _in_time(key.when, day, key.day)

    return test


def _in_time(when: When, day: date, limit: date) -> bool:
    match when:
        case When.BEFORE:
            return day < limit
        case When.ON:
            return day == limit
        case When.SINCE:
            return day >= limit


def _header(key: Header, term: TextTerm) -> Test:
    def test(candidate: Candidate) -> Answer:
        if candidate.message is None:
            return term.answer(candidate)
        return any(term.needle in value for value in candidate.message.field(key.name))

    return test


def _text(term: TextTerm) -> Test:
    def test(candidate: Candidate) -> Answer:
        answer = term.answer(candidate)
        if answer is not None or candidate.message is None:
            return answer
        return candidate.message.header_has(term.needle) or candidate.message.body_has(term.needle)

    return test


def _body(term: TextTerm) -> Test:
    def test(candidate: Candidate) -> Answer:
        answer = term.answer(candidate)
        if answer is not None or candidate.message is None:
            return answer
        return candidate.message.body_has(term.needle)

    return test
