"""What listeners show over TLS, and what reaches the log of Twisted's events."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from proxy.config.model import Tls
from proxy.daemon.logs import _Bridge
from proxy.daemon.tls import ServerTls, server_tls
from tests.legacy.certificates import Authority, Identity


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def identity(authority: Authority) -> Identity:
    return authority.issue("mail.123.com")


def shown(certificate: Path, key: Path) -> ServerTls:
    server = server_tls(Tls(certificate=certificate, key=key))
    assert server is not None
    return server


def shake_hands(server: ServerTls, client: SSL.Context) -> SSL.Connection:
    """A handshake in memory; gives back the client's side."""
    ours, theirs = SSL.Connection(client, None), server.serverConnectionForTLS(None)
    ours.set_connect_state()
    theirs.set_accept_state()
    done = set()
    for _ in range(10):
        for name, side, other in (("ours", ours, theirs), ("theirs", theirs, ours)):
            try:
                side.do_handshake()
                done.add(name)
            except SSL.WantReadError:
                pass
            try:
                while data := side.bio_read(65_536):
                    other.bio_write(data)
            except SSL.WantReadError:
                pass
    assert done == {"ours", "theirs"}
    return ours


INTERMEDIATE = {  # what Mozilla's "Server Side TLS" 5.7 lists, by the certificate's key
    "ec": {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"},
    "rsa": {
        *("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"),
        *("DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-CHACHA20-POLY1305"),
    },
}


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_suites_and_versions_are_those_of_mozillas_intermediate_list(
    tmp_path: Path, authority: Authority, kind: str
) -> None:
    server = shown(*authority.issue("mail.123.com", bits=2048 if kind == "rsa" else 0).write(tmp_path, "mail"))
    every = SSL.Context(SSL.TLS_CLIENT_METHOD)
    every.set_cipher_list(b"ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    taken = set()
    for suite in SSL.Connection(every, None).get_cipher_list():
        for version in (SSL.TLS1_VERSION, SSL.TLS1_1_VERSION, SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
            client = SSL.Context(SSL.TLS_CLIENT_METHOD)
            if not suite.startswith("TLS_"):  # 1.3's are not chosen by name
                client.set_cipher_list(f"{suite}:@SECLEVEL=0".encode())
            client.set_min_proto_version(version)
            client.set_max_proto_version(version)
            with suppress(SSL.Error):
                connection = shake_hands(server, client)
                taken.add((connection.get_protocol_version_name(), connection.get_cipher_name()))
    assert {name for version, name in taken if version == "TLSv1.2"} == INTERMEDIATE[kind]
    assert {version for version, _ in taken} == {"TLSv1.2", "TLSv1.3"}


def test_the_client_chooses_among_them(tmp_path: Path, identity: Identity) -> None:
    server = shown(*identity.write(tmp_path, "mail"))
    for wanted in sorted(INTERMEDIATE["ec"]):
        client = SSL.Context(SSL.TLS_CLIENT_METHOD)
        client.set_max_proto_version(SSL.TLS1_2_VERSION)
        client.set_cipher_list(":".join([wanted, *INTERMEDIATE["ec"] - {wanted}]).encode())
        assert shake_hands(server, client).get_cipher_name() == wanted


def test_the_certificate_is_shown_with_its_chain(tmp_path: Path, authority: Authority, identity: Identity) -> None:
    certificate, key = identity.write(tmp_path, "mail")
    certificate.write_bytes(identity.certificate + authority.certificate)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(str(authority.write(tmp_path)))
    context.set_verify(SSL.VERIFY_PEER)
    connection = shake_hands(shown(certificate, key), context)
    assert len(connection.get_peer_cert_chain() or ()) == 2
    assert connection.get_protocol_version_name() == "TLSv1.3"


def test_tls_1_2_is_taken_and_1_1_is_not(tmp_path: Path, identity: Identity) -> None:
    server = shown(*identity.write(tmp_path, "mail"))
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    assert shake_hands(server, context).get_protocol_version_name() == "TLSv1.2"
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
    with pytest.raises(SSL.Error):
        shake_hands(server, context)


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_a_file_that_is_missing_is_named(tmp_path: Path, identity: Identity, missing: str) -> None:
    paths = dict(zip(("certificate", "key"), identity.write(tmp_path, "mail"), strict=True))
    paths[missing].unlink()
    with pytest.raises(ValueError, match=f"the {missing} {paths[missing]} cannot be read: No such file"):
        shown(**paths)


@pytest.mark.parametrize("damaged", ["certificate", "key"])
def test_a_file_that_is_no_pem_is_named(tmp_path: Path, identity: Identity, damaged: str) -> None:
    paths = dict(zip(("certificate", "key"), identity.write(tmp_path, "mail"), strict=True))
    paths[damaged].write_bytes(b"nonsense\n")
    with pytest.raises(ValueError, match=f"the {damaged} {paths[damaged]} is not in PEM form"):
        shown(**paths)


def test_the_key_of_another_certificate(tmp_path: Path, authority: Authority, identity: Identity) -> None:
    certificate, _ = identity.write(tmp_path, "mail")
    _, key = authority.issue("mail.123.com").write(tmp_path, "other")
    with pytest.raises(ValueError, match="key"):
        shown(certificate, key)


def test_a_chain_that_breaks_off(tmp_path: Path, authority: Authority, identity: Identity) -> None:
    certificate, key = identity.write(tmp_path, "mail")
    certificate.write_bytes(identity.certificate + authority.certificate[:-40])
    with pytest.raises(ValueError, match=f"the certificate {certificate} breaks off"):
        shown(certificate, key)


def test_a_key_behind_the_parameters_of_its_curve(tmp_path: Path, identity: Identity) -> None:
    certificate, key = identity.write(tmp_path, "mail")
    key.write_bytes(b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + identity.key)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    assert shake_hands(shown(certificate, key), context).get_peer_certificate()


def test_a_key_with_a_passphrase_is_refused_without_asking(tmp_path: Path, identity: Identity) -> None:
    certificate, key = identity.write(tmp_path, "mail")
    opened: Any = serialization.load_pem_private_key(identity.key, None)
    sealed = serialization.BestAvailableEncryption(b"secret")
    key.write_bytes(opened.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed))
    with pytest.raises(ValueError, match="has a passphrase"):
        shown(certificate, key)


def test_the_key_is_in_no_text_of_the_pair(tmp_path: Path, identity: Identity) -> None:
    assert "PRIVATE" not in repr(shown(*identity.write(tmp_path, "mail")).pair)


def test_python_s_own_client_agrees(tmp_path: Path, authority: Authority, identity: Identity) -> None:
    server = shown(*identity.write(tmp_path, "mail")).serverConnectionForTLS(None)
    server.set_accept_state()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(authority.write(tmp_path)))
    client = context.wrap_bio(incoming, outgoing, server_hostname="mail.123.com")
    for _ in range(10):
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            if data := outgoing.read():
                server.bio_write(data)
            with suppress(SSL.WantReadError):
                server.do_handshake()
            incoming.write(server.bio_read(65_536))
    assert client.version() == "TLSv1.3"


class Lines:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, event: str, **fields: str) -> None:
        self.lines.append(f"error {event} {fields}")

    def log(self, level: int, event: str, **fields: str) -> None:
        self.lines.append(f"{level} {event} {fields}")


def test_a_failure_is_logged_by_type_and_place_without_any_value() -> None:
    try:
        int("hunter2")
    except ValueError:
        failure = Failure()
    lines = Lines()
    _Bridge(lines)({"log_level": LogLevel.critical, "log_failure": failure, "log_namespace": "twisted.x"})
    (line,) = lines.lines
    assert "ValueError" in line
    assert "test_tls_and_logs.py" in line
    assert "hunter2" not in line


def test_warnings_come_through_as_they_were_written_and_chatter_does_not() -> None:
    lines = Lines()
    bridge = _Bridge(lines)
    bridge({"log_level": LogLevel.warn, "log_format": "lost {what}", "what": "hunter2", "log_namespace": "x"})
    bridge({"log_level": LogLevel.info, "log_format": "Starting factory"})
    bridge({"log_format": "an old kind of event"})
    assert lines.lines == ["30 lost {what} {'source': 'x'}"]
