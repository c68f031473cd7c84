"""What a legacy IMAP server means when it does not let somebody in.

As with POP3 (`proxy.pop3.client.refusals`), only what says that name or password is wrong may be passed on as "wrong
password"; whatever is known to mean something else is recognised first:

1. by response code (RFC 3501 7.1, RFC 5530 3);
2. else, and for codes that say nothing, by the words, from the table below, first row that fits;
3. else NO is what RFC 3501 6.2.3 says of it, "user name or password rejected", and BAD is a command that the server
   does not take.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.imap.client.responses import Reply
from proxy.legacy.errors import (
    CommandRefused,
    LegacyBusy,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    ServerRefused,
)
from proxy.legacy.words import readable

_BY_CODE: Final[dict[str, type[ServerRefused]]] = {
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


def _row(pattern: str, meaning: type[ServerRefused]) -> tuple[re.Pattern[str], type[ServerRefused]]:
    return re.compile(pattern, re.IGNORECASE), meaning


WORDS: Final[tuple[tuple[re.Pattern[str], type[ServerRefused]], ...]] = (
    # Gmail: "[ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833"
    _row(r"application-specific password|web login required|please log in via your web browser", LoginNotPossible),
    # QQ and exmail.qq.com, in GB18030: "请使用授权码登录" (log in with an authorisation code)
    _row(r"授权码|authorization code", LoginNotPossible),
    # Dovecot: "[PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.";
    # Cyrus: "Login only available under a layer"; Exchange: "Command received in Invalid state."
    _row(
        r"(plain|clear) ?text .{0,20}(dis|not )allowed|only available under a layer|"
        r"\b(use|issue|need|requires?)\b.{0,20}\b(starttls|tls|ssl)\b|\b(tls|ssl|encryption) (is )?(required|needed)|"
        r"\binvalid state\b",
        LoginNotPossible,
    ),
    # Exchange: "User is authenticated but not connected."; Zimbra, hMailServer: "IMAP is not enabled for this account"
    _row(r"authenticated but not connected", LegacyBusy),
    _row(
        r"\bimap\b.{0,40}\b(disabled|not enabled|not allowed|not permitted|denied)\b|"
        r"\bnot (enabled|open|allowed|permitted|authori[sz]ed)\b.{0,20}\bimap",
        LoginNotPossible,
    ),
    # QQ: "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, or
    # system is busy": one answer for all; wrong is among it. hMailServer: "Invalid user name or password."
    _row(
        r"\b(invalid|incorrect|wrong|bad)\b.{0,30}\b(password|credentials?|user ?name)\b|"
        r"\b(password|credentials?)\b.{0,30}\b(invalid|incorrect|wrong|not accepted|mismatch|failed)|密码错|密碼錯",
        LoginRejected,
    ),
    # UW: "Mailbox is locked"; others: "mailbox in use"
    _row(
        r"\b(mailbox|maildrop|account)\b.{0,30}\b(in use|lock busy)\b|\bmail(box|drop)\b.{0,20}\block(ed)?\b",
        MaildropInUse,
    ),
    # Gmail: "[ALERT] Too many simultaneous connections. (Failure)"; Dovecot: "Maximum number of connections from
    # user+IP exceeded (mail_max_userip_connections=16)"; hMailServer: "Too many invalid logon attempts."
    _row(r"\btoo many\b|\bmaximum number of\b|\b(login|connection|rate)s? ?limit|\bbandwidth limits?\b", LegacyBusy),
    # Dovecot: "Temporary authentication failure."; Courier: "Temporary problem, please try again later"; Cyrus:
    # "server unavailable", "System I/O error"; Exchange: "Server Unavailable. 15"
    _row(
        r"\btemporar(y|ily)\b|\b(try|retry)( it)?( again)? later\b|\bunavailable\b|\bbusy\b|\boverload(ed)?\b|"
        r"\bmaintenance\b|\b(server|system|internal|i/o) error\b|\bout of memory\b|\bshutting down\b",
        LegacyBusy,
    ),
    # Hosts in China: "系统繁忙，请稍后再试", "登录过于频繁", "连接数超过限制"
    _row(r"系[統统].{0,4}忙|稍[后後候]|[频頻]繁|[频頻]率|[连連]接[数數]|\bfrequen(cy|t|tly)\b", LegacyBusy),
    _row(
        r"\b(account|user|mailbox)\b.{0,20}\b(locked|disabled|suspended|blocked|deactivated|expired|frozen)\b",
        LoginNotPossible,
    ),
    # The mechanism, or the command, is none of the server's
    _row(
        r"\b(unknown|unrecogni[sz]ed|invalid|illegal|bad|unsupported|no such) (imap )?(command|mechanism|method)|"
        r"\b(not|un)[ -]?(implemented|supported)\b|\bsyntax error\b|\bmechanism\b.{0,20}\bnot\b",
        LoginNotPossible,
    ),
)
_TEMPORARY: Final = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "OVERQUOTA"})


def refusal(reply: Reply, *, withhold: Iterable[bytes] = ()) -> ServerRefused:
    """The error for NO or BAD to a login. Where the server's words repeat one of `withhold`, such as the password, the
    error does not quote them."""
    words = readable(reply.words)
    meaning = _meaning(reply)
    said = reply.words.lower()
    if any(secret and secret.lower() in said for secret in withhold):
        words = "(its words are not repeated here)"
    return meaning(f"the legacy server refused the login: {_coded(reply.code, words)}", reply.code)


def unwelcome(greeting: Reply) -> ServerRefused:
    """The error for a greeting of BYE: nobody has said a password yet, so it cannot be about one."""
    meaning = _meaning(greeting)
    if meaning is not LoginNotPossible:
        meaning = LegacyBusy
    return meaning(f"the legacy server refused the connection: {_coded(greeting.code, greeting.text)}", greeting.code)


def refused(name: str, reply: Reply) -> CommandRefused:
    """The error for NO or BAD to any other command."""
    return CommandRefused(f"the legacy server refused {name}: {_coded(reply.code, reply.text)}", reply.code)


def for_now(reply: Reply) -> bool:
    """Does a refusal say that it is one for the moment (RFC 5530 3)?"""
    return reply.code in _TEMPORARY


def _coded(code: str | None, words: str) -> str:
    return f"[{code}] {words}".strip() if code else words or "(it does not say why)"


def _meaning(reply: Reply) -> type[ServerRefused]:
    if reply.code == "AUTHENTICATIONFAILED":
        return LoginRejected
    known = _BY_CODE.get(reply.code or "")
    if known is not None:
        return known
    for pattern, meaning in WORDS:
        if pattern.search(reply.text):
            return meaning
    return LoginNotPossible if reply.status == "BAD" else LoginRejected
