"""Debian packages that cannot be installed beside each other, unpacked into roots of their own.

Debian lets one POP3 server be installed. Here each is fetched with the libraries that it needs, and unpacked into
a directory that looks like a small system: a server is run in it by chroot, finds its files where it expects them,
and nothing outside is touched or started. Unpacked once into a cache, and from there linked into each test's directory.

    python -m tests.legacy.roots        fetch what is missing; says what cannot be had, and why

What is unpacked is never changed: only `usr` is linked; `etc`, `var`, `run` and `dev` belong to the test.

A server may be of another release of Debian than this machine: apt is told of that release beside its own, with lists
and a state of its own, from where this machine has its packages.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

PACKAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "courier": (
        *("courier-imap", "courier-pop", "courier-base"),
        *("courier-authlib", "courier-authdaemon", "courier-authlib-userdb"),
    ),
    "cyrus": ("cyrus-imapd", "cyrus-pop3d", "cyrus-common", "libsasl2-modules", "sasl2-bin", "tzdata"),
    "popa3d": ("popa3d", "libpam-modules"),
    # dovecot-core has a module of settings that complains without dovecot-sieve's library
    "dovecot-2.4": ("dovecot-imapd", "dovecot-pop3d", "dovecot-core", "dovecot-sieve"),
    "solid-pop3d": ("solid-pop3d", "libpam-modules"),
}
RELEASES: Final[Mapping[str, str]] = {"dovecot-2.4": "trixie"}  # of those that this machine's need not have
CHROOT: Final = "/usr/sbin/chroot"
_LISTS: Final = Path("/var/lib/apt/lists")
_MERGED: Final = ("bin", "lib", "lib64", "sbin")  # since Debian 12 these are links into usr
_CANDIDATE = re.compile(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", re.MULTILINE)
_NOT_NEEDED: Final = ("etc", "var", "usr/share/doc", "usr/share/locale", "usr/share/man")
_DEPENDS = re.compile(r"^ *(\|?)(?:Pre)?Depends: (\S+)$")
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class NotToBeHad(Exception):
    """The packages cannot be fetched. `absent` are those that this release of Debian does not have."""

    def __init__(self, text: str, absent: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.absent = tuple(absent)


@cache
def hindrance() -> str:
    """Why nothing can be run in a root here; "" where it can."""
    if os.geteuid() != 0:
        return "chroot needs root"
    with tempfile.TemporaryDirectory() as directory:
        try:
            _make_device(Path(directory) / "null", 1, 3)
            (Path(directory) / "null").write_bytes(b"x")  # not where it lies on a file system without devices
            subprocess.run([CHROOT, "/", "/bin/true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return "devices or chroot are not allowed here"
    return ""


def store() -> Path:
    """Where they are unpacked, a directory each."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mailferry-peers"


def unpacked(name: str) -> Path | None:
    """The directory of a server that has been fetched."""
    path = store() / name
    try:
        there = (path / ".complete").read_text().split()
    except OSError:
        return None
    return path if set(PACKAGES[name]) <= set(there) else None


def absent(name: str, told: Sequence[str] = ()) -> list[str]:
    """The packages of a server that this release does not have. Empty where apt knows of no release yet, or is to be
    told of one. `told`: what apt is told beside its command."""
    if name in RELEASES or not any(_LISTS.glob("*_Packages*")):
        return []
    shown = _run("apt-cache", *told, "policy", *PACKAGES[name])
    there = dict(_CANDIDATE.findall(shown))
    return [package for package in PACKAGES[name] if there.get(package, "(none)") == "(none)"]


