"""Every kind of damage to a Maildir, and to its index, as users of IMAP and POP3 meet it: in the middle of a session
and before one. A session is answered or ends with a goodbye, and the next login is served all that is there."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.dialogues import store
from tests.dialogues.store import make_home
from tests.mailstore import index_damage
from tests.mailstore.index_damage import Damage
from tests.mailstore.maildir_damage import DAMAGE, SAID
from tests.mailstore.store_rig import append
from tests.proxy.imap.imap_rig import Rig, lines
from tests.proxy.pop3.server.desk import Desk

INDEX_DAMAGE: Sequence[Damage] = (
    *(index_damage.deleted, index_damage.header, index_damage.first_page, index_damage.truncated),
    *(index_damage.emptied, index_damage.something_else),
    *(index_damage.table(name) for name in ("messages", "folders", "mailboxes")),
)


@pytest.fixture
def account(tmp_path: Path) -> Path:
    home = make_home(tmp_path, lambda *_: None)
    for body in SAID:
        append(home, body)
    home.create("a")
    append(home, b"in a", "a")
    home.close()
    return tmp_path


def files(path: Path) -> list[Path]:
    """The INBOX's, by UID: they were made in that order."""
    lying = {file.read_bytes(): file for file in (path / "Maildir" / "cur").iterdir()}
    return [lying[body] for body in SAID]


def literals(said: Sequence[bytes], path: bytes) -> dict[int, bytes]:
    """What FETCH gave out, by UID."""
    whole = b"\r\n".join(said) + b"\r\n"
    found = {}
    for match in re.finditer(rb"UID (\d+)[^{]*? BODY\[\] (?:\{(\d+)\}\r\n|\"\")", whole):
        size = int(match[2] or 0)
        found[int(match[1])] = whole[match.end() : match.end() + size]
    return found


class Mail:
    """A client that reads everything."""

    def __init__(self, rig: Rig) -> None:
        self.channel = rig.connect()
        self._count = 0
        assert self.do(b"LOGIN user@123.com pass")[-1].endswith(b"Logged in.")
        self.do(b"SELECT INBOX")

    def do(self, command: bytes) -> list[bytes]:
        self._count += 1
        tag = b"t%d " % self._count
        self.channel.send(tag + command + b"\r\n")
        said = lines(self.channel)
        if self.channel.closed:
            assert any(line.startswith(b"* BYE") for line in said), said
        else:
            assert sum(line.startswith(tag) for line in said) == 1, said
            assert not any(b"SERVERBUG" in line for line in said)
        return said

    def reads(self) -> dict[int, bytes]:
        return literals(self.do(b"UID FETCH 1:* (BODY.PEEK[])"), b"")


def validity(client: Mail) -> bytes:
    found = re.search(rb"UIDVALIDITY (\d+)", b"".join(client.do(b"STATUS INBOX (UIDVALIDITY)")))
    assert found is not None
    return found[1]


@pytest.fixture
def rigs() -> Iterator[list[Rig | Desk]]:
    opened: list[Rig | Desk] = []
    yield opened
    for each in opened:
        each.close()


@pytest.mark.parametrize("while_open", [False, True], ids=["before", "in the middle"])
@pytest.mark.parametrize("name", DAMAGE)
def test_imap(account: Path, rigs: list[Rig | Desk], name: str, while_open: bool) -> None:
    inbox = files(account)
    if not while_open:
        after = DAMAGE[name](account / "Maildir", inbox)
    rig = Rig(account, "empty")
    rigs.append(rig)
    client = Mail(rig)
    if while_open:
        assert client.reads() == dict(enumerate(SAID, 1))
        after = DAMAGE[name](account / "Maildir", inbox)
    client.reads()
    client.do(b"NOOP")
    client.reads()
    client.do(b"NOOP")  # what turned out to be of another size, or no file, is noticed by the next look
    assert_served(client.reads(), after.kept, after.new)
    assert client.do(b"STATUS a (MESSAGES)")[-1].split(b" ")[1] in {b"OK", b"NO"}
    (appended,) = re.findall(rb"APPENDUID \d+ (\d+)", b"".join(client.do(b"APPEND INBOX {3+}\r\nnew")))
    assert int(appended) > 3
    client.do(b"NOOP")
    assert client.reads()[int(appended)] == b"new"
    assert not [entry for entry in rig.log.lines if entry[0] == "error"]


def assert_served(found: dict[int, bytes], kept: Sequence[int], new: Sequence[bytes]) -> None:
    assert {uid: body for uid, body in found.items() if uid <= 3} == {uid: SAID[uid - 1] for uid in kept}
    assert sorted(body for uid, body in found.items() if uid > 3) == sorted(new)


