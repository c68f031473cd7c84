"""NOTIFY beside what a dialogue shows: which directories are watched, how often the store is asked, and trouble."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailstore.errors import StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import DELETED, SEEN, StoreMode
from mailstore.index.special import ACCOUNT
from mailstore.mailhome import MailHome
from proxy.imap import notifying
from tests.dialogues.gate import ScriptedHome
from tests.proxy.imap.imap_rig import Rig, lines

MESSAGES = b"(MessageNew MessageExpunge)"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, "folders")
    yield rig
    rig.close()


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The folders that are attended to."""
    folders: list[int] = []

    def attend(_home: ScriptedHome, folder_id: int) -> Callable[[], None]:
        folders.append(folder_id)
        return lambda: folders.remove(folder_id)

    monkeypatch.setattr(ScriptedHome, "attend", attend)
    return folders


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One for each time that somebody looks how the account stands."""
    made: list[bool] = []
    standing = MailHome.standing

    def counted(home: MailHome, *, annotations: bool) -> object:
        made.append(annotations)
        return standing(home, annotations=annotations)

    monkeypatch.setattr(MailHome, "standing", counted)
    return made


def deliver(rig: Rig, folder: str = "INBOX") -> None:
    rig.mail.append(folder, io.BytesIO(b"Subject: x\r\n\r\n"), (), None)
    rig.gate.pass_on_changes()


def ids(rig: Rig) -> dict[str, int]:
    return {folder.name: folder.id for folder in rig.mail.folders()}


def test_which_directories_are_watched(rig: Rig, attended: list[int]) -> None:
    channel, at = rig.logged_in(), ids(rig)
    channel.send(b"a NOTIFY SET (SUBTREE Archive %b) (SELECTED %b)\r\n" % (MESSAGES, MESSAGES))
    assert sorted(attended) == sorted([ACCOUNT, at["Archive"], at["Archive/2023"]])
    channel.send(b"b SELECT INBOX\r\n")
    assert INBOX_ID in attended
    channel.send(b"c CREATE Archive/2024\r\n")
    assert ids(rig)["Archive/2024"] in attended
    channel.send(b"d DELETE Archive/2023\r\n")
    assert at["Archive/2023"] not in attended
    channel.send(b"e UNSELECT\r\n")
    assert INBOX_ID not in attended
    channel.send(b"f NOTIFY SET (PERSONAL (SubscriptionChange))\r\n")
    assert attended == []
    channel.send(b"g NOTIFY SET (PERSONAL (MailboxName))\r\n")
    assert attended == [ACCOUNT]
    channel.send(b"h UNAUTHENTICATE\r\n")
    assert attended == []
    channel.hang_up()


def test_there_is_an_end_to_watching(rig: Rig, attended: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "MOST_ATTENDED", 3)
    channel, at = rig.logged_in(), ids(rig)
    channel.send(b"a NOTIFY SET (PERSONAL %b) (SELECTED %b)\r\n" % (MESSAGES, MESSAGES))
    assert attended[:2] == [ACCOUNT, INBOX_ID]
    assert len(attended) == 3
    channel.send(b"b SELECT Sent\r\n")
    assert sorted(attended) == sorted([ACCOUNT, INBOX_ID, at["Sent"]])
    channel.hang_up()
    assert attended == []


def test_without_notify_nobody_looks(rig: Rig, looks: list[bool], attended: list[int]) -> None:
    channel = rig.logged_in(select=True)
    deliver(rig)
    channel.send(b"a NOOP\r\nb CREATE x\r\nc APPEND INBOX {3+}\r\nabc\r\nd IDLE\r\n")
    deliver(rig, "Sent")
    channel.hang_up()
    assert looks == []


def test_what_is_of_no_interest_costs_no_look(rig: Rig, looks: list[bool]) -> None:
    channel = rig.logged_in()
    channel.send(b"a NOTIFY SET (SUBTREE Archive %b) (SELECTED %b)\r\n" % (MESSAGES, MESSAGES))
    channel.send(b"b SELECT INBOX\r\n")
    looks.clear()
    deliver(rig)
    deliver(rig, "Sent")
    channel.settle()
    assert looks == []
    assert b"* 4 EXISTS" in lines(channel)
    deliver(rig, "Archive")
    channel.settle()
    assert looks == [False]  # nobody asked for annotations
    channel.send(b"c NOTIFY SET (SELECTED %b)\r\n" % MESSAGES)
    looks.clear()
    rig.mail.create("x")
    rig.gate.pass_on_changes()
    channel.settle()
    assert looks == []
    channel.hang_up()


def test_what_comes_together_is_told_together(rig: Rig, looks: list[bool]) -> None:
    channel = rig.logged_in()
    channel.send(b"a NOTIFY SET (PERSONAL %b)\r\n" % MESSAGES)
    lines(channel)
    looks.clear()
    for _ in range(5):
        rig.mail.append("Sent", io.BytesIO(b"x"), (), None)
    rig.gate.pass_on_changes()
    channel.settle()
    assert [line[:29] for line in lines(channel)] == [b"* STATUS Sent (MESSAGES 5 UID"]
    assert len(looks) == 1
    channel.hang_up()


def test_a_client_that_does_not_read_is_told_no_more(rig: Rig, looks: list[bool]) -> None:
    channel = rig.logged_in(slow=True)
    channel.send(b"a NOTIFY SET (PERSONAL %b)\r\n" % MESSAGES)
    channel.send(b"b LIST * *\r\n" * 2_000)
    assert channel.transport.producer_paused
    looks.clear()
    for _ in range(5):
        deliver(rig, "Sent")
        channel.settle()
    assert len(looks) <= 1
    channel.transport.slow = False
    channel.settle()
    assert [line for line in lines(channel) if line.startswith(b"* STATUS Sent")][-1].startswith(
        b"* STATUS Sent (MESSAGES 5 "
    )
    channel.hang_up()


def test_after_a_look_that_took_long_there_is_a_rest(
    rig: Rig, looks: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = rig.logged_in(select=True)
    channel.send(b"a NOTIFY SET (PERSONAL %b) (SELECTED %b)\r\n" % (MESSAGES, MESSAGES))
    lines(channel)
    status = rig.mail.status

    def slow(name: str) -> object:
        rig.clock.rightNow += 0.1
        return status(name)

    monkeypatch.setattr(rig.mail, "status", slow)
    looks.clear()
    for _ in range(3):
        deliver(rig, "Sent")
        channel.settle()
    deliver(rig)
    channel.send(b"b NOOP\r\nc CREATE x\r\n")
    heard = [line[:29] for line in lines(channel)]
    assert [line for line in heard if b"STATUS" in line] == [b"* STATUS Sent (MESSAGES 1 UID"]
    assert b"* 4 EXISTS" in heard
    rig.clock.advance(0.3)
    channel.settle()
    assert len(looks) == 1
    rig.clock.advance(0.2)
    channel.settle()
    assert [line[:29] for line in lines(channel)] == [b"* STATUS Sent (MESSAGES 3 UID"]
    assert len(looks) == 2
    channel.hang_up()
    assert rig.clock.getDelayedCalls() == []


def test_expunge_waits_for_all_that_came_with_a_command(rig: Rig) -> None:
    channel = rig.logged_in(select=True)
    channel.send(b"a NOTIFY SET (SELECTED (MessageNew MessageExpunge FlagChange))\r\n")
    lines(channel)
    rig.mail.store_flags(INBOX_ID, [1], StoreMode.ADD, (DELETED, SEEN))
    rig.mail.expunge(INBOX_ID)
    channel.send(b"b FETCH 2 UID\r\nc SEARCH 3\r\nd STORE 2 +FLAGS (\\Seen)\r\n")
    heard = lines(channel)
    assert [line for line in heard if line.startswith(b"*")] == [
        b"* 2 FETCH (UID 2)",
        b"* SEARCH 3",
        b"* 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))",
        b"* 1 EXPUNGE",
        b"* 2 RECENT",
    ]
    assert heard[-3].startswith(b"d OK")
    channel.hang_up()


def test_through_compression(rig: Rig) -> None:
    channel = rig.logged_in()
    channel.send(b"a NOTIFY SET (PERSONAL (MailboxName))\r\nb COMPRESS DEFLATE\r\n")
    assert lines(channel)[-1].startswith(b"b OK")
    rig.mail.create("x")
    rig.gate.pass_on_changes()
    channel.settle()
    said = zlib.decompressobj(-15).decompress(channel.leftover())
    assert said == b'* LIST (\\HasNoChildren) "/" x\r\n'
    channel.hang_up()


def test_a_store_that_cannot_be_read_for_a_while(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = rig.logged_in()
    channel.send(b"a NOTIFY SET (PERSONAL %b) (SELECTED (MessageNew (BODY[]) MessageExpunge))\r\n" % MESSAGES)
    lines(channel)

    def broken(*_: object, **__: object) -> None:
        raise StorageFailed("no disk")

    for name in ("standing", "changes_since", "status"):
        with monkeypatch.context() as patch:
            patch.setattr(rig.mail, name, broken)
            deliver(rig)
            channel.settle()
            channel.send(b"b NOOP\r\n")
            assert [line[:4] for line in lines(channel)] == [b"b OK"]
        deliver(rig, "Sent")
        channel.settle()
        assert sorted(line.split()[2] for line in lines(channel)) == [b"INBOX", b"Sent"]
    channel.send(b"c SELECT INBOX\r\n")
    lines(channel)
    with monkeypatch.context() as patch:
        patch.setattr(rig.mail, "open_many", broken)
        deliver(rig)
        channel.settle()
        assert lines(channel) == [b"* 7 EXISTS", b"* 7 RECENT"]
    assert {event for _, event, _ in rig.log.lines if "unreadable" in event} == {"imap changes unreadable"}
    assert not [event for level, event, _ in rig.log.lines if level == "error"]
    channel.hang_up()


def test_a_folder_that_goes_while_it_is_told_of(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = rig.logged_in()
    channel.send(b"a NOTIFY SET (PERSONAL %b)\r\n" % MESSAGES)
    lines(channel)
    status = rig.mail.status

    def gone(name: str) -> object:
        monkeypatch.setattr(rig.mail, "status", status)
        rig.mail.delete(name)
        return status(name)

    monkeypatch.setattr(rig.mail, "status", gone)
    deliver(rig, "Sent")
    channel.settle()
    assert lines(channel) == []
    channel.hang_up()
