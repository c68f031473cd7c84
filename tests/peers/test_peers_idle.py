"""What an idling session is told, within a second: of other sessions, of deliveries, of programs in the Maildir.

A busy machine may be late once, and the same is then done again; nothing may be told late three times.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.needs import needed
from tests.peers.sessions import DaemonStage, SocketWire

pytestmark = pytest.mark.peers
SECOND = 1.0
PATIENCE = 10.0  # seconds after which a change is never told
MAIL = b"From: ann@123.com\nSubject: from outside\n\nbody\n"
_numbers = count(1)


class Idler:
    """A session that idles in INBOX."""

    def __init__(self, stage: DaemonStage) -> None:
        self.wire = stage.connect("imap")
        self.wire.response()
        say(self.wire, b"LOGIN %b %b" % stage.credentials())
        say(self.wire, b"SELECT INBOX")
        self.wire.send(b"i IDLE\r\n")
        while not self.wire.response().startswith(b"+"):
            pass

    def told(self, expected: re.Pattern[bytes]) -> float:
        """Seconds until it is told."""
        begun = time.monotonic()
        while (left := PATIENCE - (time.monotonic() - begun)) > 0:
            said = self.wire.pending(left)
            if said is not None and expected.fullmatch(said):
                return time.monotonic() - begun
        raise AssertionError(f"{expected.pattern!r} is never said")


def say(wire: SocketWire, command: bytes) -> list[bytes]:
    """A command that is to end with OK, and what was said before that."""
    wire.send(b"t " + command + b"\r\n")
    said: list[bytes] = []
    while not (response := wire.response()).startswith(b"t "):
        said.append(response)
    assert response.startswith(b"t OK"), response
    return said


class Account:
    """A user with some messages, a session that idles, and one that works."""

    def __init__(self, stage: DaemonStage) -> None:
        self.stage = stage
        self.worker = stage.connect("imap")
        self.worker.response()
        say(self.worker, b"LOGIN %b %b" % stage.credentials())
        for _ in range(4):
            self.append()
        say(self.worker, b"SELECT INBOX")
        self.idler = Idler(stage)
        self.cur, self.new = (stage.directory("INBOX") / name for name in ("cur", "new"))

    def append(self) -> None:
        say(self.worker, b"APPEND INBOX {%d+}\r\n%b" % (len(MAIL), MAIL))

    def first_file(self) -> Path:
        """Of the first message: the store's names begin with the time, and these came in one after the other."""
        return min(self.cur.iterdir(), key=lambda path: (path.stat().st_mtime_ns, path.name))


@pytest.fixture
def account(legacy: Dovecot, daemon: Daemon) -> Iterator[Account]:
    stage = DaemonStage(daemon, legacy, f"idle{next(_numbers)}")
    account = Account(stage)
    yield account
    account.worker.hang_up()
    account.idler.wire.hang_up()


def told_within_a_second(account: Account, act: Callable[[int], object], expected: bytes) -> None:
    took = []
    for attempt in range(3):
        act(attempt)
        took.append(account.idler.told(re.compile(expected)))
        if took[-1] < SECOND:
            return
    raise AssertionError(f"it took {took} seconds")


FLAGS_OF_FIRST = rb"\* 1 FETCH \(FLAGS \([^)]*\\(Flagged|Answered|Draft)[^)]*\)\)"
EXISTS, EXPUNGE = rb"\* \d+ EXISTS", rb"\* \d+ EXPUNGE"
SYSTEM_FLAGS = (b"\\Flagged", b"\\Answered", b"\\Draft")


def test_flags_of_another_session(account: Account) -> None:
    told_within_a_second(
        account, lambda n: say(account.worker, b"STORE 1 FLAGS (%b)" % SYSTEM_FLAGS[n]), FLAGS_OF_FIRST
    )


def test_a_message_of_another_session(account: Account) -> None:
    told_within_a_second(account, lambda _: account.append(), EXISTS)


def test_an_expunge_of_another_session(account: Account) -> None:
    def expunge(_: int) -> None:
        say(account.worker, b"STORE 1 +FLAGS.SILENT (\\Deleted)")
        say(account.worker, b"EXPUNGE")

    told_within_a_second(account, expunge, EXPUNGE)


