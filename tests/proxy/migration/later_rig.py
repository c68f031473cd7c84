"""Moves after the first one, to an old mailbox that is not what it was."""

from __future__ import annotations

from mailstore.entries import Sums
from tests.proxy.migration.scripted import MigrationTestCase


def letter(number: int, *, added: bytes = b"", body: bytes = b"") -> bytes:
    """A message as mail programs write it; `added` is what servers put in front of it."""
    text = b"Message-ID: <%d@example>\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: a@example\r\n" % number
    return added + text + b"Subject: letter %d\r\n\r\n" % number + (body or b"text of letter %d\r\n" % number)


class LaterTestCase(MigrationTestCase):
    """`keep` what is here, do something, `look` and `assert_untouched`."""

    def setUp(self) -> None:
        super().setUp()
        self.before: list[tuple[int, str, str]] = []

    def keep(self) -> None:
        """What is here now is to stay as it is."""
        self.before = [(row.uid, row.uidl, row.file) for row in self.mail.maildrop()]
        self.old.fetched.clear()

    def rename(self, prefix: str = "v") -> None:
        """The server gives every message another name."""
        for number, old in enumerate(self.old.box, 1):
            old.uidl = f"{prefix}{number}"

    def look(self) -> Sums:
        """A later move: nothing is left lying about."""
        self.later(3600)
        sums = self.carry(first=False)
        self.assertEqual(sums.messages_done, sums.messages_total)
        self.assertEqual(len(self.files("cur")), len(self.mail.maildrop()))
        self.assertEqual(self.files("tmp"), [])
        return sums

    def assert_untouched(self, *, more: int = 0) -> None:
        """Sessions here see no difference but so many messages more: same UIDs, same UIDLs, same files."""
        rows = [(row.uid, row.uidl, row.file) for row in self.mail.maildrop()]
        self.assertEqual(rows[: len(self.before)], self.before)
        self.assertEqual(len(rows), len(self.before) + more)
        self.assertEqual(len({uidl for _, uidl, _ in rows}), len(rows))

    def fetched(self) -> list[str]:
        """What was fetched since, by UIDL."""
        fetched = [uidl for call in self.old.fetched for uidl in call]
        self.old.fetched.clear()
        return fetched
