"""The legacy side: a POP3 client that checks a user's password at the old server, and over the same connection
carries the mailbox over as fast as the line allows.

Reading order: `connection` (what a migration calls), `retrieval` (RETRs ahead of their answers), `pace` (how far),
`opening` and `login`, `protocol` (bytes in, answers out, no I/O), `wire` (the transport under it). Used by
`proxy.migration` and the administrator's probe.
"""

from proxy.legacy.errors import (
    CommandRefused,
    LegacyBusy,
    LegacyError,
    LegacyProtocolError,
    LegacyTimeout,
    LegacyUnreachable,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    ServerRefused,
    TlsFailed,
)
from proxy.legacy.settings import ONE_AT_A_TIME, Legacy, Window
from proxy.pop3.client.connection import Connection, Pipelining, connect
from proxy.pop3.client.pace import Pace
from proxy.pop3.client.retrieval import Sink

__all__ = [
    "ONE_AT_A_TIME",
    "CommandRefused",
    "Connection",
    "Legacy",
    "LegacyBusy",
    "LegacyError",
    "LegacyProtocolError",
    "LegacyTimeout",
    "LegacyUnreachable",
    "LoginNotPossible",
    "LoginRejected",
    "MaildropInUse",
    "Pace",
    "Pipelining",
    "ServerRefused",
    "Sink",
    "TlsFailed",
    "Window",
    "connect",
]
