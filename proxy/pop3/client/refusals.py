"""What a legacy server means when it answers with -ERR.

1. By response code: [IN-USE], [LOGIN-DELAY] (RFC 2449 8.1), [SYS/TEMP], [SYS/PERM] (RFC 3206 4);
2. else by the words (`proxy.legacy.refusals`);
3. else it is what RFC 1939 7 says of -ERR to PASS: wrong.

[AUTH] (RFC 3206 5) means wrong, but some large hosts put it before everything that happens during a login: the words
that are sure count even then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from proxy.legacy.errors import (
    CommandRefused,
    LegacyBusy,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    ServerRefused,
)
from proxy.legacy.refusals import meaning_of, to_command, to_connection, to_login
from proxy.pop3.client.replies import Reply

_BY_CODE: Final[dict[str, type[ServerRefused]]] = {
    "IN-USE": MaildropInUse,
    "LOGIN-DELAY": LegacyBusy,
    "SYS/TEMP": LegacyBusy,
    "SYS/PERM": LoginNotPossible,
}
_FOR_NOW: Final = (LegacyBusy, MaildropInUse)


def refusal(reply: Reply, *, withhold: Iterable[bytes] = ()) -> ServerRefused:
    """The error for -ERR to a step of a login, in which none of `withhold` is quoted."""
    return to_login(reply, _meaning(reply), withhold)


def unwelcome(greeting: Reply) -> ServerRefused:
    """The error for a greeting of -ERR."""
    return to_connection(greeting, _meaning(greeting))


def declined(command: str, reply: Reply) -> ServerRefused:
    """The error for -ERR to a command after the login: LegacyBusy or MaildropInUse where it is for now only."""
    meaning = _meaning(reply)
    return to_command(command, reply, meaning if meaning in _FOR_NOW else CommandRefused)


def unsupported(reply: Reply) -> bool:
    """May -ERR to a command mean that the server does not know it, rather than that it cannot just now?"""
    return reply.code is None and _meaning(reply) not in _FOR_NOW


def _meaning(reply: Reply) -> type[ServerRefused]:
    known = _BY_CODE.get(reply.code or "")
    return known or meaning_of(reply.text, surely=reply.code == "AUTH") or LoginRejected
