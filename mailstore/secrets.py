"""Passwords at rest: Argon2id hashes, and sealed copies while the legacy server may still be asked.

A sealed password is AES-256-GCM under the installation's key file (mode 0600), bound to its account: a row
moved to another account does not open. `finalize` wipes the sealed copy; the hash stays.
"""

from __future__ import annotations

import os
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
_NONCE: Final = 12
_VERSION: Final = b"\x01"


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
    """The sealing key, made at the first call. Raises StorageFailed for a key that is open to others or damaged."""
    try:
        if not path.exists():
            _make_key(path)
    except OSError as error:
        raise StorageFailed(f"the sealing key cannot be made: {error.strerror}") from error
    return _read_key(path)


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


def _read_key(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        key = path.read_bytes()
    except OSError as error:
        raise StorageFailed(f"the sealing key cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise StorageFailed("the sealing key may be read by others: give it mode 0600")
    if len(key) != KEY_OCTETS:
        raise StorageFailed(f"the sealing key is not {KEY_OCTETS} octets long: restore it from a backup")
    return key


class Sealer:
    """Seals and opens passwords under one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, account: str, password: bytes) -> bytes:
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._cipher.encrypt(nonce, password, account.encode())

    def open(self, account: str, sealed: bytes) -> bytes:
        """Raises SecretUnreadable."""
        if sealed[:1] != _VERSION:
            raise SecretUnreadable("the sealed password is of an unknown kind")
        nonce, text = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            return self._cipher.decrypt(nonce, text, account.encode())
        except (InvalidTag, ValueError) as error:
            raise SecretUnreadable("the sealed password does not open with this key") from error
