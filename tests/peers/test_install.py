"""`conf/install` into a tree: what is there then, and what becomes of what was there."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.legacy.dovecot import wait_for_port
from tests.peers.daemon import Daemon
from tests.peers.needs import needed

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(os.geteuid() != 0, reason="owners and users are root's to give"),
]
CHECKOUT = Path(__file__).parents[2]
NEXT = "What comes next: mailferry init"
LEGACY = 'port = 1\ntls = "none"\n'


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str


def told(command: list[str | Path], **environment: str) -> Said:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    return Said(done.returncode, done.stdout, done.stderr)


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything in a tree, but for what Python keeps of its own."""
    found = {}
    for path in sorted(root.rglob("*")):
        if "__pycache__" not in path.parts:
            status = path.lstat()
            what = str(path.readlink()) if path.is_symlink() else status.st_mtime_ns if path.is_file() else ""
            found[str(path.relative_to(root))] = (oct(status.st_mode), status.st_uid, status.st_gid, what)
    return found


@dataclass
class Tree:
    """What has been installed. In Debian's Python, which `python3` may not be."""

    root: Path

    def install(self, *options: str) -> Said:
        return told([CHECKOUT / "conf" / "install", "--root", self.root, *options], PIP_COMPILE="0")

    def quickly(self, version: str, *options: str, then: str = "") -> Said:
        """The same of a version in which nothing is but its name; `then` is done while it is made."""
        code = (
            f"import os, signal, sys, time; sys.path.insert(0, {str(CHECKOUT / 'conf' / 'installing')!r})\n"
            "import installing, program\n"
            "def make_in(making):\n"
            "    (making / 'bin').mkdir(parents=True); (making / 'pyvenv.cfg').touch()\n"
            "    (making / 'units').mkdir()\n"
            f"    {then or 'pass'}\n"
            f"program._make_in, program.version = make_in, lambda: {version!r}\n"
            "sys.exit(installing.main())"
        )
        python = next(path for path in ("/usr/bin/python3", sys.executable) if Path(path).exists())
        return told([python, "-B", "-c", code, "--root", str(self.root), *options])

    @property
    def versions(self) -> list[str]:
        return sorted(path.name for path in (self.root / "opt" / "mailferry").iterdir())

    @property
    def current(self) -> str:
        return str((self.root / "opt" / "mailferry" / "current").readlink())

    def owner(self, path: str) -> tuple[str, int, int]:
        status = (self.root / path).stat()
        return oct(status.st_mode & 0o7777), status.st_uid, status.st_gid

    @property
    def ids(self) -> tuple[int, int]:
        entries = [(self.root / "etc" / name).read_text().splitlines() for name in ("passwd", "group")]
        user, group = (next(line for line in lines if line.startswith("mailferry:")).split(":") for lines in entries)
        return int(user[2]), int(group[2])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """Moved to another place when all of it was there, as an image's is."""
    needed("systemd-sysusers")
    made = Tree(tmp_path_factory.mktemp("made") / "tree")
    said = made.install()
    assert (said.status, said.err) == (0, ""), said
    assert NEXT in said.out and "make the user mailferry" in said.out
    moved = tmp_path_factory.mktemp("moved") / "tree"
    made.root.rename(moved)
    yield Tree(moved)


def test_owners_and_modes(tree: Tree) -> None:
    user, group = tree.ids
    assert tree.owner("etc/mailferry") == ("0o2750", 0, group)
    assert tree.owner("var/lib/mailferry") == ("0o700", user, group)
    assert tree.owner("etc/credstore") == ("0o700", 0, 0)
    assert not (tree.root / "etc/mailferry/mailferry.toml").exists()
    example = tree.root / "etc/mailferry/mailferry.toml.example"
    assert example.read_bytes() == (CHECKOUT / "conf/mailferry.toml").read_bytes()
    shell = (tree.root / "etc/passwd").read_text().strip().rpartition(":")[2]
    assert shell == "/usr/sbin/nologin"


