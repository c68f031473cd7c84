"""The file of what was done on the command line: every line whole, before the act, and of whoever it was."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from proxy.admin import acts
from proxy.admin.acts import NAME, NAMED, Act, some


def lines(state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state / NAME).read_text().splitlines()]


def test_an_act_is_in_the_file_before_it_is_done_and_again_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "chen")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22")
    act = Act(tmp_path / "state", "pause", {"domains": ["123.com"]})
    (begun,) = lines(tmp_path / "state")
    act.end(0)
    _, done = lines(tmp_path / "state")
    expected = {"audit": True, "peer": "192.0.2.7", "sudo": "chen", "uid": os.getuid(), "did": "pause"}
    assert begun.items() >= {**expected, "event": "administrator"}.items()
    assert done.items() >= {"did": "pause", "status": 0, "event": "administrator is done"}.items()
    assert begun["trace"] == done["trace"] == act.trace
    assert (tmp_path / "state" / NAME).stat().st_mode & 0o777 == 0o600


def test_names_cannot_make_lines_of_their_own(tmp_path: Path) -> None:
    Act(tmp_path, "admin add", {"name": 'x"}\n{"audit": true, "by": "somebody \udcff'})
    (line,) = lines(tmp_path)
    assert line["did"] == "admin add"


def test_of_many_names_some_are_told_and_how_many_there_are() -> None:
    assert some(["a", "b"]) == {"names": ["a", "b"], "count": 2}
    assert len(some([str(n) for n in range(100_000)])["names"]) == NAMED


def test_a_line_that_the_disk_had_no_room_for_does_not_spoil_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write
    with monkeypatch.context() as full:
        full.setattr(acts.os, "write", lambda descriptor, line: whole(descriptor, line[:10]))
        with pytest.raises(OSError) as refused:
            Act(tmp_path, "pause", {})
        assert refused.value.errno == errno.ENOSPC
    Act(tmp_path, "resume", {})
    torn, line = (tmp_path / NAME).read_text().splitlines()
    assert len(torn) == 10
    assert json.loads(line)["did"] == "resume"


def test_what_is_no_file_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Act(tmp_path, "pause", {})
    assert (tmp_path / "elsewhere").read_bytes() == b""
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(OSError, match="it is no file"):
        Act(tmp_path, "pause", {})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_belongs_to_the_daemon_s_user(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    Act(tmp_path, "pause", {})
    found = (tmp_path / NAME).stat()
    assert (found.st_uid, found.st_gid) == (12345, 12345)
