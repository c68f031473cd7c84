"""`python -m tests.peers.sandboxed UNIT COMMAND…`: mailferry's command line without what UNIT takes from it, where
there is no systemd: of memory and system calls (MemoryDenyWriteExecute, NoNewPrivileges, SystemCallFilter)."""

from __future__ import annotations

import ctypes
import errno
import subprocess
import sys
from functools import cache
from pathlib import Path

from proxy.cli.main import main

_NO_NEW_PRIVILEGES = 38  # prctl(2)
_DENY_WRITE_EXECUTE = 65
_REFUSED = 0x0005_0000 | errno.EPERM  # seccomp(2)
_ALLOWED = 0x7FFF_0000


def allowed(unit: Path) -> set[str]:
    """The system calls of its SystemCallFilter lines, in their order (systemd.exec(5))."""
    calls = _members("@default")
    for line in unit.read_text().splitlines():
        key, _, words = line.partition("=")
        if key == "SystemCallFilter":
            named = set[str]().union(*(_members(word) for word in words.removeprefix("~").split()))
            calls = calls - named if words.startswith("~") else calls | named
    return calls


@cache
def _members(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    words = (line.strip() for line in listed.stdout.splitlines()[1:])
    return set[str]().union(*(_members(word) for word in words if word and not word.startswith("#")))


def _shut_in(calls: set[str]) -> None:
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    seccomp.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_void_p,
    ]
    context = seccomp.seccomp_init(_REFUSED)
    for call in calls:
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # another architecture's otherwise
            assert seccomp.seccomp_rule_add_array(context, _ALLOWED, number, 0, None) == 0
    assert libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    libc.prctl(_DENY_WRITE_EXECUTE, 1, 0, 0, 0)  # Linux 6.3
    assert seccomp.seccomp_load(context) == 0


if __name__ == "__main__":
    _shut_in(allowed(Path(sys.argv.pop(1))))
    main()
