"""A command, what it does to the model, and what must come back: the base of them all, and how messages are named.

A command goes through four moments: it is made and its line sent; `begin`, when the one before it is answered, and
numbers mean what they mean to the client then; `effect`, when its tagged reply is known, before what came with it
is taken in; `check`, after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.sessions.hearing import Fetched, Heard, Tagged
from tests.sessions.model import Message, Model
from tests.sessions.participant import Participant
from tests.sessions.picture import Picture
from tests.sessions.program import Pick


class Asked:
    """One command of one client."""

    line: bytes
    expunges = True  # may EXPUNGE come in its answer (RFC 3501 7.4.1)?
    flags_asked = False  # are FLAGS among what it asks for?
    deselects = False

    def __init__(self, model: Model, client: Participant) -> None:
        self.model = model
        self.client = client

    @property
    def picture(self) -> Picture:
        assert self.client.picture is not None
        return self.client.picture

    def begin(self) -> None:
        """Numbers and UIDs are resolved."""

    def effect(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        """The model changes, if the reply says so."""

    def check(self, reply: Tagged, untagged: Sequence[Heard]) -> None:
        """Is this what had to be said?"""
        self.expect(reply, b"OK")

    def expect(self, reply: Tagged, status: bytes, *codes: bytes) -> None:
        assert reply.status == status, f"{self.line!r}: {status!r} was to be said, not {reply}"
        if codes:
            assert reply.code.partition(b" ")[0] in codes, f"{self.line!r}: {codes} was to be said, not {reply}"


class OnMessages(Asked):
    """A command on messages of the selected mailbox. `targets` are the UIDs that it means."""

    def __init__(self, model: Model, client: Participant, pick: Pick) -> None:
        super().__init__(model, client)
        self.by_uid = pick.by == "uid" or not client.ways.numbers
        self.saved = pick.saved and self.picture.saved_known
        self.targets: list[int] = []
        self._places = [at % len(self.picture.entries) for at in pick.which] if self.picture.entries else []
        self._uids = self.picture.uids()
        self.all = not pick.which
        self.expunges = self.by_uid

    @property
    def possible(self) -> bool:
        """Can the messages be named at all?"""
        return bool(self.saved or self.by_uid or self._uids)

    @property
    def set(self) -> bytes:
        """sequence-set (RFC 3501 9)"""
        if self.saved:
            return b"$"
        if self.all or not self._places:
            return b"1:*"
        places = sorted(set(self._places))
        return b",".join(b"%d" % (self._uids[at] if self.by_uid else at + 1) for at in places)

    @property
    def verb(self) -> bytes:
        return b"UID " if self.by_uid else b""

    def begin(self) -> None:
        entries = self.picture.entries
        if self.saved:
            wanted = [entry for entry in entries if entry.uid in self.picture.saved]
        elif self.all or not self._places:
            wanted = entries
        elif self.by_uid:
            uids = {self._uids[at] for at in self._places}
            wanted = [entry for entry in entries if entry.uid in uids]
        else:
            wanted = [entries[at] for at in sorted(set(self._places))]
        self.targets = [entry.uid for entry in wanted if entry.uid is not None]

    # What the model knows of them

    def there(self, uids: Iterable[int] | None = None) -> list[Message]:
        folder = self.picture.folder
        return [folder.messages[uid] for uid in (self.targets if uids is None else uids) if uid in folder.messages]

    @property
    def some_gone(self) -> bool:
        return len(self.there()) < len(self.targets)


def fetched(untagged: Iterable[Heard], item: bytes) -> list[Fetched]:
    """The FETCH responses that have this item."""
    return [heard for heard in untagged if isinstance(heard, Fetched) and item in heard.items]


def has(flag: str) -> bytes:
    """The search key for a flag."""
    return flag[1:].upper().encode() if flag.startswith("\\") else b"KEYWORD " + flag.encode()


def flag_list(flags: Iterable[str]) -> bytes:
    return b"(" + " ".join(sorted(flags)).encode() + b")"
