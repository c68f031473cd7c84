"""Another server's Maildirs become accounts here, with their UIDs: for `mailferry adopt`.

    note ADOPTING → blocked → files → the index learns → note LEARNT → names become ours → final → no note

Files are copied, or with `in_place` moved, within their file system; nothing else is changed at the source. Each step
is durable before the next, and may be done again: who is killed anywhere runs the same command again.

What is adopted has no old server: the account is final, and has the password that goes along, or none yet.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from mailstore.accounts import Account, Accounts, State
from mailstore.custody import (
    Custody,
    Note,
    Step,
    alone_with,
    end_note,
    give_all_to_owner,
    read_note,
    write_note,
)
from mailstore.errors import MailstoreError
from mailstore.inheritance.dovecot import key_of
from mailstore.inheritance.tree import Manner, NoMaildir, read_tree
from mailstore.inheritance.values import FoundFolder, Inheritance
from mailstore.inheriting import Inherited
from mailstore.maildir import DIRECTORY_MODE, folder_directory, sync_directory, sync_files
from mailstore.mailhome import MailHome
from mailstore.opening import Mailboxes
from mailstore.secrets import hash_password
from proxy.admin.handing.reasons import ADOPTING
from proxy.admin.handing.run import give_away, said
from proxy.config import Config
from proxy.login.names import Name, parse

_CLEAR: Final = {"PLAIN", "CLEAR", "CLEARTEXT"}
_SCHEME: Final = re.compile(r"\{([A-Za-z0-9-]+)(?:\.[A-Za-z0-9]+)?\}(.*)")


class CannotAdopt(Exception):
    """The text is for the administrator. Nothing is lost."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of one. `why`: why it was not adopted; "": it was."""

    name: str
    source: Path
    why: str = ""
    kinds: Mapping[str, int] = field(default_factory=dict)  # lists that were found, by folders
    folders: int = 0
    messages: int = 0
    octets: int = 0
    unnumbered: int = 0  # which no list had: they have new UIDs
    password: bool = False  # is one known?
    already: bool = False
    remarks: list[str] = field(default_factory=list)


