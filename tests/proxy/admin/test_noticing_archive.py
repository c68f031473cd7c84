"""An archive that is made while it is sent, as others read it."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime

import pytest

from proxy.admin.noticing import archive as module
from proxy.admin.noticing.archive import archive

MADE = datetime(2026, 12, 5, 20, 1, 42)


def test_what_is_put_in_comes_out() -> None:
    files = {"li@123.com.eml": b"x" * 1000, "李伟@例子.com.eml": "您好\r\n".encode(), "empty": b""}
    whole = b"".join(archive(files.items(), MADE))
    with zipfile.ZipFile(io.BytesIO(whole)) as found:
        assert found.testzip() is None
        assert {name: found.read(name) for name in found.namelist()} == files
        assert {info.date_time for info in found.infolist()} == {(2026, 12, 5, 20, 1, 42)}
    assert len(whole) < 900


def test_nothing_is_an_archive_too() -> None:
    with zipfile.ZipFile(io.BytesIO(b"".join(archive([], MADE)))) as found:
        assert found.namelist() == []


def test_more_entries_than_the_old_format_can_count() -> None:
    count, whole = 70_000, io.BytesIO()
    for piece in archive(((f"{number}.eml", b"x") for number in range(count)), MADE):
        assert len(piece) < 2 * module.PIECE or whole.tell() > count * 30  # the last has the directory
        whole.write(piece)
    with zipfile.ZipFile(whole) as found:
        assert len(found.namelist()) == count
        assert found.read("69999.eml") == b"x"


def test_an_archive_that_is_larger_than_the_old_format_can_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if four gigabytes came after some hundred octets."""
    whole = b"".join(archive([("a", b"x"), ("b", b"y")], MADE))
    assert b"PK\6\6" not in whole
    monkeypatch.setattr(module, "_LARGE", 30)
    assert b"PK\6\6" in b"".join(archive([("a", b"x"), ("b", b"y")], MADE))
