"""GETQUOTA and GETQUOTAROOT: how much mail there may be, and is (RFC 9208).

An account with a limit is one quota root, ""; one without has none. Limits are the administrator's to set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstore.mailhome import MailHome
from mailstore.quota import Limits, Usage
from proxy.imap import responses
from proxy.imap.answers import Done, No
from proxy.imap.grammar.metadata import QuotaRoot
from proxy.imap.grammar.syntax import Command, FolderName

if TYPE_CHECKING:
    from proxy.imap.session import Session

ROOT = b""


async def get_quota(session: Session, _command: Command, arguments: QuotaRoot) -> Done:
    limits, usage = await session.run(_figures)
    if arguments.root != ROOT or not limits:
        raise No(b"There is no such quota root.", b"NONEXISTENT")
    session.untagged(_quota(limits, usage))
    return Done(b"Getquota completed.")


async def get_quota_root(session: Session, _command: Command, arguments: FolderName) -> Done:
    """The folder has to be there."""

    def look(home: MailHome) -> tuple[Limits, Usage]:
        home.status(arguments.name)
        return _figures(home)

    limits, usage = await session.run(look)
    folder = session.folder_name(arguments.name)
    if limits:
        session.untagged(b"QUOTAROOT %b %b" % (folder, responses.string(ROOT)))
        session.untagged(_quota(limits, usage))
    else:
        session.untagged(b"QUOTAROOT %b" % folder)
    return Done(b"Getquotaroot completed.")


def _figures(home: MailHome) -> tuple[Limits, Usage]:
    return home.limits, home.usage()


def _quota(limits: Limits, usage: Usage) -> bytes:
    """Storage is in units of 1,024 octets, rounded up (RFC 9208 5.1)."""
    resources = []
    if limits.octets is not None:
        resources.append(b"STORAGE %d %d" % (-(-usage.octets // 1024), limits.octets // 1024))
    if limits.messages is not None:
        resources.append(b"MESSAGE %d %d" % (usage.messages, limits.messages))
    return b"QUOTA %b %b" % (responses.string(ROOT), responses.parenthesized(resources))
