"""What is written for Dovecot beside the Maildirs: the file of users, after.sh, and the configuration that fits.

    DIR/users             of all accounts that are handed over, not only of this time
    DIR/after.sh          to be run once
    DIR/dovecot-2.3.conf, DIR/dovecot-2.4.conf
    DIR/special-use.conf  included by these: folders that their users have given a use

Each is replaced whole. Who is handed over is known by the notes beside the Maildirs (`mailstore.custody`), so the file
of users can be written again at any time.
"""

from __future__ import annotations

import grp
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import proxy
from mailstore.accounts import Account, Accounts
from mailstore.custody import Step, read_note
from mailstore.handover import After
from mailstore.people import People
from proxy.admin.handing import after, users
from proxy.admin.handing.users import User
from proxy.config import Config
from proxy.login.furnishing import NAMES

USERS: Final = "users"
AFTER: Final = "after.sh"
USES: Final = "special-use.conf"  # which these include
CONFIGURATIONS: Final = ("dovecot-2.3.conf", "dovecot-2.4.conf")

_USERS_THERE: Final = "/etc/dovecot/mailferry/users"  # in the configurations that are shipped
_USES_THERE: Final = "/etc/dovecot/mailferry/special-use.conf"
_MAIL_THERE: Final = "~/Maildir"
_HOME_THERE: Final = ("%h/Maildir/", "%{home}/Maildir/")
_USED: Final = re.compile(r'  mailbox "(.*)" \{\n    special_use = (\S+)\n')
_UID_THERE: Final = "first_valid_uid = 100"


def shipped() -> Path:
    """Where the configurations are that mailferry brings: in a checkout conf/dovecot, otherwise beside this module."""
    checkout = Path(proxy.__file__).parents[1] / "conf" / "dovecot"
    return checkout if checkout.is_dir() else Path(__file__).parent / "templates"


class Filed:
    """In one directory. Raises OSError, MailstoreError."""

    def __init__(self, directory: Path, config: Config, accounts: Accounts, people: People) -> None:
        self._directory = directory
        self._config = config
        self._accounts = accounts
        self._people = people

    def make(self) -> None:
        """Before anything is handed over: a directory that cannot be written is known by then."""
        self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        probe = self._directory / ".mailferry"
        probe.write_bytes(b"")
        probe.unlink()

    def write_users(self) -> int:
        """Gives back how many accounts it has."""
        found = [account for domain in self._config.domains for account in self._gone(domain)]
        text = users.text(self._config, map(self._user, found))
        self._put(USERS, text, 0o640, group="dovecot")
        return len(found)

    def _gone(self, domain: str) -> Iterator[Account]:
        for account in self._accounts.list(domain):
            # whatever its state says: it may have been made final, or let go on, since
            note = read_note(self._config.maildir_for(account.local, account.domain))
            if note is not None and note.step is Step.GONE:
                yield account

    def _user(self, account: Account) -> User:
        others = list(self._people.aliases(account.id))
        login = account.legacy_login
        if login:
            local, _, domain = login.partition("@")
            domain = domain or account.domain
            if self._accounts.known_as(local, domain) is None:
                others.append(f"{local}@{domain}")
        return User(account, others)

    def without_after(self, names: Iterable[str]) -> set[str]:
        """Those accounts that after.sh has nothing of."""
        return set(names) - self._lines().keys()

    def write_after(self, new: Mapping[str, list[After]], gone: Iterable[str] = ()) -> None:
        """What was there of other accounts stays, but for those that are no longer handed over."""
        lines = self._lines()
        for name in gone:
            lines.pop(name, None)
        lines |= {name: list(after.lines(name, folders)) for name, folders in new.items()}
        self._put(AFTER, after.script(line for name in sorted(lines) for line in lines[name]), 0o700)

    def _lines(self) -> dict[str, list[str]]:
        try:
            return after.lines_in((self._directory / AFTER).read_text("utf-8", "surrogateescape"))
        except FileNotFoundError:
            return {}

    def write_uses(self, new: Iterable[After]) -> list[str]:
        """Folders whose names alone do not say what they are for; gives back those that the file cannot name. To
        Dovecot they are for that with every user who has one of that name."""
        usual = {(use, name) for names in NAMES.values() for use, name in names.items()}
        try:
            known = set(_USED.findall((self._directory / USES).read_text("utf-8")))
        except FileNotFoundError:
            known = set()
        given = ((each.folder, use) for each in new for use in each.uses.split())
        wanted = {(name, use) for name, use in given if (use, name) not in usual}
        odd = {name for name, _ in wanted if not name.isprintable() or set(name) & set('"\\{}#%$')}
        known |= {(name, use) for name, use in wanted if name not in odd}
        blocks = [f'  mailbox "{name}" {{\n    special_use = {use}\n  }}\n' for name, use in sorted(known)]
        self._put(USES, "namespace inbox {\n" + "".join(blocks) + "}\n", 0o644)
        return sorted(odd)

    def write_configurations(self, uid: int) -> None:
        """With this directory's file of users, and where the Maildirs are. `uid`: whose they are."""
        below = users.below_home(self._config)
        mail = f"~/{below}" if below else "~"
        for name in CONFIGURATIONS:
            text = (shipped() / name).read_text("utf-8")
            text = text.replace(_USERS_THERE, os.fspath(self._directory / USERS)).replace(_MAIL_THERE, mail)
            text = text.replace(_USES_THERE, os.fspath(self._directory / USES))
            for there in _HOME_THERE:
                text = text.replace(there, there.replace("Maildir/", f"{below}/" if below else ""))
            text = text.replace(_UID_THERE, f"first_valid_uid = {uid}")
            if len(self._config.domains) == 1:  # who logs in with the local part alone
                (domain,) = self._config.domains
                text = text.replace("#auth_default_", "auth_default_").replace("example.com", domain)
            self._put(name, text, 0o644)

    def _put(self, name: str, text: str, mode: int, group: str = "") -> None:
        path = self._directory / name
        passing = path.with_name(f".{name}.new")
        with open(passing, "w", encoding="utf-8", errors="surrogateescape", opener=_private) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if group and os.geteuid() == 0:
            with suppress(KeyError):  # Dovecot may be on another machine
                os.chown(passing, -1, grp.getgrnam(group).gr_gid)
        passing.chmod(mode)
        passing.rename(path)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
