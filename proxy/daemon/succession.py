"""One daemon takes another's place in the same process, on SIGHUP: with another configuration, or another version.

    the daemon                                     the next one
    reads the file, and has a trial of it made
    by what is on disk now ──────────────────────► imports all, checks the configuration, says what it is, ends
    takes no logins; ends moves at their last
    barriers; has its workers fall silent
    execve ──────────────────────────────────────► opens the state directory, adopts sockets and workers, begins workers
                                                   of its own, answers the logins that nobody has answered

What must not be lost is handed on in memory (memfd_create(2)): descriptors of listening sockets, of the directory's
lock and of the workers' channels, and what the throttle remembers. Nothing is given up before the trial has gone well.
What the trial read is what is then served: the file may have changed since.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from mailstore.schema import HEAD
from proxy.config import Config, parse
from proxy.daemon.channel import SPEAKS, octets_of, text_of
from proxy.daemon.listeners import CannotListen, Open, try_listening
from proxy.daemon.passed import Passed, PassedSockets
from proxy.daemon.tls import read_pair

LAUNCHER: Final = "MAILFERRY_LAUNCHER"  # the program that began this one, if it says so: what it begins may change
VARIABLE: Final = "_MAILFERRY_HANDED_ON"  # "trial N" or "succeed N": what the descriptor N has
FORM: Final = 1  # of what is handed on

Handed = Mapping[str, Any]


class Unlike(Exception):
    """A daemon that cannot take over from this one; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Nature:
    """What a daemon says of itself in a trial."""

    form: int
    speaks: int  # the workers' language
    schema: str  # of the databases
    places: tuple[str, ...]  # state directory, database, Maildirs

    @classmethod
    def of(cls, config: Config) -> Nature:
        storage = config.storage
        return cls(FORM, SPEAKS, HEAD, (str(config.state), str(storage.database), str(storage.maildir)))

    def check(self, following: Nature) -> None:
        """May that one take over from this one? Raises Unlike."""
        if following.form != self.form:
            raise Unlike("the version that is installed now cannot take over from the one that runs: restart")
        names = ("state", "storage.database", "storage.maildir")
        changed = [n for n, a, b in zip(names, self.places, following.places, strict=True) if a != b]
        if following.schema < self.schema:
            raise Unlike("the version that is installed now is older, and cannot read the databases")
        if changed:
            raise Unlike(f"{' and '.join(changed)} cannot change while the daemon runs: restart")

    def keeps_workers(self, following: Nature) -> bool:
        """Can workers of this one go on beside those of that one?"""
        return (self.speaks, self.schema) == (following.speaks, following.schema)


def handed_on(environment: MutableMapping[str, str] = os.environ) -> tuple[str, Handed] | None:
    """What an earlier daemon has handed to this process, and whether it is for a trial."""
    what, _, number = environment.pop(VARIABLE, "").partition(" ")
    if not what:
        return None
    with os.fdopen(int(number), "rb") as memory:
        memory.seek(0)
        return what, json.load(memory)


def configuration_in(handed: Handed) -> Config:
    """Raises ConfigErrors."""
    return parse(octets_of(handed["data"]), handed["source"], Path(handed["directory"]))


def of_configuration(data: bytes, config: Config) -> dict[str, Any]:
    """A file's contents in the place of those that `config` was made of."""
    origin = config.origin
    return {"data": text_of(data), "source": origin.source, "directory": str(origin.directory)}


def sockets_in(handed: Handed) -> list[Passed]:
    """The listening sockets."""
    found = []
    for each in handed["sockets"]:
        listening = socket.socket(fileno=each["descriptor"])
        listening.set_inheritable(False)
        listening.setblocking(False)
        opened_for = None if each["opened_for"] is None else (each["opened_for"][0], each["opened_for"][1])
        found.append(Passed(listening, each["name"], opened_for, each["index"]))
    return found


def of_sockets(opened: Iterable[Open]) -> list[dict[str, Any]]:
    """… as they are handed on."""
    return [
        {"descriptor": each.socket.fileno(), "name": each.name, "opened_for": each.opened_for, "index": each.index}
        for each in opened
    ]


def trial(config: Config, handed: Handed) -> int:
    """Could this daemon be? Says what it is on standard output, or why not on standard error."""
    import_module("proxy.daemon.service")
    if config.listen.metrics:
        import_module("proxy.daemon.metrics")
    if config.listen.web or config.listen.console:
        import_module("proxy.web.opening")
    try:
        pair = read_pair(config.tls)
        if pair is not None:
            pair.context()
        try_listening(config.listen, PassedSockets(sockets_in(handed)))
    except (ValueError, CannotListen) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    nature = Nature.of(config)
    sys.stdout.write(json.dumps([nature.form, nature.speaks, nature.schema, nature.places]))
    return 0


def nature_in(said: bytes) -> Nature:
    """Raises Unlike for what no trial of this program says."""
    try:
        form, speaks, schema, places = json.loads(said)
        return Nature(form, speaks, schema, tuple(places))
    except (ValueError, TypeError) as error:
        raise Unlike("what is installed now does not know how to take over: restart") from error


def in_memory(handed: Handed) -> int:
    """A descriptor that a process begun with it can read this from."""
    descriptor = os.memfd_create("mailferry", 0)
    with os.fdopen(os.dup(descriptor), "wb") as memory:
        memory.write(json.dumps(handed).encode())
    return descriptor


def command() -> list[str]:
    """How this process was begun. `conf/install` has a launcher in front, which finds the version of the day."""
    launcher = os.environ.get(LAUNCHER, "")
    if os.access(launcher, os.X_OK):
        return [launcher, *sys.argv[1:]]
    return [sys.executable, *sys.orig_argv[1:]]


def succeed(memory: int, environment: Mapping[str, str]) -> None:
    """Be the next daemon, which is handed what is `in_memory`. Does not return; raises OSError."""
    os.set_inheritable(memory, True)
    variables = {**os.environ, **environment, VARIABLE: f"succeed {memory}"}
    words = command()
    os.execve(words[0], words, variables)  # noqa: S606 - no shell is wanted


def stamps() -> dict[str, tuple[int, int]]:
    """What changes when one of the files is replaced that this process is made of."""
    found = {}
    names = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    for name in (*names, os.environ.get(LAUNCHER)):
        if name is not None and (stamp := _stamp(name)) is not None:
            found[name] = stamp
    return found


def replaced(before: Mapping[str, tuple[int, int]]) -> bool:
    """Has one of them been?"""
    return any(_stamp(name) != stamp for name, stamp in before.items())


def _stamp(name: str) -> tuple[int, int] | None:
    try:
        found = Path(name).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
