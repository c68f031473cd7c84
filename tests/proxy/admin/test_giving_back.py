"""Mail given back to a server that does not take everything: what is sent, what is written down, what is said. That a
real server has each message once is shown in tests/peers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mailstore.custody import InUse
from mailstore.entries import Landed, Listed
from mailstore.index.rows import NO_FLAGS
from mailstore.mailhome import MailHome
from proxy.admin.giving_back.record import Begun, Record, record_path
from proxy.admin.giving_back.run import CannotGoOn, GivingBack, rehearse
from proxy.imap.client import giving
from proxy.imap.client.connection import Survey
from proxy.imap.client.giving import Appended, Given, Manner
from proxy.imap.client.replies import Folder, Summaries
from proxy.imap.client.responses import Reply
from proxy.imap.client.wanted import Place
from tests.mailstore.store_rig import append, open_home

T = TypeVar("T")


def done(work: Coroutine[Any, Any, T]) -> T:
    """The result of what waits for nothing."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("it waits for something")


class Session:
    """What is sent over it, and a yes to everything."""

    def __init__(self, *capabilities: str) -> None:
        self.capabilities = frozenset(capabilities)
        self.sent: list[bytes] = []
        self.wire = self
        self.reply = Reply("OK", "APPENDUID", b"77 5:6", b"done")

    def abort(self) -> None: ...

    def next_tag(self) -> bytes:
        return b"f1"

    def answer(self, chunk: bytes) -> None:
        self.sent.append(chunk)

    def send(self, line: bytes, asked: Any) -> None:
        self.sent.append(line)
        while asked.in_chunks:
            asked.continued()
        asked.done(self.reply)


MESSAGES = [Given(["\\Seen", "kw"], 0, b"Subject: a\r\n\r\n"), Given([], 1_600_000_000, b"Subject: b\r\n\r\n")]


def test_append_with_literals_that_wait_for_nobody() -> None:
    session = Session("LITERAL+", "MULTIAPPEND", "UIDPLUS")
    found = done(giving.append(session, b'a"b', MESSAGES))  # type: ignore[arg-type]
    assert session.sent == [
        b'f1 APPEND "a\\"b" (\\Seen kw) " 1-Jan-1970 00:00:00 +0000" {14+}\r\nSubject: a\r\n\r\n'
        b' () "13-Sep-2020 12:26:40 +0000" {14+}\r\nSubject: b\r\n\r\n\r\n'
    ]
    assert (found.uidvalidity, list(found.uids), found.why) == (77, [5, 6], "")


def test_append_with_literals_that_are_asked_for() -> None:
    session = Session()
    session.reply = Reply("NO", "OVERQUOTA", b"", b"full")
    found = done(giving.append(session, b"x", MESSAGES[:1]))  # type: ignore[arg-type]
    assert session.sent == [
        b'f1 APPEND "x" (\\Seen kw) " 1-Jan-1970 00:00:00 +0000" {14}\r\n',
        b"Subject: a\r\n\r\n\r\n",
    ]
    assert (found.why, found.for_now) == ("full", True)


@pytest.mark.parametrize(
    ("manner", "levels", "name"),
    [
        (Manner(b"INBOX.", "."), ["a.b", "ü"], b"INBOX.a_b.&APw-"),
        (Manner(b"", "/"), ["R&D", "x"], b"R&-D/x"),
        (Manner(b"", ""), ["a", "b"], None),
        (Manner(b"INBOX.", "."), ["INBOX"], b"INBOX"),
    ],
)
def test_names_there(manner: Manner, levels: list[str], name: bytes | None) -> None:
    assert manner.name(levels) == name


