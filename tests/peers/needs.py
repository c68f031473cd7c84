"""Programs that are not Python's: where one is missing its tests are left out, and under CI=true they fail."""

from __future__ import annotations

import glob
import os
import shutil
from typing import NoReturn

import pytest

from tests.legacy import roots

PACKAGES = {
    "chromium-headless-shell": "chromium-headless-shell",
    "curl": "curl",
    "doveadm": "dovecot-core",
    "dovecot": "dovecot-imapd dovecot-pop3d",
    "e2fsck": "e2fsprogs",
    "fetchmail": "fetchmail",
    "getmail": "getmail6",
    "haproxy": "haproxy",
    "fail2ban-regex": "fail2ban",
    "imapfilter": "imapfilter",
    "interimap": "interimap",
    "knotd": "knot",
    "maildrop": "maildrop",
    "mbsync": "isync",
    "mkfs.ext4": "e2fsprogs",
    "mpop": "mpop",
    "mutt": "mutt",
    "nginx": "nginx-light",
    "offlineimap": "offlineimap3",
    "postfix": "postfix",
    "promtool": "prometheus",
    "script": "bsdutils",
    "strace": "strace",
    "swaks": "swaks libnet-ssleay-perl",
    "systemd-analyze": "systemd",
    "unbound": "unbound",
}


def needed(program: str) -> str:
    """The program's path."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        _is_missing(program, PACKAGES[program])
    return path


def needed_file(pattern: str, packages: str) -> None:
    """Something else that packages bring: there has to be a file whose path is like `pattern`."""
    if not glob.glob(pattern):  # noqa: PTH207 - a path that begins at the root
        _is_missing(pattern, packages)


def _is_missing(what: str, packages: str) -> NoReturn:
    words = f"{what} is missing: apt-get install {packages}"
    if os.environ.get("CI") == "true":
        pytest.fail(words)
    pytest.skip(words)


def needed_root(server: str) -> None:
    """A legacy server that is unpacked into a root of its own, and somebody who may chroot into it."""
    words = roots.hindrance()
    if not words and roots.unpacked(server) is None:
        if shutil.which("apt-cache") and (absent := roots.absent(server)):
            pytest.skip(f"{server}: this release of Debian has no {' '.join(absent)}")
        words = "it is missing: python -m tests.legacy.roots fetches it"
    if words and os.environ.get("CI") == "true":
        pytest.fail(f"{server}: {words}")
    if words:
        pytest.skip(f"{server}: {words}")
