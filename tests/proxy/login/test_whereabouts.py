"""A disk that is gone is no empty mailbox."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome, opened
from mailstore.mooring import Mooring
from proxy.login.whereabouts import Whereabouts


def test_mail_that_was_carried_over_has_to_be_somewhere(database: AccountsDatabase, tmp_path: Path) -> None:
    accounts = Accounts(database)
    (tmp_path / "state").mkdir()
    expect = Whereabouts(accounts.find, Mooring(tmp_path / "state", tmp_path, "{local}/Maildir", lambda: False))
    maildir = tmp_path / "user" / "Maildir"
    expect("user@123.com", maildir)  # not known yet
    account = accounts.add("user", "123.com")
    expect(account.name, maildir)  # nothing has been carried over
    accounts._change(account.id, messages_done=3)
    with pytest.raises(StorageFailed, match="not there any more"):
        expect(account.name, maildir)
    maildir.mkdir(parents=True)
    expect(account.name, maildir)
    maildir.rmdir()
    maildir.with_name("Maildir.db").touch()
    expect(account.name, maildir)


def test_an_open_mailbox_whose_disk_has_gone_takes_no_mail(tmp_path: Path) -> None:
    maildir = tmp_path / "disk" / "user" / "Maildir"
    with opened(MailboxEngine(), 1, maildir) as home:
        assert isinstance(home, MailHome)
        (tmp_path / "disk").rename(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="No such file"):
            home._maildir.make()
        assert not (tmp_path / "disk").exists()
        (tmp_path / "elsewhere").rename(tmp_path / "disk")
        shutil.rmtree(maildir / "tmp")
        home._maildir.make()
        assert (maildir / "tmp").is_dir()
