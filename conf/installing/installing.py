"""Set mailferry up on this machine, or in a tree, or take it away again. Run by `conf/install`, with nothing of
mailferry imported.

Every step looks whether it has been taken, so that a run that was interrupted is gone on with by the next, and one that
has nothing to do says so. Configuration and mail are never touched.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import program
from doing import Doing, NotPossible, run
from places import UNITS, USER, WANTED, Places

SYSTEMD = program.HERE / "conf" / "systemd"
KEPT = ".before-mailferry"
TAKING_UP = 90.0  # seconds: the trial of the new version, and moves that have to come to a barrier


def main() -> int:
    arguments = _arguments()
    os.umask(0o022)
    places = Places(arguments.root.resolve())
    doing = Doing(places, dry=arguments.dry_run)
    try:
        _see_to_rights(doing)
        if arguments.uninstall:
            uninstall(doing)
        else:
            with _alone(doing):
                install(doing)
    except NotPossible as error:
        print(f"install: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("install: interrupted: run it again, it goes on", file=sys.stderr)
        return 1
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        print(f"install: {'the disk is full' if full else error}; run it again, it goes on", file=sys.stderr)
        return 1
    return 0


def _see_to_rights(doing: Doing) -> None:
    if os.geteuid() != 0 and doing.places.here and not doing.dry:
        raise NotPossible("this needs root; as anybody else look with --dry-run, or make a tree with --root DIRECTORY")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="conf/install",
        description="Set this checkout of mailferry up on a Debian machine; again after a change, to bring that there.",
    )
    where = "below a directory instead of on this machine: for images and packages"
    parser.add_argument("--root", type=Path, default=Path("/"), metavar="DIRECTORY", help=where)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--uninstall", action="store_true", help="take it away; configuration, mail and user stay")
    return parser.parse_args()


@contextmanager
def _alone(doing: Doing) -> Iterator[None]:
    """Two at once would make the same version."""
    if doing.dry:
        yield
        return
    doing.places.versions.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(doing.places.versions, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotPossible("another conf/install is at work here") from None
        yield
    finally:
        os.close(descriptor)


def install(doing: Doing) -> None:
    """All of it. Raises NotPossible, OSError."""
    places, name = doing.places, program.version()
    program.see_to_python(doing)
    program.make(doing, name)
    _make_user(doing)
    _make_directories(doing)
    doing.write(places.example, (program.HERE / "conf" / "mailferry.toml").read_bytes())
    units = _write_units(doing)
    before = program.switch(doing, name)
    newer = before != name
    program.tidy(doing, name, before)
    if not doing.dry and not doing.changed:
        print(f"mailferry {name} is installed; there was nothing to change")
    said = _start(doing, units=units, version=name if newer else "")
    _say(doing, said, before if newer else "")


def _make_user(doing: Doing) -> None:
    places = doing.places
    doing.write(places.users, (SYSTEMD / "sysusers.conf").read_bytes())
    if places.ids() is not None or os.geteuid() != 0:
        return
    if not doing.begin(f"make the user {USER}"):
        return
    below = [] if places.here else [f"--root={places.root}"]
    if shutil.which("systemd-sysusers"):
        places.at("etc").mkdir(exist_ok=True)
        run(["systemd-sysusers", *below, places.users.name], f"the user {USER} cannot be made")
    else:
        at = [] if places.here else ["--prefix", str(places.root)]
        home = ["--home-dir", "/var/lib/mailferry", "--shell", "/usr/sbin/nologin"]
        run(["useradd", *at, "--system", "--user-group", *home, USER], f"the user {USER} cannot be made")
    if places.ids() is None:
        raise NotPossible(f"the user {USER} was made, and is not in {places.at('etc/passwd')}")


def _make_directories(doing: Doing) -> None:
    places = doing.places
    doing.write(places.directories, (SYSTEMD / "tmpfiles.conf").read_bytes())
    user, group = places.ids() or (os.geteuid(), os.getegid())  # these, in a dry run
    # Who writes a configuration there gives it to the group by that: the daemon can read it.
    doing.directory(places.configuration.parent, 0o2750, (0, group))
    doing.directory(places.state, 0o700, (user, group))
    doing.directory(places.at("etc/credstore"), 0o700, (0, 0))


def _write_units(doing: Doing) -> bool:
    """Is one of them another than before? What an administrator has made of one is kept beside it."""
    places, changed = doing.places, False
    for source in sorted((*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.socket"))):
        unit, data = places.at(UNITS / source.name), source.read_bytes()
        kept = unit.with_name(unit.name + KEPT)
        ours = places.current / "units" / source.name
        others = unit.is_file() and unit.read_bytes() not in {data, ours.read_bytes() if ours.is_file() else data}
        if others and doing.begin(f"keep {places.named(unit)}, which is not ours, as {kept.name}"):
            shutil.copy2(unit, kept)
        changed |= doing.write(unit, data)
    return changed


def _booted(doing: Doing) -> bool:
    """Is systemd at work, here?"""
    return doing.places.here and Path("/run/systemd/system").exists()


def _start(doing: Doing, *, units: bool, version: str) -> str:
    """Have it begin with the machine, and now where it has a configuration. `units`: they are others than before;
    `version`: the one that is new, if one is. Gives back what is still to be done."""
    places = doing.places
    if not _booted(doing):
        if places.at("usr/lib/systemd/systemd").exists() or not places.here:
            doing.link(places.at(WANTED), "/etc/systemd/system/mailferry.service")
            return ""
        return f"There is no systemd here; run it so:\n  runuser -u {USER} -- mailferry serve"
    if units and not doing.dry:
        run(["systemctl", "daemon-reload"], "systemd cannot be told")
    if not places.at(WANTED).is_symlink() and doing.begin("have it start with the machine"):
        run(["systemctl", "-q", "enable", "mailferry.service"], "it cannot be enabled")
    if not places.configuration.exists():
        return ""
    runs = subprocess.run(["systemctl", "-q", "is-active", "mailferry"], check=False).returncode == 0
    if runs and version and not units and doing.begin("have the daemon take the new version up"):
        run(["systemctl", "reload", "mailferry"], "it cannot be told")
        if _taken_up(version):
            return ""
        print("it has not; systemctl status mailferry says why")
    if (not runs or units or version) and doing.begin("start the new version" if runs else "start mailferry"):
        why = "it does not start; mailferry check and journalctl -u mailferry say why"
        run(["systemctl", "restart", "mailferry"], why)
    return ""


def _taken_up(version: str) -> bool:
    """Does the daemon run as this version by now, or soon?"""
    end = time.monotonic() + TAKING_UP
    while time.monotonic() < end:
        pid = run(["systemctl", "show", "-P", "MainPID", "mailferry"], "systemd cannot be asked").strip()
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and f"/{version}/" in command.read_text().partition("\0")[0]:
            return True
        time.sleep(1.0)
    return False


def _say(doing: Doing, still: str, before: str) -> None:
    places = doing.places
    if doing.dry:
        print("nothing was changed" if doing.changed else "there is nothing to do")
        return
    if before:
        print(f"The version before, {before}, stays: to go back, run conf/install of the checkout that it is of.")
    if (places.versions / "pyvenv.cfg").exists():
        print(
            "What was installed by hand in /opt/mailferry is not used any more: bin, lib, lib64, include, pyvenv.cfg."
        )
    if still:
        print(still)
    if not places.configuration.exists():
        print(
            "What comes next: mailferry init, which writes the configuration, as root; then systemctl start mailferry."
        )
        print(f"Every key is explained in {places.named(places.example)}.")
    elif places.here and not _readable(places):
        print(f"{places.configuration} cannot be read by {USER}: chgrp {USER} {places.configuration}")


def _readable(places: Places) -> bool:
    status, user = places.configuration.stat(), pwd.getpwnam(USER)
    if status.st_uid == user.pw_uid:
        return bool(status.st_mode & 0o400)
    return bool(status.st_mode & (0o040 if status.st_gid == user.pw_gid else 0o004))


def uninstall(doing: Doing) -> None:
    """Take away what `install` made but the user, the configuration and the state."""
    places = doing.places
    units = [places.at(UNITS / path.name) for path in (*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.socket"))]
    there = _booted(doing) and places.at(UNITS / "mailferry.service").exists()
    if there and doing.begin("stop mailferry, and have it start no more"):
        run(["systemctl", "-q", "disable", "--now", *(unit.name for unit in units)], "it cannot be stopped")
    for path in (places.at(WANTED), *units, places.directories, places.users, places.example):
        doing.remove(path)
    if places.command.is_symlink():
        doing.remove(places.command)
    doing.remove(places.versions)
    if _booted(doing) and doing.changed and not doing.dry:
        run(["systemctl", "daemon-reload"], "systemd cannot be told")
    print("nothing was changed" if doing.dry or not doing.changed else "mailferry is taken away")
    for what, path in (("configuration", places.configuration.parent), ("mail and accounts", places.state)):
        if path.exists():
            print(f"{what} stay in {path}" if what.startswith("mail") else f"the {what} stays in {path}")


if __name__ == "__main__":
    sys.exit(main())