class Server:
    """In place of a connection: takes what `refuses` nothing of."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session = Session("MULTIAPPEND")
        self.there: dict[bytes, list[Given]] = {}
        self.made: list[bytes] = []
        self.full = self.hates_keywords = False
        monkeypatch.setattr(giving, "append", self._append)
        monkeypatch.setattr(giving, "create", self._create)
        monkeypatch.setattr(giving, "manner", self._manner)

    async def folders(self) -> list[Folder]:
        return [Folder(b"INBOX", ("INBOX",), frozenset(), subscribed=True)]

    async def survey(self, folder: Folder) -> Survey:
        summaries = Summaries()
        summaries.uids.extend(range(1, len(self.there.get(folder.name, [])) + 1))
        return Survey(folder, Place(folder.name, 9), summaries)

    async def headers(self, place: Place, uids: Sequence[int]) -> dict[int, bytes]:
        return {uid: self.there[place.name][uid - 1].data.partition(b"\r\n\r\n")[0] for uid in uids}

    async def _manner(self, _session: object) -> Manner:
        return Manner(b"", "/")

    async def _create(self, _session: object, name: bytes) -> str:
        if b"." in name:
            return "no dots"
        self.made.append(name)
        return ""

    async def _append(self, _session: object, name: bytes, messages: Sequence[Given]) -> Appended:
        if self.full:
            return Appended("it is full", for_now=True)
        for message in messages:
            if b"unwanted" in message.data or (self.hates_keywords and "kw" in message.flags):
                return Appended("not this one")
        self.there.setdefault(name, []).extend(messages)
        return Appended()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[MailHome]:
    opened = open_home(tmp_path)
    append(opened, b"Subject: one\n\nbare\n", flags=["kw", "\\Seen"])
    append(opened, b"Subject: unwanted\r\n\r\n")
    append(opened, b"Subject: nul\r\n\r\n\0")
    append(opened, b"Message-ID: <a@b>\r\n\r\n")
    opened.create("a.b")
    append(opened, b"Subject: dotted\r\n\r\n", "a.b")
    yield opened
    opened.close()


def give(home: MailHome, server: Server) -> Any:
    record = Record(home.maildir.root, "li at there")
    return done(GivingBack(home, record, server).run())  # type: ignore[arg-type]


def test_what_is_not_taken_stops_nothing(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    server.hates_keywords = True
    found = give(home, server)
    assert (found.messages, found.refused) == (3, 2)
    assert sorted(found.remarks) == [
        "INBOX: UID 1 is there without its keywords",
        "INBOX: UID 3 has NUL octets, which IMAP does not carry",
        "INBOX: the server does not take UID 2: not this one",
        "a.b: it is called a_b there",
    ]
    assert [message.data for message in server.there[b"INBOX"]] == [
        b"Subject: one\r\n\r\nbare\r\n",
        b"Message-ID: <a@b>\r\n\r\n",
    ]
    assert server.there[b"a_b"][0].data == b"Subject: dotted\r\n\r\n"
    again = give(home, server)
    assert (again.messages, again.before, again.refused) == (0, 3, 2)


def test_a_server_that_is_full_ends_it(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    server.full = True
    with pytest.raises(CannotGoOn, match="it is full"):
        give(home, server)
    server.full = False
    assert give(home, server).messages == 3


def test_what_was_begun_is_looked_for(home: MailHome, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(monkeypatch)
    inbox = next(folder for folder in home.folders() if folder.name == "INBOX")
    record = Record(home.maildir.root, "li at there")
    record.begin([(inbox.uidvalidity, 1), (inbox.uidvalidity, 4)], Begun(0, 9))
    server.there[b"INBOX"] = [Given([], 0, b"Message-ID: <a@b>\r\nReceived: there\r\n\r\n")]
    with record_path(home.maildir.root).open("ab") as file:
        file.write(b'{"to": "li at there", "folder": 1, "ui')  # a crash
    found = give(home, server)
    assert (found.found, found.messages) == (1, 2)
    assert len(server.there[b"INBOX"]) == 2
    lines = [line for line in record_path(home.maildir.root).read_bytes().split(b"\n") if line]
    assert sum(line.endswith(b"}") and json.loads(line)["step"] == "done" for line in lines) == 3


def test_what_came_by_the_legacy_server_stays_out(home: MailHome) -> None:
    (entry,) = home.ledger.record_listing([Listed(1, "u1", 14)], [], hold_uids=True)
    data = b"Message-ID: <a@b>\r\n\r\n"  # the bytes of one that lies in the inbox
    landed = Landed(entry, len(data), hashlib.sha256(data).digest(), 0, NO_FLAGS, "1.L1_x.h")
    home.ledger.enter([landed])
    record = Record(home.maildir.root, "li at there")
    assert rehearse(home, record, everything=False).folders == {"INBOX": 3, "a.b": 1}
    assert rehearse(home, record, everything=True).folders == {"INBOX": 4, "a.b": 1}


def test_two_commands_at_once(home: MailHome) -> None:
    """The second is refused, and knows afterwards what the first has done."""
    first, second = (Record(home.maildir.root, "li at there") for _ in range(2))
    with first.alone():
        first.begin([(1, 1)], Begun(0, 7))
        first.end({(1, 1): (7, 1)})
        with pytest.raises(InUse, match="another `mailferry restore-legacy`"), second.alone():
            pass
    assert second.done == {}
    with second.alone():
        assert second.done == {(1, 1): (7, 1)} and second.begun == {}
