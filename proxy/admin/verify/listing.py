"""What the legacy server lists, held against the ledger. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from mailstore.audit import Audited
from mailstore.entries import Listed, Outcome
from proxy.admin.verify.kinds import INBOX, Finding, Kind
from proxy.admin.verify.local import about, is_here
from proxy.admin.verify.matching import Matching, Pair
from proxy.admin.verify.order import out_of_order
from proxy.admin.verify.outcome import AccountOutcome


def judge_ledger_alone(outcome: AccountOutcome, rows: Sequence[Audited]) -> None:
    """The legacy server was not asked: what the ledger itself says is owed."""
    for row in rows:
        _owed(outcome, row, None)


def judge_listing(outcome: AccountOutcome, matching: Matching, compared: Collection[int]) -> None:
    """`compared` are ledger ids whose bytes were compared with what the legacy server gives."""
    for pair in matching.pairs:
        if pair.row.entry.outcome is Outcome.STORED:
            _stored(outcome, pair, compared=pair.row.entry.id in compared)
        else:
            _owed(outcome, pair.row, pair.listed)
    for row in matching.unlisted:
        _unlisted(outcome, row)
    _unknown(outcome, matching)
    _order(outcome, matching.pairs)
    _perhaps_doubled(outcome, matching)


def _stored(outcome: AccountOutcome, pair: Pair, *, compared: bool) -> None:
    row, listed = pair.row, pair.listed
    if pair.renamed:
        what = f"the ledger has it as {row.entry.uidl or 'one without a UIDL'}; its bytes are the same"
        outcome.found(about(Kind.UIDL_CHANGED, what, row, listed))
    if listed.octets != row.entry.octets and not compared:
        what = f"LIST says {listed.octets} octets now and said {row.entry.octets} when it was moved"
        outcome.found(about(Kind.OCTETS_CHANGED, what, row, listed))
    kept = row.kept
    if kept is not None and not kept.native and row.entry.octets and row.entry.octets != kept.size:
        what = f"LIST said {row.entry.octets} octets, and it gave {kept.size}"
        outcome.found(about(Kind.OCTETS_DIFFER, what, row, listed))


def _owed(outcome: AccountOutcome, row: Audited, listed: Listed | None) -> None:
    """A row that is not stored: listed now, or, if the legacy server was not asked, not known to be gone."""
    entry, why = row.entry, f": {row.reason}" if row.reason else ""
    if entry.outcome is Outcome.LISTED:
        outcome.found(about(Kind.MISSING, f"it was listed and has not been fetched yet{why}", row, listed))
    elif entry.outcome is Outcome.QUARANTINED:
        what = f"{row.reason or 'no reason is noted'} (attempts: {entry.attempts})"
        outcome.found(about(Kind.QUARANTINED, what, row, listed))
    elif entry.outcome is Outcome.GONE and listed is not None:
        what = "it vanished from the listing before it was fetched, and is listed again"
        outcome.found(about(Kind.MISSING, what, row, listed))
    elif entry.outcome is Outcome.GONE:
        _gone(outcome, row)


def _unlisted(outcome: AccountOutcome, row: Audited) -> None:
    if row.entry.outcome is Outcome.STORED:
        outcome.count(Kind.NO_LONGER_LISTED)
    elif row.entry.outcome is not Outcome.DELETED:
        _gone(outcome, row)


def _gone(outcome: AccountOutcome, row: Audited) -> None:
    why = f"; until then: {row.reason}" if row.entry.outcome is Outcome.QUARANTINED and row.reason else ""
    outcome.found(about(Kind.GONE, f"the legacy server no longer lists it, and it never came here{why}", row))


def _unknown(outcome: AccountOutcome, matching: Matching) -> None:
    """Most have come since the last move. Where others stand behind them it is said: that is rarely so."""
    last: defaultdict[str, int] = defaultdict(int)  # of each folder
    for pair in matching.pairs:
        last[pair.listed.folder] = max(last[pair.listed.folder], pair.listed.position)
    lost = {row.entry.octets for row in matching.unlisted if is_here(row)}
    for listed in matching.unknown:
        what = "the ledger does not have it"
        if listed.position > last[listed.folder]:
            what += ": it arrived since the last move"
        if listed.octets in lost:
            what += "; it may be one that is here under another UIDL: verify --full tells"
        place = (listed.position, listed.uidl, listed.octets)
        outcome.found(Finding(Kind.MISSING, what, *place, folder=listed.folder or INBOX))


def _order(outcome: AccountOutcome, pairs: Sequence[Pair]) -> None:
    """Ledger ids ascend in the order in which a folder's messages were listed first."""
    by_folder: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_folder[pair.listed.folder].append(pair)
    for listed in by_folder.values():
        _order_of(outcome, listed)


def _order_of(outcome: AccountOutcome, pairs: Sequence[Pair]) -> None:
    for place in out_of_order([pair.row.entry.id for pair in pairs]):
        pair = pairs[place]
        what = f"it is listed as message {pair.listed.position}, and was listed as {pair.row.entry.position} first"
        outcome.found(about(Kind.ORDER_CHANGED, what, pair.row, pair.listed))


def _perhaps_doubled(outcome: AccountOutcome, matching: Matching) -> None:
    """The same bytes twice here, of which the legacy server has one: it may have given it another UIDL at some time."""
    twins: defaultdict[bytes, list[Audited]] = defaultdict(list)
    for pair in matching.pairs:
        if pair.row.sha256 is not None and is_here(pair.row):
            twins[pair.row.sha256].append(pair.row)
    for row in matching.unlisted:
        same = twins.get(row.sha256) if row.sha256 is not None else None
        if same and is_here(row):
            twin = same.pop()
            what = f"the same bytes are here as UID {twin.entry.uid} too, and the legacy server lists that one alone"
            outcome.found(about(Kind.PERHAPS_DOUBLED, what, row))
