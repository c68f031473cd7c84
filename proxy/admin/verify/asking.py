"""One account's mailbox at its legacy server: what it lists, and what it gives.

Logged in once; again only where the connection broke, where it turned out that the server loses commands which are
sent together (`SourceLost` says of both that another connection may do better), or where a user needed the connection
(`GaveWay`), as often as that is so. A mailbox that is in use, and a server
that is busy, are tried again after pauses. A password that is refused is not tried twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from twisted.internet.task import deferLater

from mailstore.audit import Audited
from mailstore.entries import Entry, Listed
from proxy.admin.verify.contents import Contents, asked_for
from proxy.admin.verify.matching import name_of
from proxy.legacy.errors import LegacyBusy, LegacyError, LegacyTimeout, LegacyUnreachable, MaildropInUse
from proxy.login.names import Name
from proxy.migration.source import GaveWay, Receiver, SourceError, SourceLost
from proxy.wire.door import Secret

PAUSES: Final = (5.0, 15.0, 40.0)  # seconds before a mailbox in use, or a server that is busy, is tried again
REOPENED: Final = 3  # times that a connection which broke is replaced
AT_ONCE: Final = 5_000  # messages that are asked for in one go

Wanted = tuple[Listed, Audited | None]  # a message, and the row that it is thought to be

_Key = tuple[str, int, int]


class Opened(Protocol):
    """What is wanted of a `proxy.migration.source.Source`."""

    async def list(self) -> Sequence[Listed]: ...

    async def fetch(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver) -> None: ...

    async def close(self) -> None: ...

    def abort(self) -> None: ...


class Door(Protocol):
    """How a legacy mailbox is opened: `proxy.login.legacy.LegacyDoor`."""

    async def open(self, name: Name, password: Secret) -> Opened:
        """Raises LegacyError."""


class NotCompared(Exception):
    """The legacy server cannot be compared with. The text says why; `silent` is it because it does not answer?"""

    def __init__(self, text: str, *, silent: bool = False) -> None:
        super().__init__(text)
        self.silent = silent


class OldMailbox:
    """`listing` once, then `give` once, and in any case `drop`."""

    def __init__(self, door: Door, name: Name, password: Secret | str, reactor: Any, waits: Callable[[], None]) -> None:
        """`password` as text is why there is none, or why the server is not asked. `waits` is called before each
        pause."""
        self._door = door
        self._name = name
        self._password = password
        self._reactor = reactor
        self._waits = waits
        self._source: Opened | None = None
        self._reopened = 0
        self._broke_at = 0  # which message it broke at last
        self._moved: list[_Key] = []  # what a later connection than the first lists, by number

    async def listing(self) -> Sequence[Listed]:
        """What it lists. Raises NotCompared."""
        while True:
            self._source = await self._open()
            try:
                with suppress(GaveWay):
                    return await self._source.list()
            except SourceError as error:
                raise NotCompared(str(error)) from error
            self.drop()

    async def give(self, wanted: Sequence[Wanted], contents: Contents) -> None:
        """Have it give these messages, by position. Raises NotCompared, with what came by then in `contents`."""
        try:
            for start in range(0, len(wanted), AT_ONCE):
                await self._give(wanted[start : start + AT_ONCE], contents)
        except (NotCompared, SourceError) as error:
            of = f"the bytes of {contents.done} of {len(wanted)} messages were compared"
            raise NotCompared(f"{of}, then: {error}") from error
        if self._source is not None:
            source, self._source = self._source, None
            await source.close()

    def drop(self) -> None:
        """Harmless where nothing is open."""
        if self._source is not None:
            self._source.abort()
            self._source = None

    async def _open(self) -> Opened:
        if isinstance(self._password, str):
            raise NotCompared(self._password)
        for pause in (*PAUSES, None):
            try:
                return await self._door.open(self._name, self._password)
            except (MaildropInUse, LegacyBusy) as error:
                if pause is None:
                    raise NotCompared(f"{error.text} (tried {len(PAUSES) + 1} times)") from error
                self._waits()
                await deferLater(self._reactor, pause)
            except (LegacyUnreachable, LegacyTimeout) as error:
                raise NotCompared(error.text, silent=True) from error
            except LegacyError as error:
                raise NotCompared(error.text) from error
        raise AssertionError("the last attempt has no pause behind it")

    async def _give(self, wanted: Sequence[Wanted], contents: Contents) -> None:
        """Raises SourceError, NotCompared."""
        listed = {message.position: message for message, _ in wanted}
        contents.expected = {m.position: row.sha256 for m, row in wanted if row is not None and row.sha256 is not None}
        left = [(m.position, asked_for(m, row.entry if row is not None else None)) for m, row in wanted]
        if self._moved:
            left = self._where(left, listed)
        while left:
            try:
                if self._source is None:
                    left = await self._again(left, listed)
                if self._source is not None and left:
                    await self._source.fetch(left, contents)
                left = []
            except GaveWay:
                self.drop()
                left = [item for item in left if not contents.settled(item[1])]
            except SourceLost as error:
                self.drop()
                self._reopened += 1
                if self._reopened > REOPENED:
                    raise
                self._suspect(error, contents)
                left = [item for item in left if not contents.settled(item[1])]

    def _suspect(self, error: SourceLost, contents: Contents) -> None:
        """A message at which the connection broke twice is not asked for a third time."""
        if error.entry is not None and error.entry.id == self._broke_at:
            contents.refused(error.entry, f"the connection breaks at it: {error}")
        self._broke_at = error.entry.id if error.entry is not None else 0

    async def _again(self, left: Sequence[tuple[int, Entry]], listed: Mapping[int, Listed]) -> list[tuple[int, Entry]]:
        """Another connection, in which messages may have other numbers."""
        self._source = await self._open()
        self._moved = [_key(message) for message in await self._source.list()]
        return self._where(left, listed)

    def _where(self, left: Sequence[tuple[int, Entry]], listed: Mapping[int, Listed]) -> list[tuple[int, Entry]]:
        """The messages under their numbers in the connection that there is now. What is not listed any more, or is one
        of several of a name by now, is left out."""
        keys = self._moved
        if all(0 < entry.id <= len(keys) and keys[entry.id - 1] == _key(listed[entry.id]) for _, entry in left):
            return [(entry.id, entry) for _, entry in left]
        counted = Counter(keys)
        positions = {key: at for at, key in enumerate(keys, 1) if counted[key] == 1}
        found = ((positions.get(_key(listed[entry.id])), entry) for _, entry in left)
        return sorted(((at, entry) for at, entry in found if at is not None), key=lambda item: item[0])


def _key(message: Listed) -> _Key:
    """What a message is known again by in another session: where it has no UIDL, its number and octets."""
    name = name_of(message)
    return (name, 0, 0) if name else ("", message.position, message.octets)
