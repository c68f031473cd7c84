"""Programs that carry a POP3 mailbox into a Maildir of their own, to be timed: the bound, and mailferry's peers.

A program that needs longer than `patience` is ended, and its time is estimated from how far it has come.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.legacy.dovecot import PASSWORD, Dovecot

HERE = Path(__file__).parent
LOOK: Final = 0.5  # seconds between two looks at a program with a time limit


@dataclass(frozen=True)
class Pulled:
    """How long it took. `estimated`: it was ended before, and would have taken about so long."""

    seconds: float
    estimated: bool = False

    def __str__(self) -> str:
        return f"{'≈' if self.estimated else ''}{self.seconds:.{0 if self.seconds >= 100 else 2}f}"


@dataclass(frozen=True)
class Task:
    """A user's mailbox of `count` messages at `port`; what is made for it goes below `root`, which is empty."""

    legacy: Dovecot
    root: Path
    user: str
    port: int
    count: int

    @property
    def maildir(self) -> Path:
        return self.root / "Maildir"


def bound(task: Task) -> list[str]:
    return [sys.executable, str(HERE / "bound.py"), str(task.port), task.user, str(task.maildir)]


def mpop(task: Task) -> list[str]:
    rc = _written(
        task.root / "mpoprc",
        f"account a\nhost 127.0.0.1\nport {task.port}\nuser {task.user}\npassword {PASSWORD}\nauth user\ntls off\n"
        f"keep on\nuidls_file {task.root}/uidls\ndelivery maildir {task.maildir}\n",
    )
    return ["mpop", "-q", "-C", str(rc), "a"]


def fetchmail(task: Task) -> list[str]:
    deliver = _written(task.root / "maildrop", f'to "{task.maildir}"\n')
    rc = _written(
        task.root / "fetchmailrc",
        f'poll 127.0.0.1 protocol pop3 port {task.port} auth password user "{task.user}" password "{PASSWORD}" keep '
        f'fetchall no rewrite sslproto "" mda "{shutil.which("maildrop")} {deliver}"\n',
    )
    return ["fetchmail", "-f", str(rc), "-s", "--pidfile", f"{task.root}/pid", "-i", f"{task.root}/ids"]


def getmail(task: Task) -> list[str]:
    """It does not deliver as root."""
    owner = task.legacy.owner
    as_owner = f"user={owner.pw_name}\n" if os.geteuid() == 0 else ""
    rc = _written(
        task.root / "getmailrc",
        f"[retriever]\ntype=SimplePOP3Retriever\nserver=127.0.0.1\nport={task.port}\nusername={task.user}\n"
        f"password={PASSWORD}\n[destination]\ntype=Maildir\npath={task.maildir}/\n{as_owner}"
        "[options]\nread_all=true\ndelete=false\nverbose=0\n",
    )
    _give(task.root, owner)
    return ["getmail", "-q", "-g", str(task.root), "-r", rc.name]


def doveadm(task: Task) -> list[str]:
    shutil.rmtree(task.maildir)  # it makes its own
    _give(task.root, task.legacy.owner)
    settings = {
        "mail_location": f"maildir:{task.maildir}",
        "pop3c_host": "127.0.0.1",
        "pop3c_port": str(task.port),
        "pop3c_user": task.user,
        "pop3c_password": PASSWORD,
        "mail_prefetch_count": "20",
    }
    given = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    command = ["doveadm", "-c", str(task.legacy.root / "dovecot.conf"), *given]
    return [*command, "backup", "-R", "-u", task.user, "pop3c:"]


PEERS: Final[Mapping[str, Callable[[Task], list[str]]]] = {
    "mpop": mpop,
    "doveadm": doveadm,
    "fetchmail": fetchmail,
    "getmail": getmail,
}


def pull(program: Callable[[Task], list[str]], task: Task, patience: float = 3600.0) -> Pulled:
    """Run it, and see that all messages have come. Raises RuntimeError where they have not."""
    for name in ("tmp", "new", "cur"):
        (task.maildir / name).mkdir(parents=True)
    task.root.chmod(0o755)
    command = program(task)
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        _, said = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        seconds, come = time.perf_counter() - begun, _come(task)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return Pulled(seconds * task.count / max(come, 1), estimated=True)
    seconds = time.perf_counter() - begun
    if _come(task) != task.count:
        raise RuntimeError(
            f"{command[0]} brought {_come(task)} of {task.count}: {said.decode(errors='replace')[-300:]}"
        )
    return Pulled(seconds)


def _come(task: Task) -> int:
    return sum(len(list((task.maildir / name).iterdir())) for name in ("new", "cur") if (task.maildir / name).exists())


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def _give(path: Path, owner: pwd.struct_passwd) -> None:
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{owner.pw_uid}:{owner.pw_gid}", str(path)], check=True)
