"""Dovecots that serve what was handed over, with the configuration that `mailferry handoff dovecot` has written; and
everything that a client can see of a mailbox, whoever serves it."""

from __future__ import annotations

import grp
import os
import poplib
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from imapclient import IMAPClient

from tests.legacy.dovecot import PASSWORD, end_process, free_port, program, wait_for_port
from tests.legacy.peer import NOBODY
from tests.legacy.roots import CHROOT, furnish
from tests.peers.needs import needed
from tests.peers.programs import private, run

OWNER = "nobody:nogroup"


class Heir:
    """Dovecot 2.3, with its own files in `root` and the configuration of `directory`."""

    def __init__(self, root: Path, directory: Path) -> None:
        self.root = root
        self.directory = directory
        self.imap, self.pop3 = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir(exist_ok=True)
        root.chmod(0o755)
        self.config = self.furnish()

    def furnish(self) -> Path:
        """Write its configuration; gives it back."""
        internal = ""
        if os.geteuid() != 0:
            user = os.environ.get("USER", "nobody")
            internal = f"default_login_user = {user}\ndefault_internal_user = {user}\n"
        config = self.root / "dovecot.conf"
        config.write_text(
            f"base_dir = {self.root}/run\nstate_dir = {self.root}/state\nlog_path = {self.root}/log\n"
            f"disable_plaintext_auth = no\n{internal}{self._common}"
            f"!include {self.directory}/dovecot-2.3.conf\n"
        )
        return config

    @property
    def _common(self) -> str:
        """What both versions are told in the same words."""
        listeners = "".join(
            f"service {name}-login {{\n  inet_listener {name} {{\n    port = {port}\n  }}\n"
            f"  inet_listener {name}s {{\n    port = 0\n  }}\n}}\n"
            for name, port in (("imap", self.imap), ("pop3", self.pop3))
        )
        return (
            f"protocols = imap pop3\nlisten = 127.0.0.1\nssl = no\nauth_failure_delay = 0\n{listeners}"
            "service anvil {\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\n"
            "service stats {\n  unix_listener stats-writer {\n    mode = 0666\n  }\n}\n"
        )

    @property
    def _server(self) -> list[str]:
        dovecot = program()
        assert dovecot is not None
        return [dovecot, "-F", "-c", str(self.config)]

    def start(self) -> None:
        with (self.root / "output").open("ab") as output:
            self._process = subprocess.Popen(self._server, stdout=output, stderr=output)
        try:
            for port in (self.imap, self.pop3):
                wait_for_port(port, self._process, 60)
        except TimeoutError as error:
            said = [
                path.read_text(errors="replace") for path in (self.root / "output", self.root / "log") if path.exists()
            ]
            raise AssertionError(f"{error}:\n{''.join(said)}") from None

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_process(process)

    @property
    def doveadm(self) -> str:
        return f"doveadm -c {self.config}"

    def run(self, script: Path) -> None:
        """What is to be run once Dovecot runs."""
        ran = subprocess.run(
            [script],
            env=os.environ | {"DOVEADM": self.doveadm},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr

    @property
    def complaints(self) -> list[str]:
        """What it found wrong with the Maildirs."""
        log = (self.root / "log").read_text(errors="replace") if (self.root / "log").exists() else ""
        return [line for line in log.splitlines() if "Error:" in line or "Warning:" in line or "Panic" in line]


class NewerHeir(Heir):
    """Dovecot 2.4, in a root of its own (`tests.legacy.roots`): of what is outside it sees `shared` alone, by the same
    path."""

    name = "dovecot-2.4"

    def __init__(self, root: Path, shared: Path, directory: Path) -> None:
        """`root` and `shared` are not there yet; `directory` lies in `shared`."""
        furnish(self.name, root)
        inside = root / shared.relative_to("/")
        inside.mkdir(parents=True)
        shared.symlink_to(inside)
        super().__init__(root, directory)

    def furnish(self) -> Path:
        etc = self.root / "etc"
        # The group as outside: the file of users is given to it, by its number.
        people = {"root": 0, "dovecot": grp.getgrnam("dovecot").gr_gid, "dovenull": 102, "nobody": NOBODY}
        (etc / "passwd").write_text("".join(f"{name}:x:{uid}:{uid}::/:/bin/false\n" for name, uid in people.items()))
        (etc / "group").write_text("".join(f"{name}:x:{gid}:\n" for name, gid in people.items()))
        (etc / "dovecot").mkdir()
        config = etc / "dovecot" / "dovecot.conf"
        config.write_text(
            "dovecot_config_version = 2.4.1\ndovecot_storage_version = 2.4.1\n"
            f"base_dir = /run/dovecot\nstate_dir = /run/dovecot-state\nlog_path = /log\nauth_allow_cleartext = yes\n"
            f"{self._common}!include {self.directory}/dovecot-2.4.conf\n"
        )
        return config

    @property
    def _server(self) -> list[str]:
        return [CHROOT, str(self.root), "/usr/sbin/dovecot", "-F"]

    @property
    def doveadm(self) -> str:
        return f"{CHROOT} {self.root} /usr/bin/doveadm"


@dataclass
class Seen:
    """All that a client sees."""

    folders: dict[str, dict[str, int]] = field(default_factory=dict)  # UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ, by name
    messages: dict[str, dict[int, tuple[frozenset[bytes], object, int]]] = field(default_factory=dict)
    bodies: dict[str, dict[int, bytes]] = field(default_factory=dict)
    subscribed: set[str] = field(default_factory=set)
    uses: dict[str, str] = field(default_factory=dict)
    uidls: list[bytes] = field(default_factory=list)


def seen(imap: int, pop3: int, user: str) -> Seen:
    found = Seen()
    with IMAPClient("127.0.0.1", imap, ssl=False, timeout=60) as client:
        client.login(user, PASSWORD)
        found.subscribed = {name for _, _, name in client.list_sub_folders()}
        for attributes, _, name in client.list_folders():
            if b"\\Noselect" in attributes or b"\\NonExistent" in attributes:
                continue
            status = client.folder_status(name, ["UIDVALIDITY", "UIDNEXT", "HIGHESTMODSEQ"])
            found.folders[name] = {key.decode(): value for key, value in status.items()}
            for use in (b"\\Sent", b"\\Drafts", b"\\Trash", b"\\Junk", b"\\Archive"):
                if use in attributes:
                    found.uses[name] = use.decode()
            client.select_folder(name, readonly=True)
            uids = client.search(["ALL"])
            told = client.fetch(uids, ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "BODY.PEEK[]"]) if uids else {}
            found.messages[name] = {
                uid: (frozenset(each[b"FLAGS"]), each[b"INTERNALDATE"], each[b"RFC822.SIZE"])
                for uid, each in told.items()
            }
            found.bodies[name] = {uid: each[b"BODY[]"] for uid, each in told.items()}
    with closing(poplib.POP3("127.0.0.1", pop3, timeout=60)) as maildrop:
        maildrop.user(user)
        maildrop.pass_(PASSWORD)
        found.uidls = [line.split(b" ", 1)[1] for line in maildrop.uidl()[1]]
        maildrop.quit()
    return found


