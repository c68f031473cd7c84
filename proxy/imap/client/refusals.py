"""What a legacy IMAP server means when it answers with NO or BAD.

1. By response code (RFC 3501 7.1, RFC 5530 3);
2. else, and for codes that say nothing, by the words (`proxy.legacy.refusals`);
3. else NO is what RFC 3501 6.2.3 says of it, "user name or password rejected", and BAD is a command that the server
   does not take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.imap.client.responses import Reply
from proxy.legacy.errors import LegacyBusy, LoginNotPossible, LoginRejected, MaildropInUse, ServerRefused
from proxy.legacy.refusals import meaning_of, to_command, to_connection, to_login

_BY_CODE: Final[dict[str, type[ServerRefused]]] = {
    "AUTHENTICATIONFAILED": LoginRejected,
    "AUTHORIZATIONFAILED": LoginNotPossible,
    "EXPIRED": LoginNotPossible,
    "PRIVACYREQUIRED": LoginNotPossible,
    "CONTACTADMIN": LoginNotPossible,
    "NOPERM": LoginNotPossible,
    "WEBALERT": LoginNotPossible,  # Gmail: "[WEBALERT https://…] Web login required."
    "UNAVAILABLE": LegacyBusy,
    "LIMIT": LegacyBusy,
    "SERVERBUG": LegacyBusy,
    "OVERQUOTA": LegacyBusy,  # Gmail: "[OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)"
    "INUSE": MaildropInUse,
}
_TEMPORARY: Final = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "OVERQUOTA"})
_UNAVAILABLE: Final = re.compile(r"\bunavailable\b", re.IGNORECASE)  # POP3 may say so of a name


def refusal(reply: Reply, *, withhold: Iterable[bytes] = ()) -> ServerRefused:
    """The error for NO or BAD to a login, in which none of `withhold` is quoted."""
    return to_login(reply, _meaning(reply), withhold)


def unwelcome(greeting: Reply) -> ServerRefused:
    """The error for a greeting of BYE."""
    return to_connection(greeting, _meaning(greeting))


def refused(name: str, reply: Reply) -> ServerRefused:
    """The error for NO or BAD to any other command."""
    return to_command(name, reply)


def for_now(reply: Reply) -> bool:
    """Does a refusal say that it is one for the moment (RFC 5530 3)?"""
    return reply.code in _TEMPORARY


def _meaning(reply: Reply) -> type[ServerRefused]:
    known = _BY_CODE.get(reply.code or "") or meaning_of(reply.text)
    if known is not None:
        return known
    if _UNAVAILABLE.search(reply.text):
        return LegacyBusy
    return LoginNotPossible if reply.status == "BAD" else LoginRejected
