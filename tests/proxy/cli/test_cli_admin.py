"""`mailferry admin`: who may use the console."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mailstore.administrators import Administrators
from mailstore.database import AccountsDatabase
from mailstore.secrets import verify_password
from mailstore.web_sessions import WebSessions
from proxy.cli.main import main
from tests.proxy.cli.command import configuration, mailferry

GOOD = "correct horse, 电池"


def given(password: str, *arguments: str | Path) -> Result:
    """With a line of standard input."""
    return CliRunner().invoke(main, ["admin", *map(str, arguments)], input=password, env={"MAILFERRY_CONFIG": None})


@contextmanager
def opened(directory: Path) -> Iterator[AccountsDatabase]:
    with closing(AccountsDatabase(directory / "state" / "accounts.db")) as database:
        yield database


def stored(directory: Path, name: str) -> str:
    with opened(directory) as database:
        found = Administrators(database).find(name)
    assert found is not None
    return found.password_hash


def test_from_the_first_to_none(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    assert mailferry("admin", "list", "--config", file).stdout == "none yet: mailferry admin add NAME\n"
    assert not (tmp_path / "state").exists()
    assert given(f"{GOOD}\n", "add", "Li.Wei", "--config", file).stdout == "li.wei may use the console\n"
    assert verify_password(stored(tmp_path, "li.wei"), GOOD.encode())
    assert stored(tmp_path, "li.wei").startswith("$argon2id$")
    listed = mailferry("admin", "list", "--config", file).stdout
    assert listed.startswith("li.wei  added 20") and listed.endswith("last login never\n")
    found = json.loads(mailferry("admin", "list", "--json", "--config", file).stdout)
    assert [(one["name"], one["last_login"]) for one in found["administrators"]] == [("li.wei", None)]
    removed = mailferry("admin", "remove", "LI.WEI", "--config", file)
    assert removed.stdout.splitlines()[0] == "li.wei is no administrator any more; its sessions have ended"
    assert "none left" in removed.stdout


@pytest.mark.parametrize("how", ["passwd", "remove"])
def test_sessions_end_at_once(tmp_path: Path, how: str) -> None:
    file = configuration(tmp_path)
    given(GOOD, "add", "li", "--config", file)
    with opened(tmp_path) as database:
        token, _ = WebSessions(database).begin("console", "li")
        assert given("another password", how, "li", "--config", file).exit_code == 0
        assert WebSessions(database).find("console", token) is None
    if how == "passwd":
        assert verify_password(stored(tmp_path, "li"), b"another password")


@pytest.mark.parametrize(
    ("password", "name", "said"),
    [
        ("short\n", "li", "the password has 5 characters: it needs 10 at least"),
        ("", "li", "no password: give it as a line of standard input"),
        ("x" * 1_001, "li", "more than 1000 characters"),
        ("administrator\n", "administrator", "the first that anybody would try"),
        (f"{GOOD}\n", "li wei", '"li wei" cannot be a name'),
        (f"{GOOD}\n", "../../etc", "cannot be a name"),
        (f"{GOOD}\n", "<b>", "cannot be a name"),
    ],
)
def test_what_cannot_be_says_why_and_makes_nobody(tmp_path: Path, password: str, name: str, said: str) -> None:
    file = configuration(tmp_path)
    result = given(password, "add", name, "--config", file)
    assert result.exit_code == 1
    assert said in result.stderr
    assert GOOD not in result.output
    assert json.loads(mailferry("admin", "list", "--json", "--config", file).stdout) == {"administrators": []}


def test_names_that_are_there_and_that_are_not(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    given(GOOD, "add", "li", "--config", file)
    again = given("another password", "add", "LI", "--config", file)
    assert (again.exit_code, "is an administrator already" in again.stderr) == (1, True)
    assert verify_password(stored(tmp_path, "li"), GOOD.encode())
    for command in ("passwd", "remove"):
        result = given(GOOD, command, "nobody", "--config", file)
        assert (result.exit_code, '"nobody" is no administrator here' in result.stderr) == (1, True)


@pytest.mark.parametrize(("typed", "status"), [((GOOD, GOOD), 0), ((GOOD, "another one", GOOD, GOOD), 0)])
def test_a_terminal_is_asked_twice_and_shows_nothing(tmp_path: Path, typed: tuple[str, ...], status: int) -> None:
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "proxy.cli.main", "admin", "add", "li", "--config", str(configuration(tmp_path))]
    process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True)
    os.close(follower)
    shown, left = b"", list(typed)
    try:
        while True:
            shown += os.read(leader, 1_000)
            if left and shown.rstrip().endswith((b"Password:", b"Once more:")):
                os.write(leader, left.pop(0).encode() + b"\n")
                shown += b" (typed) "
    except OSError:  # it has ended
        pass
    os.close(leader)
    assert process.wait() == status, shown
    assert GOOD.encode() not in shown
    assert b"li may use the console" in shown
    assert verify_password(stored(tmp_path, "li"), GOOD.encode())
