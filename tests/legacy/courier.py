"""Courier 1.0: Maildir, accounts in userdb; couriertcpd listens, authdaemond checks passwords.

What it does that others do not: LIST leaves out the line end that a message without one is given on its way; a file
with CRLF comes as CR CR LF; -ERR to a wrong password takes it 5 s; and it numbers UIDLs in a file in the Maildir.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from tests.legacy.dovecot import free_port, select_nothing, wait_for_port
from tests.legacy.peer import NOBODY, RootedPeer, contents, unix

_LIBRARY = "/usr/lib/courier"


class Courier(RootedPeer):
    """`mail/USER/Maildir` is a mailbox. `per_address` is MAXPERIP: connections that one address may have."""

    name = "courier"
    services = ("courier",)
    per_address = 40

    def furnish(self) -> None:
        self.pop3 = free_port()
        self._numbers = count(1_290_000_000)
        self._processes: list[subprocess.Popen[bytes]] = []
        (self.root / "mail").mkdir()
        (self.root / "run/courier/authdaemon").mkdir(parents=True)
        etc = self.root / "etc/courier"
        etc.mkdir()
        (etc / "authdaemonrc").write_text(
            'authmodulelist="authuserdb"\nauthmodulelistorig="authuserdb"\ndaemons=2\n'
            'authdaemonvar=/run/courier/authdaemon\nDEBUG_LOGIN=0\nDEFAULTOPTIONS=""\n'
        )

    def enrol(self, user: str) -> None:
        super().enrol(user)
        for name in ("cur", "new", "tmp"):
            (self.maildir(user) / name).mkdir(parents=True)
        self.own(self.root / "mail" / user)
        where = [
            f"{name}\tuid={NOBODY}|gid={NOBODY}|home=/mail/{name}|mail=/mail/{name}/Maildir|_=" for name in self._users
        ]
        self._database("userdb", where)
        self._database("userdbshadow", [f"{name}\tsystempw={self._hash}" for name in self._users])

    def _database(self, name: str, lines: list[str]) -> None:
        """What makeuserdb, which is in Perl, does with a userdb file."""
        path = f"/etc/courier/{name}"
        typed = "\n".join([*lines, ".", ""])
        self.run(f"{_LIBRARY}/courier-authlib/makedatprog", "-", f"{path}.tmp", f"{path}.dat", typed=typed)

    def maildir(self, user: str) -> Path:
        return self.root / "mail" / user / "Maildir"

    def deliver(self, user: str, messages: Iterable[bytes]) -> None:
        self.place(user, [unix(message) for message in messages])

    def place(self, user: str, files: Iterable[bytes]) -> None:
        """Put files into the Maildir as they are."""
        for octets in files:
            number = next(self._numbers)
            path = self.maildir(user) / "cur" / f"{number}.M{number}P1.old:2,"
            path.write_bytes(octets)
            self.own(path)

    def stored(self, user: str) -> dict[str, bytes]:
        return contents(self.maildir(user) / "cur", self.maildir(user) / "new")

    def encryption(self) -> dict[str, str]:
        """Courier's variables about TLS."""
        return {"POP3_STARTTLS": "NO"}

    def start(self) -> None:
        (self.root / "run/courier/authdaemon/socket").unlink(missing_ok=True)
        daemon = self._spawn(f"{_LIBRARY}/courier-authlib/authdaemond")
        while not (self.root / "run/courier/authdaemon/socket").exists():
            assert daemon.poll() is None, (self.root / "log").read_text(errors="replace")
            select_nothing(0.02)
        limits = ("-maxprocs=40", f"-maxperip={self.per_address}", "-nodnslookup", "-noidentlookup")
        server = (f"{_LIBRARY}/courier/courierpop3login", f"{_LIBRARY}/courier/courierpop3d", "Maildir")
        tcpd = self._spawn("/usr/sbin/couriertcpd", "-address=127.0.0.1", *limits, str(self.pop3), *server)
        wait_for_port(self.pop3, tcpd)

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        environment = {"PATH": "/usr/sbin:/usr/bin", "MAILDIRPATH": "Maildir", "POP3AUTH": ""} | self.encryption()
        with (self.root / "log").open("ab") as log:
            process = subprocess.Popen(
                self.inside(*command), stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._processes.append(process)
        return process

    def stop(self) -> None:
        processes, self._processes = self._processes, []
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in processes:
            process.wait()
