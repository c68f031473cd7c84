"""What SORT and THREAD compare, read from the store, and the order that comes of it (RFC 5256, RFC 5957).

The half of both commands that runs in a thread, in visits of bounded length. Pure but for the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from mailstore.errors import MessageLost, NoSuchMessage
from mailstore.index.rows import Row
from mailstore.mailhome import MailHome
from mailstore.message.addresses import addresses
from mailstore.message.collation import collation_key
from mailstore.message.dates import moment
from mailstore.message.headers import decode_words, first_in
from mailstore.message.subject import base_subject
from mailstore.message.threads import Thread, Threaded, message_ids
from proxy.imap.ahead import FactsAhead, Opener
from proxy.imap.grammar.sort_keys import Criterion, SortKey
from proxy.imap.reading import LARGE, OpenMessage

BATCH: Final = 500  # messages in one visit to the store,
VISIT: Final = 0.25  # … which ends after so many seconds

T = TypeVar("T")

Value = str | int
Facts = tuple[Value, ...]  # a message's values for the keys asked for, in their order

_FROM_ROW: Final = {SortKey.ARRIVAL, SortKey.SIZE}


class Header:
    """One message's header, and the values that are compared in it. A message that cannot be read has none."""

    def __init__(self, row: Row, header: bytes) -> None:
        self._row = row
        self._header = header
        self._lowered = header.lower()

    def raw(self, name: bytes) -> bytes | None:
        return first_in(self._header, self._lowered, name)

    def sent(self) -> int:
        """The Date: field's moment, else the internal date (RFC 5256 2.2)."""
        value = self.raw(b"date")
        found = moment(value) if value is not None else None
        return self._row.internal_date if found is None else found.seconds

    def mailbox(self, name: bytes) -> str:
        """addr-mailbox of a field's first address."""
        value = self.raw(name)
        for address in addresses(value) if value is not None else ():
            return collation_key((address.mailbox or b"").decode("utf-8", "replace"))
        return ""

    def display(self, name: bytes) -> str:
        """The first address's name, or the group's, or else mailbox@host (RFC 5957 3)."""
        value = self.raw(name)
        for address in addresses(value) if value is not None else ():
            if address.name:
                return collation_key(decode_words(address.name))
            if address.host is None:
                return collation_key(decode_words(address.mailbox or b""))
            return collation_key(b"@".join((address.mailbox or b"", address.host)).decode("utf-8", "replace"))
        return ""

    def subject(self) -> tuple[str, bool]:
        """The base subject as it is compared, and whether it is that of a reply."""
        value = self.raw(b"subject")
        base = base_subject(decode_words(value)) if value is not None else base_subject("")
        return collation_key(base.text), base.reply

    def threaded(self, number: int) -> Threaded:
        """What THREAD asks. In-Reply-To counts where References names nobody, and of it the first (RFC 5256 3)."""
        subject, reply = self.subject()
        own = message_ids(self.raw(b"message-id") or b"")
        references = message_ids(self.raw(b"references") or b"")
        if not references:
            references = message_ids(self.raw(b"in-reply-to") or b"")[:1]
        return Threaded(number, self.sent(), subject, reply, own[0] if own else None, references)


_VALUES: Final[Mapping[SortKey, Callable[[Row, Header], Value]]] = {
    SortKey.ARRIVAL: lambda row, header: row.internal_date,
    SortKey.SIZE: lambda row, header: row.size,
    SortKey.DATE: lambda row, header: header.sent(),
    SortKey.SUBJECT: lambda row, header: header.subject()[0],
    SortKey.FROM: lambda row, header: header.mailbox(b"from"),
    SortKey.TO: lambda row, header: header.mailbox(b"to"),
    SortKey.CC: lambda row, header: header.mailbox(b"cc"),
    SortKey.DISPLAYFROM: lambda row, header: header.display(b"from"),
    SortKey.DISPLAYTO: lambda row, header: header.display(b"to"),
}


def read_facts(
    home: MailHome, folder_id: int, uids: Sequence[int], keys: Sequence[SortKey]
) -> tuple[int, dict[int, Facts]]:
    """How many of `uids` were looked at, from the first on, and the values of those that are there."""
    return _read(
        home,
        folder_id,
        uids,
        lambda row, header: tuple(_VALUES[key](row, header) for key in keys),
        with_header=not _FROM_ROW.issuperset(keys),
        dated=SortKey.ARRIVAL in keys,
    )


def read_threaded(home: MailHome, folder_id: int, uids: Sequence[int]) -> tuple[int, dict[int, Threaded]]:
    """The same for THREAD. Messages are numbered by their UIDs, which ascend as their numbers do."""
    return _read(home, folder_id, uids, lambda row, header: header.threaded(row.uid), with_header=True, dated=False)


def _read(
    home: MailHome,
    folder_id: int,
    uids: Sequence[int],
    value: Callable[[Row, Header], T],
    *,
    with_header: bool,
    dated: bool,
) -> tuple[int, dict[int, T]]:
    """`dated`: the internal date is needed, whatever the header says."""
    end = time.monotonic() + VISIT
    found: dict[int, T] = {}
    kept = FactsAhead(home, folder_id, uids, wanted=with_header, largest=LARGE)
    with Opener(home, folder_id, uids, home.away(folder_id, uids)) as opener:
        rows = {row.uid: row for row in home.rows(folder_id, uids)}
        for taken, uid in enumerate(uids, 1):
            row = rows.get(uid)
            if row is not None:
                if dated and not row.dated:
                    opener.header(uid)  # brings the date
                facts = kept.of(uid)
                header = facts.header if facts is not None else _header(opener, uid) if with_header else b""
                found[uid] = value(row, Header(row, header))
            if time.monotonic() > end:
                return taken, found
    return len(uids), found


def _header(opener: Opener, uid: int) -> bytes:
    """A message whose file is lost stays in the result: it is there, and nothing is known of it."""
    try:
        if (header := opener.header(uid)) is not None:
            return header
        with opener.open(uid) as content:
            return OpenMessage(lambda: content).header
    except (NoSuchMessage, MessageLost):
        return b""


def in_order(facts: Mapping[int, Facts], criteria: Sequence[Criterion]) -> list[int]:
    """The UIDs in order; those of which all values are the same ascend, also where a key counts downwards."""
    uids = sorted(facts)
    for place in range(len(criteria) - 1, -1, -1):
        uids.sort(key=lambda uid, place=place: facts[uid][place], reverse=criteria[place].reverse)  # type: ignore[misc]
    return uids


def thread_response(threads: Iterable[Thread], number: Callable[[int], int]) -> bytes:
    """`* THREAD (2)(3 6 (4 23)(44 7 96))` (RFC 5256 4): a chain in a row, several answers in parentheses."""
    parts: list[bytes] = []
    for thread in threads:
        todo: list[Thread | bytes] = [b")", thread, b"("]
        while todo:
            at = todo.pop()
            if isinstance(at, bytes):
                parts.append(at)
            else:
                parts.append(b"" if at.message is None else b"%d" % number(at.message.number))
                todo.extend(_behind(at.children, nested=at.message is not None))
    return b"* THREAD%b\r\n" % (b" " + b"".join(parts) if parts else b"")


def _behind(children: Collection[Thread], *, nested: bool) -> Iterable[Thread | bytes]:
    """What follows a message, last first. `nested`: a space parts it from the message."""
    children = list(children)
    if len(children) == 1:
        return [children[0], b" "] if nested else [children[0]]
    behind: list[Thread | bytes] = []
    for child in reversed(children):
        behind.extend((b")", child, b"("))
    if children and nested:
        behind.append(b" ")
    return behind