def assert_same(before: Seen, after: Seen) -> None:
    """What no client may see a difference in."""
    assert after.uidls == before.uidls
    assert after.subscribed == before.subscribed
    assert after.uses == before.uses
    assert after.folders.keys() == before.folders.keys()
    for name, status in before.folders.items():
        assert after.folders[name]["UIDVALIDITY"] == status["UIDVALIDITY"], name
        assert after.folders[name]["UIDNEXT"] == status["UIDNEXT"], name
        assert after.folders[name]["HIGHESTMODSEQ"] >= status["HIGHESTMODSEQ"], name
        for uid, (flags, date, size) in before.messages[name].items():
            now, then, octets = after.messages[name][uid]
            assert (now - {b"\\Recent"}, then) == (flags - {b"\\Recent"}, date), (name, uid)
            assert octets == size or b"Subject: bare" in before.bodies[name][uid]
        assert after.messages[name].keys() == before.messages[name].keys(), name


class Mbsync:
    """Mirrors a mailbox, by way of a name that moves."""

    def __init__(self, home: Path, port: int, user: str) -> None:
        self.home, self.program = home, needed("mbsync")
        (home / "mail").mkdir(parents=True)
        self._rc = private(
            home / "rc",
            f"IMAPAccount far\nHost 127.0.0.1\nPort {port}\nUser {user}@123.com\nPass {PASSWORD}\n"
            "SSLType None\nAuthMechs LOGIN\n\nIMAPStore far\nAccount far\n\n"
            f"MaildirStore near\nPath {home}/mail/\nInbox {home}/mail/INBOX\nSubFolders Verbatim\n\n"
            "Channel all\nFar :far:\nNear :near:\nPatterns * !~*\nCreate Near\nRemove None\nExpunge None\n"
            f"Sync Pull\nSyncState {home}/state-\n",
        )

    def pull(self) -> int:
        """How many messages came."""
        before = self._count()
        run(self.program, "-c", self._rc, "all", home=self.home)
        return self._count() - before

    def _count(self) -> int:
        return sum(1 for path in (self.home / "mail").rglob("*") if path.parent.name in {"new", "cur"})
