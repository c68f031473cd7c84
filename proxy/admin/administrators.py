"""Who may use the console: made, removed, given a password; and the check of a login there.

Names are kept in lower case. A password has a least length and no other rules, which is what NIST SP 800-63B 3.1.1.2
asks for; it is hashed with Argon2id and kept nowhere else.
"""

from __future__ import annotations

import re
from typing import Final

from mailstore import secrets
from mailstore.administrators import Administrator, Administrators
from mailstore.database import AccountsDatabase

SHORTEST: Final = 10  # characters of a password
LONGEST: Final = 1_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


class NotPossible(Exception):
    """The text is for the administrator: cause and remedy."""


class Console:
    """The console's administrators."""

    def __init__(self, database: AccountsDatabase) -> None:
        self.administrators = Administrators(database)
        self._nobody = secrets.hash_password(b"nobody")  # what an unknown name's password is held against

    def add(self, name: str, password: str) -> None:
        """Raises NotPossible, MailstoreError."""
        name = checked_name(name)
        if not self.administrators.add(name, _hashed(name, password)):
            raise NotPossible(f'"{name}" is an administrator already: `mailferry admin passwd {name}` sets a password')

    def set_password(self, name: str, password: str) -> None:
        """Ends the sessions of that one. Raises NotPossible, MailstoreError."""
        name = checked_name(name)
        if not self.administrators.set_password(name, _hashed(name, password)):
            raise NotPossible(_unknown(name))

    def remove(self, name: str) -> None:
        """Ends the sessions of that one. Raises NotPossible, MailstoreError."""
        if not self.administrators.remove(checked_name(name)):
            raise NotPossible(_unknown(name))

    def known(self, name: str) -> bool:
        """Is there one of that name? Raises NotPossible for what cannot be a name."""
        return self.administrators.find(checked_name(name)) is not None

    def login(self, name: str, password: str) -> Administrator | None:
        """The administrator, if the password fits. That there is none of that name takes as long to find out as that
        the password is wrong: one hash is tried either way."""
        found = None
        if _NAME.fullmatch(folded := name.strip().lower()):
            found = self.administrators.find(folded)
        stored = self._nobody if found is None else found.password_hash
        fits = secrets.verify_password(stored, password[:LONGEST].encode(errors="surrogatepass"))
        if found is None or not fits:
            return None
        self.administrators.logged_in(found.name)
        return found


def checked_name(name: str) -> str:
    """In lower case. Raises NotPossible."""
    folded = name.strip().lower()
    if not _NAME.fullmatch(folded):
        raise NotPossible(
            f'"{name}" cannot be a name: use up to 64 letters a to z, digits, and . _ @ - behind the first'
        )
    return folded


def _hashed(name: str, password: str) -> str:
    if len(password) < SHORTEST:
        raise NotPossible(f"the password has {len(password)} characters: it needs {SHORTEST} at least")
    if len(password) > LONGEST:
        raise NotPossible(f"the password has more than {LONGEST} characters")
    if password.strip().lower() in {name, name * 2, "1234567890", "password12", "passwordpassword"}:
        raise NotPossible("the password is the first that anybody would try: take another one")
    return secrets.hash_password(password.encode())


def _unknown(name: str) -> str:
    return f'"{name}" is no administrator here: `mailferry admin list` shows who is'
