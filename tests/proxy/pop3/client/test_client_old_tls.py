"""TLS as old servers have it: refused by default with the line that would take it, taken with that line, and only
there. Each server here is one in its handshake; the real ones are in tests/peers."""

from __future__ import annotations

import re
import ssl
import subprocess
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from proxy.pop3.client import TlsFailed
from tests.legacy.certificates import Authority, Identity
from tests.legacy.dh import SHORT_GROUP
from tests.legacy.stunnel import Stunnel
from tests.proxy.pop3.client.tls_case import CA, GOOD, TlsCase

LOWEST = "ALL:@SECLEVEL=0"  # of the servers
LOWERED = "ALL:!aNULL:@SECLEVEL=0"


class VersionTests(TlsCase):
    async def test_tls_1_0_is_refused_with_the_line_that_takes_it(self) -> None:
        for tls in ("starttls", "implicit"):
            self.serve(newest=SSL.TLS1_VERSION, ciphers=LOWEST, implicit=tls == "implicit")
            error = await self.refused("speaks no TLS of version 1.2 or later", tls)
            self.assertIn('`tls_minimum = "1.0"`', error.remedy)
            await self.log_in(tls, minimum="1.0")

    async def test_tls_1_1_is_taken_by_1_1_and_by_1_0(self) -> None:
        self.serve(newest=SSL.TLS1_1_VERSION, ciphers=LOWEST)
        await self.refused("speaks no TLS of version 1.2 or later")
        await self.log_in(minimum="1.1")
        await self.log_in(minimum="1.0")

    async def test_tls_1_0_is_not_taken_by_1_1(self) -> None:
        self.serve(newest=SSL.TLS1_VERSION, ciphers=LOWEST)
        await self.refused("speaks no TLS of version 1.1 or later", minimum="1.1")

    async def test_a_minimum_of_1_0_still_takes_the_best_that_there_is(self) -> None:
        server = self.serve()
        await self.log_in(minimum="1.0")
        (connection,) = server.behaviour.tls.connections
        self.assertEqual(connection.get_protocol_version_name(), "TLSv1.3")

    async def test_the_certificate_is_checked_as_ever(self) -> None:
        self.serve(CA.issue("elsewhere.example"), newest=SSL.TLS1_VERSION, ciphers=LOWEST)
        await self.refused("is not for localhost but for elsewhere.example", minimum="1.0")
        self.serve(Authority("Somebody Else").issue("localhost"), newest=SSL.TLS1_VERSION, ciphers=LOWEST)
        await self.refused("signed by one not trusted here", minimum="1.0")

    async def test_one_server_that_is_let_be_old_lets_no_other_be(self) -> None:
        self.serve(newest=SSL.TLS1_VERSION, ciphers=LOWEST)
        await self.log_in(minimum="1.0")
        self.serve(newest=SSL.TLS1_VERSION, ciphers=LOWEST)
        await self.refused("speaks no TLS of version 1.2 or later")


class CipherTests(TlsCase):
    """All of these speak TLS 1.2, or 1.0 with nothing better."""

    async def refused_then_taken(self, words: str, *, minimum: str = "1.2", **how: Any) -> None:
        self.serve(**how)
        error = await self.refused(words, minimum=minimum)
        self.assertIn(f'ciphers = "{LOWERED}"', error.remedy)
        await self.log_in(minimum=minimum, ciphers=LOWERED)

    async def test_a_suite_that_is_not_taken_by_default(self) -> None:
        identity = CA.issue("localhost", bits=2048)
        for suite in ("CAMELLIA128-SHA", "ARIA128-GCM-SHA256"):
            words = "no encryption that both sides accept"
            await self.refused_then_taken(words, identity=identity, newest=SSL.TLS1_2_VERSION, ciphers=suite)
            await self.log_in(ciphers=suite)

    async def test_diffie_hellman_in_a_group_of_1024_bits(self) -> None:
        """By an OpenSSL that still uses the group that it was given, whatever the client would rather have."""
        server = self.serve(None)
        with Stunnel(server.port, CA.issue("localhost", bits=2048), self.folder) as stunnel:
            (self.folder / "dh.pem").write_bytes(SHORT_GROUP)
            stunnel.context.set_ciphers("DHE:@SECLEVEL=0")
            stunnel.context.load_dh_params(self.folder / "dh.pem")
            stunnel.context.maximum_version = ssl.TLSVersion.TLSv1_2
            error = await self.refused("dh key too small", "implicit", port=stunnel.port)
            self.assertIn(f'ciphers = "{LOWERED}"', error.remedy)
            await self.log_in("implicit", port=stunnel.port, ciphers=LOWERED)

    async def test_a_key_of_1024_bits(self) -> None:
        await self.refused_then_taken(
            "too weak or not trusted (RSA of 1024 bits)",
            identity=CA.issue("localhost", bits=1024),
            newest=SSL.TLS1_2_VERSION,
            ciphers=LOWEST,
        )

    async def test_a_suite_without_certificates_proves_nothing(self) -> None:
        """`ciphers` may allow them; who the server is, is then not known, and no password is sent."""
        self.serve(newest=SSL.TLS1_2_VERSION, ciphers="ADH:@SECLEVEL=0", dh=SHORT_GROUP)
        await self.refused("the certificate is not for localhost", ciphers="ALL:@SECLEVEL=0")
        await self.refused("showed no certificate", ciphers="ALL:@SECLEVEL=0", fingerprints=(GOOD.fingerprint,))

    async def test_a_server_that_has_nothing_even_then(self) -> None:
        self.serve(CA.issue("localhost", bits=2048), newest=SSL.TLS1_2_VERSION, ciphers="NULL-SHA256:@SECLEVEL=0")
        error = await self.refused("no encryption that both sides accept", ciphers=LOWERED)
        self.assertIn("nothing weaker", error.remedy)