@pytest.mark.parametrize("while_open", [False, True], ids=["before", "in the middle"])
@pytest.mark.parametrize("name", DAMAGE)
def test_pop3(account: Path, rigs: list[Rig | Desk], name: str, while_open: bool) -> None:
    inbox = files(account)
    if not while_open:
        after = DAMAGE[name](account / "Maildir", inbox)
    desk = Desk(account, "empty")
    rigs.append(desk)
    channel = desk.logged_in()
    if while_open:
        after = DAMAGE[name](account / "Maildir", inbox)
    for _ in range(2):  # a file that is not what it was shows when it is read; the next login knows
        channel.send(b"".join(b"RETR %d\r\n" % n for n in range(1, 9)) + b"QUIT\r\n")
        assert channel.closed
        channel = desk.logged_in()
    channel.send(b"STAT\r\n")
    stat = channel.read_line()
    assert stat is not None
    count = int(stat.split()[1])
    bodies = []
    for number in range(1, count + 1):
        channel.send(b"RETR %d\r\n" % number)
        said = channel.read_exactly(len(channel.leftover()))
        head, _, block = said.partition(b"\r\n")
        assert head.startswith(b"+OK"), head
        size = int(head.split()[1])
        bodies.append(block[:size])
    assert sorted(bodies) == sorted([*(SAID[uid - 1] for uid in after.kept), *after.new])
    assert "pop3 fault" not in desk.events()


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "not recorded"])
@pytest.mark.parametrize("damage", INDEX_DAMAGE, ids=[damage.__name__ for damage in INDEX_DAMAGE])
def test_a_damaged_index(
    account: Path, rigs: list[Rig | Desk], damage: Damage, recorded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session that meets the damage may be told goodbye; the one after the next opening is not, and sees what was
    there before it if there is a record."""
    rig = Rig(account, "empty")
    client = Mail(rig)
    before = validity(client)
    rig.close()
    if not recorded:
        index_damage.without_record(account)
    damage(account)
    monkeypatch.setattr(store, "NOW", store.NOW + 1000)
    for _ in range(2):
        rig = Rig(account, "empty")
        rigs.append(rig)
        channel = rig.logged_in()
        channel.send(b"s SELECT INBOX\r\nf UID FETCH 1:* (BODY.PEEK[])\r\nu STATUS INBOX (UIDVALIDITY)\r\n")
        said = lines(channel)
        assert any(line.startswith((b"* BYE", b"u OK")) for line in said), said
        if any(line.startswith(b"u OK") for line in said):
            break
        rig.close()
        rigs.remove(rig)
    assert sorted(literals(said, b"").values()) == sorted(SAID), said
    now = re.search(rb"STATUS INBOX \(UIDVALIDITY (\d+)\)", b"\r\n".join(said))
    assert now is not None
    assert (now[1] == before) == (recorded and damage is not index_damage.deleted)


def test_an_index_that_is_deleted_while_it_is_open(
    account: Path, rigs: list[Rig | Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its record: the session goes on with what it has, and leaves a record of it to the next opening."""
    rig = Rig(account, "empty")
    client = Mail(rig)
    index_damage.deleted(account)
    assert client.reads() == dict(enumerate(SAID, 1))
    client.do(b"STORE 1 +FLAGS (\\Seen)")
    assert re.search(rb"APPENDUID \d+ 4\]", b"".join(client.do(b"APPEND INBOX {3+}\r\nnew")))
    before = validity(client)
    rig.close()
    monkeypatch.setattr(store, "NOW", store.NOW + 1000)
    again = Rig(account, "empty")
    rigs.append(again)
    client = Mail(again)
    assert client.reads() == dict(enumerate([*SAID, b"new"], 1))
    assert validity(client) == before


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
@pytest.mark.parametrize("how", ["missing", "garbage", "empty"])
def test_the_database_log(
    account: Path, rigs: list[Rig | Desk], suffix: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a crash leaves it, with changes in the log; then somebody tidies up. The record has what was in the log."""
    rig = Rig(account, "empty")
    client = Mail(rig)
    client.do(b"APPEND INBOX {3+}\r\nnew")
    before = validity(client)
    crashed = account / "crashed"
    crashed.mkdir()
    for file in account.glob("Maildir.db*"):
        shutil.copy(file, crashed)
    shutil.copytree(account / "Maildir", crashed / "Maildir")
    rig.close()
    log = crashed / f"Maildir.db{suffix}"
    assert log.exists()
    if how == "missing":
        log.unlink()
    else:
        log.write_bytes(b"\x37\x7f\x06\x82garbage" * 500 if how == "garbage" else b"")
    monkeypatch.setattr(store, "NOW", store.NOW + 1000)
    again = Rig(crashed, "empty")
    rigs.append(again)
    client = Mail(again)
    assert validity(client) == before
    assert sorted(client.reads().values()) == sorted([*SAID, b"new"])
