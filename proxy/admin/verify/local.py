"""Ledger, index and files of one account, held against each other. No I/O: what was read is handed in."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from mailstore.audit import Audited, Condition, Examined, Kept, Picture
from mailstore.entries import Listed, Outcome
from mailstore.index.folders import INBOX_ID
from proxy.admin.verify.kinds import INBOX, Finding, Kind
from proxy.admin.verify.order import out_of_order
from proxy.admin.verify.outcome import AccountOutcome


class Files:
    """What the files turned out to be: of ledger rows, by their id, and of other messages, by folder and UID."""

    def __init__(self) -> None:
        self.read: dict[int, int] = {}  # octets of each row's file, of those that could be read
        self.odd: dict[int, Examined] = {}  # those that are not what ledger and index say, or that these say nothing of
        self.others: dict[tuple[int, int], Examined] = {}

    def add(self, row: Audited, examined: Examined) -> None:
        kept = row.kept
        if examined.condition is Condition.READ:
            self.read[row.entry.id] = examined.size
        if kept is None or row.sha256 is None or examined.sha256 != row.sha256 or examined.size != kept.size:
            self.odd[row.entry.id] = examined

    def known(self, entry_id: int) -> bool:
        return entry_id in self.read or entry_id in self.odd

    def keep(self, entry_ids: Collection[int]) -> None:
        """Forget all others."""
        for entry_id in [id_ for id_ in (*self.read, *self.odd) if id_ not in entry_ids]:
            self.forget(entry_id)

    def forget(self, entry_id: int) -> None:
        self.read.pop(entry_id, None)
        self.odd.pop(entry_id, None)


def is_here(row: Audited) -> bool:
    """Is there a file that ought to be the message?"""
    return row.entry.outcome is Outcome.STORED and row.kept is not None


def shown(row: Audited) -> str:
    """What POP3 clients are to be told as its UIDL; "" where it has one of our own."""
    return row.entry.uidl if row.entry.shown is None else row.entry.shown


def about(kind: Kind, what: str, row: Audited, listed: Listed | None = None) -> Finding:
    """A finding about a message of the ledger."""
    entry, folder = row.entry, folder_of(row)
    if listed is None:
        return Finding(kind, what, entry.position, entry.uidl, entry.octets, entry.uid, folder)
    return Finding(kind, what, listed.position, listed.uidl or entry.uidl, listed.octets, entry.uid, folder)


def folder_of(row: Audited) -> str:
    """Which folder of the legacy server listed it: POP3 knows one."""
    return row.entry.folder or INBOX


def judge_local(
    outcome: AccountOutcome,
    picture: Picture,
    files: Files,
    listed: Mapping[int, Listed],
    compared: Mapping[int, bool],
) -> None:
    """`listed` is where the legacy server has a row's message now, and `compared` whether it gives what it gave at the
    move, as far as it was asked; both by ledger id."""
    outcome.ledger = len(picture.rows)
    for row in picture.rows:
        if row.entry.outcome is Outcome.STORED:
            outcome.stored += 1
            id_ = row.entry.id
            for finding in _row(row, files.odd.get(id_), listed.get(id_), same=compared.get(id_, False)):
                outcome.found(finding)
    _order(outcome, picture.rows, listed)
    _others(outcome, picture, files)
    _deleted(outcome, picture.rows, files)


def _row(row: Audited, examined: Examined | None, listed: Listed | None, *, same: bool) -> Iterator[Finding]:
    kept, still = row.kept, _still(listed, same=same)
    if kept is None:
        what = f"the ledger has it as stored, the index knows no such message{still}"
        yield about(Kind.INDEX_ROW_MISSING, what, row, listed)
        return
    if shown(row) and kept.uidl != shown(row):
        yield about(Kind.UIDL_DIFFERS, f"POP3 clients are told {kept.uidl}, the ledger has {shown(row)}", row)
    if examined is None:
        return
    if examined.condition is Condition.MISSING:
        yield about(Kind.FILE_MISSING, f"the index has it, its file is not there{still}", row, listed)
    elif examined.condition is Condition.UNREADABLE:
        yield about(Kind.FILE_UNREADABLE, f"its file cannot be read: {examined.why}{still}", row, listed)
    elif not kept.native and examined.size != kept.size:
        what = f"its file has {examined.size} octets instead of {kept.size}{still}"
        yield about(Kind.FILE_ALTERED, what, row, listed)
    elif row.sha256 is not None and examined.sha256 != row.sha256:
        what = f"its file has the right size and another SHA-256 than the ledger{still}"
        yield about(Kind.FILE_ALTERED, what, row, listed)


def _still(listed: Listed | None, *, same: bool) -> str:
    if listed is None:
        return ""
    return f"; the legacy server still {'gives it unchanged' if same else 'lists it'}, as message {listed.position}"


def _order(outcome: AccountOutcome, rows: Sequence[Audited], listed: Mapping[int, Listed]) -> None:
    """By UID they are to stand as the legacy server listed them first. What comes at a later attempt gets a higher UID,
    for one must not appear below those that clients have seen (RFC 3501 2.3.1.1)."""
    by_folder: defaultdict[int, list[Audited]] = defaultdict(list)
    for row in rows:
        if is_here(row) and row.kept is not None and row.entry.uid is not None:
            by_folder[row.kept.folder_id].append(row)
    for here in by_folder.values():
        _order_of(outcome, here, listed)


def _order_of(outcome: AccountOutcome, here: Sequence[Audited], listed: Mapping[int, Listed]) -> None:
    """One folder."""
    wrong = set(out_of_order([row.entry.uid or 0 for row in here]))
    after: Audited | None = None  # the next one that stands in order
    found: list[Finding] = []
    for place in range(len(here) - 1, -1, -1):
        row = here[place]
        if place not in wrong:
            after = row
            continue
        kind = Kind.CAME_LATE if _came_late(row, after) else Kind.WRONG_ORDER
        what = f"it has UID {row.entry.uid}"
        if after is not None:
            what += f", and the message that was listed after it has {after.entry.uid}"
        found.append(about(kind, what, row, listed.get(row.entry.id)))
    for finding in reversed(found):
        outcome.found(finding)


def _came_late(row: Audited, after: Audited | None) -> bool:
    if after is None or (row.entry.uid or 0) < (after.entry.uid or 0):
        return False
    return row.entry.attempts > 0 or row.entry.updated > after.entry.updated


def _others(outcome: AccountOutcome, picture: Picture, files: Files) -> None:
    named = {row.kept.uidl for row in picture.rows if is_here(row) and row.kept is not None and shown(row)}
    for message in picture.others:
        if message.folder_id == INBOX_ID and message.uidl in named:
            what = f"the index has two messages of this UIDL, with UIDs {message.uid} and another"
            outcome.found(_other(Kind.DOUBLED, what, message, picture))
        else:
            outcome.count(Kind.EXTRA_HERE)
        examined = files.others.get((message.folder_id, message.uid))
        if examined is None:
            continue
        if examined.condition is Condition.MISSING:
            outcome.found(_other(Kind.FILE_MISSING, "the index has it, its file is not there", message, picture))
        elif examined.condition is Condition.UNREADABLE:
            what = f"its file cannot be read: {examined.why}"
            outcome.found(_other(Kind.FILE_UNREADABLE, what, message, picture))
        elif not message.native and examined.size != message.size:
            what = f"its file has {examined.size} octets instead of {message.size}"
            outcome.found(_other(Kind.FILE_ALTERED, what, message, picture))


def _deleted(outcome: AccountOutcome, rows: Sequence[Audited], files: Files) -> None:
    """What the user removed from its folder. Where the other files were read too, what was moved is told apart."""
    elsewhere = Counter(examined.sha256 for examined in files.others.values() if examined.sha256 is not None)
    moved = 0
    for row in rows:
        if row.entry.outcome is Outcome.DELETED:
            if row.sha256 is not None and elsewhere[row.sha256]:
                elsewhere[row.sha256] -= 1
                moved += 1
            else:
                outcome.count(Kind.DELETED_HERE)
    outcome.count(Kind.MOVED_HERE, moved)
    outcome.counts[Kind.EXTRA_HERE] -= moved
    outcome.counts += Counter()  # leaves out what is none


def _other(kind: Kind, what: str, message: Kept, picture: Picture) -> Finding:
    """About a message that the legacy server never listed."""
    folder = picture.folders[message.folder_id].name
    return Finding(kind, what, 0, message.uidl, message.size, message.uid, folder)
