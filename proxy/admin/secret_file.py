"""A password that another server wants of mailferry, in a file that nobody else may read."""

from __future__ import annotations

from pathlib import Path


class SecretUnusable(Exception):
    """The file cannot be used. The text is for the administrator."""


def read_secret(path: Path, whose: str) -> str:
    """The file's one line. `whose` password it is: "the relay's". Raises SecretUnusable."""
    try:
        if path.stat().st_mode & 0o077:
            raise SecretUnusable(f"{path} may be read by others: give it mode 0600")
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretUnusable(f"{path} is not UTF-8 text") from None
    except OSError as error:
        raise SecretUnusable(f"{path}: {error.strerror}") from None
    if not password:
        raise SecretUnusable(f"{path} is empty: write {whose} password into it")
    return password
