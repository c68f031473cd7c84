"""`mailferry check`: what directories let whom at the socket that Postfix asks for passwords at."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.cli.checks import postfix
from proxy.config.endpoints import parse_endpoint
from tests.peers.ground import reachable


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that everybody reaches. Postfix's user is another one than who made it, with the same group."""
    user = pwd.struct_passwd(("postfix", "x", os.geteuid() + 1, os.getegid(), "", "/", "/bin/false"))
    monkeypatch.setattr(postfix.pwd, "getpwnam", lambda _name: user)
    with reachable("run") as path:
        yield path


def told(text: str) -> list[str]:
    return [f"{each.result} {each.text}" for each in postfix.asked_by_postfix(text, parse_endpoint(text))]


def test_a_directory_of_postfixs_group(run: Path) -> None:
    run.chmod(0o750)
    assert told(f"unix:{run}/auth") == []


def test_one_that_postfix_does_not_get_through(run: Path) -> None:
    run.chmod(0o700)
    assert told(f"unix:{run}/auth") == [f"warn Postfix does not get through {run}"]


def test_one_that_everybody_gets_through(run: Path) -> None:
    everybody = "warn every user of this machine reaches it, and is believed about where users are"
    assert told(f"unix:{run}/auth") == [everybody]
    assert told(f"unix:{run}/auth:mode=660") == []


def test_where_there_is_no_postfix_or_no_directory(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(f"unix:{run}/nothing/auth") == []

    def nobody(name: str) -> pwd.struct_passwd:
        raise KeyError(name)

    monkeypatch.setattr(postfix.pwd, "getpwnam", nobody)
    run.chmod(0o700)
    assert told(f"unix:{run}/auth") == []
