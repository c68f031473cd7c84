"""STORE and UID STORE (RFC 3501 6.4.6)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from mailstore.index.rows import Flagged, Flags, StoreMode
from mailstore.mailhome import MailHome
from proxy.imap.answers import Done, expunge_issued, read_only
from proxy.imap.grammar.syntax import Command, Store

if TYPE_CHECKING:
    from proxy.imap.session import Session

BATCH = 1_000  # messages whose flags change in one transaction; others get their turn between two


async def store(session: Session, command: Command, arguments: Store) -> Done:
    """The new flags are told by the session's sync, together with what others changed."""
    view = session.selected
    if not view.writable:
        raise read_only()
    uids = view.uids_of(view.find(arguments.sequence, uid=command.uid))
    flags = frozenset(arguments.flags)
    expected = outcome(arguments.mode, flags) if arguments.silent else None
    found = 0
    for start in range(0, len(uids), BATCH):
        results = await session.run(
            partial(
                _change, folder_id=view.folder.id, uids=uids[start : start + BATCH], mode=arguments.mode, flags=flags
            )
        )
        view.stored(results, expected)
        found += len(results)
    if found < len(uids):
        session.stale = True  # some are gone: a UID STORE may say so at once
        if not command.uid:
            raise expunge_issued()
    return Done(b"Store completed.")


def _change(home: MailHome, folder_id: int, uids: list[int], mode: StoreMode, flags: Flags) -> list[Flagged]:
    return home.store_flags(folder_id, uids, mode, flags)


def outcome(mode: StoreMode, flags: Flags) -> Callable[[Flags], Flags]:
    """What a client that stores silently takes a message's flags to be afterwards."""
    if mode is StoreMode.REPLACE:
        return lambda known: flags
    if mode is StoreMode.ADD:
        return lambda known: known | flags
    return lambda known: known - flags
