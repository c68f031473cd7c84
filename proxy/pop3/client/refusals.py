"""What a legacy server means when it answers a login with -ERR.

Most servers say -ERR for everything: a wrong password, a mailbox that another session holds, a limit, a full
disk. Only the first may be passed on as "wrong password" (a mail client that hears it asks its user for
another one, and throttles count it), so everything that is known to mean something else is recognised here:

1. by response code: [IN-USE], [LOGIN-DELAY] (RFC 2449 8.1), [SYS/TEMP], [SYS/PERM] (RFC 3206 4);
2. else by the words, from the table below, first row that fits;
3. else it is what RFC 1939 7 says of -ERR to PASS: wrong.

[AUTH] (RFC 3206 5) means wrong, but some large hosts put it before everything that happens during a login;
the rows marked `over_auth` count even then. Words that name the password among other causes mean wrong: they
are then the only answer such a server has for a wrong password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.legacy.errors import (
    CommandRefused,
    LegacyBusy,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    ServerRefused,
)
from proxy.legacy.words import readable
from proxy.pop3.client.replies import Reply

_BY_CODE: dict[str, type[ServerRefused]] = {
    "IN-USE": MaildropInUse,
    "LOGIN-DELAY": LegacyBusy,
    "SYS/TEMP": LegacyBusy,
    "SYS/PERM": LoginNotPossible,
}


@dataclass(frozen=True, slots=True)
class Row:
    """Words that a server uses, and what they mean."""

    pattern: re.Pattern[str]
    meaning: type[ServerRefused]
    over_auth: bool = False


def _row(pattern: str, meaning: type[ServerRefused], *, over_auth: bool = False) -> Row:
    return Row(re.compile(pattern, re.IGNORECASE), meaning, over_auth)


WORDS: tuple[Row, ...] = (
    # Gmail: "[AUTH] Web login required: https://support.google.com/mail/answer/78754",
    # "[AUTH] Application-specific password required"
    _row(r"web login required|application-specific password", LoginNotPossible, over_auth=True),
    # QQ and exmail.qq.com, in GB18030: "请使用授权码登录" (log in with an authorisation code)
    _row(r"授权码|authorization code", LoginNotPossible, over_auth=True),
    # NetEase: "Unsafe Login. Please contact kefu@188.com for help"
    _row(r"\bunsafe login\b", LoginNotPossible, over_auth=True),
    # Gmail: "[AUTH] Account exceeded POP command or bandwidth limits (Failure)", "… exceeded command or bandwidth
    # limits"
    _row(r"exceeded (pop )?command|bandwidth limit", LegacyBusy, over_auth=True),
    # Dovecot, to USER: "[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."
    _row(r"plain ?text (auth\w*|login|password)\S* .{0,20}(dis|not )allowed", LoginNotPossible, over_auth=True),
    # Dovecot 2.4: "[AUTH] Cleartext authentication disallowed on non-secure (SSL/TLS) connections."
    _row(r"clear ?text (auth\w*|login|password)\S* .{0,20}(dis|not )allowed", LoginNotPossible, over_auth=True),
    # Mailu: "Must issue a STARTTLS command first"; hMailServer: "A SSL/TLS-connection is required for authentication.";
    # others: "Use STLS first", "TLS required", "SSL is required"
    _row(
        r"(use|issue|need|requires?)\b.{0,20}\b(stls|starttls)"
        r"|\b(tls|ssl|encryption)([- ]connection)? (is )?(required|needed)",
        LoginNotPossible,
        over_auth=True,
    ),
    # QQ: "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited,
    # or system is busy": one answer for all; wrong is among it. Exchange: "Logon failure: unknown user name or
    # bad password."; RFC 1939: "invalid password".
    _row(
        r"\b(invalid|incorrect|wrong|bad)\b.{0,30}\b(password|credentials?)|"
        r"\b(password|credentials?)\b.{0,30}\b(invalid|incorrect|wrong|not accepted|mismatch|failed)|密码错|密碼錯",
        LoginRejected,
    ),
    # qpopper and UCB popper: "Maildrop lock busy!  Is another session active?", "/var/spool/… lock busy!"
    _row(r"lock busy|another (pop3? )?session", MaildropInUse),
    # RFC 1939 7 and MDaemon: "maildrop already locked"; ecenica: "Your mailbox is already locked";
    # VPOP3: "Mailbox Locked"; directnic: "Mailbox is locked"; Gmail: "Mailbox is locked by POP server"
    _row(r"\b(maildrop|mailbox|mail ?box|mail ?drop|mail spool)\b.{0,40}\block(ed)?\b", MaildropInUse),
    # RFC 1939 7, Cyrus: "Unable to lock maildrop"; tcllib: "could not aquire lock for maildrop"
    _row(
        r"\b(unable to|can ?not|can't|could not|couldn't|failed to)\b.{0,20}\b(lock|a?c?quire lock)\b",
        MaildropInUse,
    ),
    # solid-pop3d and popa3d families: "mailbox in use"; a perdition report: "mailbox already in use by pid 12345"
    _row(r"\b(mailbox|maildrop|account)\b.{0,30}\bin use\b|邮箱.{0,6}(使用中|被锁)", MaildropInUse),
    # Dovecot: "Temporary authentication failure."; Gmail: "Temporary system problem. Please try again later.";
    # Courier: "Temporary problem, please try again later"
    _row(r"\btemporar(y|ily)\b|\b(try|retry|come back)( it)?( again)? later\b", LegacyBusy),
    # Intermail, through fetchmail's table: "mail storage services unavailable, wait a few minutes and try again"
    _row(r"\bwait (a|for|some|\d+)\b|\bin (a )?few (minutes|seconds)\b", LegacyBusy),
    # Gordano: "Busy - please try later"; others: "server busy", "service unavailable", "system overloaded"
    _row(
        r"\bbusy\b|\boverload(ed)?\b|\b(server|services?|system|backend|database)\b.{0,20}\b"
        r"(unavailable|not available|down|offline)\b|\bmaintenance\b",
        LegacyBusy,
    ),
    # Dovecot: "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)";
    # others: "Too many connections", "Too many simultaneous connections", "Too many authentication attempts"
    _row(
        r"\btoo many\b|\bmaximum (number of )?(connections|sessions|logins)|\b(login|connection|rate)s? ?limit",
        LegacyBusy,
    ),
    # 163.com's business hosts, to RETR: "Download exceed. msg=10"; others: "daily limit exceeded", "quota exceeded"
    _row(r"\bdownloads? (limit )?exceed|\b(limit|quota)s? (is |has been )?exceeded\b", LegacyBusy),
    # Cyrus popminpoll: "Logins must be at least 1 minute apart"; Net::Server::POP3: "minimum time between mail
    # checks violation"; QQ: "login frequency limited"
    _row(r"\bat least \d+ (minute|second)s? apart|\bminimum time between\b|\bfrequen(cy|t|tly)\b", LegacyBusy),
    # Hosts in China: "系统繁忙，请稍后再试", "登录过于频繁", "登录太频繁", "连接数超过限制"
    _row(r"系[统統].{0,4}忙|[服伺][务服]器?.{0,4}忙|稍[后後候]|[频頻]繁|[频頻]率|[连連]接[数數]", LegacyBusy),
    # qmail-pop3d: "out of memory", "unable to scan $HOME/Maildir"; Cyrus: "Unable to open maildrop";
    # pop3lite and others: "server error", "internal error", "I/O error"
    _row(
        r"\bout of memory\b|\b(unable|failed) to (scan|open|read|access)\b|\b(server|system|internal|i/o) error\b",
        LegacyBusy,
    ),
    # qmail-pop3d: "this user has no $HOME/Maildir"
    _row(r"\bhas no \$HOME/Maildir", LoginNotPossible),
    # Gmail: "Your account is not enabled for POP access"; 163.com and others: "service is not open"
    _row(
        r"\bnot (enabled|open|allowed|permitted|authori[sz]ed) (for|to use)?\b.{0,12}\bpop|"
        r"\bpop3?\b.{0,30}\b(disabled|not enabled|not allowed|not permitted|denied|not open)\b",
        LoginNotPossible,
    ),
    # 163.com, in GBK: "您没有权限使用pop3功能" (you may not use POP3)
    _row(r"(没有|没|無|无)权限?.{0,6}pop|pop3?.{0,12}(未开[启通]|已关闭)|未开[启通].{0,6}pop", LoginNotPossible),
    # "Account disabled", "Your account has been suspended", "account locked"
    _row(
        r"\b(account|user|mailbox)\b.{0,20}\b(locked|disabled|suspended|blocked|deactivated|expired|frozen)\b",
        LoginNotPossible,
    ),
    # RFC 1939 9 leaves the words free: "unknown command", "command not implemented", "unrecognized command"
    _row(
        r"\b(unknown|unrecogni[sz]ed|invalid|illegal|bad|unsupported|no such) (pop3? )?(command|mechanism|method)"
        r"|\bcommand (is )?not\b|\b(not|un)[ -]?(implemented|supported)\b|\bsyntax error\b",
        LoginNotPossible,
    ),
)


def refusal(reply: Reply, *, withhold: Iterable[bytes] = ()) -> ServerRefused:
    """The error for -ERR to a step of a login.

    Where the server's words repeat one of `withhold`, such as the password, the error does not quote them.
    """
    words = readable(reply.words)
    meaning = _meaning(reply.code, words)
    said = reply.words.lower()
    if any(secret and secret.lower() in said for secret in withhold):
        words = "(its words are not repeated here)"
    return meaning(f"the legacy server refused the login: {_coded(reply.code, words)}", reply.code)


def unwelcome(greeting: Reply) -> ServerRefused:
    """The error for a greeting of -ERR: nobody has said a password yet, so it cannot be about one."""
    meaning = _meaning(greeting.code, greeting.text)
    if meaning is not LoginNotPossible:
        meaning = LegacyBusy
    return meaning(f"the legacy server refused the connection: {_coded(greeting.code, greeting.text)}", greeting.code)


def declined(command: str, reply: Reply) -> ServerRefused:
    """The error for -ERR to a command after the login: LegacyBusy or MaildropInUse where it is for now only."""
    meaning = _meaning(reply.code, reply.text)
    if meaning not in (LegacyBusy, MaildropInUse):
        meaning = CommandRefused
    return meaning(f"the legacy server refused {command}: {_coded(reply.code, reply.text)}", reply.code)


def unsupported(reply: Reply) -> bool:
    """May -ERR to a command mean that the server does not know it, rather than that it cannot just now?"""
    return reply.code is None and _meaning(None, reply.text) not in (LegacyBusy, MaildropInUse)


def _coded(code: str | None, words: str) -> str:
    return f"[{code}] {words}".strip() if code else words or "(it does not say why)"


def _meaning(code: str | None, words: str) -> type[ServerRefused]:
    known = _BY_CODE.get(code or "")
    if known is not None:
        return known
    for row in WORDS:
        if (row.over_auth or code != "AUTH") and row.pattern.search(words):
            return row.meaning
    return LoginRejected
