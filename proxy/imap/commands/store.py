"""STORE and UID STORE, with UNCHANGEDSINCE on a condition (RFC 3501 6.4.6, RFC 7162 3.1.3)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from mailstore.index.rows import Flags, Stored, StoreMode
from mailstore.mailhome import MailHome
from proxy.imap import responses
from proxy.imap.answers import Done, No, expunge_issued, read_only
from proxy.imap.grammar.syntax import Command, Store
from proxy.imap.manner import CONDSTORE
from proxy.imap.view import View

if TYPE_CHECKING:
    from proxy.imap.session import Session

BATCH = 1_000  # messages whose flags change in one transaction; others get their turn between two


async def store(session: Session, command: Command, arguments: Store) -> Done:
    """The new flags are told by the session's sync, together with what others changed."""
    view = session.selected
    if not view.writable:
        raise read_only()
    if arguments.unchanged_since is not None:
        session.enable(CONDSTORE)
    uids = view.uids_of(view.find(arguments.sequence, uid=command.uid))
    flags = frozenset(arguments.flags)
    expected = outcome(arguments.mode, flags) if arguments.silent else None
    change = partial(
        _change, folder_id=view.folder.id, mode=arguments.mode, flags=flags, unchanged_since=arguments.unchanged_since
    )
    found = 0
    modified: list[int] = []
    for start in range(0, len(uids), BATCH):
        results = await session.run_briefly(partial(change, uids=uids[start : start + BATCH]))
        view.stored(results.flagged, expected, made=results.modseq)
        session.changed_up_to(results.modseq)
        modified.extend(results.modified)
        found += len(results.flagged) + len(results.modified)
    code = _modified(view, modified, uid=command.uid) if modified else None
    if found < len(uids):
        session.stale = True  # some are gone: a UID STORE may say so at once
        if not command.uid:
            raise No(b"Some of the messages no longer exist.", code) if code else expunge_issued()
    if code:
        return Done(b"Conditional store failed for some.", code)
    return Done(b"Store completed.")


def _change(
    home: MailHome, folder_id: int, uids: list[int], mode: StoreMode, flags: Flags, unchanged_since: int | None
) -> Stored:
    return home.store(folder_id, uids, mode, flags, unchanged_since=unchanged_since)


def _modified(view: View, uids: list[int], *, uid: bool) -> bytes:
    """MODIFIED names what was left alone as the command named it: by UID, or by number (RFC 7162 3.1.3)."""
    places = (view.index(each) for each in uids)
    numbers = uids if uid else [place + 1 for place in places if place is not None]
    return b"MODIFIED " + responses.numbers(numbers)


def outcome(mode: StoreMode, flags: Flags) -> Callable[[Flags], Flags]:
    """What a client that stores silently takes a message's flags to be afterwards."""
    if mode is StoreMode.REPLACE:
        return lambda known: flags
    if mode is StoreMode.ADD:
        return lambda known: known | flags
    return lambda known: known - flags
