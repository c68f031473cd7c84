"""Every IMAP command that this server knows, and what it announces: one table each.

A row says what a command is called, in which states it is legal (RFC 3501 3), who carries it out, and
whether EXPUNGE responses may come in its answer (RFC 3501 7.4.1: not during FETCH, STORE and SEARCH,
where the client counts on its numbers; the UID forms are free). A capability names the commands that
it promises; one whose command is missing makes the import fail, and so the start.

An extension is a file in `proxy.imap.commands`, its rows here, and its capability.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from proxy.imap.answers import Bad, Done
from proxy.imap.commands import (
    anytime,
    appending,
    fetch,
    folders,
    idle,
    login,
    metadata,
    moving,
    notify,
    quota,
    search,
    selecting,
    sorting,
    store,
)
from proxy.imap.grammar.syntax import Command
from proxy.imap.manner import CONDSTORE, QRESYNC, REV2, UIDONLY, UTF8
from proxy.imap.state import ANY, NOBODY, SELECTED, SOMEBODY, State

Handler = Callable[[Any, Command, Any], Awaitable[Done]]  # the session, the command, its arguments


@dataclass(frozen=True, slots=True)
class Entry:
    """One command."""

    name: str  # with "UID " before the form that takes UIDs
    states: State
    handler: Handler
    expunge: bool = True  # may EXPUNGE come in its answer?


COMMANDS = (
    Entry("CAPABILITY", ANY, anytime.capability),
    Entry("NOOP", ANY, anytime.noop),
    Entry("LOGOUT", ANY, anytime.logout),
    Entry("ID", ANY, anytime.identify),
    Entry("STARTTLS", NOBODY, login.starttls),
    Entry("AUTHENTICATE", NOBODY, login.authenticate),
    Entry("LOGIN", NOBODY, login.login),
    Entry("UNAUTHENTICATE", SOMEBODY, login.unauthenticate),
    Entry("ENABLE", SOMEBODY, anytime.enable),
    Entry("COMPRESS", SOMEBODY, anytime.compress),
    Entry("SELECT", SOMEBODY, selecting.select),
    Entry("EXAMINE", SOMEBODY, selecting.select),
    Entry("CREATE", SOMEBODY, folders.create),
    Entry("DELETE", SOMEBODY, folders.delete),
    Entry("RENAME", SOMEBODY, folders.rename),
    Entry("SUBSCRIBE", SOMEBODY, folders.subscribe),
    Entry("UNSUBSCRIBE", SOMEBODY, folders.unsubscribe),
    Entry("LIST", SOMEBODY, folders.list_folders),
    Entry("LSUB", SOMEBODY, folders.list_subscribed),
    Entry("STATUS", SOMEBODY, folders.status),
    Entry("NAMESPACE", SOMEBODY, folders.namespace),
    Entry("GETMETADATA", SOMEBODY, metadata.get_metadata),
    Entry("SETMETADATA", SOMEBODY, metadata.set_metadata),
    Entry("GETQUOTA", SOMEBODY, quota.get_quota),
    Entry("GETQUOTAROOT", SOMEBODY, quota.get_quota_root),
    Entry("APPEND", SOMEBODY, appending.append),
    Entry("REPLACE", SELECTED, appending.replace),
    Entry("UID REPLACE", SELECTED, appending.replace),
    Entry("IDLE", SOMEBODY, idle.idle),
    Entry("NOTIFY", SOMEBODY, notify.notify),
    Entry("CHECK", SELECTED, selecting.check),
    Entry("CLOSE", SELECTED, selecting.close),
    Entry("UNSELECT", SELECTED, selecting.unselect),
    Entry("EXPUNGE", SELECTED, selecting.expunge),
    Entry("UID EXPUNGE", SELECTED, selecting.uid_expunge),
    Entry("SEARCH", SELECTED, search.search, expunge=False),
    Entry("UID SEARCH", SELECTED, search.search),
    Entry("SORT", SELECTED, sorting.sort, expunge=False),
    Entry("UID SORT", SELECTED, sorting.sort),
    Entry("THREAD", SELECTED, sorting.thread, expunge=False),
    Entry("UID THREAD", SELECTED, sorting.thread),
    Entry("FETCH", SELECTED, fetch.fetch, expunge=False),
    Entry("UID FETCH", SELECTED, fetch.fetch),
    Entry("STORE", SELECTED, store.store, expunge=False),
    Entry("UID STORE", SELECTED, store.store),
    Entry("COPY", SELECTED, appending.copy),
    Entry("UID COPY", SELECTED, appending.copy),
    Entry("MOVE", SELECTED, moving.move),
    Entry("UID MOVE", SELECTED, moving.move),
)


@dataclass(frozen=True, slots=True)
class Capability:
    """One word of CAPABILITY, the commands that it promises, and the states in which it is of use."""

    name: bytes
    needs: tuple[str, ...] = ()
    states: State = ANY


_WITH_MODSEQ = ("SELECT", "EXAMINE", "STATUS", "FETCH", "UID FETCH", "SEARCH", "UID SEARCH", "STORE", "UID STORE")

CAPABILITIES = (
    Capability(b"IMAP4rev1", tuple(entry.name for entry in COMMANDS if not entry.name.startswith("ID"))),
    Capability(b"LITERAL+"),
    Capability(b"SASL-IR", ("AUTHENTICATE",), NOBODY),
    Capability(b"ID", ("ID",)),
    Capability(b"ENABLE", ("ENABLE",)),
    Capability(b"IDLE", ("IDLE",)),
    Capability(b"NAMESPACE", ("NAMESPACE",), SOMEBODY),
    Capability(b"CHILDREN", ("LIST",), SOMEBODY),
    Capability(b"UIDPLUS", ("UID EXPUNGE", "APPEND", "COPY", "UID COPY"), SOMEBODY),
    Capability(b"UNSELECT", ("UNSELECT",), SOMEBODY),
    Capability(b"ESEARCH", ("SEARCH", "UID SEARCH"), SOMEBODY),
    Capability(b"SEARCHRES", ("SEARCH", "UID SEARCH"), SOMEBODY),
    Capability(b"MOVE", ("MOVE", "UID MOVE"), SOMEBODY),
    Capability(b"CONDSTORE", _WITH_MODSEQ, SOMEBODY),
    Capability(b"QRESYNC", (*_WITH_MODSEQ, "ENABLE"), SOMEBODY),
    Capability(b"PARTIAL", ("SEARCH", "UID SEARCH", "FETCH", "UID FETCH"), SOMEBODY),
    Capability(b"UIDONLY", ("ENABLE", "UID FETCH", "UID STORE", "UID SEARCH", "UID COPY", "UID MOVE"), SOMEBODY),
    Capability(b"STATUS=SIZE", ("STATUS",), SOMEBODY),
    Capability(b"LIST-EXTENDED", ("LIST",), SOMEBODY),
    Capability(b"LIST-STATUS", ("LIST", "STATUS"), SOMEBODY),
    Capability(b"SPECIAL-USE", ("LIST",), SOMEBODY),
    Capability(b"CREATE-SPECIAL-USE", ("CREATE",), SOMEBODY),
    Capability(b"METADATA", ("GETMETADATA", "SETMETADATA"), SOMEBODY),
    Capability(b"QUOTA", ("GETQUOTA", "GETQUOTAROOT"), SOMEBODY),
    Capability(b"QUOTA=RES-STORAGE", ("GETQUOTA", "STATUS"), SOMEBODY),
    Capability(b"QUOTA=RES-MESSAGE", ("GETQUOTA", "STATUS"), SOMEBODY),
    Capability(b"UTF8=ACCEPT", ("ENABLE", "APPEND"), SOMEBODY),
    Capability(b"I18NLEVEL=1", ("SEARCH", "UID SEARCH"), SOMEBODY),
    Capability(b"UNAUTHENTICATE", ("UNAUTHENTICATE",), SOMEBODY),
    Capability(b"INPROGRESS", ("LOGIN", "AUTHENTICATE")),
    Capability(b"WITHIN", ("SEARCH", "UID SEARCH"), SOMEBODY),
    Capability(b"BINARY", ("FETCH", "UID FETCH", "APPEND"), SOMEBODY),
    Capability(b"MULTIAPPEND", ("APPEND",), SOMEBODY),
    Capability(b"CATENATE", ("APPEND",), SOMEBODY),
    Capability(b"REPLACE", ("REPLACE", "UID REPLACE"), SOMEBODY),
    Capability(b"PREVIEW", ("FETCH", "UID FETCH"), SOMEBODY),
    Capability(b"SAVEDATE", ("FETCH", "UID FETCH", "SEARCH", "UID SEARCH"), SOMEBODY),
    Capability(b"OBJECTID", ("FETCH", "UID FETCH", "SEARCH", "UID SEARCH", "SELECT", "CREATE", "STATUS"), SOMEBODY),
    Capability(b"SORT", ("SORT", "UID SORT"), SOMEBODY),
    Capability(b"SORT=DISPLAY", ("SORT", "UID SORT"), SOMEBODY),
    Capability(b"THREAD=ORDEREDSUBJECT", ("THREAD", "UID THREAD"), SOMEBODY),
    Capability(b"THREAD=REFERENCES", ("THREAD", "UID THREAD"), SOMEBODY),
    Capability(b"NOTIFY", ("NOTIFY",), SOMEBODY),
)
APPENDLIMIT = Capability(b"APPENDLIMIT=", ("APPEND", "STATUS"), SOMEBODY)  # … and the number of octets (RFC 7889)
COMPRESS = Capability(b"COMPRESS=DEFLATE", ("COMPRESS",), SOMEBODY)  # until it is on (RFC 4978 3)
STARTTLS = Capability(b"STARTTLS", ("STARTTLS",), NOBODY)
LOGINS = (
    Capability(b"AUTH=PLAIN", ("AUTHENTICATE",), NOBODY),
    Capability(b"AUTH=LOGIN", ("AUTHENTICATE",), NOBODY),
)
LOGINDISABLED = Capability(b"LOGINDISABLED", (), NOBODY)

# What RFC 9051 has taken in (its appendix E), as the capabilities that promise it beside IMAP4rev1.
REV2_INCLUDES = frozenset(
    {
        b"BINARY",
        b"CHILDREN",
        b"ENABLE",
        b"ESEARCH",
        b"IDLE",
        b"LIST-EXTENDED",
        b"LIST-STATUS",
        b"LITERAL+",
        b"MOVE",
        b"NAMESPACE",
        b"SASL-IR",
        b"SEARCHRES",
        b"SPECIAL-USE",
        b"STATUS=SIZE",
        b"UIDPLUS",
        b"UNSELECT",
    }
)


def with_rev2(capabilities: tuple[Capability, ...]) -> tuple[Capability, ...]:
    """IMAP4rev2 is announced, behind IMAP4rev1, as soon as all that it includes is there."""
    if not {capability.name for capability in capabilities} >= REV2_INCLUDES:
        return capabilities
    return (capabilities[0], Capability(b"IMAP4rev2", capabilities[0].needs), *capabilities[1:])


ANNOUNCED = with_rev2(CAPABILITIES)

# What ENABLE may switch on (RFC 5161)
ENABLED_BY_CLIENT = frozenset({CONDSTORE, QRESYNC, UIDONLY, REV2, UTF8}) & {
    capability.name.decode().upper() for capability in ANNOUNCED
}


class BrokenTable(Exception):
    """A command is there twice, or a capability promises one that is not there."""


def indexed(commands: Iterable[Entry], capabilities: Iterable[Capability]) -> Mapping[str, Entry]:
    """The commands by name. Raises BrokenTable."""
    table: dict[str, Entry] = {}
    for entry in commands:
        if entry.name in table:
            raise BrokenTable(f"{entry.name} is in the table twice")
        table[entry.name] = entry
    for capability in capabilities:
        for name in capability.needs:
            if name not in table:
                raise BrokenTable(f"{capability.name.decode()} promises {name}, which is not in the table")
    return table


TABLE = indexed(COMMANDS, (*ANNOUNCED, APPENDLIMIT, COMPRESS, STARTTLS, *LOGINS, LOGINDISABLED))


def find(command: Command, state: State) -> Entry:
    """The row of a command. Raises Bad: there is none, or it is not legal in this state."""
    entry = TABLE.get(f"UID {command.name}" if command.uid else command.name)
    if entry is None:
        raise Bad(b"Unknown command.")
    if state not in entry.states:
        if entry.states is NOBODY:
            raise Bad(b"Already logged in.")
        raise Bad(b"Log in first." if state is NOBODY else b"No mailbox selected.")
    return entry


def capabilities(
    state: State, *, tls: bool, login: bool, append_limit: int | None = None, compress: bool = False
) -> list[bytes]:
    """What is announced in `state`. `tls`: STARTTLS is offered now; `login`: a password may be sent now;
    `append_limit`: octets of the largest message that is taken; `compress`: the session is not compressed yet."""
    offered = [*ANNOUNCED]
    if tls:
        offered.append(STARTTLS)
    offered.extend(LOGINS if login else (LOGINDISABLED,))
    if compress:
        offered.append(COMPRESS)
    if append_limit is not None:
        offered.append(replace(APPENDLIMIT, name=b"%b%d" % (APPENDLIMIT.name, append_limit)))
    return [capability.name for capability in offered if state in capability.states]
