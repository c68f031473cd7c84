"""Several messages handed in at once, and one in the place of another: all of it or nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from mailstore.errors import NoSuchMessage, StorageFailed
from mailstore.index.rows import NO_FLAGS, SEEN, HandedIn
from mailstore.mailhome import MailHome
from tests.dialogues.fixtures import open_home
from tests.dialogues.gate import Announced


class BrokenFile(io.BytesIO):
    """A disk that gives up in the middle."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


def handed_in(text: bytes, *flags: str) -> HandedIn:
    return HandedIn(io.BytesIO(text), frozenset(flags), 1_000)


def contents(home: MailHome) -> list[tuple[int, bytes]]:
    rows = home.maildrop()
    found = []
    for row in rows:
        with home.open(1, row.uid) as content:
            found.append((row.uid, bytes(content.whole())))
    return found


def files(path: Path) -> int:
    return sum(1 for sub in ("cur", "new", "tmp") for _ in (path / "Maildir" / sub).iterdir())


def test_all_of_them_in_order(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    stored = home.append_many("INBOX", [handed_in(b"one", SEEN), handed_in(b"two")])
    assert list(stored.uids) == [1, 2]
    assert contents(home) == [(1, b"one"), (2, b"two")]
    rows = home.maildrop()
    assert [row.flags for row in rows] == [frozenset({SEEN}), NO_FLAGS]
    assert {row.modseq for row in rows} == {2}
    assert all(row.save_date is not None for row in rows)
    home.close()


def test_none_of_them_where_one_cannot_be_read(tmp_path: Path) -> None:
    home = open_home(tmp_path)
    with pytest.raises(StorageFailed):
        home.append_many("INBOX", [handed_in(b"one"), HandedIn(BrokenFile(), NO_FLAGS, None)])
    assert contents(home) == []
    assert files(tmp_path) == 0
    assert list(home.append_many("INBOX", [handed_in(b"one")]).uids) == [1]
    home.close()


def test_a_message_in_the_place_of_another(tmp_path: Path) -> None:
    announced = Announced()
    home = open_home(tmp_path, "letters", announced)
    announced.clear()
    stored = home.append_many("INBOX", [handed_in(b"new")], replacing=(1, 2))
    assert list(stored.uids) == [6]
    assert [uid for uid, _ in contents(home)] == [1, 3, 4, 5, 6]
    assert {folder for folder, _ in announced} == {1}
    assert files(tmp_path) == 5
    with pytest.raises(NoSuchMessage):
        home.append_many("INBOX", [handed_in(b"newer")], replacing=(1, 2))
    assert [uid for uid, _ in contents(home)] == [1, 3, 4, 5, 6]
    assert files(tmp_path) == 5
    home.create("Drafts")
    home.append_many("Drafts", [handed_in(b"draft")], replacing=(1, 6))
    assert [uid for uid, _ in contents(home)] == [1, 3, 4, 5]
    assert home.status("Drafts").messages == 1
    home.close()
