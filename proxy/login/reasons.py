"""Why a move did not get to its end, in words for the administrator: cause; remedy."""

from __future__ import annotations

from pathlib import Path

from mailstore.entries import Sums
from mailstore.errors import DiskFull, MailstoreError, StorageCorrupt, StorageFailed
from mailstore.mooring import OtherLayout
from mailstore.refusals import of_a_server
from mailstore.room import free_octets
from proxy.config.sizes import size
from proxy.legacy.errors import LegacyError


def of(error: Exception | None, state: Path) -> str:
    """Of a move that has not begun; `state` is the directory that it would have been written down in."""
    if isinstance(error, MailstoreError):
        return of_the_store(error, None, state)
    return error.advice if isinstance(error, LegacyError) else str(error)


def of_the_store(error: MailstoreError, sums: Sums | None, place: Path) -> str:
    """`sums`: how far the move was, if it came to a listing; `place`: the directory that it writes to."""
    if not isinstance(error, StorageFailed) or isinstance(error, OtherLayout):
        return str(error)
    if isinstance(error, StorageCorrupt):
        return f"{error}; the next login makes it anew"
    if of_a_server(error):
        return f"{error}; look at the database server; a later try or login goes on"
    if not isinstance(error, DiskFull):
        return f"{error}; look at the disk that holds {place}; a later try or login goes on"
    free = free_octets(place)
    has = "" if free is None else f": {place} has room for {size(free)} of old mail"
    to_come = "" if sums is None else f", {size(max(0, sums.bytes_total - sums.bytes_done))} are still to come"
    return f"{error}{has}{to_come}; make room there, and a later try or login goes on"
