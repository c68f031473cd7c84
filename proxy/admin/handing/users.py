"""Dovecot's file of users (passwd-file): who logs in, with which hash, whose files, where, with which quota.

    user@123.com:{ARGON2ID}$argon2id$…:uid:gid::home::userdb_quota_rule=*:bytes=…

Dovecot 2.3 and 2.4 read the same file: each takes the fields that it knows. Where the Maildir lies below `home` is in
the configuration that goes along. An alias, and the name that an account has at its old server, are users with the same
hash, whom `user=` makes the account.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from mailstore.accounts import Account
from proxy.config import Config
from proxy.config.places import PLACEHOLDERS

NOBODY: Final = "{CRYPT}!"  # a hash that no password has


@dataclass(frozen=True, slots=True)
class User:
    """An account with its other names, for its lines."""

    account: Account
    others: Sequence[str] = ()


def below_home(config: Config) -> str:
    """What Maildirs are called below the homes that Dovecot has for its users: the same for all, so that the
    configuration can say it. "": they are the homes."""
    last = config.storage.maildir.rpartition("/")[2]
    return "" if any(f"{{{placeholder}}}" in last for placeholder in PLACEHOLDERS) else last


def lines(config: Config, user: User) -> Iterator[str]:
    """Raises OSError where the Maildir is gone, ValueError for what a line cannot say."""
    account = user.account
    maildir = config.maildir_for(account.local, account.domain)
    about = maildir.stat()
    home = os.fspath(maildir.parent if below_home(config) else maildir)
    if any(character in ":\n" or character.isspace() for character in home):
        raise ValueError(f"Dovecot's file of users cannot say a path with a colon or white space: {home}")
    password = NOBODY if account.password_hash is None else "{ARGON2ID}" + account.password_hash
    extra = " ".join(_quota(config, account))
    yield f"{account.name}:{password}:{about.st_uid}:{about.st_gid}::{home}::{extra}"
    for name in user.others:
        if ":" not in name and not any(character.isspace() for character in name):
            yield f"{name.lower()}:{password}::::::user={account.name}"


def _quota(config: Config, account: Account) -> Iterator[str]:
    domain = config.domains.get(account.domain)
    octets = account.quota if account.quota is not None else (domain.quota if domain else None)
    messages = domain.quota_messages if domain else None
    rule = [f"bytes={octets}"] if octets else []
    rule += [f"messages={messages}"] if messages else []
    if rule:
        yield "userdb_quota_rule=*:" + ":".join(rule)  # 2.3
    if octets:
        yield f"userdb_quota_storage_size={octets}B"  # 2.4
    if messages:
        yield f"userdb_quota_message_count={messages}"


def text(config: Config, users: Iterable[User]) -> str:
    """The whole file."""
    head = "# Written by `mailferry handoff dovecot`, which writes it anew each time.\n"
    return head + "".join(line + "\n" for user in users for line in lines(config, user))
