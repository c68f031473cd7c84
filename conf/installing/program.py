"""mailferry itself: an environment of its own for each version, which is named by what is in it.

It is made beside its place and renamed when it works, so that a version that is there is whole. Nothing in it says
where it lies: a tree that was made for an image works before and after it is moved.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from doing import Doing, NotPossible, run
from places import Places

HERE: Final = Path(__file__).resolve().parents[2]
CONTENTS: Final = ("pyproject.toml", "README.md", "LICENSE", "tests/constraints.txt", "proxy", "mailstore", "conf")
ROOM: Final = 400 << 20  # octets that a version may take while it is made
_MAKING: Final = ".making"

LAUNCHER: Final = """\
#!/bin/sh
export MAILFERRY_LAUNCHER="$0"
exec "$(dirname -- "$(readlink -f -- "$0")")/python" -P -m proxy.cli.main "$@"
"""


def version() -> str:
    """As in "0.1.0-1f0c4a9be2": the same for the same contents and the same Python."""
    found = re.search(r'^version = "([^"]+)"', (HERE / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    digest = hashlib.sha256(sys.version.encode())
    for name in CONTENTS:
        for path in sorted((HERE / name).rglob("*")) if (HERE / name).is_dir() else [HERE / name]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(HERE)}\0{path.stat().st_size}\0".encode())
                digest.update(path.read_bytes())
    return f"{found[1]}-{digest.hexdigest()[:10]}"


def see_to_python(doing: Doing) -> None:
    """Can the daemon's user run it, and can it make environments? Raises NotPossible."""
    for part in (sys.executable, os.path.realpath(sys.executable), os.__file__):
        for path in (Path(part), *Path(part).parents):
            if not path.stat().st_mode & (0o001 if path.is_dir() else 0o004):
                raise NotPossible(f"{path} is closed to other users, whose Python it is to be: name another, PYTHON=/…")
    if subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        if not shutil.which("apt-get"):
            raise NotPossible(f"this is no Debian: install Python's venv module ({package} there) yourself")
        if os.geteuid() != 0:
            raise NotPossible(f"Python's venv module is missing: apt-get install {package}")
        if doing.begin(f"install {package}"):
            quiet = {"DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "-q", "update"], "Debian's packages cannot be listed", environment=quiet)
            install = ["apt-get", "-q", "-y", "install", "--no-install-recommends", package]
            run(install, f"{package} cannot be installed", environment=quiet)


def make(doing: Doing, name: str) -> None:
    """Have the version there. Raises NotPossible."""
    place = doing.places.versions / name
    if place.is_dir():
        return
    if not doing.begin(f"make /opt/mailferry/{name}"):
        return
    free = shutil.disk_usage(doing.places.versions).free
    if free < ROOM:
        raise NotPossible(f"{doing.places.versions}: {free >> 20} MiB are free, and {ROOM >> 20} are needed")
    making = doing.places.versions / _MAKING
    clear(doing.places)
    try:
        _make_in(making)
        making.rename(place)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def _make_in(making: Path) -> None:
    run([sys.executable, "-m", "venv", making], "the environment cannot be made")
    constraints = str(HERE / "tests" / "constraints.txt")
    settings = {
        "PIP_CONSTRAINT": constraints,
        "PIP_BUILD_CONSTRAINT": constraints,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    pip = [making / "bin" / "python", "-m", "pip", "install", "-q", HERE]
    run(pip, "its packages cannot be installed", environment=settings, lines=15)
    for path in (making / "bin").iterdir():
        if not path.name.startswith("python"):  # they name the directory that it is made in
            path.unlink()
    launcher = making / "bin" / "mailferry"
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    (making / "units").mkdir()
    for unit in (HERE / "conf" / "systemd").glob("*.s*"):
        shutil.copy(unit, making / "units")  # as they were when they were installed
    settings_file = making / "pyvenv.cfg"
    kept = [line for line in settings_file.read_text().splitlines() if not line.startswith("command")]
    settings_file.write_text("\n".join([*kept, ""]))
    run([launcher, "--version"], "what was installed does not run")


def clear(places: Places) -> None:
    """Away with what was interrupted."""
    shutil.rmtree(places.versions / _MAKING, ignore_errors=True)


def switch(doing: Doing, name: str) -> str:
    """Have commands and the next start be of this version. Gives back which it was before; "": none."""
    current = doing.places.current
    before = str(current.readlink()) if current.is_symlink() else ""
    doing.link(current, name)
    doing.link(doing.places.command, "../../../opt/mailferry/current/bin/mailferry")
    return before


def tidy(doing: Doing, name: str, before: str) -> None:
    """Of former versions only the one that was there before this stays, to go back to."""
    if before in {"", name}:
        return
    for path in sorted(doing.places.versions.iterdir()):
        is_one = not path.is_symlink() and (path / "pyvenv.cfg").exists()
        if is_one and path.name not in {name, before}:
            doing.remove(path)
