"""The client against a real Dovecot: plain, STLS and implicit TLS."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from proxy.legacy.wire import READ
from proxy.pop3.client import Connection, Legacy, LoginRejected, Pace, Pipelining, TlsFailed, Window, connect
from proxy.wire.blocks import HOLD
from proxy.wire.door import Secret
from tests.legacy.certificates import Authority
from tests.legacy.dovecot import PASSWORD, Dovecot, program
from tests.legacy.shelf import Shelf

MAIL = [b"Subject: %d\n\n" % number + b"a line\n.\n..dots\n\xff\xfe\n" * (number % 7) for number in range(300)]
MAIL += [b"Subject: large\n\n" + b"x" * 76 * 70_000 + b"\n", b"Subject: lines\n\n" + b".\n" * 200_000]


@pytest.mark.peers
@pytest.mark.skipif(program() is None, reason="needs dovecot")
class DovecotTests(TestCase):
    timeout = 30
    dovecot: ClassVar[Dovecot]

    @classmethod
    def setUpClass(cls) -> None:
        cls.dovecot = Dovecot(Path(tempfile.mkdtemp(prefix="dovecot")))
        box = cls.dovecot.maildir("joe") / "cur"
        for number, message in enumerate(MAIL):
            (box / f"{1_200_000_000 + number}.M{number}P1.test:2,").write_bytes(message)
        cls.dovecot.own()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.dovecot.stop()
        shutil.rmtree(cls.dovecot.root)

    async def connected(self, tls: Any, **changes: Any) -> Connection:
        port = self.dovecot.pop3s if tls == "implicit" else self.dovecot.pop3
        settings = {"host": "localhost", "ca": self.dovecot.certificate} | changes
        connection = await connect(reactor, Legacy(port=port, tls=tls, **settings))
        self.addCleanup(lambda: Deferred.fromCoroutine(connection.quit()))
        return connection

    async def carry_over(self, tls: Any, **changes: Any) -> None:
        connection = await self.connected(tls, **changes)
        await connection.login(b"joe", Secret(PASSWORD.encode()))
        self.assertIs(await connection.prove_pipelining(), Pipelining.ABLE)
        sizes = await connection.list_sizes()
        uidl = await connection.uidl()
        assert uidl is not None
        self.assertEqual([number for number, _ in uidl], list(range(1, len(MAIL) + 1)))
        self.assertEqual((await connection.stat())[0], len(MAIL))
        shelf = Shelf()
        await connection.retrieve(list(sizes), sizes, shelf, Pace(Window()))
        expected = {n: mail.replace(b"\n", b"\r\n") for n, mail in enumerate(MAIL, 1)}
        self.assertEqual(shelf.messages, expected)
        self.assertEqual(sizes, {n: len(mail) for n, mail in expected.items()})
        self.assertLessEqual(shelf.longest, HOLD + READ)
        self.assertEqual(await connection.top(7, 1), b"Subject: 6\r\n\r\na line\r\n")

    async def test_plain(self) -> None:
        await self.carry_over("none")

    async def test_stls(self) -> None:
        await self.carry_over("starttls")

    async def test_implicit(self) -> None:
        await self.carry_over("implicit")

    async def test_an_address_as_host(self) -> None:
        await self.carry_over("implicit", host="127.0.0.1")

    async def test_without_verification(self) -> None:
        await self.carry_over("implicit", verify=False, ca=None)

    async def test_who_it_is_not(self) -> None:
        other = self.dovecot.root / "other.pem"
        other.write_bytes(Authority("Another").certificate)
        for tls in ("starttls", "implicit"):
            for changes, words in (
                ({"host": "127.1"}, "is not for 127.1 but for localhost, 127.0.0.1"),  # leads to 127.0.0.1
                ({"ca": None}, "is signed by itself"),
                ({"ca": other}, "is signed by itself"),
            ):
                await self.refused(tls, words, **changes)

    async def refused(self, tls: str, words: str, **changes: Any) -> None:
        try:
            await self.connected(tls, **changes)
        except TlsFailed as error:
            self.assertIn(words, str(error))
        else:
            self.fail("it connected")

    async def test_a_wrong_password(self) -> None:
        connection = await self.connected("starttls")
        with self.assertRaises(LoginRejected) as caught:
            await connection.login(b"joe", Secret(b"hunter2"))
        self.assertEqual(caught.exception.code, "AUTH")
        await connection.login(b"joe", Secret(PASSWORD.encode()))
