"""What a legacy server means by the words with which it refuses something, and the errors that are made of it.

Most servers have one answer for everything: a wrong password, a mailbox that another session holds, a limit, a full
disk. Only the first may be passed on as "wrong password" (a mail client that hears it asks its user for another one,
and throttles count it), so everything that is known to mean something else is recognised here, by the first row of the
table that fits. Words that name the password among other causes mean wrong: they are then the only answer such a server
has for a wrong password.

The table is that of POP3 and of IMAP: whoever makes a server that speaks both has one set of words for them. What a
response code says, and what words mean that are not known, each protocol has of its own: `proxy.pop3.client.refusals`,
`proxy.imap.client.refusals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.legacy.errors import (
    CommandRefused,
    LegacyBusy,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    ServerRefused,
)


class Refusal(Protocol):
    """The line that refuses something."""

    @property
    def code(self) -> str | None:
        """Its response code (RFC 2449 8, RFC 3501 7.1) in capitals, without brackets."""

    @property
    def words(self) -> bytes:
        """What is behind the code."""

    @property
    def text(self) -> str:
        """The words, readable."""


@dataclass(frozen=True, slots=True)
class Row:
    """Words that a server uses, and what they mean."""

    pattern: re.Pattern[str]
    meaning: type[ServerRefused]
    surely: bool = False  # even beside a response code that says that name or password is wrong


def _row(pattern: str, meaning: type[ServerRefused], *, surely: bool = False) -> Row:
    return Row(re.compile(pattern, re.IGNORECASE), meaning, surely)


WORDS: Final[tuple[Row, ...]] = (
    # Gmail: "[AUTH] Web login required: https://support.google.com/mail/answer/78754", "Please log in via your web
    # browser", "[ALERT] Application-specific password required: https://support.google.com/accounts/answer/185833"
    _row(
        r"web login required|please log in via your web browser|application-specific password",
        LoginNotPossible,
        surely=True,
    ),
    # QQ and exmail.qq.com, in GB18030: "请使用授权码登录" (log in with an authorisation code)
    _row(r"授权码|authorization code", LoginNotPossible, surely=True),
    # NetEase: "Unsafe Login. Please contact kefu@188.com for help"
    _row(r"\bunsafe login\b", LoginNotPossible, surely=True),
    # Gmail: "[AUTH] Account exceeded POP command or bandwidth limits (Failure)", "… exceeded command or bandwidth
    # limits"
    _row(r"exceeded (pop )?command|bandwidth limit", LegacyBusy, surely=True),
    # Dovecot: "[AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections."; 2.4: "Cleartext …"
    _row(r"\b(plain|clear) ?text .{0,40}\b(dis|not )allowed", LoginNotPossible, surely=True),
    # Mailu: "Must issue a STARTTLS command first"; hMailServer: "A SSL/TLS-connection is required for authentication.";
    # others: "Use STLS first", "TLS required", "SSL is required"
    _row(
        r"(use|issue|need|requires?)\b.{0,20}\b(stls|starttls)"
        r"|\b(tls|ssl|encryption)([- ]connection)? (is )?(required|needed)",
        LoginNotPossible,
        surely=True,
    ),
    # Cyrus: "Login only available under a layer"; Exchange: "Command received in Invalid state."; others: "Use SSL"
    _row(
        r"\bonly available under a layer|\binvalid state\b|\b(use|issue|need|requires?)\b.{0,20}\b(tls|ssl)\b",
        LoginNotPossible,
    ),
    # Exchange: "User is authenticated but not connected."
    _row(r"authenticated but not connected", LegacyBusy),
    # QQ: "Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited,
    # or system is busy": one answer for all; wrong is among it. Exchange: "Logon failure: unknown user name or
    # bad password."; hMailServer: "Invalid user name or password."; RFC 1939: "invalid password".
    _row(
        r"\b(invalid|incorrect|wrong|bad)\b.{0,30}\b(password|credentials?|user ?name)\b|"
        r"\b(password|credentials?)\b.{0,30}\b(invalid|incorrect|wrong|not accepted|mismatch|failed)|密码错|密碼錯",
        LoginRejected,
    ),
    # qpopper and UCB popper: "Maildrop lock busy!  Is another session active?", "/var/spool/… lock busy!"
    _row(r"lock busy|another (pop3? )?session", MaildropInUse),
    # RFC 1939 7 and MDaemon: "maildrop already locked"; ecenica: "Your mailbox is already locked"; UW: "Mailbox is
    # locked"; VPOP3: "Mailbox Locked"; directnic: "Mailbox is locked"; Gmail: "Mailbox is locked by POP server"
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
    # Gordano: "Busy - please try later"; Exchange: "Server Unavailable. 15"; others: "server busy", "service
    # unavailable", "system overloaded"
    _row(
        r"\bbusy\b|\boverload(ed)?\b|\b(server|services?|system|backend|database)\b.{0,20}\b"
        r"(unavailable|not available|down|offline)\b|\bmaintenance\b|\bshutting down\b",
        LegacyBusy,
    ),
    # Dovecot: "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)"; Gmail: "[ALERT]
    # Too many simultaneous connections. (Failure)"; hMailServer: "Too many invalid logon attempts."; others: "Too many
    # connections", "Too many authentication attempts"
    _row(
        r"\btoo many\b|\bmaximum (number of|connections|sessions|logins)\b|\b(login|connection|rate)s? ?limit",
        LegacyBusy,
    ),
    # 163.com's business hosts, to RETR: "Download exceed. msg=10"; others: "daily limit exceeded", "quota exceeded"
    _row(r"\bdownloads? (limit )?exceed|\b(limit|quota)s? (is |has been )?exceeded\b", LegacyBusy),
    # Cyrus popminpoll: "Logins must be at least 1 minute apart"; Net::Server::POP3: "minimum time between mail
    # checks violation"; QQ: "login frequency limited"
    _row(r"\bat least \d+ (minute|second)s? apart|\bminimum time between\b|\bfrequen(cy|t|tly)\b", LegacyBusy),
    # Hosts in China: "系统繁忙，请稍后再试", "登录过于频繁", "登录太频繁", "连接数超过限制"
    _row(r"系[统統].{0,4}忙|[服伺][务服]器?.{0,4}忙|稍[后後候]|[频頻]繁|[频頻]率|[连連]接[数數]", LegacyBusy),
    # qmail-pop3d: "out of memory", "unable to scan $HOME/Maildir"; Cyrus: "Unable to open maildrop", "System I/O
    # error"; pop3lite and others: "server error", "internal error"
    _row(
        r"\bout of memory\b|\b(unable|failed) to (scan|open|read|access)\b|\b(server|system|internal|i/o) error\b",
        LegacyBusy,
    ),
    # qmail-pop3d: "this user has no $HOME/Maildir"
    _row(r"\bhas no \$HOME/Maildir", LoginNotPossible),
    # Gmail: "Your account is not enabled for POP access"; Zimbra, hMailServer: "IMAP is not enabled for this account";
    # 163.com and others: "service is not open"
    _row(
        r"\bnot (enabled|open|allowed|permitted|authori[sz]ed)\b.{0,20}\b(pop|imap)|"
        r"\b(pop3?|imap)\b.{0,40}\b(disabled|not enabled|not allowed|not permitted|denied|not open)\b",
        LoginNotPossible,
    ),
    # 163.com, in GBK: "您没有权限使用pop3功能" (you may not use POP3)
    _row(r"(没有|没|無|无)权限?.{0,6}pop|pop3?.{0,12}(未开[启通]|已关闭)|未开[启通].{0,6}pop", LoginNotPossible),
    # "Account disabled", "Your account has been suspended", "account locked"
    _row(
        r"\b(account|user|mailbox)\b.{0,20}\b(locked|disabled|suspended|blocked|deactivated|expired|frozen)\b",
        LoginNotPossible,
    ),
    # The command, or the mechanism, is none of the server's. RFC 1939 9 leaves the words free: "unknown command",
    # "command not implemented", "unrecognized command"
    _row(
        r"\b(unknown|unrecogni[sz]ed|invalid|illegal|bad|unsupported|no such) ((pop3?|imap) )?"
        r"(command|mechanism|method)|\bcommand (is )?not\b|\bmechanism\b.{0,20}\bnot\b|"
        r"\b(not|un)[ -]?(implemented|supported)\b|\bsyntax error\b",
        LoginNotPossible,
    ),
)


def meaning_of(words: str, *, surely: bool = False) -> type[ServerRefused] | None:
    """What readable words mean; None where they say nothing that is known. With `surely`, only the rows that are."""
    for row in WORDS:
        if (row.surely or not surely) and row.pattern.search(words):
            return row.meaning
    return None


def to_login(refusal: Refusal, meaning: type[ServerRefused], withhold: Iterable[bytes]) -> ServerRefused:
    """The error for a login. Where the server's words repeat one of `withhold`, such as the password, they are not
    quoted."""
    said = refusal.words.lower()
    withheld = any(secret and secret.lower() in said for secret in withhold)
    return _error("the login", refusal, meaning, "(its words are not repeated here)" if withheld else refusal.text)


def to_connection(greeting: Refusal, meaning: type[ServerRefused]) -> ServerRefused:
    """The error for a greeting: nobody has said a password yet, so it cannot be about one."""
    return _error("the connection", greeting, meaning if meaning is LoginNotPossible else LegacyBusy, greeting.text)


def to_command(name: str, refusal: Refusal, meaning: type[ServerRefused] = CommandRefused) -> ServerRefused:
    """The error for any other command."""
    return _error(name, refusal, meaning, refusal.text)


def _error(what: str, refusal: Refusal, meaning: type[ServerRefused], words: str) -> ServerRefused:
    told = f"[{refusal.code}] {words}".strip() if refusal.code else words or "(it does not say why)"
    return meaning(f"the legacy server refused {what}: {told}", refusal.code)
