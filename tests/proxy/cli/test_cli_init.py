"""`mailferry init`: what it writes, what it refuses to, and what it asks."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from proxy.admin.opening import Answers, compose, doubts
from proxy.config import load, parse
from tests.proxy.cli.command import mailferry
from tests.proxy.cli.terminal import on_a_terminal

NEEDED = ("--domain", "123.com", "--hostname", "mail.123.com", "--legacy-host", "pop.old.123.com")


def test_flags_alone_write_a_configuration_that_is_right(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "mailferry.toml"
    result = mailferry(
        "init",
        *NEEDED,
        *("--legacy-tls", "implicit", "--legacy-login", "full", "--listed", "--folders", "zh"),
        *("--certificate", "/etc/c.pem", "--key", "/etc/k.pem", "--state", "/srv/mail"),
        *("--contact", '信息部 "IT", 8001', "--submission", "mail.123.com:587", "--config", file),
    )
    assert (result.exit_code, result.stderr) == (0, "")
    config = load(file)
    domain = config.domains["123.com"]
    assert (config.hostname, str(config.state), config.submission) == ("mail.123.com", "/srv/mail", "mail.123.com:587")
    assert (domain.accounts, domain.folders, domain.contact) == ("listed", "zh", '信息部 "IT", 8001')
    legacy = domain.legacy
    assert (legacy.host, legacy.tls, legacy.port, legacy.login) == ("pop.old.123.com", "implicit", 995, "full")
    assert (config.listen.imaps, config.listen.web) == (("tcp:993",), ("tcp:443",))
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["mailferry.toml"]
    assert f"  mailferry accounts import --config {file} FILE" in result.stdout


def test_without_a_certificate_it_says_what_that_means(tmp_path: Path) -> None:
    file = tmp_path / "mailferry.toml"
    result = mailferry("init", *NEEDED, "--config", file)
    assert result.exit_code == 0
    assert "until it has, only clients on this machine can log in" in result.stdout
    assert "tls.certificate: without one" in result.stderr
    config = load(file)
    assert (config.domains["123.com"].accounts, config.listen.imaps) == ("open", ())


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    file = tmp_path / "mailferry.toml"
    file.write_text("mine")
    result = mailferry("init", *NEEDED, "--config", file)
    assert (result.exit_code, file.read_text()) == (1, "mine")
    assert "is there already: --force replaces it" in result.stderr
    for number, kept in enumerate(("mailferry.toml.old", "mailferry.toml.old-2")):
        result = mailferry("init", *NEEDED, "--force", "--config", file)
        assert (result.exit_code, f"is in {tmp_path / kept}." in result.stdout) == (0, True)
        assert ((tmp_path / kept).read_text() == "mine") is (number == 0)
    assert load(file).hostname == "mail.123.com"


@pytest.mark.parametrize("left_out", [0, 2, 4])
def test_a_pipe_cannot_be_asked(tmp_path: Path, left_out: int) -> None:
    given = [*NEEDED[:left_out], *NEEDED[left_out + 2 :]]
    result = mailferry("init", *given, "--config", tmp_path / "mailferry.toml")
    assert result.exit_code == 2
    assert f"nobody can be asked here: give {NEEDED[left_out]}" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--legacy-host", "pop.abc.cn"), "are they called somebody@123.com there?"),
        (("--hostname", "mail.abc.cn"), "is not in the domain 123.com"),
        (("--domain", "mail.123.com"), "is it mail.123.com, and not 123.com?"),
        (("--legacy-host", "MAIL.123.com"), "mailferry would ask itself"),
    ],
)
def test_names_that_do_not_fit_are_refused_without_yes(tmp_path: Path, flags: tuple[str, str], said: str) -> None:
    file = tmp_path / "mailferry.toml"
    result = mailferry("init", *NEEDED, *flags, "--config", file)
    assert (result.exit_code, said in result.stderr, file.exists()) == (1, True, False)
    result = mailferry("init", *NEEDED, *flags, "--yes", "--config", file)
    assert (result.exit_code, said in result.stderr, file.exists()) == (0, True, True)


@pytest.mark.parametrize(
    ("answers", "number"),
    [
        (Answers("mail.123.com", "123.com", "192.0.2.7"), 0),
        (Answers("mail.123.com", "123.com", "pop.123.com"), 0),
        (Answers("123.com", "123.com", "old.123.com"), 0),
        (Answers("mail.x123.com", "123.com", "123.com"), 1),
        (Answers("mail.123.com", "123.com", "pop.123.com.cn"), 1),
    ],
)
def test_which_names_are_doubted(answers: Answers, number: int) -> None:
    assert len(list(doubts(answers))) == number


@pytest.mark.parametrize(
    ("flags", "status", "said"),
    [
        (("--certificate", "/c.pem"), 2, "tls.key: is missing"),
        (("--domain", "no domain"), 2, '"no domain" cannot be a domain name'),
        (("--legacy-host", "pop.123.com:110"), 2, 'write host = "pop.123.com" and port = 110'),
        (("--legacy-login", "same"), 2, "would be the same login for everybody"),
        (("--legacy-port", "0"), 2, "--legacy-port"),
        (("--submission", "mail.123.com"), 2, "write name and port"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, flags: tuple[str, str], status: int, said: str) -> None:
    file = tmp_path / "mailferry.toml"
    result = mailferry("init", *NEEDED, *flags, "--config", file)
    assert (result.exit_code, said in result.stderr, file.exists()) == (status, True, False)


def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = mailferry("init", *NEEDED, "--config", tmp_path / "file" / "mailferry.toml")
    assert (result.exit_code, "file: cannot be made: File exists" in result.stderr) == (1, True)


@pytest.mark.parametrize("name", ["", "conf", ".."])
def test_a_directory_is_no_configuration(tmp_path: Path, name: str) -> None:
    (tmp_path / "conf").mkdir()
    result = mailferry("init", *NEEDED, "--force", "--config", f"{tmp_path}/{name}")
    assert (result.exit_code, "is a directory: name the file" in result.stderr) == (1, True)
    assert [path.name for path in tmp_path.rglob("*")] == ["conf"]


def test_what_comes_next_can_be_copied_into_a_shell(tmp_path: Path) -> None:
    result = mailferry("init", *NEEDED, "--config", tmp_path / "the first" / "mailferry.toml")
    assert f"  mailferry serve --config '{tmp_path}/the first/mailferry.toml'" in result.stdout


def test_strange_texts_stay_what_they_are() -> None:
    contact = 'quote " backslash \\ bell \a delete \x7f 中文 # no comment'
    config = parse(compose(Answers("mail.123.com", "123.com", "old.123.com", contact=contact)).encode())
    assert config.domains["123.com"].contact == contact


def test_a_terminal_is_asked_and_asked_again_until_it_is_right(tmp_path: Path) -> None:
    file = tmp_path / "mailferry.toml"
    answers = ("123.com", "", "http://old", "192.0.2.7", "implicit", "", "full", "", "", "", "")
    status, shown = on_a_terminal("init", "--config", str(file), answers=answers)
    assert status == 0, shown
    assert 'Error: write only the name, without the "http://"' in shown
    assert "This machine's name [mail.123.com]" in shown and "Port [995]" in shown
    legacy = load(file).domains["123.com"].legacy
    assert (legacy.host, legacy.tls, legacy.port, legacy.login) == ("192.0.2.7", "implicit", 995, "full")


def test_a_terminal_is_asked_whether_names_that_do_not_fit_are_meant(tmp_path: Path) -> None:
    file = tmp_path / "mailferry.toml"
    given = (*NEEDED[:4], "--legacy-host", "pop.abc.cn", "--legacy-tls", "none", "--legacy-login", "local", "--open")
    rest = ("--legacy-port", "110", "--folders", "en", "--contact", "me", "--config", str(file))
    status, shown = on_a_terminal("init", *given, *rest, answers=("", "n"))
    assert (status, file.exists()) == (1, False)
    assert "are they called somebody@123.com there?" in " ".join(shown.split())
    status, _ = on_a_terminal("init", *given, *rest, answers=("", "y"))
    assert (status, load(file).domains["123.com"].legacy.host) == (0, "pop.abc.cn")
