"""The configuration file changed in a few places: what is not meant stays, and what would be wrong is not written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxy.admin.settings_file import change
from proxy.config import ConfigErrors, load

LOGIN = ("domain", "123.com", "legacy", "login")
TEXT = """\
# Ours. Do not touch.
hostname = "mail.123.com"   # the new one

[listen]
imap = ["tcp:143"]

[domain."123.com".legacy]
host = "pop.old.123.com"
login = "local"  # or so we think
port = 110

# the end
"""


def written(tmp_path: Path, text: str = TEXT) -> Path:
    file = tmp_path / "mailferry.toml"
    file.write_bytes(text.encode())
    file.chmod(0o640)
    return file


def test_a_value_is_another_and_all_else_stays(tmp_path: Path) -> None:
    file = written(tmp_path)
    change(file, {LOGIN: "full", ("domain", "123.com", "legacy", "port"): 995})
    assert file.read_text() == TEXT.replace('"local"', '"full"').replace("= 110", "= 995")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["mailferry.toml"]


def test_a_key_that_was_not_there_comes_to_its_table(tmp_path: Path) -> None:
    file = written(tmp_path)
    change(file, {("domain", "123.com", "legacy", "tls"): "implicit", ("migration", "login"): "serve"})
    settings = load(file)
    assert (settings.domains["123.com"].legacy.tls, settings.migration.login) == ("implicit", "serve")
    assert "# the end" in file.read_text() and "# or so we think" in file.read_text()


@pytest.mark.parametrize(
    "text",
    [
        'hostname = "a.b"\nlisten.imap = ["tcp:143"]\ndomain."123.com".legacy.host = "x.y"\n',
        'hostname = "a.b"\nlisten = {imap = ["tcp:143"]}\ndomain = {"123.com" = {legacy = {host = "x.y"}}}\n',
        "\ufeff" + TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.rstrip(),
    ],
)
def test_in_whatever_way_it_is_written(tmp_path: Path, text: str) -> None:
    file = written(tmp_path, text)
    change(file, {LOGIN: "full"})
    assert load(file).domains["123.com"].legacy.login == "full"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({("domain", "123.com", "legacy", "port"): 0}, 'domain."123.com".legacy.port'),
        ({("hostnam",): "x"}, "hostnam"),
        ({("domain", "other.com", "legacy", "tls"): "none"}, "host"),
    ],
)
def test_what_would_be_wrong_is_not_written(tmp_path: Path, changes: dict[tuple[str, ...], object], words: str) -> None:
    file = written(tmp_path)
    with pytest.raises(ConfigErrors, match=words.replace(".", r"\.")):
        change(file, changes)
    assert file.read_text() == TEXT
    assert [path.name for path in tmp_path.iterdir()] == ["mailferry.toml"]


def test_a_file_that_is_wrong_already_is_left_alone(tmp_path: Path) -> None:
    file = written(tmp_path, TEXT.replace("hostname", "hostnam"))
    with pytest.raises(ConfigErrors):
        change(file, {LOGIN: "full"})


def test_a_link_stays_one(tmp_path: Path) -> None:
    file = written(tmp_path)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    change(link, {LOGIN: "full"})
    assert link.is_symlink() and load(file).domains["123.com"].legacy.login == "full"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        change(tmp_path / "mailferry.toml", {LOGIN: "full"})


def test_a_directory_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path)

    def refused(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "fsync", refused)
    with pytest.raises(OSError, match="Permission denied"):
        change(file, {LOGIN: "full"})
    assert file.read_text() == TEXT
    assert [path.name for path in tmp_path.iterdir()] == ["mailferry.toml"]