class PinTests(TlsCase):
    """With `fingerprints` a certificate is taken if and only if it is one of them."""

    def pin_in(self, error: TlsFailed) -> str:
        found = re.search(r'`fingerprint = "(sha256:[0-9A-F:]{95})"`', error.remedy)
        assert found is not None, error.remedy
        return found[1]

    async def refused_then_pinned(self, words: str, identity: Identity, **how: Any) -> None:
        """The remedy's own words let it in, over STLS and implicit TLS; with another pin it stays outside."""
        for tls in ("starttls", "implicit"):
            self.serve(identity, implicit=tls == "implicit", **how)
            error = await self.refused(words, tls)
            pin = self.pin_in(error)
            self.assertEqual(pin, identity.fingerprint)
            await self.log_in(tls, fingerprints=(pin,))
            await self.log_in(tls, fingerprints=(GOOD.fingerprint, pin))
            self.serve(identity, implicit=tls == "implicit", **how)
            await self.refused("is not one that `fingerprint` names", tls, fingerprints=(GOOD.fingerprint,))

    async def test_a_certificate_that_signed_itself(self) -> None:
        await self.refused_then_pinned("is signed by itself", Authority.of_its_own("localhost"))

    async def test_a_certificate_that_expired(self) -> None:
        await self.refused_then_pinned("expired on", Authority.of_its_own("localhost", days=-400))
        await self.refused_then_pinned("expired on", CA.issue("localhost", days=-1))

    async def test_a_certificate_for_another_name(self) -> None:
        await self.refused_then_pinned("is not for localhost but for mail.old.example", CA.issue("mail.old.example"))

    async def test_a_certificate_with_a_name_in_its_subject_alone(self) -> None:
        """RFC 6125 6.4.4, and RFC 9525 after it: that name counts no more. Old servers have no other."""
        await self.refused_then_pinned(
            "is not for localhost: it names no host (its common name, which does not count, is localhost)",
            CA.issue("localhost", bits=2048, common_name_alone=True),
        )

    async def test_a_certificate_of_an_unknown_ca(self) -> None:
        await self.refused_then_pinned("signed by one not trusted here", Authority("Elsewhere").issue("localhost"))

    async def test_everything_that_is_old_at_once(self) -> None:
        old = Authority("Elsewhere").issue("pop.example", bits=1024, common_name_alone=True)
        self.serve(old, newest=SSL.TLS1_VERSION, ciphers=LOWEST, dh=SHORT_GROUP)
        await self.log_in(minimum="1.0", fingerprints=(old.fingerprint,))

    async def test_a_good_certificate_that_is_not_the_one(self) -> None:
        """A pin is not one more way in: what a CA says does not count beside it."""
        self.serve()
        other = CA.issue("localhost")
        error = await self.refused("is not one that `fingerprint` names", fingerprints=(other.fingerprint,))
        self.assertIn(GOOD.fingerprint, str(error))
        self.assertIn("for localhost, 127.0.0.1", str(error))
        self.assertIn("somebody else", error.remedy)


def test_openssl_prints_what_is_pinned(tmp_path: Path) -> None:
    identity = CA.issue("localhost")
    certificate, _ = identity.write(tmp_path, "server")
    command = ["openssl", "x509", "-in", str(certificate), "-noout", "-fingerprint", "-sha256"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.lower().strip() == f"sha256 fingerprint={identity.fingerprint.removeprefix('sha256:').lower()}"
