"""Mail clients from Debian: curl, fetchmail, mpop, getmail, mbsync and mutt."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from tests.legacy.dovecot import Dovecot
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import as_text, original, texts
from tests.peers.needs import needed

pytestmark = pytest.mark.peers
PATIENCE = 20  # seconds that any of them may take


def run(*command: str | Path, home: Path, allowed: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[bytes]:
    """Run a client whose settings and state are all in `home`."""
    env = os.environ | {"HOME": str(home), "FETCHMAILHOME": str(home), "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(
        [str(word) for word in command], env=env, cwd=home, capture_output=True, check=False, timeout=PATIENCE
    )
    assert ran.returncode in allowed, (ran.returncode, ran.stdout[-500:], ran.stderr[-500:])
    return ran


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


# curl


@pytest.mark.parametrize("way", ["imap", "imaps", "starttls"])
def test_curl_over_imap(legacy: Dovecot, daemon: Daemon, user: str, tmp_path: Path, way: str) -> None:
    curl, old = needed("curl"), original(legacy, user)
    scheme = "imaps" if way == "imaps" else "imap"
    port = daemon.ports[scheme]
    options = ["-sS", "--user", f"{user}@123.com:pass", "--cacert", str(daemon.ca)]
    options += ["--ssl-reqd"] if way == "starttls" else []
    url = f"{scheme}://localhost:{port}/INBOX"
    for number in (1, 9, len(old)):
        assert run(curl, *options, f"{url};MAILINDEX={number}", home=tmp_path).stdout == old[number - 1].raw
    listed = run(curl, *options, url, "-X", "SEARCH ALL", home=tmp_path).stdout
    assert listed.split() == [b"*", b"SEARCH", *(b"%d" % n for n in range(1, len(old) + 1))]


@pytest.mark.parametrize("way", ["pop3", "pop3s", "stls"])
def test_curl_over_pop3(legacy: Dovecot, daemon: Daemon, user: str, tmp_path: Path, way: str) -> None:
    curl, old = needed("curl"), original(legacy, user)
    scheme = "pop3s" if way == "pop3s" else "pop3"
    options = ["-sS", "--user", f"{user}@123.com:pass", "--cacert", str(daemon.ca)]
    options += ["--ssl-reqd"] if way == "stls" else []
    url = f"{scheme}://localhost:{daemon.ports[scheme]}/"
    for number in (1, 9, len(old)):
        assert run(curl, *options, f"{url}{number}", home=tmp_path).stdout == old[number - 1].raw
    listed = run(curl, *options, url, "-X", "UIDL", home=tmp_path).stdout
    assert [line.split()[1].decode() for line in listed.splitlines()] == [mail.uidl for mail in old]


# Clients that leave mail on the server: nothing comes twice, whether it came from the old server or from here


class Fetchmail:
    """Runs fetchmail against a port; what it delivers is a file each in `new`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = needed("fetchmail")
        (home / "new").mkdir()

    def fetch(self, port: int, user: str) -> int:
        """How many messages came."""
        before = len(texts(self.home))
        rc = private(
            self.home / "rc",
            f"poll mail.123.com via 127.0.0.1 protocol pop3 service {port} uidl bad-header accept auth password\n"
            f'  user "{user}" password "pass" keep no rewrite sslproto ""\n'
            f"  mda \"/bin/sh -c 'cat >$(mktemp {self.home}/new/XXXXXXXX)'\"\n",
        )
        run(
            self.program,
            "-f",
            rc,
            "--idfile",
            self.home / "ids",
            "--pidfile",
            self.home / "pid",
            home=self.home,
            allowed=(0, 1),
        )
        return len(texts(self.home)) - before


