"""All sources asked, one after the other; what one cannot tell keeps the others from nothing."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, Final

from mailstore.errors import MailstoreError
from proxy.admin.doctor import log
from proxy.admin.doctor.certificate import certificate
from proxy.admin.doctor.hiding import Hiding
from proxy.admin.doctor.machine import disks, machine, versions
from proxy.admin.doctor.mailboxes import mailboxes
from proxy.admin.doctor.outside import dns, proven
from proxy.admin.doctor.processes import processes
from proxy.admin.doctor.store import store
from proxy.config import Config

TROUBLE: Final = "could not be looked at"

Source = Callable[[], Any]


def of_the_machine(pid: int | None) -> dict[str, Source]:
    """What can be told without a configuration; `pid` is the daemon's."""
    return {"versions": versions, "machine": machine, "processes": lambda: processes(pid)}


def of_the_installation(config: Config, hiding: Hiding) -> dict[str, Source]:
    return {
        "disks": lambda: disks(dict.fromkeys((config.state, config.maildir_root))),
        **(_of_a_server(config, hiding) if config.storage.server else _of_files(config, hiding)),
        "certificate": lambda: certificate(config.tls.certificate),
        "dns": lambda: dns(config.state, config.domains.values()),
    }


def _of_files(config: Config, hiding: Hiding) -> dict[str, Source]:
    file = config.accounts_file
    return {
        "store": lambda: store(file, hiding),
        "mailboxes": lambda: mailboxes(file, config.maildir_for, hiding),
        "proven": lambda: proven(file, hiding),
    }


def _of_a_server(config: Config, hiding: Hiding) -> dict[str, Source]:
    from proxy.admin.doctor.server import server_mailboxes, server_proven, server_store  # noqa: PLC0415 - its driver

    storage = config.storage
    return {
        "store": lambda: server_store(storage, hiding),
        "mailboxes": lambda: server_mailboxes(storage, config.maildir_for, hiding),
        "proven": lambda: server_proven(storage, hiding),
    }


def of_lines(read: Callable[[], list[bytes] | None], hiding: Hiding) -> Source:
    """A log; None where there is none."""

    def source() -> Any:
        lines = read()
        return None if lines is None else log.shown(lines, hiding)

    return source


def gather(sources: Mapping[str, Source], hiding: Hiding) -> dict[str, Any]:
    """What each says, or why it cannot."""
    return {name: _asked(source, hiding) for name, source in sources.items()}


def _asked(source: Source, hiding: Hiding) -> Any:
    try:
        return source()
    except OSError as error:
        return {TROUBLE: error.strerror or type(error).__name__}
    except (sqlite3.Error, MailstoreError) as error:
        return {TROUBLE: hiding.text(str(error))}
    except (ValueError, LookupError, ArithmeticError, TypeError, subprocess.SubprocessError) as error:
        return {TROUBLE: type(error).__name__}  # whose text may be anything