def fetch(name: str, cached: Sequence[str] = ()) -> Path:
    """Download and unpack a server, unless it is there. `cached`: what apt is told about this release's packages.
    Raises NotToBeHad."""
    if there := unpacked(name):
        return there
    if missing := absent(name, cached):
        raise NotToBeHad(f"this release of Debian has no {' '.join(missing)}", missing)
    store().mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=store()))
    try:
        told = _of_release(RELEASES[name], work / "apt") if name in RELEASES else cached
        packages = _with_libraries(PACKAGES[name], told)
        _run("apt-get", *told, "-q", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=work)
        _unpack(sorted(work.glob("*.deb")), work / "root")
        (work / "root" / ".complete").write_text("\n".join(packages) + "\n")
        shutil.rmtree(store() / name, ignore_errors=True)
        (work / "root").rename(store() / name)
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise NotToBeHad(f"{name} cannot be fetched: {_without_addresses(said)}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return store() / name


def furnish(name: str, root: Path) -> None:
    """Make `root` a system in which the server can run: its programs, and empty directories for the rest."""
    there = unpacked(name)
    assert there is not None, f"{name} is not unpacked"
    root.mkdir(exist_ok=True)
    root.chmod(0o755)
    if subprocess.run(["cp", "-al", there / "usr", root], capture_output=True, check=False).returncode:
        shutil.rmtree(root / "usr", ignore_errors=True)  # another file system
        subprocess.run(["cp", "-a", there / "usr", root], check=True)
    for link in _MERGED:
        (root / link).symlink_to(f"usr/{link}")
    for directory in ("dev", "etc", "run", "tmp", "var"):
        (root / directory).mkdir()
    (root / "tmp").chmod(0o1777)
    for device, minor in {"null": 3, "zero": 5, "random": 8, "urandom": 9}.items():
        _make_device(root / "dev" / device, 1, minor)


def _make_device(path: Path, major: int, minor: int) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
    path.chmod(0o666)


def _of_release(release: str, place: Path) -> tuple[str, ...]:
    """What apt is told so that it knows of another release, and of nothing that is here. Raises NotToBeHad."""
    known = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian")
    if not known.strip():
        raise NotToBeHad(f"where Debian's {release} is to be had is not known: apt has no source of Debian's here")
    for directory in ("lists/partial", "parts"):
        (place / directory).mkdir(parents=True)
    (place / "status").touch()
    about = {"Types": "deb", "URIs": known.split()[0], "Suites": release, "Components": "main"}
    if _KEYRING.exists():
        about["Signed-By"] = str(_KEYRING)
    (place / "release.sources").write_text("".join(f"{key}: {value}\n" for key, value in about.items()))
    settings = {
        "Dir::Etc::SourceList": place / "release.sources",
        "Dir::Etc::SourceParts": place / "parts",
        "Dir::State": place,
        "Dir::State::Lists": place / "lists",
        "Dir::State::Status": place / "status",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    told = (*_options(settings), *_caches(place / "cache"))
    _run("apt-get", *told, "-q", "update")
    return told


def _caches(place: Path) -> tuple[str, ...]:
    """What apt is told so that it reads the lists of packages once, not each time: images for containers forbid it."""
    names = {"Dir::Cache": "", "Dir::Cache::pkgcache": "packages.bin", "Dir::Cache::srcpkgcache": "sources.bin"}
    (place / "archives/partial").mkdir(parents=True, exist_ok=True)
    return _options({key: place / name for key, name in names.items()})


def _options(settings: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(word for key, value in settings.items() for word in ("-o", f"{key}={value}"))


def _with_libraries(packages: Iterable[str], told: Sequence[str] = ()) -> list[str]:
    """The packages and all libraries that they depend on; what else they depend on is for installing them. `told`: what
    apt is told beside its command."""
    found: set[str] = set()
    new = set(packages)
    while new:
        found |= new
        lines = _run("apt-cache", *told, "depends", "--no-recommends", "--no-suggests", *sorted(new)).splitlines()
        new = {name for name in _first_choices(lines) if name.startswith(("lib", "zlib"))} - found
    return sorted(found)


def _first_choices(lines: Iterable[str]) -> Iterable[str]:
    """What `apt-cache depends` lists: of alternatives (all but the last have a bar) the first."""
    another = False
    for line in lines:
        if found := _DEPENDS.match(line):
            if not another and not found[2].startswith("<"):
                yield found[2].removesuffix(":any")
            another = bool(found[1])


def _unpack(files: Sequence[Path], root: Path) -> None:
    for directory in _MERGED:
        (root / "usr" / directory).mkdir(parents=True)
        (root / directory).symlink_to(f"usr/{directory}")
    for file in files:
        contents = subprocess.run(["dpkg-deb", "--fsys-tarfile", file], check=True, capture_output=True).stdout
        command = [
            "tar",
            "-x",
            "-C",
            root,
            "--keep-directory-symlink",
            *(f"--exclude=./{part}" for part in _NOT_NEEDED),
        ]
        subprocess.run(command, input=contents, check=True, capture_output=True)


def _run(*command: str, cwd: Path | None = None) -> str:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=cwd, env=environment).stdout


def _without_addresses(text: str | bytes) -> str:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    lines = [line for line in words.splitlines() if line.startswith("E:")] or words.splitlines()
    return re.sub(r"[a-z]+://\S+", "(address)", " ".join(lines[-2:]))


def main() -> int:
    """Fetch all; 0 when nothing is missing but what the release does not have."""
    wanted = [name for name in PACKAGES if unpacked(name) is None]
    if wanted and not any(_LISTS.glob("*_Packages*")):
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
    worst = 0
    with tempfile.TemporaryDirectory() as directory:
        cached = _caches(Path(directory))
        for name in wanted:
            print(f"fetching {name}", flush=True)
            try:
                fetch(name, cached)
            except NotToBeHad as error:
                print(error)
                worst |= not error.absent
    return worst


if __name__ == "__main__":
    sys.exit(main())
