"""`mailferry storage` and `mailferry check --storage`: what they say and refuse."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from proxy.cli.checks.storage import across, brief, trial
from proxy.cli.checks.storage.trial import Trial, try_in
from proxy.config import load
from proxy.daemon.alone import Alone
from proxy.login.whereabouts import mooring_of
from tests.mailstore.store_rig import append
from tests.proxy.cli.command import configuration, mailferry

OLD, NEW = "{state}/mail/{domain}/{local}/Maildir", "{state}/mail/{hash}/{domain}/{local}/Maildir"


def configured(directory: Path, template: str = OLD) -> Path:
    return configuration(directory, more=f'[storage]\nmaildir = "{template}"')


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two accounts with mail, and one without."""
    file = configured(tmp_path)
    config = load(file)
    config.state.mkdir()
    database = AccountsDatabase(config.accounts_file)
    accounts = Accounts(database)
    mooring_of(config, accounts).hold()
    for local in ("wang", "li", "zhao"):
        account = accounts.add(local, "123.com")
        if local != "zhao":
            home = MailHome(MailboxEngine(), account.id, config.maildir_for(local, "123.com"))
            append(home, b"x")
            home.close()
            accounts._change(account.id, messages_done=1)
    database.close()
    return file


def storage(file: Path, *arguments: str | Path) -> tuple[int, str, str]:
    done = mailferry("storage", *arguments, "--config", file)
    return done.exit_code, done.stdout, done.stderr


def test_mailboxes_are_spread(file: Path, tmp_path: Path) -> None:
    mail = tmp_path / "state" / "mail"
    assert (
        storage(file, "rehash")[1] == f"all mail is where storage.maildir says: {mail}/{{domain}}/{{local}}/Maildir\n"
    )
    configured(tmp_path, NEW)
    (found,) = [row for row in checked(file) if row["check"] == "storage"]
    assert (found["result"], found["remedy"]) == ("fail", "mailferry storage rehash carries it there")
    status, told, _ = storage(file, "rehash", "--dry-run")
    assert (status, told.count("2 mailboxes would be carried")) == (0, 1)
    assert not list(mail.glob("??/??"))
    alone = Alone(tmp_path / "state")
    status, told, why = storage(file, "rehash")
    alone.end()
    assert (status, told) == (1, "")
    assert "stop it first, on every node" in why
    status, told, why = storage(file, "rehash", "--json")
    done = json.loads(told)
    assert (status, done["carried"], done["nothing"], done["failed"]) == (0, 2, 1, {})
    assert "the daemon may be started" in why
    shell = "printf %s wang@123.com | sha256sum | sed -E 's,^(..)(..).*,\\1/\\2,'"  # as the README has it
    spread = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout.strip()
    assert (mail / spread / "123.com" / "wang" / "Maildir" / "cur").is_dir()
    assert not (mail / "123.com").exists()
    assert [row for row in checked(file) if row["check"] == "storage"] == []
    audited = [json.loads(line) for line in (tmp_path / "state" / "audit.log").read_text().splitlines()]
    assert audited[0]["did"] == "storage rehash"


def test_many_accounts_in_one_directory(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brief, "CROWDED", 3)
    (found,) = [row for row in checked(file) if row["check"] == "storage"]
    assert (found["result"], found["text"]) == ("warn", "3 accounts of 123.com lie in one directory")
    assert "storage rehash" in found["remedy"]
    configured(tmp_path, NEW)
    storage(file, "rehash")
    assert [row for row in checked(file) if row["check"] == "storage"] == []


@pytest.mark.parametrize("command", [("handoff", "dovecot", "123.com"), ("verify", "123.com")], ids=" ".join)
def test_commands_that_look_for_mailboxes_wait_for_the_disk(file: Path, tmp_path: Path, command: tuple[str]) -> None:
    (tmp_path / "state" / "mail").rename(tmp_path / "elsewhere")
    done = mailferry(*command, "--config", file)
    assert (done.exit_code, "is its disk mounted" in done.stderr) == (1, True), done.stderr


def checked(file: Path) -> list[dict[str, str]]:
    """But for what a container's own disk is said to be, or memory."""
    rows: list[dict[str, str]] = json.loads(mailferry("check", "--json", "--config", file).stdout)["checks"]
    return [row for row in rows if row["subject"] != "type overlay" and not row["text"].startswith("on tmpfs")]


def test_a_tree_that_was_brought_elsewhere_by_hand(file: Path, tmp_path: Path) -> None:
    mail, other = tmp_path / "state" / "mail", tmp_path / "other"
    other.mkdir()
    configured(tmp_path, f"{other}/{{domain}}/{{local}}/Maildir")
    status, _, why = storage(file, "claim")
    assert (status, "li@123.com, wang@123.com: they have mail, and nothing is where" in why) == (1, True)
    (mail / "123.com").rename(other / "123.com")  # without the file at the top
    assert storage(file, "claim")[0] == 0
    assert [row for row in checked(file) if row["check"] == "storage"] == []
    assert storage(file, "rehash")[0] == 0