def test_systemd_understands_all_of_it_and_would_make_the_same(tree: Tree) -> None:
    before = picture(tree.root)
    unit = tree.root / "etc/systemd/system/mailferry.service"
    name = "/etc/systemd/system/mailferry.service"
    verified = told([needed("systemd-analyze"), "verify", "--man=no", f"--root={tree.root}", name])
    of_debian = ("sysinit.target not found", "/bin/kill is not executable")  # which is not in the tree
    assert [line for line in verified.err.splitlines() if not any(words in line for words in of_debian)] == []
    for command in (
        [needed("systemd-sysusers"), f"--root={tree.root}", "mailferry.conf"],
        [needed("systemd-tmpfiles"), "--create", f"--root={tree.root}", "mailferry.conf"],
    ):
        assert told(command) == Said(0, "", ""), command
    wanted = tree.root / "etc/systemd/system/multi-user.target.wants/mailferry.service"
    assert str(wanted.readlink()) == "/etc/systemd/system/mailferry.service"
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    assert (tree.root / line.removeprefix("ExecStart=/").split()[0]).is_file()
    assert {path: entry for path, entry in picture(tree.root).items() if before.get(path, entry) != entry} == {}


def test_a_second_time_there_is_nothing_to_do(tree: Tree) -> None:
    before = picture(tree.root)
    said = tree.install()
    assert (said.status, said.err) == (0, "")
    assert "is installed; there was nothing to change\n" in said.out
    assert picture(tree.root) == before
    assert tree.install("--dry-run").out == "there is nothing to do\n"


def test_it_runs_and_a_configuration_is_the_daemon_s_to_read(tree: Tree, tmp_path: Path) -> None:
    command = tree.root / "usr/local/bin/mailferry"
    config = tree.root / "etc/mailferry/mailferry.toml"
    line = [command, "init", "--config", config, "--domain", "123.com", "--hostname", "mail.123.com", "--yes"]
    assert told([*line, "--legacy-host", "pop.old.123.com"]).status == 0
    assert tree.owner("etc/mailferry/mailferry.toml") == ("0o640", 0, tree.ids[1])
    before = config.read_bytes()
    assert NEXT not in tree.install().out
    assert config.read_bytes() == before
    config.unlink()
    daemon = Daemon(tmp_path / "ferry", LEGACY, workers=2)
    with (daemon.root / "log").open("wb") as log:
        serve = [command, "serve", "--config", daemon.config]
        process = daemon.process = subprocess.Popen(serve, stdout=log, stderr=log, cwd="/")
    try:
        wait_for_port(daemon.ports["imap"], process)
        own = f"{tree.root}/opt/mailferry/{tree.versions[0]}/"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (process.pid, *children)]
        assert len(lines) >= 3 and all(line.startswith(own) for line in lines), lines
        _upgrade_below(tree, daemon)
        assert daemon.stop() == 0
    finally:
        daemon.kill()


def _upgrade_below(tree: Tree, daemon: Daemon) -> None:
    """Another version is linked to, and taken up on SIGHUP, while a session goes on."""
    assert daemon.process is not None
    place = tree.root / "opt/mailferry"
    subprocess.run(["cp", "-al", place / tree.current, place / "another"], check=True)
    (place / "another/bin/mailferry").unlink()
    shutil.copyfile(place / tree.current / "bin/mailferry", place / "another/bin/mailferry")
    (place / "another/bin/mailferry").chmod(0o755)
    with socket.create_connection(daemon.imap, timeout=60) as client, client.makefile("rb") as answers:
        answers.readline()
        (place / "current").unlink()
        (place / "current").symlink_to("another")
        daemon.process.send_signal(signal.SIGHUP)
        while '"event": "reloaded"' not in daemon.log:
            assert '"not reloaded"' not in daemon.log, daemon.log
            select.select([client], [], [], 0.05)
        assert Path(f"/proc/{daemon.process.pid}/cmdline").read_text().startswith(f"{place}/another/bin/")
        client.sendall(b"a NOOP\r\n")
        assert answers.readline().startswith(b"a OK")


@pytest.fixture
def other(tmp_path: Path) -> Tree:
    needed("systemd-sysusers")
    return Tree(tmp_path / "tree")


