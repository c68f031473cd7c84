"""Is a mailbox where it was, or on its way to where it is to be? A disk that is not mounted must not look like an empty
mailbox: clients that leave mail on the server would forget what they have seen, and what is stored meanwhile would be
hidden when the disk is there again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mailstore.accounts import Account, Accounts
from mailstore.errors import MaildirGone
from mailstore.mailhome import index_path
from mailstore.mooring import Mooring
from mailstore.placing import bring
from mailstore.refusals import storage_errors
from proxy.config import Config
from proxy.config.places import maildir as maildir_by

Find = Callable[[str, str], Account | None]  # `Accounts.find`


def mooring_of(config: Config, accounts: Accounts) -> Mooring:
    """What tells whether the disk with the Maildirs is there."""
    return Mooring(config.state, config.maildir_root, config.maildir_layout, accounts.any_mail)


class Whereabouts:
    """Called with each account whose home is about to be opened, and its Maildir, in the thread that opens it."""

    def __init__(self, find: Find, mooring: Mooring) -> None:
        self._find = find
        self._mooring = mooring

    def __call__(self, account: str, maildir: Path) -> None:
        """Brings it there, where mailboxes are being carried to other places (`mailstore.rehashing`). Raises
        StorageFailed where the disk is away, and MaildirGone where mail was carried over and there is neither a Maildir
        nor an index now."""
        local, _, domain = account.rpartition("@")
        top = self._mooring.top
        if layout := self._mooring.coming_from():
            bring(top, maildir_by(f"{top}/{layout}", top, local, domain), maildir)
        with storage_errors():
            if maildir.is_dir() or index_path(maildir).exists():
                return
        known = self._find(local, domain)
        if known is not None and known.messages_done:
            raise MaildirGone