def test_a_disk_that_is_away_is_no_backup_of_nothing(file: Path, tmp_path: Path) -> None:
    mail = tmp_path / "state" / "mail"
    mail.rename(tmp_path / "elsewhere")
    mail.mkdir()
    done = mailferry("backup", tmp_path / "backups", "--keep", "1", "--config", file)
    assert (done.exit_code, "is its disk mounted" in done.stderr) == (1, True)
    assert not (tmp_path / "backups").exists()
    (found,) = [row for row in checked(file) if row["check"] == "storage"]
    assert (found["result"], "is its disk mounted" in found["text"]) == ("fail", True)
    status, _, why = storage(file, "claim")
    assert (status, "they have mail" in why) == (1, True)
    assert list(mail.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "{state}/x"], "put {local} into it"),
        (["--from", "mail/{local}"], "is not absolute"),
    ],
)
def test_what_cannot_be(file: Path, arguments: list[str], said: str) -> None:
    status, _, why = storage(file, "rehash", *arguments)
    assert (status, said in why) == (2, True), why


def test_without_accounts_there_is_nothing_to_do(tmp_path: Path) -> None:
    file = configured(tmp_path)
    for command in ("rehash", "claim"):
        status, _, why = storage(file, command)
        assert (status, "there are no accounts yet" in why) == (1, True)


# check --storage


def test_a_directory_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    done = mailferry("check", "--storage", tmp_path, "--json")
    told = json.loads(done.stdout)
    assert {row["result"] for row in told["checks"]} <= {"ok", "warn"} or told["storage"]["kind"] == "memory"
    subjects = {row["subject"] for row in told["checks"]}
    assert {"rename", "O_EXCL", "hard link", "fsync", "time of a directory", "names", "SQLite"} <= subjects
    assert {"flock lock against another process", "contents seen by another process"} <= subjects
    figures = told["storage"]
    assert figures["fsync_ms"] > 0 and figures["creates_per_second"] > 0 and figures["renames_per_second"] > 0
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_directory_is_not_tried(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "no"):
        assert mailferry("check", "--storage", place).exit_code == 2
    assert mailferry("check", "--with", "x").exit_code == 2
    assert mailferry("check", "--storage", tmp_path, "--with", "a/b").exit_code == 2
    done = mailferry("check", "--storage", "/proc/self", "--json")
    found = json.loads(done.stdout)["checks"][-1]
    assert (done.exit_code, found["subject"], "take another" in found["remedy"]) == (1, "directory", True)


def test_one_that_does_not_answer_is_named(tmp_path: Path) -> None:
    """And the command ends."""
    answered = threading.Event()

    def halting(tried: Trial) -> None:
        with tried.tried("fsync", "nothing can be kept here"):
            answered.wait()

    tried = try_in(tmp_path, (halting,), limit=0.1)
    answered.set()
    assert [(f.result, f.subject) for f in tried.findings] == [("fail", "fsync")]
    assert "no answer within" in tried.findings[0].text
    assert re.search("remove /.*mailferry-check", tried.findings[0].remedy)


def test_two_nodes_meet(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "proxy.cli.main", "check", "--storage", tmp_path, "--with", "monday", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as other:
        mine = mailferry("check", "--storage", tmp_path, "--with", "monday", "--json")
        theirs, _ = other.communicate(timeout=300)
    for told in (json.loads(mine.stdout), json.loads(theirs)):
        results = {row["subject"]: row["result"] for row in told["checks"]}
        assert results["the other node"] == "warn"  # it is this machine
        for subject in ("contents seen by", "names seen by", "flock lock against", "record lock against"):
            assert results[f"{subject} the other node"] == "ok"
        assert told["storage"]["other_host"] == os.uname().nodename
    assert mine.exit_code == other.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_nobody_comes(tmp_path: Path) -> None:
    told = try_in(tmp_path, (across.try_with(tmp_path, "x", wait=0.1),))
    (found,) = told.findings
    assert (found.result, found.subject) == ("fail", "the other node")
    assert "does not answer" in found.text
    assert list(tmp_path.iterdir()) == []


def test_locks_that_are_none_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side has every lock that it asks for."""
    from proxy.cli.checks.storage import second
    from proxy.cli.checks.storage.onlooker import Onlooker

    class Careless:
        def __init__(self, place: Path) -> None:
            self._onlooker = Onlooker(place)
            self._question: dict[str, object] = {}

        def ask(self, question: dict[str, object]) -> None:
            self._question = question

        def hear(self) -> dict[str, object]:
            does = self._question["do"]
            if does == "lock":
                return {"got": True}
            if does == "race":
                return {"won": list(range(second.RACED))}
            if does == "read":
                return {"text": "first", "inode": 1, "mtime": 0}
            return {} if does == "unlock" else self._onlooker.answer(self._question)

    monkeypatch.setattr(second, "BEGIN_SECONDS", 0.0)
    tried = trial.Trial(tmp_path)
    second.held_together(tried, tmp_path, Careless(tmp_path), "it")
    assert {f.subject for f in tried.findings if f.result == "fail"} == {
        *("contents seen by it", "inode seen by it", "flock lock against it", "record lock against it"),
        "O_EXCL against it",
    }
    assert all(f.remedy for f in tried.findings if f.result == "fail")


def test_what_the_other_node_says_may_be_seen_before_it_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As upon a mount that caches."""
    talk = across.Talk(tmp_path, "a", "b", wait=60)
    (tmp_path / "b-0").write_bytes(b"")
    parts = [b'{"do": ', b'{"do": "end"}']
    monkeypatch.setattr(across.time, "sleep", lambda _seconds: (tmp_path / "b-0").write_bytes(parts.pop(0)))
    assert talk.hear() == {"do": "end"}
    assert not parts
