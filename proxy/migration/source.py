"""What a move asks of a legacy server, whatever protocol it speaks. Read only: there is no way to delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from mailstore.entries import Entry, Listed
from mailstore.old_folders import OldFolder
from proxy.migration.agenda import Agenda
from proxy.migration.weighing import Exactness


class SourceError(Exception):
    """The legacy server, or the way to it, failed. The text is for the administrator: cause and remedy, no secrets."""


class SourceLost(SourceError):
    """The connection is gone or cannot be trusted any more: a new one may do better.

    `entry` is the message that was under way, if one was.
    """

    def __init__(self, text: str, entry: Entry | None = None) -> None:
        super().__init__(text)
        self.entry = entry


class Stopped(SourceLost):
    """The move was ended on purpose, at its last barrier: the daemon stops, or an administrator has paused it."""


class HandedOn(Stopped):
    """This node ends, or is drained: if there is another one, it goes on with the move."""


class GaveWay(Stopped):
    """… because a user waited for its connection. It goes on when there is room."""


class TakenOver(GaveWay):
    """… because this node has lost the account's lease: another node moves it, or will."""


class SourceBusy(SourceLost):
    """The server says that it does not want to just now: the mailbox is in use, too many logins, too much fetched.

    It will do better after some minutes. A mailbox is in use for as long as the server takes to notice that the
    connection before is gone, which may be its autologout time of ten minutes and more (RFC 1939 3).
    """


class SourceUnusable(SourceError):
    """The server says what cannot be worked with; asking again would not help."""


class PasswordChanged(SourceUnusable):
    """The password that was right when the move began is not any more."""


class Receiver(Protocol):
    """Takes messages as they arrive, in the order asked for, in the reactor's thread."""

    def message(self, entry: Entry, data: bytes) -> None:
        """A whole message, exactly as received."""

    def begin(self, entry: Entry) -> None:
        """A large message starts; `piece` and `end` follow."""

    def piece(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def refused(self, entry: Entry, text: str) -> None:
        """The server will not give this one; the others go on."""


class Source(Protocol):
    """A logged-in connection to an account's old mailbox."""

    @property
    def exactness(self) -> Exactness:
        """Of the lengths that this server tells: one for all its connections."""

    @property
    def remarks(self) -> Sequence[str]:
        """What the administrator should know of the last listing, a sentence each: is it all of the mailbox?"""

    @property
    def folders(self) -> Sequence[OldFolder]:
        """Where `list` found what it lists; empty for a POP3 maildrop, which is the INBOX."""

    def begin(self, *, whole: bool = False) -> None:
        """`list` comes next, whenever that is, and the server may get to work on it now. `whole`: after it all that is
        listed will be fetched, in order, and nothing asked for between. May be called again, and changes nothing
        then."""

    async def list(self) -> Sequence[Listed]:
        """All messages in the server's order. Raises SourceError."""

    async def fetch(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver, *, one_by_one: bool = False) -> None:
        """Fetch (position now, entry) in order, many under way at once unless told otherwise. Raises SourceError."""

    async def headers(self, positions: Sequence[int], take: Callable[[int, bytes], None]) -> None:
        """Hand each header to `take`, with its position, in order. Messages whose headers the server does not show
        are left out. Raises SourceError."""

    async def prove(self) -> None:
        """Be sure that what was taken for the answer to the password is it. Raises SourceError."""

    def pause(self) -> None:
        """Stop reading from the server until `resume`."""

    def resume(self) -> None: ...

    async def close(self) -> None:
        """Say good-bye. Never raises SourceError: what was fetched is here."""

    def abort(self) -> None:
        """Drop the connection."""


class HeaderReceiver(Receiver, Protocol):
    """Takes headers as well."""

    def header(self, entry: Entry, data: bytes) -> None:
        """A message's header with its blank line, as the server gives it by itself."""

    def no_header(self, entry: Entry, text: str) -> None:
        """The server does not give this one by itself, or none at all."""


@runtime_checkable
class ErrandSource(Source, Protocol):
    """A source that can be asked for headers, and for what somebody waits for before all else."""

    async def many_at_once(self) -> bool:
        """May many commands be under way at once? Raises SourceError."""

    async def errands(self, agenda: Agenda, wanted: Sequence[tuple[int, Entry]], receiver: HeaderReceiver) -> None:
        """Fetch what `agenda` says until there is no more, all of it among `wanted`. Raises SourceError."""


Reopen = Callable[[], Awaitable[Source]]
