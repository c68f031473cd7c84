"""A real Dovecot that gives its messages other UIDLs from one day to the next, and mailferry in front of it."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.cli.demo_clients import Mail
from tests.dialogues.fixtures import FIRST_DATE, HOUR, letter
from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import fill, original, over_pop3, write_letters
from tests.peers.needs import needed

pytestmark = pytest.mark.peers
COUNT = 120
UID, FILE = "%08Xu%08Xv", "%f"  # forms of UIDLs: UID and UIDVALIDITY, as Dovecot has it by itself; a file's name


class Renaming(Dovecot):
    """One whose UIDLs are made as the test says."""

    uidls = UID

    def _configuration(self) -> str:
        return super()._configuration() + f"protocol pop3 {{\n  pop3_uidl_format = {self.uidls}\n}}\n"

    def name_by(self, uidls: str) -> None:
        if uidls != self.uidls:
            self.stop()
            self.uidls = uidls
            self.start()

    def forget(self, user: str) -> None:
        """What an administrator does who removes its indexes: UIDs and UIDVALIDITY are made anew."""
        for file in self.maildir(user).glob("dovecot*"):
            file.unlink()


@pytest.fixture(scope="module")
def old(ground: Path) -> Iterator[Renaming]:
    needed("dovecot")
    (ground / "renaming").mkdir()
    server = Renaming(ground / "renaming")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def ferry(old: Renaming, make_daemon: Callable[..., Daemon]) -> Daemon:
    """One that looks for what is new at every login."""
    return make_daemon(f'port = {old.pop3}\ntls = "none"', 'refresh = "0s"')


def moves(ferry: Daemon, user: str) -> int:
    """How many have come to their end."""
    return sum("move done" in line and f"{user}@" in line for line in ferry.log.splitlines())


def look(ferry: Daemon, user: str) -> list[Mail]:
    """A login looks for what is new; what is here when it has looked."""
    before = moves(ferry, user)
    over_pop3(ferry, user)
    end = time.monotonic() + 30
    while moves(ferry, user) == before:
        assert time.monotonic() < end, ferry.log
        select.select([], [], [], 0.02)  # the daemon's turn
    found = over_pop3(ferry, user)
    while moves(ferry, user) == before + 1:  # that login looked as well
        assert time.monotonic() < end, ferry.log
        select.select([], [], [], 0.02)
    return found


def test_another_form_of_uidl(old: Renaming, ferry: Daemon) -> None:
    old.name_by(UID)
    fill(old, "form", COUNT)
    before = over_pop3(ferry, "form")
    names = [mail.uidl for mail in original(old, "form")]
    assert [mail.uidl for mail in before] == names
    old.name_by(FILE)
    assert not {mail.uidl for mail in original(old, "form")} & set(names)
    assert look(ferry, "form") == before
    assert len(list((ferry.maildir("form") / "cur").iterdir())) == COUNT
    assert "legacy server changed UIDLs" in ferry.log


def test_indexes_are_removed_while_mail_comes_and_goes(old: Renaming, ferry: Daemon) -> None:
    old.name_by(UID)
    write_letters(old, "index", COUNT)
    before = over_pop3(ferry, "index")
    cur = old.maildir("index") / "cur"
    for file in sorted(cur.iterdir())[10:13]:
        file.unlink()
    for number in (COUNT, COUNT + 1):
        (cur / f"{FIRST_DATE + number * HOUR}.M{number}P1.old:2,").write_bytes(letter(number + 1))
    old.forget("index")
    old.own()
    now = original(old, "index")
    assert len(now) == COUNT - 1
    assert not {mail.uidl for mail in now} & {mail.uidl for mail in before}
    found = look(ferry, "index")
    assert found[:COUNT] == before
    assert [mail.raw for mail in found[COUNT:]] == [letter(COUNT + 1), letter(COUNT + 2)]
    assert [mail.uidl for mail in found[COUNT:]] == [mail.uidl for mail in now[-2:]]


def test_what_was_deleted_at_both_ends_and_restored_there(old: Renaming, ferry: Daemon) -> None:
    old.name_by(UID)
    write_letters(old, "restored", COUNT)
    before = over_pop3(ferry, "restored")
    answers = ferry.ask("pop3", b"USER restored@123.com", b"PASS pass", b"DELE 5", b"DELE 6", b"QUIT")
    assert answers[-1].startswith(b"+OK")
    cur = old.maildir("restored") / "cur"
    kept = {file.name: file.read_bytes() for file in sorted(cur.iterdir())[:20]}
    for name in kept:
        (cur / name).unlink()
    remaining = look(ferry, "restored")
    assert remaining == before[:4] + before[6:]
    for name, octets in kept.items():
        (cur / f"restored.{name}").write_bytes(octets)
    old.own()
    assert look(ferry, "restored") == remaining
