"""A session looks its own changes up only where others have changed something, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import FLAGGED, Changes, StoreMode
from tests.dialogues.memory import MemoryChannel
from tests.proxy.imap.imap_rig import Rig, lines

APPENDED = b"APPEND INBOX (\\Seen) {1+}\r\nx"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def looks(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The modseqs since which somebody looked for changes."""
    found: list[int] = []
    changes = rig.mail.changes

    def counted(folder_id: int, since: int, *, claim_recent: bool) -> Changes:
        found.append(since)
        return changes(folder_id, since, claim_recent=claim_recent)

    monkeypatch.setattr(rig.mail, "changes", counted)
    return found


def answer(channel: MemoryChannel, command: bytes) -> list[bytes]:
    channel.send(b"x " + command + b"\r\n")
    channel.settle()
    found = lines(channel)
    assert found[-1].startswith(b"x OK"), found
    return found[:-1]


def test_own_changes_are_not_looked_up(rig: Rig, looks: list[int]) -> None:
    channel = rig.logged_in(select=True)
    assert answer(channel, b"STORE 1 +FLAGS (\\Deleted)") == [b"* 1 FETCH (FLAGS (\\Deleted \\Recent))"]
    assert answer(channel, b"FETCH 2 (UID BODY[TEXT]<0.1>)")[-1].endswith(b")")
    assert answer(channel, b"EXPUNGE") == [b"* 1 EXPUNGE", b"* 4 RECENT"]
    assert answer(channel, APPENDED) == [b"* 5 EXISTS", b"* 5 RECENT"]
    assert answer(channel, b"FETCH 5 (UID FLAGS)") == [b"* 5 FETCH (UID 6 FLAGS (\\Seen \\Recent))"]
    assert answer(channel, b"UID STORE 6 FLAGS.SILENT (\\Deleted)") == []
    assert answer(channel, b"UID EXPUNGE 6") == [b"* 5 EXPUNGE", b"* 4 RECENT"]
    assert answer(channel, b"NOOP") == []
    assert looks == []


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (b"UID STORE 1 +FLAGS (\\Seen)", b"* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent))"),
        (b"EXPUNGE", b"* 5 EXPUNGE"),
        (APPENDED, b"* 6 EXISTS"),
        (b"FETCH 1 BODY[TEXT]<0.1>", b"* 1 FETCH (FLAGS (\\Seen \\Recent) BODY[TEXT]<0> {1}"),
        (b"STATUS INBOX (UNSEEN)", b"* STATUS INBOX (UNSEEN 5)"),
    ],
    ids=["store", "expunge", "append", "fetch", "status"],
)
def test_those_of_others_that_came_between_are_told_with_them(
    rig: Rig, looks: list[int], command: bytes, told: bytes
) -> None:
    """… of which no news has come yet."""
    channel = rig.logged_in(select=True)
    answer(channel, b"STORE 5 +FLAGS (\\Deleted)")
    rig.mail.store_flags(INBOX_ID, [2], StoreMode.ADD, [FLAGGED])
    found = answer(channel, command)
    assert told in found
    assert any(line.startswith(b"* 2 FETCH (") and b"\\Flagged" in line for line in found)
    assert len(looks) == 1


def test_news_of_what_is_known_is_no_news(rig: Rig, looks: list[int]) -> None:
    channel, other = rig.logged_in(select=True), rig.logged_in(select=True)
    answer(channel, b"STORE 1 +FLAGS (\\Flagged)")
    assert answer(other, b"NOOP") == [b"* 1 FETCH (FLAGS (\\Flagged))"]
    assert answer(channel, b"NOOP") == answer(other, b"NOOP") == []
    assert len(looks) == 1


def test_a_message_for_another_folder_is_none_of_this_one_s(rig: Rig, looks: list[int]) -> None:
    rig.mail.create("Copies")
    channel = rig.logged_in(select=True)
    assert answer(channel, b"APPEND Copies {1+}\r\nx") == []
    assert looks == []


def test_what_somebody_else_has_expunged_first_is_told(rig: Rig) -> None:
    """… of which no news has come yet."""
    channel = rig.logged_in(select=True)
    answer(channel, b"STORE 2 +FLAGS (\\Deleted)")
    rig.mail.expunge(INBOX_ID)
    assert answer(channel, b"EXPUNGE") == [b"* 2 EXPUNGE", b"* 4 RECENT"]
