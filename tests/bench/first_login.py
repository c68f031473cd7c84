"""First logins measured against the bound and against mpop, side by side in one run.

    tests/bench/run [--box small] [--rtt 0 100] [--rounds 3]

Each round pulls the same mailbox three times from the same Dovecot: with `bound.py`, which does nothing but make
messages durable, with mpop into a Maildir, and with mailferry, from a client's LOGIN to its OK. Figures are ratios
of medians; seconds are printed beside them. Nothing is deleted before the end: ext4 is slow for minutes after a
mass delete.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench import corpus
from tests.legacy.dovecot import Dovecot, free_port, program, wait_for_port

HERE = Path(__file__).parent

_CONFIGURATION = """
hostname = "localhost"
state = "{state}"
[listen]
imap = ["tcp:{imap}:interface=127.0.0.1"]
[domain."bench.example"]
accounts = "open"
[domain."bench.example".legacy]
host = "127.0.0.1"
port = {legacy}
tls = "none"
login = "local"
connections = 60
"""


class Mailferry:
    """A daemon of its own with an empty state directory."""

    def __init__(self, root: Path, legacy: int) -> None:
        self.imap = free_port()
        config = root / "mailferry.toml"
        config.write_text(_CONFIGURATION.format(state=root / "state", imap=self.imap, legacy=legacy))
        command = [sys.executable, "-m", "proxy.cli.main", "serve", "--config", str(config)]
        with (root / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.imap, self.process)

    def memory(self, field: str) -> int:
        """VmRSS or VmHWM in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+)", status)
        assert found is not None
        return int(found[1]) // 1024

    def login(self, user: str) -> float:
        """Seconds from LOGIN to its OK."""
        with socket.create_connection(("127.0.0.1", self.imap)) as connection, connection.makefile("rb") as lines:
            lines.readline()
            begun = time.perf_counter()
            connection.sendall(f"a LOGIN {user}@bench.example pass\r\n".encode())
            while not (line := lines.readline()).startswith(b"a "):
                assert line, "the connection was closed"
            assert line.startswith(b"a OK"), line
            return time.perf_counter() - begun

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@dataclass
class Round:
    bound: float
    mpop: float | None
    mailferry: float
    idle: int
    peak: int


def _maildir(root: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (root / name).mkdir(parents=True)
    return root


def time_bound(root: Path, user: str, port: int) -> float:
    directory = _maildir(root / "bound")
    begun = time.perf_counter()
    subprocess.run([sys.executable, str(HERE / "bound.py"), str(port), user, str(directory)], check=True)
    return time.perf_counter() - begun


def time_mpop(root: Path, user: str, port: int) -> float | None:
    mpop = shutil.which("mpop")
    if mpop is None:
        return None
    directory, rc = _maildir(root / "mpop"), root / "mpoprc"
    rc.write_text(
        f"account a\nhost 127.0.0.1\nport {port}\nuser {user}\npassword pass\nauth user\ntls off\nkeep on\n"
        f"uidls_file {root}/uidls\ndelivery maildir {directory}\n"
    )
    rc.chmod(0o600)
    begun = time.perf_counter()
    subprocess.run([mpop, "-q", "-C", str(rc), "a"], check=True)
    return time.perf_counter() - begun


def one_round(root: Path, user: str, port: int) -> Round:
    root.mkdir()
    bound, mpop = time_bound(root, user, port), time_mpop(root, user, port)
    ferry = Mailferry(root, port)
    try:
        idle = ferry.memory("VmRSS")
        took = ferry.login(user)
        return Round(bound, mpop, took, idle, ferry.memory("VmHWM"))
    finally:
        ferry.stop()


def row(box: str, rtt: float, rounds: list[Round]) -> str:
    ratio = statistics.median(r.mailferry / r.bound for r in rounds)
    ahead = [r.mpop / r.mailferry for r in rounds if r.mpop is not None]
    seconds = [f"{statistics.median(v):6.2f}" for v in ([r.mailferry for r in rounds], [r.bound for r in rounds])]
    mpop = f"{statistics.median(r.mpop for r in rounds if r.mpop is not None):6.2f}" if ahead else "     –"
    faster = f"{statistics.median(ahead):5.2f}×" if ahead else "     –"
    idle, peak = max(r.idle for r in rounds), max(r.peak for r in rounds)
    return (
        f"{box:<8} {rtt:4.0f} ms   {seconds[0]}   {seconds[1]}   {mpop}   {ratio:5.2f}×   {faster}"
        f"   {idle:4} MiB   {peak - idle:+4} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--box", nargs="+", default=["small"], choices=sorted(corpus.BOXES), metavar="BOX")
    parser.add_argument("--rtt", nargs="+", type=float, default=[0.0, 100.0], metavar="MILLISECONDS")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if program() is None:
        sys.exit("install dovecot-pop3d and dovecot-imapd first (and mpop, for the comparison)")
    root = Path(tempfile.mkdtemp(prefix="bench.", dir="/tmp"))
    legacy = Dovecot(root)
    try:
        for box in options.box:
            corpus.write(legacy.maildir(box), box)
        legacy.own()
        print("box       round trip  mailferry  bound   mpop   to bound  to mpop     idle      held")
        for rtt in options.rtt:
            hop = subprocess.Popen(
                [sys.executable, str(HERE / "delay.py"), str(legacy.pop3), str(rtt)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert hop.stdout is not None
            port = int(hop.stdout.readline()) if rtt else legacy.pop3
            for box in options.box:
                rounds = [one_round(root / f"{box}-{rtt:g}-{n}", box, port) for n in range(options.rounds)]
                print(row(box, rtt, rounds), flush=True)
            hop.communicate("")
    finally:
        legacy.stop()
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
