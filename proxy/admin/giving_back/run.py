"""Giving an account's mail back, folder by folder, over a connection that is logged in.

A message is written down before it is sent, and again when the server has taken it (`record`). Who is interrupted
between the two runs it again: then what came to the folder there since is looked through for it, by Message-ID, or by
its whole header where it has none. So none is there twice, and none is missing.

What the server does not take is remarked and stops nothing, but for what stops everything: a mailbox that is full, a
server that says that it cannot now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from mailstore.giving import CameByLegacy
from mailstore.index.rows import Row
from mailstore.mailhome import MailHome
from proxy.admin.giving_back.choosing import Chosen, arrived, choose, data_of
from proxy.admin.giving_back.record import Begun, Key, Record
from proxy.imap.client import giving
from proxy.imap.client.connection import Connection, Survey
from proxy.imap.client.giving import Given
from proxy.imap.client.replies import Folder, message_id

TOGETHER: Final = 25  # messages in one APPEND
OCTETS: Final = 4 * 1024 * 1024  # … and octets

_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_ODD: Final = re.compile(r"[^\w \-]")
_ATOM: Final = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|}~]+")  # RFC 3501 9: what a keyword may be everywhere


class CannotGoOn(Exception):
    """The server takes nothing at the moment. The text is for the administrator."""


@dataclass(slots=True)
class GivenBack:
    """What was done, or would be."""

    messages: int = 0
    octets: int = 0
    before: int = 0  # that an earlier run had given back
    found: int = 0  # that an earlier run was interrupted with, and that had come there
    refused: int = 0
    folders: dict[str, int] = field(default_factory=dict)  # messages by folder
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Item:
    key: Key
    given: Given


def rehearse(home: MailHome, record: Record, *, everything: bool) -> GivenBack:
    """What would be given back. Raises StorageFailed."""
    came, done = home.came_by_legacy(), GivenBack()
    for chosen in choose(home, came, everything=everything):
        for row, data in arrived(home, came, chosen, everything=everything):
            if (chosen.folder.uidvalidity, row.uid) in record.done:
                done.before += 1
            elif data is None:
                done.remarks.append(f"{chosen.folder.name}: UID {row.uid} cannot be read")
            else:
                done.messages += 1
                done.octets += len(data)
                done.folders[chosen.folder.name] = done.folders.get(chosen.folder.name, 0) + 1
    return done


class GivingBack:
    """Of one account. Once."""

    def __init__(
        self,
        home: MailHome,
        record: Record,
        connection: Connection,
        *,
        everything: bool = False,
        told: Callable[[str, int], None] = lambda _folder, _messages: None,
    ) -> None:
        """`told` in which folder it is, and how many messages have been given back."""
        self._home = home
        self._record = record
        self._connection = connection
        self._everything = everything
        self._told = told
        self.done = GivenBack()

    async def run(self) -> GivenBack:
        """Raises CannotGoOn, LegacyError, MailstoreError, OSError: `done` has how far it was."""
        came = self._home.came_by_legacy()
        manner = await giving.manner(self._connection.session)
        there = {folder.levels: folder for folder in await self._connection.folders()}
        for chosen in choose(self._home, came, everything=self._everything):
            if self._to_come(chosen, came):
                await self._folder(chosen, came, manner, there)
        return self.done

    def _to_come(self, chosen: Chosen, came: CameByLegacy) -> bool:
        """Is there any left in the folder?"""
        left = []
        for row in chosen.rows:
            if (chosen.folder.uidvalidity, row.uid) in self._record.done:
                self.done.before += 1
            else:
                left.append(row)
        some = arrived(self._home, came, Chosen(chosen.folder, left), everything=self._everything)
        return next(some, None) is not None

    async def _folder(
        self, chosen: Chosen, came: CameByLegacy, manner: giving.Manner, there: dict[tuple[str, ...], Folder]
    ) -> None:
        folder = chosen.folder
        levels = tuple(folder.name.split("/"))
        known = there.get(levels)
        name = known.name if known is not None and known.selectable else manner.name(levels)
        if name is None:
            self._remark(folder.name, "it can have no name there", len(chosen.rows))
            return
        if known is None or not known.selectable:
            made = await self._make(folder.name, manner, name, len(chosen.rows))
            if made is None:
                return
            name = made
        survey = await self._connection.survey(Folder(name, levels, frozenset(), subscribed=False))
        if survey.refused is not None:
            self._remark(folder.name, f"the server does not open it: {survey.refused}", len(chosen.rows))
            return
        await self._look_for_begun(chosen, survey)
        at = Begun(max(survey.messages.uids, default=0), survey.place.uidvalidity)
        for batch in self._batches(self._items(chosen, came)):
            await self._give(folder.name, name, batch, at)
            self._told(folder.name, self.done.messages)

    async def _make(self, folder: str, manner: giving.Manner, name: bytes, messages: int) -> bytes | None:
        """The folder's name there; None where the server makes none. Some take not every character."""
        why = await giving.create(self._connection.session, name)
        if not why:
            return name
        levels = [_ODD.sub("_", level) for level in folder.split("/")]
        plain = manner.name(levels)
        if plain is None or plain == name or await giving.create(self._connection.session, plain):
            self._remark(folder, f"the server does not make it: {why}", messages)
            return None
        self._remark(folder, f"it is called {'/'.join(levels)} there", 0)
        return plain

    def _remark(self, folder: str, text: str, refused: int) -> None:
        self.done.remarks.append(f"{folder}: {text}")
        self.done.refused += refused

    # What an earlier run was interrupted with

    async def _look_for_begun(self, chosen: Chosen, survey: Survey) -> None:
        rows = {(chosen.folder.uidvalidity, row.uid): row for row in chosen.rows}
        doubtful = {key: begun for key, begun in self._record.begun.items() if key in rows}
        if not doubtful:
            return
        valid = survey.place.uidvalidity
        ours = {uid for uidvalidity, uid in self._record.done.values() if uidvalidity == valid}
        since = min(begun.after if begun.valid == valid else 0 for begun in doubtful.values())
        candidates = [uid for uid in survey.messages.uids if uid > since and uid not in ours]
        headers = await self._connection.headers(survey.place, candidates) if candidates else {}
        marks: dict[bytes, list[int]] = {}
        for uid in sorted(headers, reverse=True):
            marks.setdefault(_mark(headers[uid]), []).append(uid)
        for key in sorted(doubtful):
            found = marks.get(_mark(_header(_sendable(data_of(self._home, chosen.folder, rows[key])))))
            if found:
                self._record.end({key: (valid, found.pop())})
                self.done.found += 1

    # Sending

    def _items(self, chosen: Chosen, came: CameByLegacy) -> Iterator[_Item]:
        folder = chosen.folder
        left = [row for row in chosen.rows if (folder.uidvalidity, row.uid) not in self._record.done]
        for row, data in arrived(self._home, came, Chosen(folder, left), everything=self._everything):
            if data is None:
                self._remark(folder.name, f"UID {row.uid} cannot be read", 1)
            elif b"\0" in data:
                self._remark(folder.name, f"UID {row.uid} has NUL octets, which IMAP does not carry", 1)
            else:
                key = folder.uidvalidity, row.uid
                yield _Item(key, Given(_flags(row), row.internal_date, _sendable(data)))

    def _batches(self, items: Iterator[_Item]) -> Iterator[list[_Item]]:
        most = TOGETHER if giving.takes_several(self._connection.session) else 1
        batch: list[_Item] = []
        octets = 0
        for item in items:
            if batch and (len(batch) >= most or octets + len(item.given.data) > OCTETS):
                yield batch
                batch, octets = [], 0
            batch.append(item)
            octets += len(item.given.data)
        if batch:
            yield batch

    async def _give(self, folder: str, name: bytes, batch: Sequence[_Item], at: Begun) -> None:
        keys = [item.key for item in batch]
        self._record.begin(keys, at)
        done = await giving.append(self._connection.session, name, [item.given for item in batch])
        if not done.why:
            self._take_note(folder, batch, done)
        elif done.for_now:
            for key in keys:
                self._record.refuse(key)
            raise CannotGoOn(f"the server takes no more into {folder}: {done.why}")
        elif len(batch) > 1:  # all or none were taken: which of them is it?
            for item in batch:
                self._record.refuse(item.key)
            for item in batch:
                await self._give(folder, name, [item], at)
        elif _keywords(batch[0].given):
            plain = [flag for flag in batch[0].given.flags if flag.startswith("\\")]
            item = _Item(batch[0].key, Given(plain, batch[0].given.date, batch[0].given.data))
            self._record.refuse(item.key)
            await self._give(folder, name, [item], at)
            if item.key in self._record.done:
                self.done.remarks.append(f"{folder}: UID {item.key[1]} is there without its keywords")
        else:
            self._record.refuse(keys[0])
            self._remark(folder, f"the server does not take UID {keys[0][1]}: {done.why}", 1)

    def _take_note(self, folder: str, batch: Sequence[_Item], done: giving.Appended) -> None:
        uids = done.uids or [0] * len(batch)
        self._record.end({item.key: (done.uidvalidity, uid) for item, uid in zip(batch, uids, strict=True)})
        self.done.messages += len(batch)
        self.done.octets += sum(len(item.given.data) for item in batch)
        self.done.folders[folder] = self.done.folders.get(folder, 0) + len(batch)


def _flags(row: Row) -> list[str]:
    """\\Deleted, too: a message that its user has marked is not given back as if he had not."""
    return sorted(flag for flag in row.flags if flag.startswith("\\") or _ATOM.fullmatch(flag))


def _keywords(given: Given) -> bool:
    return any(not flag.startswith("\\") for flag in given.flags)


def _sendable(data: bytes) -> bytes:
    """With line ends as IMAP wants them (RFC 3501 2.3.4: APPEND's literal is a message of RFC 2822)."""
    return _BARE.sub(b"\r\n", data)


def _header(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[0]


def _mark(header: bytes) -> bytes:
    """What tells a message from others: its Message-ID, or the whole of its header."""
    found = message_id(header)
    return found or b"\n" + b"\n".join(header.split())
