"""What an account's home is given when it is opened: its special folders, once, and its limits.

The names are those that mail clients in the user's language use themselves, so that none of them makes a second
folder for the same thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from mailstore.errors import StorageFailed
from mailstore.mailhome import MailHome
from mailstore.quota import Limits
from proxy.config import Config

NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "\\Sent": "Sent",
        "\\Drafts": "Drafts",
        "\\Trash": "Trash",
        "\\Junk": "Junk",
        "\\Archive": "Archive",
    },
    "zh": {
        "\\Sent": "已发送",
        "\\Drafts": "草稿箱",
        "\\Trash": "已删除",
        "\\Junk": "垃圾邮件",
        "\\Archive": "归档",
    },
}


Quota = Callable[[str, str], int | None]  # `Accounts.quota`


def _as_the_domain(_local: str, _domain: str) -> None:
    """No account has a quota of its own."""


class Furnishing:
    """By the account's domain, and by its own quota. Called with each home that is opened, in the thread that opened
    it."""

    def __init__(self, config: Config, quota: Quota = _as_the_domain) -> None:
        self._domains = config.domains
        self._quota = quota

    def __call__(self, account: str, home: MailHome) -> None:
        """A domain that is not served any more changes nothing. Raises StorageFailed."""
        local, _, name = account.rpartition("@")
        domain = self._domains.get(name)
        if domain is None:
            return
        own = self._quota(local, name)
        home.limits = Limits(domain.quota if own is None else own or None, domain.quota_messages)
        with suppress(StorageFailed):  # a full disk keeps nobody from the mail that is there; the next opening tries
            home.make_special_folders(NAMES[domain.folders])
