"""Is a mailbox where it was? A disk that is not mounted must not look like an empty mailbox: clients that leave mail on
the server would forget what they have seen, and what is stored meanwhile would be hidden when the disk is there again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mailstore.accounts import Account
from mailstore.errors import MaildirGone
from mailstore.mailhome import index_path

Find = Callable[[str, str], Account | None]  # `Accounts.find`


class Whereabouts:
    """Called with each account whose home is about to be opened, and its Maildir, in the thread that opens it."""

    def __init__(self, find: Find) -> None:
        self._find = find

    def __call__(self, account: str, maildir: Path) -> None:
        """Raises MaildirGone where mail was carried over and there is neither a Maildir nor an index now."""
        if maildir.is_dir() or index_path(maildir).exists():
            return
        local, _, domain = account.rpartition("@")
        known = self._find(local, domain)
        if known is not None and known.messages_done:
            raise MaildirGone
