"""`mailferry handoff dovecot` in this process: who is taken and who is not, what is written for Dovecot, and the way
back from wherever it stands."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from mailstore import schema
from mailstore.accounts import Account, Accounts, State
from mailstore.custody import Note, Step, note_path, read_note, write_note
from mailstore.database import AccountsDatabase
from mailstore.finishing import Finish, Finishing
from mailstore.handover import After
from mailstore.mailbox_copy import bring_back, copy_mailbox
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.mooring import Mooring
from mailstore.secrets import hash_password
from proxy.admin.handing import after
from proxy.admin.remedies import remedy_line
from proxy.config import Config, load
from tests.mailstore.store_rig import append
from tests.proxy.cli.command import configuration, mailferry


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """li is final, wang is moved, chen has never come."""
    file = configuration(tmp_path, more='[domain."123.com"]\nquota = "1G"\n')
    config = load(file)
    database = AccountsDatabase(config.accounts_file)
    accounts = Accounts(database)
    for name in ("li", "wang", "chen"):
        account = accounts.add(name, "123.com")
        if name != "chen":
            accounts.admit(name, "123.com", b"sealed", hash_password(b"pass"))
            accounts.moved(account.id)
            home = MailHome(MailboxEngine(), account.id, config.maildir_for(name, "123.com"))
            append(home, b"Subject: x\r\n\r\n", flags=["kw"])
            home.create("Projekte", ["\\Archive"])
            home.close()
    finish(accounts, database, "li")
    database.close()
    return config


def finish(accounts: Accounts, database: AccountsDatabase, name: str) -> None:
    account = accounts.find(name, "123.com")
    assert account is not None
    assert Finishing(database).finish([Finish(account, "as it was", account.password_hash)]) == []


def account_of(config: Config, name: str) -> Account:
    database = AccountsDatabase(config.accounts_file)
    found = Accounts(database).find(name, "123.com")
    database.close()
    assert found is not None
    return found


def handoff(config: Config, *words: str) -> tuple[int, str]:
    file = config.state.parent / "mailferry.toml"
    ran = mailferry("handoff", "dovecot", *words, "--config", file)
    return ran.exit_code, ran.output


def files(config: Config) -> dict[str, bytes]:
    root = config.maildir_for("li", "123.com")
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_who_is_taken(config: Config) -> None:
    before = files(config)
    status, out = handoff(config, "123.com", "--dry-run")
    assert status == 1
    assert "li@123.com  would be handed over: 2 folders, 1 messages" in out
    assert "wang@123.com  it is not final" in out
    assert "chen@123.com  its old mailbox is not all here" in out
    assert "2 of 3 accounts would not be handed over" in out
    assert files(config) == before and not (config.state / "dovecot").exists()

    status, out = handoff(config, "123.com", "--all", "--json")
    found = {one["account"]: one for one in json.loads(out[: out.rindex("}") + 1])["accounts"]}
    assert status == 1 and [one["done"] for one in found.values()] == [False, True, True]
    assert account_of(config, "li").state is State.BLOCKED
    users = (config.state / "dovecot" / "users").read_text().splitlines()
    assert [line.partition(":")[0] for line in users[1:]] == ["li@123.com", "wang@123.com"]
    assert all("{ARGON2ID}$argon2id$" in line for line in users[1:])
    assert users[1].endswith(
        f"::{config.maildir_for('li', '123.com').parent}::userdb_quota_rule=*:bytes=1073741824"
        " userdb_quota_storage_size=1073741824B"
    )
    uses = (config.state / "dovecot" / "special-use.conf").read_text()
    assert 'mailbox "Projekte" {\n    special_use = \\Archive' in uses

    status, out = handoff(config, "li@123.com")
    assert status == 0 and "handed over already" in out
    status, out = handoff(config, "--undo")
    assert status == 0 and out.count("as it was") == 2
    assert [account_of(config, name).state for name in ("li", "wang")] == [State.FINAL, State.MOVED]
    assert account_of(config, "li").reason == "as it was"
    assert (config.state / "dovecot" / "users").read_text().count("\n") == 1
    assert "run mailbox" not in (config.state / "dovecot" / "after.sh").read_text()


def test_nothing_else_lets_it_go_on(config: Config) -> None:
    assert handoff(config, "wang@123.com", "--all")[0] == 0
    for words in (["retry", "wang@123.com"], ["migrate", "wang@123.com", "--force"]):
        ran = mailferry(*words, "--config", config.state.parent / "mailferry.toml")
        assert (ran.exit_code, "handed over to Dovecot" in ran.output) == (1, True), ran.output
        assert "`mailferry retry`" not in ran.output
    assert account_of(config, "wang").state is State.BLOCKED
    assert "mailferry retry" not in remedy_line(account_of(config, "wang"))


def test_users_are_those_of_the_mailboxes_that_dovecot_has(config: Config) -> None:
    """Whatever has become of an account here since."""
    assert handoff(config, "wang@123.com", "--all")[0] == 0
    database = AccountsDatabase(config.accounts_file)
    finish(Accounts(database), database, "wang")
    database.close()
    assert handoff(config, "li@123.com")[0] == 0
    users = (config.state / "dovecot" / "users").read_text().splitlines()
    assert [line.partition(":")[0] for line in users[1:]] == ["li@123.com", "wang@123.com"]
    assert handoff(config, "wang@123.com", "--undo")[0] == 0
    assert account_of(config, "wang").state is State.MOVED  # as it was when it went


def test_somebody_is_in(config: Config) -> None:
    account = account_of(config, "li")
    maildir = config.maildir_for("li", "123.com")
    home = MailHome(MailboxEngine(), account.id, maildir)
    status, out = handoff(config, "li@123.com", "--wait", "0")
    assert (status, "has a session" in out, "it is as it was" in out) == (1, True, True)
    assert account_of(config, "li") == account
    assert read_note(maildir) is None
    home.close()
    assert handoff(config, "li@123.com", "--wait", "0")[0] == 0


def test_who_never_had_mail(config: Config) -> None:
    maildir = config.maildir_for("chen", "123.com")
    database = AccountsDatabase(config.accounts_file)
    finish(Accounts(database), database, "chen")
    database.close()
    assert handoff(config, "chen@123.com", "--dry-run")[0] == 0
    assert not maildir.exists()
    assert handoff(config, "chen@123.com")[0] == 0
    assert (maildir / "dovecot-uidlist").exists()
    assert handoff(config, "chen@123.com", "--undo")[0] == 0


def test_the_disk_with_the_mail_is_away(config: Config, tmp_path: Path) -> None:
    """Nobody knows then whose a mailbox is: nothing is changed, at Dovecot neither."""
    assert handoff(config, "li@123.com")[0] == 0
    Mooring(config.state, config.maildir_root, config.maildir_layout, lambda: True).hold()
    users = (config.state / "dovecot" / "users").read_bytes()
    config.maildir_root.rename(tmp_path / "away")
    config.maildir_root.mkdir()
    (tmp_path / "old" / "cur").mkdir(parents=True)
    for words in (
        ["handoff", "dovecot", "--undo"],
        ["handoff", "dovecot", "123.com", "--all"],
        ["adopt", str(tmp_path / "old"), "--account", "zhao@123.com"],
        ["restore-legacy", "wang@123.com", "--dry-run"],
    ):
        ran = mailferry(*words, "--config", config.state.parent / "mailferry.toml")
        assert (ran.exit_code, "is its disk mounted" in ran.output) == (1, True), (words, ran.output)
    assert list(config.maildir_root.iterdir()) == []
    assert (config.state / "dovecot" / "users").read_bytes() == users


def test_a_mailbox_that_is_gone(config: Config) -> None:
    database = AccountsDatabase(config.accounts_file)
    with database.write() as connection:
        connection.execute(update(schema.accounts).values(messages_done=1))
    database.close()
    place = config.maildir_for("li", "123.com").parent
    shutil.rmtree(place)
    for words in ([], ["--dry-run"]):
        status, out = handoff(config, "li@123.com", *words)
        assert (status, "the mailbox is not there any more" in out) == (1, True), out
    assert not place.exists() and account_of(config, "li").state is State.FINAL


def test_interrupted_and_taken_back(config: Config) -> None:
    """It stood where nobody had been locked out yet: Dovecot has never had it, whatever lies there from before."""
    maildir = config.maildir_for("li", "123.com")
    assert handoff(config, "li@123.com")[0] == 0
    assert handoff(config, "li@123.com", "--undo")[0] == 0
    account = account_of(config, "li")
    home = MailHome(MailboxEngine(), account.id, maildir)
    append(home, b"Subject: since\r\n\r\n")
    home.subscribe("INBOX")
    home.close()
    note = note_path(maildir)
    assert not note.exists()
    write_note(maildir, Note(Step.GOING, 1, "final", "as it was"))
    status, out = handoff(config, "li@123.com", "--undo")
    assert (status, "as it was" in out) == (0, True)
    home = MailHome(MailboxEngine(), account.id, maildir)
    assert home.status("INBOX").messages == 2 and home.subscriptions() == ["INBOX"]
    home.close()


def test_names_beside_the_account(config: Config) -> None:
    database = AccountsDatabase(config.accounts_file)
    account = Accounts(database).find("li", "123.com")
    assert account is not None
    with database.write() as connection:
        connection.execute(insert(schema.aliases), {"domain": "123.com", "local": "alias", "account_id": account.id})
        connection.execute(update(schema.accounts).values(legacy_login="old.li", password_hash=None))
    database.close()
    assert handoff(config, "li@123.com")[0] == 0
    users = (config.state / "dovecot" / "users").read_text().splitlines()[1:]
    assert users[0].startswith("li@123.com:{CRYPT}!:")
    assert users[1:] == [f"{name}@123.com:{{CRYPT}}!::::::user=li@123.com" for name in ("alias", "old.li")]


def test_a_backup_says_whose_it_is(config: Config, tmp_path: Path) -> None:
    assert handoff(config, "li@123.com")[0] == 0
    maildir = config.maildir_for("li", "123.com")
    (tmp_path / "backup").mkdir()
    copy_mailbox(maildir, tmp_path / "backup" / "Maildir", None)
    (tmp_path / "again").mkdir()
    bring_back(tmp_path / "backup" / "Maildir", tmp_path / "again" / "Maildir")
    assert read_note(tmp_path / "again" / "Maildir") == read_note(maildir)


def test_lines_for_doveadm_are_for_a_shell(tmp_path: Path) -> None:
    folders = [After("it's $HOME/x", 5, 7, 3, "", {"kw": list(range(1, 502))}, {"/private/comment": b"a; b"})]
    text = after.script(after.lines("li@123.com", folders))
    assert after.lines_in(text).keys() == {"li@123.com"}
    script = tmp_path / "after.sh"
    script.write_text(text)
    script.chmod(0o700)
    said = tmp_path / "said"
    doveadm = tmp_path / "doveadm"
    doveadm.write_text(f'#!/bin/sh\nprintf "%s|" "$@" >>{said}\necho >>{said}\n')
    doveadm.chmod(0o700)
    ran = subprocess.run([shutil.which("sh") or "sh", script], env={"DOVEADM": str(doveadm)}, check=False)
    assert ran.returncode == 0
    lines = said.read_text().splitlines()
    assert lines[0] == "mailbox|status|-u|li@123.com|messages|*|"
    assert lines[1].startswith("mailbox|update|-u|li@123.com|--min-next-uid|5|--min-first-recent-uid|3|")
    assert lines[1].endswith("|it's $HOME/x|")
    assert [line.count(",") for line in lines[2:4]] == [499, 0]
    assert lines[4].endswith("|it's $HOME/x|/private/comment|a; b|")
