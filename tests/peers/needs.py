"""Programs that are not Python's: where one is missing its tests are left out, and under CI=true they fail."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.legacy import roots

PACKAGES = {
    "curl": "curl",
    "doveadm": "dovecot-core",
    "dovecot": "dovecot-imapd dovecot-pop3d",
    "e2fsck": "e2fsprogs",
    "fetchmail": "fetchmail",
    "getmail": "getmail6",
    "imapfilter": "imapfilter",
    "interimap": "interimap",
    "maildrop": "maildrop",
    "mbsync": "isync",
    "mkfs.ext4": "e2fsprogs",
    "mpop": "mpop",
    "mutt": "mutt",
    "offlineimap": "offlineimap3",
    "postfix": "postfix",
    "script": "bsdutils",
    "strace": "strace",
}


def needed(program: str) -> str:
    """The program's path."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        words = f"{program} is missing: apt-get install {PACKAGES[program]}"
        if os.environ.get("CI") == "true":
            pytest.fail(words)
        pytest.skip(words)
    return path


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
