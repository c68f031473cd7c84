"""The configuration file changed in place: what was meant, and nothing else."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import pytest

from proxy.admin import settings_file
from proxy.admin.settings_file import Keys, edit, may_write
from proxy.config import ConfigErrors, load

LEGACY = ("domain", "123.com", "legacy")
TOP = 'hostname = "mail.123.com"\n[listen]\nimap = ["tcp:143"]\n'
WANTED: dict[Keys, Any] = {(*LEGACY, "host"): "a", (*LEGACY, "port"): 995}
SHIPPED = Path(__file__).parents[3] / "conf" / "mailferry.toml"


def change(path: Path, changes: dict[Keys, Any], remarks: dict[Keys, str] | None = None) -> None:
    edit(path, changes, remarks).write()


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "mailferry.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def differences(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in {"+++", "---"}]


def test_of_the_file_that_is_shipped_only_what_is_meant_changes(tmp_path: Path) -> None:
    path = written(tmp_path, SHIPPED.read_bytes())
    changes: dict[Keys, Any] = {(*LEGACY, "host"): "pop.123.com", (*LEGACY, "port"): 995, (*LEGACY, "tls"): "implicit"}
    change(path, changes, {(*LEGACY, "tls"): "it expired\nfingerprint = x"})
    assert differences(SHIPPED.read_text(), path.read_text()) == [
        '-host = "pop.old.123.com"    # name or address; no default',
        '+host = "pop.123.com"    # name or address; no default',
        '-tls = "starttls"',
        '-port = 110                  # 1 to 65535; default 110, and 995 with tls = "implicit"',
        '+tls = "implicit"',
        "+# it expired",
        "+# fingerprint = x",
        '+port = 995                  # 1 to 65535; default 110, and 995 with tls = "implicit"',
    ]
    legacy = load(path).domains["123.com"].legacy
    assert (legacy.host, legacy.port, legacy.tls) == ("pop.123.com", 995, "implicit")
    once = path.read_bytes()
    change(path, changes, {(*LEGACY, "tls"): "it expired\nfingerprint = x"})
    assert path.read_bytes() == once, "again is the same"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[domain."123.com".legacy]\nhost="a" # old\n\n# the other\n[domain."9.com".legacy]\nhost="b"\n',
            '[domain."123.com".legacy]\nhost="a" # old\nport = 995\n\n# the other\n[domain."9.com".legacy]\nhost="b"\n',
        ),
        ('[domain."123.COM"]\nlegacy={host="a"} # c\n', '[domain."123.COM"]\nlegacy={host="a",port = 995} # c\n'),
        (
            '[domain]\n"123.com.".legacy.host = "a"\n[tls]\n',
            '[domain]\n"123.com.".legacy.host = "a"\n"123.com.".legacy.port = 995\n[tls]\n',
        ),
        ('[domain."123.com".legacy]\nhost = "a"', '[domain."123.com".legacy]\nhost = "a"\nport = 995\n'),
    ],
)
def test_a_key_that_is_new_comes_behind_the_others_of_its_table(tmp_path: Path, text: str, expected: str) -> None:
    path = written(tmp_path, TOP + text)
    change(path, {(*LEGACY, "port"): 995})
    assert path.read_text() == TOP + expected


def test_a_table_that_is_new_comes_at_the_end(tmp_path: Path) -> None:
    text = f'{TOP}[domain."9.com".legacy]\nhost = "b"'
    path = written(tmp_path, text)
    change(path, {(*LEGACY, "host"): "a", (*LEGACY, "port"): 995})
    assert path.read_text() == f'{text}\n\n[domain."123.com".legacy]\nhost = "a"\nport = 995\n'


def test_a_domain_is_found_by_either_spelling(tmp_path: Path) -> None:
    path = written(tmp_path, f'{TOP}[domain."例子.com".legacy]\nhost = "b"\n')
    change(path, {("domain", "xn--fsqu00a.com", "legacy", "host"): "a"})
    assert path.read_text() == f'{TOP}[domain."例子.com".legacy]\nhost = "a"\n'


def test_line_ends_and_byte_order_marks_stay(tmp_path: Path) -> None:
    text = f'{TOP}[domain."123.com".legacy]\nhost = "b"\n'.replace("\n", "\r\n")
    path = written(tmp_path, b"\xef\xbb\xbf" + text.encode())
    change(path, {(*LEGACY, "port"): 995}, {(*LEGACY, "host"): "two\nlines"})
    after = path.read_bytes()
    assert after == b"\xef\xbb\xbf" + text.encode() + b"# two\r\n# lines\r\nport = 995\r\n"
    assert b"\n" not in after.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        (f'{TOP}[domain."123.com".legacy]\nhost = "b"\n', {(*LEGACY, "port"): 99_999}, "port: must be at most 65535"),
        (f'{TOP}[domain."123.com".legacy]\nhost = "b"\n', {(*LEGACY, "prot"): 1}, 'unknown key, did you mean "port"?'),
        (
            f'{TOP}[domain."123.com".legacy]\nhost = "b"\nca = "x.pem"\n',
            {(*LEGACY, "tls"): "none"},
            'ca: is of no use with tls = "none"',
        ),
        (f"{TOP}[domain\n", {(*LEGACY, "port"): 995}, "line 4"),
        (f'{TOP}domain = "123.com"\n', {(*LEGACY, "port"): 995}, "listen.domain"),
        (b"\xff\xfe", {(*LEGACY, "port"): 995}, "not UTF-8 text"),
    ],
)
def test_what_would_not_be_right_is_not_written(
    tmp_path: Path, text: str | bytes, changes: dict[Keys, Any], said: str
) -> None:
    path = written(tmp_path, text)
    before = path.read_bytes()
    with pytest.raises(ConfigErrors) as failed:
        change(path, changes)
    assert said in str(failed.value)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["mailferry.toml"]


def test_mode_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    real = written(tmp_path / "real", f'{TOP}[domain."123.com".legacy]\nhost = "b"\n')
    real.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(real)
    change(link, {(*LEGACY, "port"): 995})
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert "port = 995" in real.read_text()


def test_what_somebody_else_wrote_meanwhile_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, f'{TOP}[domain."123.com".legacy]\nhost = "b"\n')
    check = settings_file.parse

    def meanwhile(*arguments: Any) -> Any:
        path.write_text("theirs")
        return check(*arguments)

    monkeypatch.setattr(settings_file, "parse", meanwhile)
    with pytest.raises(OSError, match="changed by somebody else"):
        change(path, {(*LEGACY, "port"): 995})
    assert path.read_text() == "theirs"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        change(tmp_path / "none.toml", {(*LEGACY, "port"): 995})


def test_a_change_is_known_before_it_is_made(tmp_path: Path) -> None:
    path = written(tmp_path, f'{TOP}[domain."123.com".legacy]\nhost = "b" # old\n')
    before = path.read_bytes()
    found = edit(path, WANTED)
    assert found.lines == ['-host = "b" # old', '+host = "a" # old', "+port = 995"]
    assert path.read_bytes() == before and found.digest == edit(path, WANTED).digest
    assert found.digest != edit(path, {(*LEGACY, "host"): "a"}).digest
    path.write_bytes(before + b"# theirs\n")
    assert found.digest != edit(path, WANTED).digest
    with pytest.raises(OSError, match="changed by somebody else"):
        found.write()
    assert path.read_bytes() == before + b"# theirs\n"


def test_whether_the_file_may_be_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, TOP)
    assert may_write(path)
    monkeypatch.setattr(settings_file.os, "access", lambda place, _mode: place != tmp_path.resolve())
    assert not may_write(path)
