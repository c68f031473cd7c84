"""The keys that seal passwords, as the configuration names them: found, looked at, and changed for others.

Where they are a credential of the service, systemd gives them to the daemon at its start, and nobody changes them
there: the file that they are made of is changed, and the daemon started anew.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.keys import KeyFile
from mailstore.membership import here
from mailstore.rotation import (
    Rotated,
    RotationRefused,
    Standing,
    Told,
    add_key,
    named,
    rotate,
    see_that_nobody_else_seals,
    standing,
)
from mailstore.secrets import KEY_OCTETS, Sealer, each, read_keys
from proxy.config import Config
from proxy.config.places import is_credential

STORE: Final = "/etc/credstore"


class NoKey(StorageFailed):
    """There are no keys that can be used. The text is for the administrator."""


def sealer(config: Config) -> Sealer:
    """Seals and opens under the keys that there are at that time; the first is made if there is none. Raises NoKey."""
    file = KeyFile(config.key_file)
    return Sealer(_keys(file), file.anew)


def keys(config: Config) -> bytes:
    """The same as they are now. Raises NoKey."""
    return _keys(KeyFile(config.key_file))


def _keys(file: KeyFile) -> bytes:
    credential = is_credential(file.path)
    try:
        return read_keys(file.path) if credential else file.load()
    except StorageFailed as error:
        words = (
            f"{error}; it is a credential, which systemd makes of {STORE}/mailferry.{file.path.name} at the start"
            if credential
            else f"{error} ({file.path})"
        )
        raise NoKey(words) from error


def without(found: Standing) -> str:
    """That passwords are sealed under keys that are not here, and what is to be done; "": there are none."""
    return ": ".join(lost_words(found.lost)) if found.lost else ""


def lost_words(count: int) -> tuple[str, str]:
    """That so many passwords do not open, and what is to be done."""
    what, whose = ("password is", "its user logs") if count == 1 else ("passwords are", "their users log")
    return (
        f"{count:,} sealed {what} under a key that is not in the key file",
        f"put that key behind those that are there (cat THE_OTHER >> THE_KEY_FILE), or {whose} in once more",
    )


class Next(enum.Enum):
    """What is to come of a change of keys."""

    DONE = "done"
    RESTART = "restart"  # the daemon has not the new key yet; then the same once more
    NOTHING = "nothing"  # it was only asked what would be done


@dataclass(frozen=True, slots=True)
class Change:
    """How far a change of keys is."""

    next: Next
    file: Path
    key: str  # the id of the one that is to be the only one; "": it is not made yet
    standing: Standing
    rotated: Rotated | None = None


class Changing:
    """Of one installation's keys. `source`: the file that the credential is made of, where they are one."""

    def __init__(self, config: Config, database: AccountsDatabase, source: Path | None) -> None:
        """Raises RotationRefused, NoKey."""
        self._config, self._database = config, database
        self._credential = is_credential(config.key_file)
        if self._credential and source is None:
            raise RotationRefused(
                "the sealing key is a credential, which systemd alone gives to the daemon: name the file that it is "
                f"made of, such as --key-file {STORE}/mailferry.{config.key_file.name}"
            )
        if source is not None and not self._credential:
            raise RotationRefused("--key-file is for a key that is a credential: leave it out")
        self._file = KeyFile(config.key_file if source is None else source)
        if source is not None and not source.exists():
            raise NoKey(f"{source} is not there")

    def would(self) -> Change:
        """What would be done."""
        there = _keys(self._file)
        key = named(there[:KEY_OCTETS]) if len(there) > KEY_OCTETS else ""
        return Change(Next.NOTHING, self._file.path, key, standing(self._database, there))

    def make(self, told: Told, *, daemon: bool) -> Change:
        """Do it, as far as it can be done now. `daemon`: is one at work? Raises MailstoreError."""
        _keys(self._file)
        see_that_nobody_else_seals(self._database, here())
        if self._credential and daemon:
            add_key(self._database, self._file)
            there = _keys(self._file)
            if there[:KEY_OCTETS] not in each(self._given()):
                found = standing(self._database, there)
                return Change(Next.RESTART, self._file.path, named(there[:KEY_OCTETS]), found)
        made = rotate(self._database, self._file, self._config.state, told)
        return Change(Next.DONE, self._file.path, made.key, standing(self._database, _keys(self._file)), made)

    def _given(self) -> bytes:
        """What the daemon has. Where we may not see that, it is as if it had nothing."""
        try:
            return read_keys(self._config.key_file)
        except StorageFailed:
            return b""
