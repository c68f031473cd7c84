"""Cyrus 3.6: a store of its own, with one file a message; master listens, sasldb has the passwords.

Its POP3 is a view of the IMAP mailbox: UIDLs are UIDVALIDITY.UID. On its way a line loses what is behind a NUL, which
LIST counts; a dot behind a bare LF is doubled. A login within `popminpoll` minutes of the last is -ERR [LOGIN-DELAY]:
Debian's default is one minute, which here a second port has.
"""

from __future__ import annotations

import fcntl
import poplib
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.legacy.dovecot import PASSWORD, free_port, wait_for_port
from tests.legacy.peer import NOBODY, RootedPeer, contents

_PROGRAMS = "/usr/lib/cyrus/bin"
_SERVER = "old.example"


class Cyrus(RootedPeer):
    """`impatient` is the port of a second POP3 server for the same mailboxes, with popminpoll."""

    name = "cyrus"
    services = ("cyrus",)

    def furnish(self) -> None:
        self.pop3, self.impatient = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._next: dict[str, int] = {}
        etc = self.root / "etc"
        (etc / "imapd.conf").write_text(_configuration(0) + self.encryption())
        (etc / "impatient.conf").write_text(_configuration(1))
        (etc / "cyrus.conf").write_text(
            f'START {{\n  recover cmd="ctl_cyrusdb -r"\n}}\nSERVICES {{\n'
            f'  pop3 cmd="pop3d" listen="127.0.0.1:{self.pop3}" prefork=0 maxchild=50\n'
            f'  slow cmd="pop3d -C /etc/impatient.conf" listen="127.0.0.1:{self.impatient}" prefork=0 maxchild=50\n'
            f"}}\nEVENTS {{\n}}\nDAEMON {{\n}}\n"
        )
        for name in ("db", "log", "msg", "proc", "ptclient", "quota", "sieve", "socket", "sync", "user"):
            (self.root / "var/lib/cyrus" / name).mkdir(parents=True)
        (self.root / "var/spool/cyrus/mail").mkdir(parents=True)
        for name in ("proc", "lock", "socket"):
            (self.root / "run/cyrus" / name).mkdir(parents=True)
        self.own(self.root / "var/lib/cyrus", self.root / "var/spool/cyrus", self.root / "run/cyrus")

    def encryption(self) -> str:
        """Lines of imapd.conf about TLS."""
        return ""

    def enrol(self, user: str) -> None:
        super().enrol(user)
        self.run("/usr/sbin/saslpasswd2", "-c", "-p", "-u", _SERVER, user, typed=PASSWORD)
        self.own(self.root / "etc/sasldb2")
        session = poplib.POP3("127.0.0.1", self.pop3, timeout=20)  # the first one makes the mailbox
        session.user(user)
        session.pass_(PASSWORD)
        session.quit()

    def folder(self, user: str) -> Path:
        """Where the user's messages are."""
        return self.root / self.run(f"{_PROGRAMS}/mbpath", f"user.{user}", user=NOBODY).strip().lstrip("/")

    def deliver(self, user: str, messages: Iterable[bytes]) -> None:
        """The files are put into the store and taken in by reconstruct: LMTP would refuse what is odd."""
        folder = self.folder(user)
        for message in messages:
            number = self._next[user] = self._next.get(user, 0) + 1
            (folder / f"{number}.").write_bytes(message)
            self.own(folder / f"{number}.")
        self.run(f"{_PROGRAMS}/reconstruct", "-u", user, user=NOBODY)

    def stored(self, user: str) -> dict[str, bytes]:
        return {name: octets for name, octets in contents(self.folder(user)).items() if name.endswith(".")}

    @contextmanager
    def being_delivered_to(self, user: str) -> Iterator[None]:
        """Somebody holds the mailbox's lock, as a delivery or an IMAP session does while it changes it."""
        lock = self.root / "run/cyrus/lock" / f"{self.folder(user).name}.lock"
        with lock.open("ab") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            yield

    def start(self) -> None:
        with (self.root / "log").open("ab") as log:
            command = self.inside(f"{_PROGRAMS}/master", "-D")
            # In a group of its own: its end is told to all of its group.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        wait_for_port(self.pop3, self._process)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # SIGTERM does not let sessions end
            process.wait(20)


def _configuration(minutes: int) -> str:
    return f"""configdirectory: /var/lib/cyrus
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: /var/spool/cyrus/mail
servername: {_SERVER}
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN
autocreate_quota: 0
popminpoll: {minutes}
failedloginpause: 0
altnamespace: no
unixhierarchysep: no
search_engine: none
conversations: no
"""