def test_a_message_deleted_over_pop3(account: Account) -> None:
    def delete(_: int) -> None:
        name, password = account.stage.credentials()
        wire = account.stage.connect("pop3")
        assert wire.line().startswith(b"+OK")
        for command in (b"USER " + name, b"PASS " + password, b"DELE 1", b"QUIT"):
            wire.send(command + b"\r\n")
            assert wire.line().startswith(b"+OK")
        wire.hang_up()

    told_within_a_second(account, delete, EXPUNGE)


def test_a_delivery_by_maildrop(account: Account, tmp_path: Path) -> None:
    maildrop = needed("maildrop")
    rules = tmp_path / "rules"
    rules.write_text(f'to "{account.stage.directory("INBOX")}"\n')
    rules.chmod(0o600)

    def deliver(_: int) -> None:
        subprocess.run([maildrop, rules], input=MAIL, check=True, env=os.environ | {"HOME": str(tmp_path)})

    told_within_a_second(account, deliver, EXISTS)


def test_a_delivery_by_mv(account: Account, tmp_path: Path) -> None:
    """As safecat and scripts do it: written in `tmp`, moved into `new`."""

    def deliver(attempt: int) -> None:
        passing = account.new.with_name("tmp") / f"1600000000.{attempt}.elsewhere"
        passing.write_bytes(MAIL)
        subprocess.run(["mv", passing, account.new], check=True)

    told_within_a_second(account, deliver, EXISTS)


def test_a_message_put_into_cur_with_flags(account: Account) -> None:
    """As mutt saves one, and as mbsync brings it."""

    def put(attempt: int) -> None:
        passing = account.cur.with_name("tmp") / f"1600000000.{attempt}.elsewhere"
        passing.write_bytes(MAIL)
        passing.rename(account.cur / f"{passing.name}:2,FS")

    told_within_a_second(account, put, EXISTS)


def test_flags_changed_as_mutt_changes_them(account: Account) -> None:
    def flag(attempt: int) -> None:
        path = account.first_file()
        path.rename(path.with_name(path.name.partition(":2,")[0] + ":2," + "FRD"[attempt]))

    told_within_a_second(account, flag, FLAGS_OF_FIRST)


def test_a_message_removed_by_rm(account: Account) -> None:
    told_within_a_second(account, lambda _: subprocess.run(["rm", account.first_file()], check=True), EXPUNGE)


def test_a_message_moved_to_another_folder_by_mv(account: Account) -> None:
    say(account.worker, b"CREATE Elsewhere")
    target = account.stage.directory("Elsewhere") / "cur"
    for number in range(3):
        passing = account.new.with_name("tmp") / f"1600000000.{number}.elsewhere"
        passing.write_bytes(MAIL)
        passing.rename(account.new / passing.name)
        account.idler.told(re.compile(EXISTS))

    def move(attempt: int) -> None:
        (path,) = account.cur.glob(f"1600000000.{attempt}.elsewhere*")
        subprocess.run(["mv", path, target], check=True)

    told_within_a_second(account, move, EXPUNGE)
    assert say(account.worker, b"STATUS Elsewhere (MESSAGES)")[0] == b"* STATUS Elsewhere (MESSAGES 1)"


def test_mutt_itself(account: Account, tmp_path: Path) -> None:
    """It opens the mailbox, flags the first message, deletes the second, and leaves."""
    mutt, script = needed("mutt"), needed("script")
    config = tmp_path / "muttrc"
    config.write_text(
        f"set folder={account.stage.directory('INBOX')}\nset mbox_type=Maildir\n"
        "set delete=yes\nset move=no\nset mark_old=no\nset quit=yes\nset maildir_trash=no\n"
        "set wait_key=no\nset sort=mailbox-order\n"
        'push "<first-entry><flag-message><first-entry><next-entry><delete-message><quit>"\n'
    )
    command = f"{mutt} -n -F {config} -f {account.stage.directory('INBOX')}"

    def work(_: int) -> None:
        subprocess.run(
            [script, "-qec", command, "/dev/null"],
            check=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"TERM": "xterm", "HOME": str(tmp_path)},
        )

    told_within_a_second(account, work, EXPUNGE)