class Mpop:
    """Runs mpop into a Maildir."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = needed("mpop")
        for name in ("cur", "new", "tmp"):
            (home / name).mkdir()

    def fetch(self, port: int, user: str) -> int:
        before = len(texts(self.home))
        rc = private(
            self.home / "rc",
            f"account a\nhost 127.0.0.1\nport {port}\nuser {user}\npassword pass\nauth user\ntls off\nkeep on\n"
            f"uidls_file {self.home}/uidls\ndelivery maildir {self.home}\n",
        )
        run(self.program, "-q", "-C", rc, "a", home=self.home)
        return len(texts(self.home)) - before


@pytest.mark.parametrize("kind", [Fetchmail, Mpop])
def test_a_client_that_leaves_mail_on_the_server_gets_each_message_once(
    legacy: Dovecot, daemon: Daemon, smooth_user: str, tmp_path: Path, kind: type[Fetchmail | Mpop]
) -> None:
    client, old = kind(tmp_path), original(legacy, smooth_user)
    assert client.fetch(daemon.ports["pop3"], smooth_user) == len(old)
    assert client.fetch(daemon.ports["pop3"], smooth_user) == 0


@pytest.mark.parametrize("kind", [Fetchmail, Mpop])
def test_a_client_that_had_it_all_from_the_old_server_gets_nothing_again(
    legacy: Dovecot, daemon: Daemon, smooth_user: str, tmp_path: Path, kind: type[Fetchmail | Mpop]
) -> None:
    client, old = kind(tmp_path), original(legacy, smooth_user)
    assert client.fetch(legacy.pop3, smooth_user) == len(old)
    assert client.fetch(daemon.ports["pop3"], smooth_user) == 0


def test_mpop_has_every_byte(legacy: Dovecot, daemon: Daemon, smooth_user: str, tmp_path: Path) -> None:
    Mpop(tmp_path).fetch(daemon.ports["pop3"], smooth_user)
    found = [text.partition(b"\r\n")[2] if text.startswith(b"Received: from") else text for text in texts(tmp_path)]
    assert len(found) == len(original(legacy, smooth_user))


def test_getmail_gets_each_message_once(legacy: Dovecot, daemon: Daemon, smooth_user: str, ground: Path) -> None:
    getmail, old = needed("getmail"), original(legacy, smooth_user)
    home = ground / "getmail"
    for name in ("cur", "new", "tmp"):
        (home / "mail" / name).mkdir(parents=True)
    if os.geteuid() == 0:  # getmail delivers nothing as root
        run("chown", "-R", legacy.owner.pw_name, home / "mail", home=home)
    rc = private(
        home / "rc",
        f"[retriever]\ntype=SimplePOP3Retriever\nserver=127.0.0.1\nport={daemon.ports['pop3']}\n"
        f"username={smooth_user}@123.com\npassword=pass\n"
        f"[destination]\ntype=Maildir\npath={home}/mail/\nuser={legacy.owner.pw_name}\n"
        "[options]\nread_all=false\ndelete=false\nverbose=0\ndelivered_to=false\nreceived=false\n",
    )
    for _ in range(2):
        run(getmail, "-q", "-g", home, "-r", rc, home=home)
        assert len(texts(home / "mail")) == len(old)


# IMAP clients


def test_mbsync_has_every_message(legacy: Dovecot, daemon: Daemon, smooth_user: str, tmp_path: Path) -> None:
    mbsync, old = needed("mbsync"), original(legacy, smooth_user)
    rc = private(
        tmp_path / "rc",
        f"IMAPAccount far\nHost 127.0.0.1\nPort {daemon.ports['imap']}\nUser {smooth_user}@123.com\nPass pass\n"
        "SSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount far\n\n"
        f"MaildirStore near\nPath {tmp_path}/\nInbox {tmp_path}/mail\n\n"
        f"Channel all\nFar :far:INBOX\nNear :near:INBOX\nSync Pull\nSyncState {tmp_path}/state-\n",
    )
    for _ in range(2):
        run(mbsync, "-c", rc, "all", home=tmp_path)
        found = [re.sub(rb"X-TUID: .*\r\n", b"", text) for text in texts(tmp_path / "mail")]  # its own mark
        assert sorted(found) == sorted(as_text(mail.raw) for mail in old)


def test_mutt_copies_every_message(legacy: Dovecot, daemon: Daemon, smooth_user: str, tmp_path: Path) -> None:
    mutt, old = needed("mutt"), original(legacy, smooth_user)
    rc = private(
        tmp_path / "rc",
        f'set imap_user="{smooth_user}@123.com" imap_pass="pass" ssl_starttls=no ssl_force_tls=no\n'
        "set mbox_type=Maildir confirmcreate=no confirmappend=no quit=yes delete=no move=no mark_old=no\n"
        "set sleep_time=0 timeout=1 copy=no\nunset wait_key header_cache message_cachedir record imap_passive\n",
    )
    # mutt may lose the first prompt that is answered by push: the limit to all messages is there to be lost.
    keys = f"<limit>all<enter><tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{tmp_path}/mail<enter><exit>"
    _on_a_terminal(
        [
            mutt,
            "-n",
            "-F",
            str(rc),
            "-R",
            "-f",
            f"imap://127.0.0.1:{daemon.ports['imap']}/INBOX",
            "-e",
            f"push '{keys}'",
        ],
        home=tmp_path,
    )
    ids = sorted(_message_id(mail.raw) for mail in old)
    assert sorted(_message_id(text) for text in texts(tmp_path / "mail")) == ids


def _message_id(raw: bytes) -> bytes:
    lines = as_text(raw).partition(b"\r\n\r\n")[0].split(b"\r\n")
    return next((line for line in lines if line.lower().startswith(b"message-id:")), b"")


def _on_a_terminal(command: list[str], home: Path) -> None:
    """Run a program that wants a terminal, and let nobody look at it."""
    master, slave = pty.openpty()
    env = os.environ | {"HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command, env=env, cwd=home, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    seen, end = b"", time.monotonic() + PATIENCE
    try:
        while process.poll() is None and time.monotonic() < end:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    seen += os.read(master, 65_536)
                except OSError:  # EIO: the other end is closed
                    break
        assert process.wait(5) == 0, seen[-1_000:]
    finally:
        process.kill()
        process.wait()
        os.close(master)