def test_an_upgrade_and_the_way_back(other: Tree) -> None:
    for version in ("1", "2", "3"):
        said = other.quickly(version)
        assert said.status == 0, said
    assert other.versions == ["2", "3", "current"]
    assert "The version before, 2, stays" in said.out
    assert other.quickly("2").status == 0
    assert other.current == "2"
    assert other.versions == ["2", "3", "current"]


@pytest.mark.parametrize("name", ["KILL", "INT"])
def test_interrupted_in_the_midst_and_run_again(other: Tree, name: str) -> None:
    assert other.quickly("1").status == 0
    killed = other.quickly("2", then=f"os.kill(os.getpid(), signal.SIG{name}); time.sleep(60)")
    assert killed.status != 0
    assert other.current == "1"
    if name == "INT":
        assert killed.err == "install: interrupted: run it again, it goes on\n"
    assert other.quickly("2").status == 0
    assert other.versions == ["1", "2", "current"]


def test_what_cannot_be_leaves_what_was_there(other: Tree) -> None:
    assert other.quickly("1").status == 0
    before = picture(other.root)
    full = other.quickly("2", then="raise OSError(28, 'No space left on device')")
    assert (full.status, full.err) == (1, "install: the disk is full; run it again, it goes on\n")
    assert picture(other.root) == before
    descriptor = os.open(other.root / "opt/mailferry", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert other.quickly("2").err == "install: another conf/install is at work here\n"
    os.close(descriptor)
    assert picture(other.root) == before
    (other.root / "usr/local/bin/mailferry").unlink()
    (other.root / "usr/local/bin/mailferry").write_text("somebody's own")
    refused = other.quickly("2")
    assert refused.status == 1
    assert refused.err.endswith("/usr/local/bin/mailferry is there and is no link of ours: move it away first\n")


def test_a_unit_that_was_changed_by_hand_is_kept(other: Tree) -> None:
    unit = other.root / "etc/systemd/system/mailferry.service"
    assert other.quickly("1").status == 0
    unit.write_text("[Service]\nExecStart=/opt/mailferry/bin/mailferry serve\n")
    assert "which is not ours, as mailferry.service.before-mailferry" in other.quickly("1").out
    kept = unit.with_name("mailferry.service.before-mailferry")
    assert kept.read_text().startswith("[Service]\nExecStart=/opt/mailferry/bin")
    assert unit.read_bytes() == (CHECKOUT / "conf/systemd/mailferry.service").read_bytes()


def test_taken_away_again(other: Tree) -> None:
    assert other.quickly("1").status == 0
    (other.root / "etc/mailferry/mailferry.toml").write_text("hostname")
    (other.root / "var/lib/mailferry/accounts.db").write_text("accounts")
    before = picture(other.root)
    assert "would remove /opt/mailferry\n" in other.quickly("1", "--uninstall", "--dry-run").out
    assert picture(other.root) == before
    said = other.quickly("1", "--uninstall")
    assert (said.status, said.err) == (0, "")
    assert f"mail and accounts stay in {other.root}/var/lib/mailferry\n" in said.out
    left = [path for path, entry in picture(other.root).items() if str(entry[0]).startswith("0o10")]
    assert [path for path in left if "mailferry" in path] == [
        "etc/mailferry/mailferry.toml",
        "var/lib/mailferry/accounts.db",
    ]
    assert other.quickly("1", "--uninstall").out.startswith("nothing was changed\n")


def test_who_may_not_and_what_is_missing(tmp_path: Path) -> None:
    install = CHECKOUT / "conf" / "install"
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] || exit 1\necho Python 3.9.2\n')
    old.chmod(0o755)
    too_old = told([install, "--dry-run"], PYTHON=str(old))
    assert too_old.status == 1
    assert "mailferry needs Python 3.11 or later; here is Python 3.9.2." in too_old.err
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copy(Path("/usr/bin/env"), closed)
    python = closed / "python3"
    python.symlink_to(sys.executable)
    refused = told([install, "--root", tmp_path / "tree"], PYTHON=str(python))
    assert (refused.status, (tmp_path / "tree/opt/mailferry").exists()) == (1, True)
    assert "is closed to other users, whose Python it is to be" in refused.err
