"""Messages that cannot be carried over: they keep place, name and reason, are tried again, and stop nobody."""

from __future__ import annotations

import errno
import os
from typing import Any

from mailstore.entries import Quarantined, Sums
from mailstore.errors import StorageFailed
from proxy.migration.plan import ATTEMPTS
from proxy.migration.quarantine import in_words
from proxy.migration.source import SourceUnusable
from tests.proxy.migration.scripted import ALWAYS, NOW, MigrationTestCase, mail


class Kept(MigrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.old.add(1, 2, 3)

    def test_place_name_size_and_reason(self) -> None:
        self.old.refusals = {"u2": ALWAYS}
        self.carry()
        (bad,) = self.mail.ledger.quarantined()
        reason = "the legacy server refuses this message: no such message"
        self.assertEqual(bad, Quarantined(2, "u2", len(mail(2)), reason, 2, NOW))

    def test_the_held_place_is_used_as_long_as_nobody_has_looked(self) -> None:
        """The first move is interrupted after the message was given up, and goes on."""
        self.old.refusals = {"u2": 2}
        self.carry()
        self.mail.ledger.retry()
        self.carry()
        self.assertEqual((self.uids(), self.uidls()), ([1, 2, 3], ["u1", "u2", "u3"]))

    def test_afterwards_it_comes_behind(self) -> None:
        """RFC 3501 2.3.1.1: no UID may come below one that a session has seen."""
        self.old.refusals = {"u2": 2}
        self.carry()
        self.mail.select("INBOX", writable=True)
        self.old.add(4)
        self.mail.ledger.retry()
        self.carry(first=False)
        self.assertEqual((self.uids(), self.uidls()), ([1, 3, 4, 5], ["u1", "u3", "u4", "u2"]))
        self.assert_stored(mail(1), mail(3), mail(4), mail(2))

    def test_retry_asks_at_once_and_for_each_by_itself(self) -> None:
        self.old.breaks = {"u2": ATTEMPTS}
        self.carry()
        self.assertEqual(self.mail.ledger.quarantined()[0].attempts, ATTEMPTS)
        self.old.add(4)
        self.old.fetched.clear()
        self.assertEqual(self.mail.ledger.retry(), 1)
        self.carry(first=False)
        self.assertEqual(self.old.fetched, [("u4",), ("u2",)])
        self.assertEqual(self.mail.ledger.quarantined(), [])

    def test_retry_of_what_is_still_bad(self) -> None:
        self.old.refusals = {"u2": ALWAYS}
        self.carry()
        for _ in range(3):
            self.assertEqual(self.mail.ledger.retry(), 1)
            self.assertEqual(self.carry(first=False).quarantined, 1)
        self.assertEqual(self.uids(), [1, 3])

    def test_nothing_to_retry(self) -> None:
        self.carry()
        self.assertEqual(self.mail.ledger.retry(), 0)

    def test_one_that_is_broken_stops_no_interrupted_move(self) -> None:
        self.old.breaks = {"u2": ALWAYS}
        self.old.no_way_in.append(SourceUnusable("wrong password"))
        running = self.begin(self.move())
        self.let_pass(60)
        self.failureResultOf(running, SourceUnusable)
        self.assertEqual(self.carry().quarantined, 1)
        self.assertEqual(self.uids(), [1, 3])


class RefusedHere(MigrationTestCase):
    """By the disk, one file by itself."""

    def refuse(self, data: bytes, code: int = errno.EIO) -> None:
        """No file takes these bytes."""
        write = os.write

        def writing(fd: int, given: Any) -> int:
            if data in bytes(given):
                raise OSError(code, os.strerror(code))
            return write(fd, given)

        self.refusing = self.patch(os, "write", writing)

    def carry_refused(self) -> Sums:
        sums = self.carry()
        self.refusing.restore()
        self.assertEqual(self.files("tmp"), [])
        return sums

    def test_the_others_are_stored(self) -> None:
        self.old.add(1, 2, 3)
        self.refuse(b"body 2")
        sums = self.carry_refused()
        self.assert_stored(mail(1), mail(3))
        self.assertEqual((self.uids(), sums.quarantined), ([1, 3], 1))
        (bad,) = self.mail.ledger.quarantined()
        self.assertEqual(bad.reason, "the disk here refuses this message: Input/output error")
        self.assertEqual(self.old.openings, 0)

    def test_it_comes_when_the_disk_is_sound(self) -> None:
        self.test_the_others_are_stored()
        self.mail.ledger.retry()
        self.carry()
        self.assert_stored(mail(1), mail(2), mail(3))

    def test_a_large_message(self) -> None:
        self.old.add(1)
        self.old.add(2, size=50_000)
        self.old.add(3)
        self.refuse(b"body 2", errno.EFBIG)
        self.assertEqual(self.carry_refused().quarantined, 1)
        self.assert_stored(mail(1), mail(3))

    def test_a_full_disk_is_no_matter_of_messages(self) -> None:
        self.old.add(1, 2, 3)
        self.refuse(b"body 2", errno.ENOSPC)
        running = self.begin(self.move())
        self.let_pass(60)
        self.failureResultOf(running, StorageFailed)
        self.refusing.restore()
        self.assertEqual(self.mail.ledger.quarantined(), [])
        self.assertEqual(self.carry().quarantined, 0)
        self.assert_stored(mail(1), mail(2), mail(3))

    def test_a_disk_that_refuses_everything_neither(self) -> None:
        self.old.add(*range(1, 20))
        self.refuse(b"body")
        running = self.begin(self.move())
        self.let_pass(60)
        self.failureResultOf(running, StorageFailed)
        self.refusing.restore()
        self.assertEqual(self.carry().quarantined, 0)
        self.assertEqual(self.uids(), list(range(1, 20)))


def bad(position: int, reason: str) -> Quarantined:
    return Quarantined(position, f"u{position}", 100, reason, 3, NOW)


def test_in_words() -> None:
    assert in_words([]) == ""
    remedy = "asked for again by a move an hour later, or at once by mailferry retry"
    assert in_words([bad(5, "no")]) == (
        f"1 message could not be carried over and is in quarantine (number 5: no); {remedy}"
    )
    many = [bad(n, "no") for n in range(1, 6)] + [bad(7, "broke"), bad(8, "x"), bad(9, "y"), bad(10, "z")]
    assert in_words(many) == (
        "9 messages could not be carried over and are in quarantine "
        f"(number 1, 2, 3 and 2 more: no; number 7: broke; number 8: x; 2 more for other reasons); {remedy}"
    )
