"""Passwords at rest: Argon2id hashes, and sealed copies while the legacy server may still be asked.

A sealed password is AES-256-GCM under a key of the installation's key file (mode 0600), names that key, and is bound to
its account: a row moved to another account does not open. `finalize` wipes the sealed copy; the hash stays.

The file is one key, or several behind each other: the first seals, all of them open. `mailstore.rotation` changes it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mailstore.errors import SecretUnreadable, StorageFailed
from mailstore.maildir import sync_directory

# OWASP's second choice for Argon2id: 19 MiB, two passes. About 30 ms, and the GIL is free meanwhile.
_hasher: Final = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)

KEY_OCTETS: Final = 32
MOST_KEYS: Final = 16
ID_OCTETS: Final = 8
NAMED: Final = b"\x02"  # then the key's id, the nonce, and the text
UNNAMED: Final = b"\x01"  # of former versions: the nonce and the text
_NONCE: Final = 12


def hash_password(password: bytes) -> str:
    """The Argon2id hash in PHC form."""
    return _hasher.hash(password)


def verify_password(stored: str, password: bytes) -> bool:
    """Does the password fit? A hash that cannot be read fits nothing."""
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):  # the last: a hash that is not ASCII
        return False


def load_key(path: Path) -> bytes:
    """The sealing keys, one made if there is none. Raises StorageFailed for a file open to others, or damaged."""
    try:
        if not path.exists():
            _make_key(path)
    except OSError as error:
        raise StorageFailed(f"the sealing key cannot be made: {error.strerror}") from error
    return read_keys(path)


def _make_key(path: Path) -> None:
    """The key appears whole or not at all, and of two processes that make it at once only one does."""
    passing = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        with open(passing, "xb", opener=lambda name, mode: os.open(name, mode, 0o600)) as file:
            file.write(os.urandom(KEY_OCTETS))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(passing, path)
    finally:
        passing.unlink(missing_ok=True)
    sync_directory(path.parent)


def read_keys(path: Path) -> bytes:
    """Those of a file that is there. Raises StorageFailed."""
    try:
        status = path.stat()
        with path.open("rb") as file:
            keys = file.read(MOST_KEYS * KEY_OCTETS + 1)
    except OSError as error:
        raise StorageFailed(f"the sealing key cannot be read: {error.strerror}") from error
    fault = fault_of(status, len(keys))
    if fault:
        raise StorageFailed(f"the sealing key {fault}")
    return keys


def fault_of(status: os.stat_result, octets: int) -> str:
    """What is wrong with a key file, and what would be right; "": nothing."""
    mode = status.st_mode & 0o777
    # systemd's credentials have mode 0400, or 0440 where an access control list lets the service's user read them.
    if mode & 0o077 and mode != 0o440:
        return "may be read by others: give it mode 0600"
    if status.st_uid not in {0, os.geteuid()} and os.geteuid() != 0:
        return "belongs to another user: give it to the user of serve, or to root"
    if not octets or octets % KEY_OCTETS or octets > MOST_KEYS * KEY_OCTETS:
        return f"is not {KEY_OCTETS} octets long, nor several such keys: restore it from a backup"
    return ""


def each(keys: bytes) -> list[bytes]:
    """The keys, one by one."""
    return [keys[at : at + KEY_OCTETS] for at in range(0, len(keys), KEY_OCTETS)]


def key_id(key: bytes) -> bytes:
    """By what a sealed password names its key. It says nothing of the key."""
    return hashlib.sha256(b"mailferry sealing key\0" + key).digest()[:ID_OCTETS]


class Sealer:
    """Seals and opens passwords. Safe to use from several threads."""

    def __init__(self, keys: bytes, anew: Callable[[], bytes | None] = lambda: None) -> None:
        """`anew` gives the keys if they are others now. A key that was known once opens as long as this lives: what was
        read before it went may be opened after that."""
        self._anew = anew
        self._lock = threading.Lock()
        self._ciphers: dict[bytes, AESGCM] = {}
        self._first = b""
        self._take(keys)

    def _take(self, keys: bytes) -> None:
        ids = {key_id(key): AESGCM(key) for key in each(keys)}
        self._ciphers, self._first = {**self._ciphers, **ids}, next(iter(ids))

    def _look(self) -> None:
        with self._lock:
            keys = self._anew()
            if keys is not None:
                self._take(keys)

    @property
    def first(self) -> bytes:
        """The id of the key that seals."""
        return self._first

    def seal(self, account: str, password: bytes) -> bytes:
        """To be called in the transaction that keeps it: see `mailstore.rotation`."""
        self._look()
        first = self._first
        nonce = os.urandom(_NONCE)
        return NAMED + first + nonce + self._ciphers[first].encrypt(nonce, password, _bound(NAMED + first, account))

    def open(self, account: str, sealed: bytes) -> bytes:
        """Raises SecretUnreadable."""
        if sealed[:1] == UNNAMED:
            return self._open_unnamed(account, sealed[1:])
        if sealed[:1] != NAMED:
            raise SecretUnreadable("the sealed password is of an unknown kind")
        head = sealed[: 1 + ID_OCTETS]
        if head[1:] not in self._ciphers:
            self._look()
        cipher = self._ciphers.get(head[1:])
        if cipher is None:
            raise SecretUnreadable("the sealed password does not open: the key file has not the key that it is under")
        return _opened(cipher, sealed[len(head) :], _bound(head, account))

    def same(self, account: str, one: bytes | None, other: bytes | None) -> bool:
        """Is the same password sealed in both, or none? It may have been sealed anew meanwhile."""
        if one is None or other is None or one == other:
            return one == other
        with suppress(SecretUnreadable):
            return self.open(account, one) == self.open(account, other)
        return False

    def _open_unnamed(self, account: str, sealed: bytes) -> bytes:
        for cipher in self._ciphers.values():
            with suppress(SecretUnreadable):
                return _opened(cipher, sealed, account.encode())
        raise SecretUnreadable("the sealed password does not open with this key")


def _bound(head: bytes, account: str) -> bytes:
    return head + account.encode()


def _opened(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], bound)
    except (InvalidTag, ValueError) as error:
        raise SecretUnreadable("the sealed password does not open with this key") from error
