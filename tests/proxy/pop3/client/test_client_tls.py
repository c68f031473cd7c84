"""TLS towards a legacy server: STLS and implicit, with the right certificate and with wrong ones."""

from __future__ import annotations

from OpenSSL import SSL

from proxy.pop3.client import LegacyTimeout
from tests.legacy.certificates import Authority
from tests.legacy.server import LISTED
from tests.proxy.pop3.client.tls_case import CA, TlsCase


class GoodTests(TlsCase):
    async def test_stls(self) -> None:
        server = self.serve()
        await self.log_in()
        self.assertEqual(server.commands[:4], [b"CAPA", b"STLS", b"CAPA", b"USER joe"])

    async def test_implicit(self) -> None:
        self.serve(implicit=True)
        await self.log_in("implicit")

    async def test_an_address_as_host(self) -> None:
        self.serve()
        await self.log_in(host="127.0.0.1")

    async def test_stls_without_capa(self) -> None:
        self.serve(capabilities=None)
        await self.log_in()

    async def test_stls_at_a_server_that_hangs_up_at_capa(self) -> None:
        self.serve(hang_up_at=frozenset({b"CAPA"}))
        await self.log_in()

    async def test_no_verification(self) -> None:
        for identity in (CA.issue("elsewhere.example"), Authority("Another").issue("x"), CA.issue("x", days=-1)):
            self.serve(identity)
            await self.log_in(verify=False, ca=None)
            self.serve(identity, implicit=True)
            await self.log_in("implicit", verify=False, ca=None)

    async def test_apop_is_not_used_over_tls(self) -> None:
        server = self.serve(apop="works")
        await self.log_in()
        self.assertEqual((server.asked(b"APOP"), server.asked(b"PASS")), (0, 1))

    async def test_what_was_said_in_plaintext_behind_stls_does_not_count(self) -> None:
        server = self.serve(injects=b"+OK\r\nSASL PLAIN\r\n.\r\n+OK\r\n+OK\r\n+OK 99 99\r\n")
        await self.log_in()
        self.assertEqual(server.asked(b"USER"), 1)


class RefusedTests(TlsCase):
    async def test_a_certificate_for_another_host(self) -> None:
        for tls in ("starttls", "implicit"):
            self.serve(CA.issue("elsewhere.example", "10.0.0.1"), implicit=tls == "implicit")
            error = await self.refused("is not for localhost but for elsewhere.example, 10.0.0.1", tls)
            self.assertIn("`host`", str(error))
            await self.refused("is not for 127.0.0.1", tls, host="127.0.0.1")

    async def test_a_certificate_of_a_ca_that_is_not_trusted(self) -> None:
        self.serve(Authority("Somebody Else").issue("localhost"))
        await self.refused("signed by one not trusted here (CN=Somebody Else)")
        self.serve()
        await self.refused("signed by one not trusted here (CN=Test CA)", ca=None)

    async def test_a_certificate_that_expired(self) -> None:
        for tls in ("starttls", "implicit"):
            self.serve(CA.issue("localhost", days=-1), implicit=tls == "implicit")
            await self.refused("expired on", tls)

    async def test_a_server_without_stls(self) -> None:
        self.serve(None)
        await self.refused("does not offer STLS")
        self.serve(None, capabilities=None)
        await self.refused("refused STLS")
        self.serve(capabilities=(*LISTED, b"STLS"), answers={b"STLS": b"-ERR [SYS/TEMP] no entropy\r\n"})
        await self.refused("refused STLS: no entropy")

    async def test_a_server_that_speaks_no_tls_on_this_port(self) -> None:
        self.serve(None)
        error = await self.refused("not TLS", "implicit")
        self.assertIn('tls = "starttls"', str(error))

    async def test_a_server_that_hangs_up_instead_of_a_handshake(self) -> None:
        self.serve(None, capabilities=(b"STLS",), answers={b"STLS": b"+OK\r\n"}, hello="hangs up")
        await self.refused("closed the connection during the TLS handshake")

    async def test_a_handshake_that_never_ends(self) -> None:
        self.serve(None, capabilities=(b"STLS",), answers={b"STLS": b"+OK\r\n"}, hello="ignored")
        with self.assertRaises(LegacyTimeout):
            await self.log_in(connect_timeout=0.3)

    async def test_a_port_that_expects_tls_from_the_start(self) -> None:
        self.serve(implicit=True)
        with self.assertRaises(LegacyTimeout) as caught:
            await self.log_in(reply_timeout=0.2)
        self.assertIn('tls = "implicit"', str(caught.exception))

    async def test_an_older_tls_than_allowed(self) -> None:
        self.serve(CA.issue("localhost"), newest=SSL.TLS1_2_VERSION)
        await self.log_in()
        self.serve(CA.issue("localhost"), newest=SSL.TLS1_2_VERSION)
        await self.refused("speaks no TLS of version 1.3 or later", minimum="1.3")

    async def test_a_ca_file_that_cannot_be_used(self) -> None:
        self.serve()
        await self.refused("No such file", ca=self.folder / "none.pem")
        for content in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
            (self.folder / "bad.pem").write_bytes(content)
            await self.refused("holds no readable certificate", ca=self.folder / "bad.pem")
