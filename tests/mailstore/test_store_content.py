"""A message's bytes, read in pieces."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstore import content as module
from mailstore.content import Content, NativeContent, crlf
from mailstore.errors import MessageLost
from mailstore.mailhome import MailHome
from mailstore.message.octets import Windows
from tests.mailstore.store_rig import append, cur, open_descriptors

Make = Callable[[bytes], Content]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def opened(data: bytes, size: int | None = None) -> Content:
        path = tmp_path / "message"
        path.write_bytes(data)
        return Content(os.open(path, os.O_RDONLY), len(data) if size is None else size)

    return opened


@pytest.mark.parametrize(
    ("offset", "length", "got"),
    [(0, 4, b"0123"), (3, 4, b"3456"), (8, 4, b"89"), (10, 4, b""), (99, 1, b""), (0, 0, b""), (0, 99, b"0123456789")],
)
def test_pieces(make: Make, offset: int, length: int, got: bytes) -> None:
    with make(b"0123456789") as content:
        assert content.read(offset, length) == got


def test_what_is_in_memory_is_at_hand(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make(b"0123456789") as content:
        if content.at_hand(0, 1) is None:
            pytest.skip("this filesystem cannot say what is in memory")
        pieces = [(0, 4, b"0123"), (8, 4, b"89"), (10, 4, b""), (99, 1, b""), (0, 99, b"0123456789")]
        for offset, length, got in pieces:
            assert content.at_hand(offset, length) == got
        os.truncate(tmp_path / "message", 4)
        assert content.at_hand(2, 3) is None  # `read` says that it was cut

        def not_now(*_: object) -> int:
            raise BlockingIOError

        monkeypatch.setattr(os, "preadv", not_now)
        assert content.at_hand(0, 4) is None
        assert content.read(0, 4) == b"0123"


def test_what_has_to_be_converted_is_not_at_hand(tmp_path: Path) -> None:
    path = tmp_path / "native"
    path.write_bytes(b"a\nb\n")
    with NativeContent(os.open(path, os.O_RDONLY), 6) as content:
        assert content.at_hand(0, 3) is None
        assert content.read(0, 6) == b"a\r\nb\r\n"


def test_whole(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with make(b"") as content:
        assert content.whole() == b""
    monkeypatch.setattr(module, "WHOLE", 5)
    with make(b"01234") as content:
        assert content.whole() == b"01234"
    with make(b"012345") as content:
        windows = content.whole()
        assert isinstance(windows, Windows)  # not mapped: who cuts the file short would end the process
        assert windows[:] == b"012345"


def test_a_file_that_was_cut_is_lost_not_short(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with make(b"0123456789") as content:
        os.truncate(tmp_path / "message", 4)
        assert content.read(0, 4) == b"0123"
        for read in (lambda: content.read(0, 5), lambda: content.read(4, 1), content.whole):
            with pytest.raises(MessageLost):
                read()
        monkeypatch.setattr(module, "WHOLE", 5)
        with pytest.raises(MessageLost):
            content.whole()


def test_a_file_that_cannot_be_read_is_lost(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pread", failing)
    with make(b"0123456789") as content, pytest.raises(MessageLost):
        content.read(0, 4)


def test_closing_twice_closes_nobody_elses_file(tmp_path: Path, make: Make) -> None:
    descriptors = open_descriptors(tmp_path)
    content = make(b"x")
    content.close()
    other = os.open(tmp_path / "message", os.O_RDONLY)
    content.close()
    os.close(other)
    assert open_descriptors(tmp_path) == descriptors


def test_what_was_begun_is_read_to_its_end_after_an_expunge(home: MailHome) -> None:
    uid = append(home, b"0123456789")
    with home.open(1, uid) as content:
        home.remove([uid])
        assert list(cur(home).iterdir()) == []
        assert content.read(5, 100) == b"56789"


@given(
    data=st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a"])).map(b"".join),
    block=st.integers(1, 5),
    reads=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6),
)
def test_native_line_ends(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, block: int, reads: list[tuple[int, int]]
) -> None:
    """Any part, in any order, across blocks: as if all had been converted at once."""
    path = tmp_path_factory.getbasetemp() / "native"
    path.write_bytes(data)
    sent = crlf(data)
    assert sent.replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_BLOCK", block)
        with NativeContent(os.open(path, os.O_RDONLY), len(sent)) as content:
            for offset, length in reads:
                assert content.read(offset, length) == sent[offset : offset + length]
            assert bytes(content.whole()[:]) == sent


def test_a_file_cut_short_while_it_is_looked_at(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping would end the process with SIGBUS."""
    monkeypatch.setattr(module, "WHOLE", 5)
    with make(b"x" * 100_000) as content:
        windows = content.whole()
        assert windows[99_999:] == b"x"
        os.truncate(tmp_path / "message", 10)
        with pytest.raises(MessageLost):
            windows[50_000:60_000]
