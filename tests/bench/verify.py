"""`mailferry verify` of a real Dovecot mailbox: its report, and what it costs.

    tests/bench/run verify [--messages 20000] [--most 8000] [--damage]

A first login carries the mailbox over; then verify compares it, beside the running daemon: what is here alone, a
sample, and everything. `--damage` does harm to some messages before the last, on both sides, so that there is
something to find.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from tests.bench import corpus
from tests.bench.ferry import DOMAIN, maildir, served
from tests.bench.ground import legacy_ground
from tests.legacy.dovecot import Dovecot

USER = "wang"


def verify(config: Path, *options: str) -> tuple[float, int, str]:
    """Seconds, MiB at most, and what it printed."""
    command = [sys.executable, "-m", "proxy.cli.main", "verify", f"{USER}@{DOMAIN}", *options]
    command += ["--config", str(config)]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        peak = 0
        while process.poll() is None:
            with suppress(OSError, AttributeError):
                status = Path(f"/proc/{process.pid}/status").read_text()
                found = re.search(r"VmHWM:\s+(\d+)", status)
                peak = max(peak, int(found[1]) // 1024 if found else 0)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        assert process.stdout is not None
        return time.perf_counter() - begun, peak, process.stdout.read()


def damage(root: Path, legacy: Dovecot) -> None:
    """A file gone, a file altered, a message that came since, one that was deleted at the legacy server."""
    files = sorted((maildir(root, USER) / "cur").iterdir())
    files[17].unlink()
    data = files[18].read_bytes()
    files[18].write_bytes(data[:-20] + b"x" * 18 + data[-2:])
    old = sorted((legacy.maildir(USER) / "cur").iterdir())
    old[99].unlink()
    (legacy.maildir(USER) / "cur" / "1930768000.M1P1.bench:2,").write_bytes(corpus.message(random.Random(1), 1, 900))
    legacy.own()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/run verify", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--most", type=int, default=8_000, help="octets of a message")
    parser.add_argument("--damage", action="store_true")
    options = parser.parse_args()
    fill = partial(corpus.fill, box=corpus.Box(options.messages, 300, options.most), seed=options.messages)
    with legacy_ground({USER: fill}) as (ground, legacy):
        root = ground.fresh("mailferry")
        octets = sum(path.stat().st_size for path in (legacy.maildir(USER) / "cur").iterdir())
        with served(root, legacy.pop3) as ferry:
            print(
                f"{options.messages:,} messages, {octets:,} octets; first login {ferry.login(USER):.1f} s", flush=True
            )
            for how in (("--local",), ("--sample", "20"), ("--full",)):
                if how == ("--full",) and options.damage:
                    damage(root, legacy)
                report = root / "report"
                took, peak, said = verify(ferry.config, *how, "--output", str(report))
                print(f"{' '.join(how):12} {took:6.1f} s  {peak:4} MiB  {said.splitlines()[-1]}", flush=True)
            print()
            print(report.read_text() if report.exists() else said)


if __name__ == "__main__":
    main()
