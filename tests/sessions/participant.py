"""One client: its connection, what it has enabled, its picture of the mailbox, and what it keeps between sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from tests.sessions.hearing import (
    Continue,
    Exists,
    Expunged,
    Fetched,
    Heard,
    KnownFlags,
    Recent,
    Tagged,
    Vanished,
    understood,
)
from tests.sessions.model import Flags, Folder
from tests.sessions.picture import Picture, Ways
from tests.sessions.program import Client
from tests.sessions.stage import Stage, Wire


class Disconnected(Exception):
    """The server said BYE, as it may: the mailbox is gone."""


@dataclass(frozen=True)
class Snapshot:
    """What a client that knows QRESYNC keeps of a folder: all of it as it was at HIGHESTMODSEQ, or later."""

    folder: Folder
    highest: int
    tick: int  # the model's, when HIGHESTMODSEQ was told
    flags: dict[int, Flags]  # by UID


@dataclass
class Participant:
    """`name` is the client's; each connection is a session of its own."""

    name: str
    client: Client
    stage: Stage
    wire: Wire = field(init=False)
    ways: Ways = field(init=False)
    session: str = field(init=False)
    picture: Picture | None = None
    idling: bool = False
    idle_tag: bytes = b""
    snapshots: list[Snapshot] = field(default_factory=list)
    transcript: list[str] = field(default_factory=list)
    _sessions: Iterator[int] = field(default_factory=lambda: count(1))
    _selections: Iterator[int] = field(default_factory=lambda: count(1))
    _tags: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        self.session = f"{self.name}.{next(self._sessions)}"
        self.picture, self.idling, self.ways = None, False, Ways()
        self.wire = self.stage.connect("imap", bytewise=self.client.bytewise)
        greeting = self.next()
        assert isinstance(greeting, Tagged)
        assert greeting.status == b"OK"
        assert self.ask(b"LOGIN %b %b" % self.stage.credentials()).status == b"OK"
        if self.client.enables:
            assert self.ask(b"ENABLE " + " ".join(self.client.enables).encode()).status == b"OK"
            self.enable(*self.client.enables)

    def selection(self) -> str:
        """A name for the mailbox's being selected this time: \\Recent is for so long (RFC 3501 2.3.2)."""
        return f"{self.session}-{next(self._selections)}"

    def enable(self, *names: str) -> None:
        self.ways = replace(self.ways, enabled=self.ways.enabled | set(names))
        if self.picture is not None:
            self.picture.ways = self.ways

    # Talking

    def send(self, line: bytes) -> bytes:
        """Gives back the tag."""
        tag = b"%b%d" % (self.session.encode(), next(self._tags))
        self._note("C", tag + b" " + line)
        self.wire.send(tag + b" " + line + b"\r\n")
        return tag

    def send_several(self, lines: list[bytes]) -> list[bytes]:
        """As one piece."""
        tags = [b"%b%d" % (self.session.encode(), next(self._tags)) for _ in lines]
        for tag, line in zip(tags, lines, strict=True):
            self._note("C", tag + b" " + line)
        self.wire.send(b"".join(b"%b %b\r\n" % pair for pair in zip(tags, lines, strict=True)))
        return tags

    def send_raw(self, line: bytes) -> None:
        self._note("C", line)
        self.wire.send(line + b"\r\n")

    def next(self) -> Heard:
        """The next response. Raises Disconnected."""
        return self._understood(self.wire.response())

    def pending(self, patience: float = 0) -> Iterator[Heard]:
        """What comes within so many seconds without being asked for. Raises Disconnected."""
        while (response := self.wire.pending(patience)) is not None:
            yield self._understood(response)

    def _understood(self, response: bytes) -> Heard:
        self._note("S", response)
        heard = understood(response)
        if isinstance(heard, Tagged) and heard.status == b"BYE":
            raise Disconnected
        return heard

    def ask(self, line: bytes) -> Tagged:
        """A command of which only the tagged reply matters, outside a mailbox."""
        tag = self.send(line)
        return self.until(tag)[1]

    def until(self, tag: bytes) -> tuple[list[Heard], Tagged]:
        """All that comes up to the tagged reply. Raises Disconnected."""
        untagged: list[Heard] = []
        while True:
            heard = self.next()
            if isinstance(heard, Tagged) and heard.tag != b"*":
                assert heard.tag == tag, f"{heard.tag!r} is answered before {tag!r}"
                return untagged, heard
            untagged.append(heard)

    def _note(self, who: str, what: bytes) -> None:
        self.transcript.append(f"{self.session} {who}: {what.decode('utf-8', 'backslashreplace')}")

    # Listening

    def hear(self, heard: Heard, *, expunges: bool = True, flags_alone: bool = False) -> None:
        """Take in what concerns the mailbox. `expunges`: may a message go now (RFC 3501 7.4.1)? `flags_alone`: may
        FLAGS come without MODSEQ, because they were asked for?"""
        picture = self.picture
        if isinstance(heard, Tagged):
            self._coded(heard)
            return
        if not isinstance(heard, Exists | Recent | Expunged | Vanished | Fetched | KnownFlags):
            assert not isinstance(heard, Continue)
            return
        assert picture is not None, f"{heard} without a mailbox"
        match heard:
            case Exists():
                picture.exists(heard)
            case Recent():
                picture.recent_told(heard)
            case KnownFlags():
                picture.flags_known(heard)
            case Expunged():
                assert expunges, "EXPUNGE during FETCH, STORE or SEARCH"
                picture.expunged(heard)
            case Vanished():
                assert expunges or heard.earlier, "VANISHED during FETCH, STORE or SEARCH"
                picture.vanished(heard)
            case Fetched():
                if heard.flags is not None and not flags_alone:
                    assert heard.modseq is not None or not self.ways.modseq, "flags changed without a word of MODSEQ"
                    assert heard.uid is not None or not (self.ways.qresync or self.ways.rev2), "FETCH without UID"
                picture.fetched(heard)

    def _coded(self, heard: Tagged) -> None:
        if self.picture is not None and (words := heard.coded(b"HIGHESTMODSEQ")) is not None:
            highest = int(words[0])
            assert highest >= self.picture.highest, "HIGHESTMODSEQ went back"
            self.picture.highest = highest

    def learn(self) -> bool:
        """Ask for what is missing of the messages that were told of; whether there was any. Raises Disconnected."""
        picture, asked = self.picture, False
        while picture is not None and (lacking := picture.unknown()):
            items = b"(UID FLAGS MODSEQ)" if self.ways.modseq else b"(UID FLAGS)"
            if picture.ways.numbers:
                tag = self.send(b"FETCH %d:%d %b" % (lacking[0], lacking[-1], items))
            else:
                tag = self.send(b"UID FETCH 1:* " + items.replace(b"UID ", b""))
            untagged, reply = self.until(tag)
            for heard in untagged:
                self.hear(heard, expunges=not picture.ways.numbers, flags_alone=True)
            assert reply.status == b"OK"
            asked = True
        return asked

    def keep(self, tick: int, highest: int | None = None) -> None:
        """Keep a snapshot of all that is known. What came after HIGHESTMODSEQ may be in it."""
        picture = self.picture
        if picture is None or not picture.highest or any(e.uid is None or e.flags is None for e in picture.entries):
            return
        known = {
            entry.uid: entry.flags for entry in picture.entries if entry.uid is not None and entry.flags is not None
        }
        self.snapshots.append(Snapshot(picture.folder, highest or picture.highest, tick, known))
