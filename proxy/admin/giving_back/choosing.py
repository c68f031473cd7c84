"""Which messages are to be given back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailstore.errors import MessageLost
from mailstore.giving import CameByLegacy
from mailstore.index.rows import Folder, Row
from mailstore.mailhome import MailHome


@dataclass(frozen=True, slots=True)
class Chosen:
    """A folder's messages that may be to be given back; what came by the old server and was moved since is known when
    it is read."""

    folder: Folder
    rows: Sequence[Row]


def choose(home: MailHome, came: CameByLegacy, *, everything: bool) -> list[Chosen]:
    """By folder, INBOX first; folders without any are left out. Raises StorageFailed."""
    found = []
    for folder in home.folders():
        uids = home.select(folder.name, writable=False).uids
        rows = [
            row
            for row in home.rows(folder.id, uids)
            if not row.away and (everything or not came.has(folder.id, row.uid))
        ]
        if rows:
            found.append(Chosen(folder, rows))
    return found


def data_of(home: MailHome, folder: Folder, row: Row) -> bytes:
    """A message's bytes. Raises MessageLost, StorageFailed."""
    with home.open(folder.id, row.uid) as content:
        return content.read(0, content.size)


def arrived(
    home: MailHome, came: CameByLegacy, chosen: Chosen, *, everything: bool
) -> Iterator[tuple[Row, bytes | None]]:
    """Those that are to be given back, with their bytes; None: they cannot be read."""
    for row in chosen.rows:
        try:
            data = data_of(home, chosen.folder, row)
        except MessageLost:
            yield row, None
            continue
        if everything or not came.knows(data):
            yield row, data
