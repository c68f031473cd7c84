"""How a command ends: the outcomes that handlers give, and what the store's errors become.

A handler returns `Done`, or raises `No` (the command is understood and cannot be done), `Bad` (the
client broke the protocol) or `Leave` (the connection is to end). The session alone turns these into
responses. Errors of the store are raised through handlers untouched; `refusal` gives each its reply.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailstore.errors import (
    BadFolderName,
    FolderExists,
    MailstoreError,
    MessageLost,
    NoSuchFolder,
    NoSuchMessage,
    NotCarriedOver,
    OverQuota,
    SpecialUseRefused,
    StillAway,
    StorageFailed,
    TooManyAnnotations,
)


@dataclass(frozen=True, slots=True)
class Done:
    """The tagged OK: its text, and a response code without brackets."""

    text: bytes
    code: bytes | None = None


class No(Exception):
    """A tagged NO: the request was understood and is refused. Codes are those of RFC 5530 and RFC 3501."""

    def __init__(self, text: bytes, code: bytes | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Bad(Exception):
    """A tagged BAD: the client broke the protocol."""

    def __init__(self, text: bytes, code: bytes | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Leave(Exception):
    """An untagged BYE, and the end of the connection (RFC 3501 7.1.5)."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


def server_bug() -> No:
    return No(b"Internal error; it was logged.", b"SERVERBUG")


def read_only() -> No:
    return No(b"The mailbox is open read-only.", b"READ-ONLY")


def expunge_issued() -> No:
    """Another session expunged what was asked for by number, and may not be told of it yet (RFC 2180 4.1)."""
    return refusal(NoSuchMessage())


def unreadable() -> No:
    return refusal(MessageLost())


def not_here() -> No:
    return refusal(StillAway())


_REFUSALS: dict[type[MailstoreError], tuple[bytes, bytes]] = {
    NoSuchFolder: (b"NONEXISTENT", b"Mailbox doesn't exist."),
    FolderExists: (b"ALREADYEXISTS", b"Mailbox already exists."),
    BadFolderName: (b"CANNOT", b"This name cannot be used so."),
    SpecialUseRefused: (b"USEATTR", b"No folder can be made for this use, or there is one already."),
    TooManyAnnotations: (b"METADATA TOOMANY", b"There are too many annotations."),
    OverQuota: (b"OVERQUOTA", b"There is no room left for this."),
    NoSuchMessage: (b"EXPUNGEISSUED", b"Some of the requested messages no longer exist."),
    NotCarriedOver: (b"UNAVAILABLE", b"Some of the requested messages could not be fetched from the old server."),
    StillAway: (b"UNAVAILABLE", b"Some of the requested messages are still at the old server; try again later."),
    MessageLost: (b"CORRUPTION", b"Some of the requested messages cannot be read."),
    StorageFailed: (b"UNAVAILABLE", b"The mail cannot be reached at the moment; try again later."),
}


def refusal(error: MailstoreError) -> No:
    """What a client is told of an error of the store (RFC 5530)."""
    for kind, (code, text) in _REFUSALS.items():
        if isinstance(error, kind):
            return No(text, code)
    return server_bug()


def try_create(error: NoSuchFolder) -> No:
    """The target of APPEND or COPY is missing: creating it would help (RFC 3501 6.3.11, 6.4.7)."""
    return No(refusal(error).text, b"TRYCREATE")
