"""`mailferry doctor`: what is in the archive, what never is, and that nothing keeps it from being made."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mailstore.accounts import Account, Accounts
from mailstore.administrators import Administrators
from mailstore.database import AccountsDatabase
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.secrets import Sealer, load_key
from proxy.admin.acts import Act
from proxy.admin.doctor import databases, log
from proxy.cli import checks
from proxy.cli.main import main
from tests.legacy.certificates import Authority
from tests.proxy.cli.command import mailferry

SECRETS = {
    "password": "zxq-Password-1",
    "content": "zxq content 2",
    "subject": "zxq subject 3",
    "local": "zxqlocal4",
    "name": "Zxq Name 5",
    "department": "zxqdept6",
    "administrator": "zxqadmin7",
    "typed": "zxqtyped8",
    "alias": "zxqalias9",
    "legacy login": "zxqlogin10",
    "contact": "zxq contact 11, telephone 8001",
    "relay user": "zxqrelay12",
    "unknown": "zxqunknown13",
    "comment": "zxqcomment14",
    "words": "zxqwords15",
    "sender": "zxqsender16",
    "peer": "203.0.113.217",
    "outside": "zxqoutside18",
}
LOCAL, SECRET = SECRETS["local"], SECRETS["password"]


def written(root: Path, more: str = "") -> Path:
    """A configuration with whatever a company would not tell."""
    certificate, key = Authority().issue("mail.123.com").write(root, "mail")
    (root / "relay.password").write_text(SECRET)
    file = root / "mailferry.toml"
    file.write_text(
        f'# {SECRETS["comment"]}\nhostname = "mail.123.com"\nstate = "{root}/state"\n{more}\n'
        f'[listen]\nimap = ["tcp:10143:interface=127.0.0.1"]\n[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
        f'[notices]\nsender = "{SECRETS["sender"]} <{SECRETS["sender"]}@123.com>"\nuser = "{SECRETS["relay user"]}"\n'
        f'tls = "implicit"\npassword_file = "{root}/relay.password"\n'
        f'[domain."123.com"]\ncontact = "{SECRETS["contact"]}"\n'
        '[domain."123.com".legacy]\nhost = "127.0.0.1"\n'
    )
    return file


def filled(config: Path) -> None:
    """Somebody with all that there is to know, and a mailbox of two messages, one of whose files has gone."""
    state = config.parent / "state"
    more = ("--name", SECRETS["name"], "--department", SECRETS["department"], "--legacy-login", SECRETS["legacy login"])
    made = mailferry("accounts", "add", f"{LOCAL}@123.com", *more, "--alias", SECRETS["alias"], "--config", config)
    assert made.exit_code == 0, made.output
    database = AccountsDatabase(state / "accounts.db")
    accounts = Accounts(database)
    sealed = Sealer(load_key(state / "sealing.key")).seal(f"{LOCAL}@123.com", SECRET.encode())
    account = accounts.admit(LOCAL, "123.com", sealed, f"$argon2id${SECRET}")
    words = f'"{SECRETS["words"]}" said to "{LOCAL}": {SECRET}, ask {SECRETS["outside"]}@{SECRETS["outside"]}.com'
    accounts.interrupted(account.id, f"the legacy server refused the login: {words}; try again", 60)
    Administrators(database).add(SECRETS["administrator"], f"hash of {SECRET}")
    database.close()
    _mailbox(state, account)
    Act(state, "pause", {"names": [f"{LOCAL}@123.com"], "name": SECRETS["administrator"], "file": SECRETS["unknown"]})


def _mailbox(state: Path, account: Account) -> None:
    maildir = state / "mail" / "123.com" / LOCAL / "Maildir"
    maildir.parent.mkdir(parents=True)
    home = MailHome(MailboxEngine(), account.id, maildir)
    letter = f"Subject: {SECRETS['subject']}\r\nFrom: {SECRETS['outside']}@example.com\r\n\r\n{SECRETS['content']}\r\n"
    for _ in range(2):
        home.append("INBOX", io.BytesIO(letter.encode()), (), 1_700_000_000)
    home.close()
    next(each for sub in ("new", "cur") for each in (maildir / sub).iterdir()).unlink()


def logged(file: Path) -> None:
    """The daemon's lines, and what else may come into the same file."""
    lines: list[Any] = [
        {
            "event": "login refused",
            "audit": True,
            "peer": SECRETS["peer"],
            "account": f"{LOCAL}@123.com",
            "why": "wrong",
        },
        {
            "event": "pop3 login refused",
            "user": SECRETS["typed"],
            "reason": f'refused "{SECRETS["words"]}"',
            "begun": False,
        },
        {"event": "imap store error", "level": "error", "reason": "the disk refused: No space left on device"},
        {"event": "administrator", "by": SECRETS["administrator"], "did": "retry", "filter": {"text": SECRETS["name"]}},
        {"event": "move interrupted", "reason": f"at {file.parent}/state/mail/123.com/{LOCAL}/Maildir; it broke off"},
        {"event": "something new", "invented": SECRETS["unknown"], "messages": 17},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    file.write_text(f"{text}Traceback: {SECRET}\n[1, 2]\n\n")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def doctor(config: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["doctor", "--config", str(config), *map(str, arguments)])


def unpacked(octets: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(octets)) as archive:
        files = {entry.name.partition("/")[2]: archive.extractfile(entry) for entry in archive}
        return {name: file.read().decode() for name, file in files.items() if file is not None}


def seen(texts: Sequence[str]) -> list[str]:
    """What of the secrets is in them, in whatever case."""
    whole = "\n".join(texts).lower()
    return [what for what, text in SECRETS.items() if text.lower() in whole]


def test_nothing_that_is_nobody_s_business_is_in_it(root: Path) -> None:
    config = written(root)
    filled(config)
    logged(root / "log")
    ran = doctor(config, "--to", root / "out.tar.gz", "--log", root / "log")
    assert ran.exit_code == 0, ran.output
    files = unpacked((root / "out.tar.gz").read_bytes())
    assert set(files) == {"summary.txt", "facts.json", "log.jsonl", "audit.jsonl"}
    assert seen([ran.output, *files.values()]) == []
    printed = doctor(config, "--json", "--log", root / "log").output
    assert seen([printed]) == []
    assert (root / "out.tar.gz").stat().st_mode & 0o777 == 0o600
    facts = json.loads(files["facts.json"])
    assert facts["store"]["integrity"] == "ok"
    assert facts["store"]["accounts"] == {"123.com": {"moving": 1}}
    assert facts["store"]["reasons"] == {"the legacy server refused the login: …": 1}
    assert facts["configuration"]["domain"]["123.com"]["legacy"] == {"host": "127.0.0.1"}
    assert facts["certificate"][0]["names"] == ["mail.123.com"]
    (mailbox,) = facts["mailboxes"]
    assert (mailbox["in the index"], mailbox["files"]) == (2, 1)
    assert f"{mailbox['account']} has fewer files (1) than its index has messages (2)" in files["summary.txt"]
    lines = [json.loads(line) for line in files["log.jsonl"].splitlines()]
    assert lines[0]["account"] == mailbox["account"]
    assert lines[2]["reason"] == "the disk refused: No space left on device"
    assert lines[5] == {"event": "something new", "invented": "…", "messages": 17}
    assert lines[6] == {"lines that are no JSON": 2}
    who = doctor(config, "--who", mailbox["account"])
    assert who.output == f"{LOCAL}@123.com\n"


def test_with_names_they_are_there_and_passwords_are_not(root: Path) -> None:
    config = written(root)
    filled(config)
    found = seen([doctor(config, "--json", "--names").output])
    assert {"local", "administrator"} <= set(found)
    assert not set(found) & {"content", "subject", "comment"}


def test_a_configuration_that_is_wrong_is_told_and_the_rest_gathered(root: Path) -> None:
    secret = SECRETS["unknown"]
    config = written(root, f'database_password = "{secret}"\nworkers = "a"b"{secret}"')
    broken = json.loads(doctor(config, "--json").output)
    assert broken["mistakes"][0]["text"].startswith("line ")
    assert "versions" in broken and "hostname" in broken["configuration"]["keys that are in it"]
    config = written(root, f'database_password = "{secret}"\nresolvers = ["{secret}\\"{secret}"]')
    ran = doctor(config, "--json")
    wrong = json.loads(ran.output)
    assert seen([ran.output]) == []
    assert wrong["configuration"]["resolvers"] == "…"
    assert wrong["configuration"]["keys that are not known"] == 1
    assert {each["key"] for each in wrong["mistakes"]} >= {"…"}
    assert doctor(root / "nowhere.toml", "--json").exit_code == 0


def test_a_damaged_a_locked_and_a_missing_database(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "all_findings", lambda *_: [])  # which waits longer for a lock
    config = written(root)
    (root / "state").mkdir()
    nothing = json.loads(doctor(config, "--json").output)
    assert nothing["store"] == {"could not be looked at": "No such file or directory"}
    filled(config)
    monkeypatch.setattr(databases, "WAIT", 0.05)
    with closing(sqlite3.connect(root / "state" / "accounts.db", isolation_level=None)) as locking:
        locking.execute("PRAGMA locking_mode=EXCLUSIVE")
        locking.execute("BEGIN EXCLUSIVE")
        locked = json.loads(doctor(config, "--json").output)
    assert locked["store"] == {"could not be looked at": "database is locked"}
    assert locked["disks"]
    (root / "state" / "accounts.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    damaged = json.loads(doctor(config, "--json").output)
    assert "could not be looked at" in damaged["store"]
    assert any(line.startswith("store could not be looked at") for line in damaged["findings"])


def test_where_it_goes(root: Path) -> None:
    config = written(root)
    target = root / "out.tar.gz"
    target.write_bytes(b"somebody's")
    ran = doctor(config, "--to", target)
    assert (ran.exit_code, target.read_bytes()) == (1, b"somebody's")
    assert "File exists; --to names another file" in ran.stderr
    ran = doctor(config, "--to", "-")
    assert set(unpacked(ran.stdout_bytes)) == {"summary.txt", "facts.json", "log.jsonl", "audit.jsonl"}
    assert "findings:" in ran.stderr
    assert doctor(config).exit_code == 0
    (made,) = Path().iterdir()
    assert made.name.startswith("mailferry-doctor-")
    assert doctor(config, "--who", "user-0123456789").exit_code == 1


def test_what_has_not_begun_and_what_has_gone(root: Path) -> None:
    config = written(root)
    database = AccountsDatabase(root / "state" / "accounts.db")
    accounts = Accounts(database)
    accounts.admit("new", "123.com", b"sealed")
    gone = accounts.admit("gone", "123.com", b"sealed")
    accounts.moved(gone.id)
    database.close()
    facts = json.loads(doctor(config, "--json").output)
    told = [line for line in facts["findings"] if "user-" in line]
    assert len(told) == 1
    assert told[0].endswith("cannot be read: No such file or directory")


def test_the_log_is_systemd_s_where_there_is_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = written(root)
    journalctl = root / "journalctl"
    journalctl.write_text(f'#!/bin/sh\necho \'{{"event": "asked", "reason": "\'"$*"\'"}}\'\necho {SECRET}\n')
    journalctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(root))
    monkeypatch.setattr(log, "BOOTED", root)
    told = json.loads(doctor(config, "--json").output)["log"]
    assert told == [
        {"event": "asked", "reason": f"--unit mailferry --output cat --lines {log.LINES} --no-pager --quiet"},
        {"lines that are no JSON": 1},
    ]
    journalctl.write_text("#!/bin/sh\nexit 1\n")
    assert json.loads(doctor(config, "--json").output)["log"] == {"could not be looked at": "CalledProcessError"}
