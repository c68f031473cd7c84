"""The same clients over TLS, from the first byte and by STARTTLS or STLS, where they check whom they talk to."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.legacy.certificates import Authority
from tests.legacy.dovecot import select_nothing
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import texts
from tests.peers.needs import needed
from tests.peers.programs import on_a_terminal, private, run

pytestmark = pytest.mark.peers
LETTERS = 8  # what letters_user has


@pytest.mark.parametrize("way", ["imaps", "starttls"])
def test_mbsync(daemon: Daemon, letters_user: str, tmp_path: Path, way: str) -> None:
    port = daemon.ports["imaps" if way == "imaps" else "imap"]
    rc = private(
        tmp_path / "rc",
        f"IMAPAccount far\nHost localhost\nPort {port}\nUser {letters_user}@123.com\nPass pass\n"
        f"SSLType {way.upper()}\nCertificateFile {daemon.ca}\n\nIMAPStore far\nAccount far\n\n"
        f"MaildirStore near\nPath {tmp_path}/\nInbox {tmp_path}/mail\n\n"
        f"Channel all\nFar :far:INBOX\nNear :near:INBOX\nSync Pull\nSyncState {tmp_path}/state-\n",
    )
    run(needed("mbsync"), "-c", rc, "all", home=tmp_path)
    assert len(texts(tmp_path / "mail")) == LETTERS


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
@pytest.mark.parametrize("way", ["tls", "starttls"])
def test_fetchmail(daemon: Daemon, letters_user: str, tmp_path: Path, protocol: str, way: str) -> None:
    (tmp_path / "new").mkdir()
    port = daemon.ports[protocol + "s" if way == "tls" else protocol]
    encrypted = "ssl" if way == "tls" else 'sslproto "TLS1.2+"'
    rc = private(
        tmp_path / "rc",
        f"poll localhost protocol {protocol} service {port} auth password\n"
        f'  user "{letters_user}" password "pass" keep no rewrite {encrypted} sslcertck sslcertfile {daemon.ca}\n'
        f"  mda \"/bin/sh -c 'cat >$(mktemp {tmp_path}/new/XXXXXXXX)'\"\n",
    )
    files = ("--idfile", tmp_path / "ids", "--pidfile", tmp_path / "pid")
    run(needed("fetchmail"), "-f", rc, *files, home=tmp_path)
    assert len(texts(tmp_path)) == LETTERS


@pytest.mark.parametrize("way", ["imaps", "starttls", "pop3s"])
def test_mutt(daemon: Daemon, letters_user: str, tmp_path: Path, way: str) -> None:
    scheme = "imap" if way == "starttls" else way
    protocol = scheme.removesuffix("s").replace("pop3", "pop")
    where = f"{'pops' if way == 'pop3s' else scheme}://localhost:{daemon.ports[scheme]}/"
    rc = private(
        tmp_path / "rc",
        f'set {protocol}_user="{letters_user}@123.com" {protocol}_pass="pass"\n'
        f'set ssl_starttls=yes ssl_force_tls=yes ssl_verify_host=yes certificate_file="{daemon.ca}"\n'
        "set mbox_type=Maildir confirmcreate=no confirmappend=no quit=yes delete=no move=no sleep_time=0 timeout=1\n"
        "unset wait_key\n",
    )
    keys = f"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{tmp_path}/mail<enter><quit>"
    typed = f"push '<limit>all<enter>{keys}'"
    on_a_terminal(needed("mutt"), "-n", "-F", rc, "-R", "-f", where, "-e", typed, home=tmp_path)
    assert len(texts(tmp_path / "mail")) == LETTERS


@pytest.mark.parametrize("tls", ["on", "starttls"])
def test_mpop(daemon: Daemon, letters_user: str, tmp_path: Path, tls: str) -> None:
    for name in ("cur", "new", "tmp"):
        (tmp_path / name).mkdir()
    port = daemon.ports["pop3s" if tls == "on" else "pop3"]
    rc = private(
        tmp_path / "rc",
        f"account a\nhost localhost\nport {port}\nuser {letters_user}\npassword pass\nauth plain\ntls on\n"
        f"tls_starttls {'off' if tls == 'on' else 'on'}\ntls_trust_file {daemon.ca}\nkeep on\n"
        f"uidls_file {tmp_path}/uidls\ndelivery maildir {tmp_path}\n",
    )
    run(needed("mpop"), "-q", "-C", rc, "a", home=tmp_path)
    assert len(texts(tmp_path)) == LETTERS


def test_a_stranger_is_not_believed(daemon: Daemon, letters_user: str, tmp_path: Path) -> None:
    """A client that trusts another CA gives no password away."""
    other = Authority("Somebody else").write(tmp_path)
    rc = private(
        tmp_path / "rc",
        f"account a\nhost localhost\nport {daemon.ports['pop3s']}\nuser {letters_user}\npassword pass\ntls on\n"
        f"tls_starttls off\ntls_trust_file {other}\ndelivery maildir {tmp_path}\n",
    )
    ran = run(needed("mpop"), "-q", "-C", rc, "a", home=tmp_path, allowed=(68, 69, 76, 77))
    assert b"certificate" in ran.stderr


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("way", ["imaps", "starttls"])
def test_a_large_message_comes_whole_however_slowly_it_is_read(
    daemon: Daemon, letters_user: str, way: str, version: ssl.TLSVersion
) -> None:
    """5 MB that do not repeat themselves; the client stops in the midst for as long as the buffers take to fill."""
    message = b"Subject: large\r\n\r\n" + b"".join(b"%07d\r\n" % number for number in range(550_000))
    trust = daemon.trust()
    trust.minimum_version = trust.maximum_version = version
    port = daemon.ports["imaps" if way == "imaps" else "imap"]
    with IMAPClient("localhost", port, ssl=way == "imaps", ssl_context=trust, timeout=60) as client:
        if way == "starttls":
            client.starttls(trust)
        client.login(f"{letters_user}@123.com", "pass")
        client.append("INBOX", message)
        client.select_folder("INBOX")
        client._imap.send(b"x FETCH 9 BODY.PEEK[]\r\n")
        head = client._imap.readline()
        size = int(re.findall(rb"\{(\d+)\}", head)[0])
        select_nothing(0.3)
        assert (size, client._imap.read(size)) == (len(message), message)