class Adopting:
    """For one command. Synchronous."""

    def __init__(
        self,
        config: Config,
        accounts: Accounts,
        custody: Custody,
        engine: Mailboxes,
        *,
        manner: Manner,
        in_place: bool,
        passwords: Mapping[str, str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`passwords` are hashes by accounts' names."""
        self._clock = clock
        self._config = config
        self._accounts = accounts
        self._custody = custody
        self._engine = engine
        self._manner = manner
        self._in_place = in_place
        self._passwords = passwords

    def rehearse(self, source: Path, name: Name) -> Adopted:
        """What there is to be adopted; nothing is changed."""
        try:
            inheritance = read_tree(source, self._manner)
            account = self._accounts.find(name.local, name.domain)
            if account is not None:
                self._see_that_it_is_free(account, read_note(self._maildir(name)))
        except (CannotAdopt, NoMaildir, ValueError, MailstoreError, OSError) as error:
            return Adopted(str(name), source, said(error))
        messages = [message for folder in inheritance.folders for message in folder.messages]
        return Adopted(
            str(name),
            source,
            kinds=inheritance.kinds,
            folders=len(inheritance.folders),
            messages=len(messages),
            unnumbered=sum(message.uid is None for message in messages),
            password=str(name) in self._passwords,
            remarks=list(map(str, inheritance.remarks)),
        )

    def adopt(self, source: Path, name: Name) -> Adopted:
        maildir = self._maildir(name)
        try:
            note = read_note(maildir)
            going_on = maildir if note is not None and self._in_place else None
            inheritance = read_tree(source, self._manner, going_on)
            account = self._close(name, note, maildir)
            with alone_with(maildir):
                adopted = self._take(source, account, maildir, inheritance)
                give_away(self._config, maildir)
                end_note(maildir)
        except (CannotAdopt, NoMaildir, ValueError, MailstoreError, OSError) as error:
            return Adopted(str(name), source, said(error))
        return adopted

    def _maildir(self, name: Name) -> Path:
        return self._config.maildir_for(name.local, name.domain)

    def _close(self, name: Name, note: Note | None, maildir: Path) -> Account:
        """The account, made if there is none, into which nobody is let."""
        account = self._accounts.find(name.local, name.domain)
        if account is None:
            account = self._accounts.add(name.local, name.domain)
        self._see_that_it_is_free(account, note)
        for path in [*reversed(maildir.parents), maildir]:
            path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        if note is None:
            write_note(maildir, Note(Step.ADOPTING, int(self._clock()), account.state.value, account.reason))
        if account.state is not State.BLOCKED and not self._custody.block(account, ADOPTING):
            end_note(maildir)
            raise CannotAdopt("its user has come, or somebody has changed the account, this moment: run it again")
        return self._accounts.get(account.id)

    def _see_that_it_is_free(self, account: Account, note: Note | None) -> None:
        """Raises CannotAdopt, MailstoreError."""
        maildir = self._maildir(Name(account.local, account.domain))
        if note is not None:
            if note.step not in {Step.ADOPTING, Step.LEARNT} or note.state != State.WAITING.value:
                raise CannotAdopt(note.words)
            if account.state is State.MOVED or (account.state is State.MOVING and account.messages_total):
                end_note(maildir)  # its user came before it was blocked, and the old mailbox is what there is
                raise CannotAdopt(f"its user has come meanwhile, and the account is {account.state}")
            return
        if account.state is not State.WAITING:
            raise CannotAdopt(f"there is such an account already, and it is {account.state}; adopt into a new one")
        if maildir.exists():
            with self._home(account, custodian=False) as home:
                if home.usage().messages or any((maildir / "new").iterdir()):
                    raise CannotAdopt("mail has arrived for it here already; adopt into a new account")

    @contextmanager
    def _home(self, account: Account, *, custodian: bool = True) -> Iterator[MailHome]:
        maildir = self._maildir(Name(account.local, account.domain))
        home = MailHome(self._engine, account.id, maildir, clock=self._clock, custodian=custodian)
        try:
            yield home
        finally:
            home.close()
            give_all_to_owner(maildir)

    def _take(self, source: Path, account: Account, maildir: Path, inheritance: Inheritance) -> Adopted:
        note = read_note(maildir)
        assert note is not None
        with self._home(account) as home:
            inherited = Inherited()
            if note.step is Step.ADOPTING:
                for folder in inheritance.folders:
                    self._bring(source, home, folder)
                inherited = home.inherit(inheritance, whole=False)
                write_note(maildir, replace(note, step=Step.LEARNT))
            home.reconcile()
            usage = home.usage()
        password = self._passwords.get(account.name)
        self._custody.adopted(account, password, usage.messages, usage.octets)
        return Adopted(
            account.name,
            source,
            kinds=inheritance.kinds,
            folders=len(inheritance.folders),
            messages=usage.messages,
            octets=usage.octets,
            unnumbered=inherited.unnumbered,
            password=password is not None or account.password_hash is not None,
            remarks=list(map(str, inherited.remarks)),
        )

    def _bring(self, source: Path, home: MailHome, folder: FoundFolder) -> None:
        """A folder's files, under the names that they have; durable when this returns."""
        directory = folder_directory(folder.name)
        home.maildir.make(directory)
        target = home.maildir.folder(directory)
        for sub in ("cur", "new"):
            names = [message.name for message in folder.messages if message.sub == sub]
            into = os.open(target / sub, os.O_RDONLY | os.O_DIRECTORY)
            try:
                here = {key_of(name) for name in os.listdir(into)}  # noqa: PTH208 - names alone
                left = [name for name in names if self._in_place or key_of(name) not in here]
                brought = [name for name in left if self._file(source / folder.directory / sub / name, target, sub)]
                sync_files(into, brought)
            finally:
                os.close(into)
            sync_directory(target / sub)

    def _file(self, path: Path, target: Path, sub: str) -> bool:
        """Whether it had to be brought."""
        final = target / sub / path.name
        if self._in_place:
            try:
                path.rename(final)
            except FileNotFoundError:
                return False  # an earlier attempt has moved it
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise CannotAdopt("the Maildir is on another file system: copy it, without --in-place") from None
                raise
            return True
        passing = target / "tmp" / path.name
        try:
            shutil.copyfile(path, passing, follow_symlinks=False)
        except FileNotFoundError:
            return False  # its flags were changed this moment: whoever uses the source has not been stopped
        shutil.copystat(path, passing)
        passing.chmod(0o600)
        passing.rename(final)
        return True


# Trees, and files of passwords


def in_tree(root: Path, pattern: str, config: Config, domain: str | None) -> Iterator[tuple[Path, Name | None]]:
    """Each Maildir below `root` whose path is like `pattern`, and whose it is; None: nobody's who is served here.
    Raises CannotAdopt for a pattern that does not say whose."""
    if "{local}" not in pattern or ("{domain}" not in pattern and domain is None):
        raise CannotAdopt('the pattern must have {local}, and {domain} or --domain: "{domain}/{local}/Maildir"')
    parts = [_compiled(part) for part in pattern.strip("/").split("/")]
    for path, found in _walk(root, parts, {}):
        written = f"{found.get('local', '')}@{found.get('domain', domain)}"
        yield path, parse(written.encode("utf-8", "surrogateescape"), config.spellings)


def _compiled(part: str) -> re.Pattern[str]:
    text = re.escape(part).replace(r"\{local\}", "(?P<local>.+)").replace(r"\{domain\}", "(?P<domain>.+)")
    try:
        return re.compile(text)
    except re.error:
        raise CannotAdopt(f'"{part}" has a name twice') from None


def _walk(at: Path, parts: list[re.Pattern[str]], found: dict[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
    if not parts:
        yield at, found
        return
    with os.scandir(at) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for name in names:
        match = parts[0].fullmatch(name)
        if match is not None:
            yield from _walk(at / name, parts[1:], found | match.groupdict())


@dataclass(frozen=True, slots=True)
class Passwords:
    """What a file of users has: hashes by accounts' names, and the schemes of those that are of no use here."""

    hashes: Mapping[str, str]
    unusable: Mapping[str, str]


def read_passwords(path: Path, config: Config) -> Passwords:
    """A passwd-file: `user:hash:…`. Argon2's hashes are kept, plain passwords are hashed. Raises OSError."""
    hashes, unusable = {}, {}
    for line in path.read_text("utf-8", "surrogateescape").splitlines():
        user, _, rest = line.partition(":")
        name = parse(user.encode("utf-8", "surrogateescape"), config.spellings)
        if not line.strip() or line.startswith("#") or name is None:
            continue
        written = rest.partition(":")[0]
        match = _SCHEME.fullmatch(written)
        scheme, value = (match[1].upper(), match[2]) if match else ("", written)
        if value.startswith(("$argon2id$", "$argon2i$")):
            hashes[str(name)] = value
        elif scheme in _CLEAR:
            hashes[str(name)] = hash_password(value.encode("utf-8", "surrogateescape"))
        else:
            unusable[str(name)] = scheme or _crypt(value)
    return Passwords(hashes, unusable)


def _crypt(value: str) -> str:
    kinds = {"$1$": "MD5-CRYPT", "$5$": "SHA256-CRYPT", "$6$": "SHA512-CRYPT", "$2": "BLF-CRYPT"}
    return next((name for start, name in kinds.items() if value.startswith(start)), "CRYPT")
