"""From what was read to what is found, of one account. Computes for seconds where a mailbox is large: in a thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from mailstore.audit import Audit, Audited, Picture
from mailstore.entries import Listed, Outcome
from proxy.admin.verify.contents import Contents
from proxy.admin.verify.given import judge_given
from proxy.admin.verify.kinds import Kind
from proxy.admin.verify.listing import judge_ledger_alone, judge_listing
from proxy.admin.verify.local import Files, about, is_here, judge_local
from proxy.admin.verify.matching import Matching, by_content, match
from proxy.admin.verify.outcome import AccountOutcome

_SUSPICIOUS = (Kind.FILE_MISSING, Kind.FILE_ALTERED, Kind.FILE_UNREADABLE, Kind.INDEX_ROW_MISSING)
_OWED = (Outcome.LISTED, Outcome.QUARANTINED)


def matched(listing: Sequence[Listed], picture: Picture, contents: Contents) -> Matching:
    """Which message is which row, as names and sizes say, and what has been read of them."""
    digests = {position: given.sha256 for position, given in contents.given.items()}
    return by_content(match(listing, picture.rows), digests, lambda row: row.sha256)


def doubtful(picture: Picture, files: Files, matching: Matching | None) -> set[int] | None:
    """The ledger rows whose files are to be read once more, because something is wrong here; None where nothing is, nor
    anything missing that may have come meanwhile."""
    tried = AccountOutcome("", "", "")
    judge_local(tried, picture, files, {}, {})
    wrong = {finding.uid for finding in tried.findings if finding.kind in _SUSPICIOUS}
    owed = any(row.entry.outcome in _OWED for row in picture.rows)
    if not wrong and not owed and (matching is None or not matching.unknown):
        return None
    return {row.entry.id for row in picture.rows if row.entry.uid in wrong}


def judge(
    outcome: AccountOutcome,
    picture: Picture,
    files: Files,
    matching: Matching | None,
    contents: Contents,
    audit: Audit,
) -> None:
    """`matching` None: the legacy server was not compared with."""
    compared: Mapping[int, bool] = {}
    listed: Mapping[int, Listed] = {}
    if matching is None:
        judge_ledger_alone(outcome, picture.rows)
    else:
        listed = {pair.row.entry.id: pair.listed for pair in matching.pairs}
        compared = judge_given(outcome, matching, contents, files, audit)
        judge_listing(outcome, matching, compared)
        outcome.contents, outcome.content_octets = len(compared), contents.octets
    judge_local(outcome, picture, files, listed, compared)
    _without_digest(outcome, picture.rows, compared)
    outcome.files, outcome.file_octets = len(files.read), sum(files.read.values())
    outcome.count(Kind.UNNOTICED, audit.unnoticed(picture))


def _without_digest(outcome: AccountOutcome, rows: Sequence[Audited], compared: Collection[int]) -> None:
    for row in rows:
        if is_here(row) and row.sha256 is None and row.entry.id not in compared:
            what = "the ledger has no SHA-256 of it since the index was made anew"
            outcome.found(about(Kind.NO_DIGEST, what, row))
