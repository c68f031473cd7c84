"""Maildirs of another server are adopted: from trees, in place, with what is broken, and after a crash at any step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailstore.accounts import Account, Accounts, State
from mailstore.custody import Custody, Note, Step, note_path, write_note
from mailstore.database import AccountsDatabase
from mailstore.inheritance.tree import Manner
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.secrets import verify_password
from proxy.admin.adopting import Adopted, Adopting, in_tree, read_passwords
from proxy.config import Config, load
from proxy.login.names import Name
from tests.mailstore.killing import every_crash
from tests.mailstore.store_rig import rows
from tests.proxy.cli.command import configuration, mailferry

LI = Name("li", "123.com")


def old_maildir(root: Path) -> Path:
    """As Dovecot leaves it."""
    for directory in ("", ".Sent", ".&ZYdO9g-"):
        for sub in ("cur", "new", "tmp"):
            (root / directory / sub).mkdir(parents=True)
        (root / directory / "dovecot-keywords").write_text("0 one\n1 two\n")
    messages = {
        "": ["1700000000.a.h,S=14:2,Sb", "1700000001.b.h,S=99:2,", "1700000002.c.h:2,F"],
        ".Sent": ["1700000003.d.h:2,Sa"],
        ".&ZYdO9g-": ["1700000004.e.h:2,"],
    }
    for directory, names in messages.items():
        for name in names:
            path = root / directory / "cur" / name
            path.write_bytes(b"Subject: x\n\nb\n" if name[11] != "b" else b"Subject: b\r\n\r\n")
            os.utime(path, (1_600_000_000, 1_600_000_000))
    (root / "dovecot-uidlist").write_text("3 V1234 N50 G1\n7 Plegacy :1700000000.a.h,S=14\n9 :1700000001.b.h,S=99\n")
    (root / ".Sent" / "dovecot-uidlist").write_text("3 V1235 N4 G1\n3 :1700000003.d.h\n")
    (root / ".&ZYdO9g-" / "dovecot-uidlist").write_text("3 V1236 N3 G1\n2 :1700000004.e.h\n")
    (root / "subscriptions").write_text("V\t2\n\n&ZYdO9g-\n")
    return root


def adopt(path: Path, *, in_place: bool = False) -> Adopted:
    config = load(path / "mailferry.toml")
    database = AccountsDatabase(config.accounts_file)
    adopting = Adopting(
        config,
        Accounts(database),
        Custody(database),
        MailboxEngine(),
        manner=Manner(),
        in_place=in_place,
        passwords={str(LI): "$argon2id$x"},
    )
    try:
        return adopting.adopt(path / "old", LI)
    finally:
        database.close()


def place(directory: Path) -> Path:
    """A state without accounts, and an old Maildir beside it."""
    directory.mkdir(parents=True)
    configuration(directory)
    text = (directory / "mailferry.toml").read_text().replace(f"{directory}/state", "{here}/state")
    (directory / "mailferry.toml").write_text(text)
    (directory / "state").mkdir()
    AccountsDatabase(directory / "state" / "accounts.db").close()
    old_maildir(directory / "old")
    return directory


def here(path: Path) -> Path:
    """A copy knows where it is."""
    file = path / "mailferry.toml"
    file.write_text(file.read_text().replace("{here}", str(path)))
    return path


def check(path: Path) -> None:
    config: Config = load(path / "mailferry.toml")
    database = AccountsDatabase(config.accounts_file)
    account = Accounts(database).find("li", "123.com")
    database.close()
    assert account is not None
    assert (account.state, account.password_hash, account.messages_total) == (State.FINAL, "$argon2id$x", 5)
    home = MailHome(MailboxEngine(), account.id, config.maildir_for("li", "123.com"))
    try:
        status = home.status("INBOX")
        assert (status.uidvalidity, status.uidnext) == (1234, 51)
        first, second, third = rows(home)
        assert (first.uid, first.uidl, sorted(first.flags)) == (7, "legacy", ["\\Seen", "two"])
        assert (second.uid, second.uidl, second.internal_date) == (9, "00000009000004d2", 1_600_000_000)
        assert ",S=14,W=14" in second.file  # another size stood in its name
        assert (third.uid, third.flags) == (50, {"\\Flagged"})  # no list had it
        (sent,) = rows(home, "Sent")
        assert (sent.uid, sorted(sent.flags), home.status("Sent").uidvalidity) == (3, ["\\Seen", "one"], 1235)
        assert [row.uid for row in rows(home, "文件")] == [2]
        assert home.subscriptions() == ["文件"]
        for row in (second, third):
            names = [p.name for p in (home.maildir.root / "cur").iterdir() if p.name.startswith(row.file)]
            assert len(names) == 1
        assert home.create("later").uidvalidity > 1236
    finally:
        home.close()
    assert not note_path(config.maildir_for("li", "123.com")).exists()


@pytest.mark.parametrize("in_place", [False, True])
def test_a_crash_at_any_step(tmp_path: Path, in_place: bool) -> None:
    template = place(tmp_path / "template")

    def operation(path: Path) -> None:
        assert adopt(here(path), in_place=in_place).why == ""

    for path in every_crash(template, operation, stride=4 if in_place else 5):
        found = adopt(here(path), in_place=in_place)
        if found.why:  # the last: it had come to its end
            assert "adopt into a new one" in found.why
        check(path)
    check_source(template)


def test_its_user_comes_at_this_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = here(place(tmp_path / "there"))
    block = Custody.block

    def too_late(custody: Custody, account: Account, reason: str) -> bool:
        database = AccountsDatabase(path / "state" / "accounts.db")
        Accounts(database).admit("li", "123.com", b"sealed", "$argon2id$y")
        database.close()
        return block(custody, account, reason)

    monkeypatch.setattr(Custody, "block", too_late)
    maildir = load(path / "mailferry.toml").maildir_for("li", "123.com")
    assert "its user has come" in adopt(path).why
    assert not note_path(maildir).exists()


def test_interrupted_and_its_user_has_come(tmp_path: Path) -> None:
    path = here(place(tmp_path / "there"))
    maildir = load(path / "mailferry.toml").maildir_for("li", "123.com")
    database = AccountsDatabase(path / "state" / "accounts.db")
    account = Accounts(database).admit("li", "123.com", b"sealed", "$argon2id$y")
    Accounts(database).moved(account.id)
    maildir.mkdir(parents=True)
    write_note(maildir, Note(Step.ADOPTING, 1, "waiting", ""))
    assert "its user has come meanwhile, and the account is moved" in adopt(path).why
    assert not note_path(maildir).exists()
    assert Accounts(database).get(account.id).state is State.MOVED
    database.close()


def check_source(path: Path) -> None:
    assert (path / "old" / "dovecot-uidlist").exists()
    assert sum(1 for p in (path / "old").rglob("*:2,*")) == 5


def test_a_tree_from_the_command_line(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    for name in ("123.com/li", "123.com/wang", "else.where/zhao"):
        old_maildir(tmp_path / "vmail" / name / "Maildir")
    (tmp_path / "vmail" / "123.com" / "chen" / "Maildir").mkdir(parents=True)
    users = tmp_path / "users"
    users.write_text("li@123.com:{PLAIN}secret words\nwang@123.com:$6$abc$def:::\n# x\n\nnobody\n")
    words = ("adopt", tmp_path / "vmail", "--tree", "{domain}/{local}/Maildir", "--passwords", users, "--config", file)
    ran = mailferry(*words, "--dry-run")
    assert ran.exit_code == 1
    assert "li@123.com  to be adopted: 3 folders, 5 messages, 1 with new UIDs" in ran.output
    assert not (tmp_path / "state" / "mail").exists()
    ran = mailferry(*words)
    assert ran.exit_code == 1
    assert "li@123.com  adopted: 3 folders, 5 messages" in ran.output
    assert "its password is kept as SHA512-CRYPT, which is of no use here" in ran.output
    assert "is no Maildir: there is neither cur nor new in it" in ran.output
    assert "zhao/Maildir  left: its domain is not served here" in ran.output
    assert "2 of 4 Maildirs were not adopted" in ran.output
    database = AccountsDatabase(tmp_path / "state" / "accounts.db")
    li = Accounts(database).find("li", "123.com")
    database.close()
    assert li is not None and li.password_hash is not None and verify_password(li.password_hash, b"secret words")


def test_names_of_schemes(tmp_path: Path) -> None:
    config = load(configuration(tmp_path))
    (tmp_path / "users").write_text("a@123.com:{ARGON2ID}$argon2id$v=19$x:1:1\nb@123.com:{BLF-CRYPT}$2y$x\n")
    found = read_passwords(tmp_path / "users", config)
    assert found.hashes == {"a@123.com": "$argon2id$v=19$x"}
    assert found.unusable == {"b@123.com": "BLF-CRYPT"}
    assert list(in_tree(tmp_path, "{local}", config, "123.com")) == []
