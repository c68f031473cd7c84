"""What listeners show over TLS, and what reaches the log of Twisted's events."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from OpenSSL import SSL
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from proxy.daemon.logs import _Bridge
from proxy.daemon.tls import ServerTls
from tests.legacy.certificates import Authority, Identity


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def identity(authority: Authority) -> Identity:
    return authority.issue("mail.123.com")


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


def test_the_certificate_is_shown_with_its_chain(tmp_path: Path, authority: Authority, identity: Identity) -> None:
    certificate, key = identity.write(tmp_path, "mail")
    certificate.write_bytes(identity.certificate + authority.certificate)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(str(authority.write(tmp_path)))
    context.set_verify(SSL.VERIFY_PEER)
    connection = shake_hands(ServerTls(certificate, key), context)
    assert len(connection.get_peer_cert_chain() or ()) == 2
    assert connection.get_protocol_version_name() == "TLSv1.3"


def test_tls_1_2_is_taken_and_1_1_is_not(tmp_path: Path, identity: Identity) -> None:
    server = ServerTls(*identity.write(tmp_path, "mail"))
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
        ServerTls(**paths)


@pytest.mark.parametrize("damaged", ["certificate", "key"])
def test_a_file_that_is_no_pem_is_named(tmp_path: Path, identity: Identity, damaged: str) -> None:
    paths = dict(zip(("certificate", "key"), identity.write(tmp_path, "mail"), strict=True))
    paths[damaged].write_bytes(b"nonsense\n")
    with pytest.raises(ValueError, match=f"the {damaged} {paths[damaged]} is not in PEM form"):
        ServerTls(**paths)


def test_the_key_of_another_certificate(tmp_path: Path, authority: Authority, identity: Identity) -> None:
    certificate, _ = identity.write(tmp_path, "mail")
    _, key = authority.issue("mail.123.com").write(tmp_path, "other")
    with pytest.raises(ValueError, match="key"):
        ServerTls(certificate, key)


def test_python_s_own_client_agrees(tmp_path: Path, authority: Authority, identity: Identity) -> None:
    server = ServerTls(*identity.write(tmp_path, "mail")).serverConnectionForTLS(None)
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
