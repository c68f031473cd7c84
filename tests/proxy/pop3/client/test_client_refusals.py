"""What real servers say when they refuse a login, and what is made of it."""

from __future__ import annotations

import pytest

from proxy.legacy.errors import (
    CommandRefused,
    LegacyBusy,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    ServerRefused,
)
from proxy.pop3.client.refusals import declined, refusal, unsupported, unwelcome
from proxy.pop3.client.replies import parse_reply


def meant(line: str, encoding: str = "utf-8", **more: tuple[bytes, ...]) -> ServerRefused:
    reply = parse_reply(line.encode(encoding))
    assert reply is not None
    return refusal(reply, **more)


WRONG = [
    "-ERR",
    "-ERR invalid password",
    "-ERR [AUTH] Authentication failed.",
    "-ERR [AUTH] Username and password not accepted.",
    "-ERR authorization failed",
    "-ERR Unable to log on",
    "-ERR login fail",
    "-ERR Login failed.",
    "-ERR Logon failure: unknown user name or bad password.",
    "-ERR sorry, no mailbox for frated here",
    "-ERR never heard of mailbox name",
    "-ERR mailbox unavailable",
    "-ERR [AUTH] Invalid login, temporary or not",
    "-ERR Login fail. Account is abnormal, service is not open, password is incorrect, login frequency "
    "limited, or system is busy",
    '-ERR Password supplied for "joe" is incorrect.',
]
IN_USE = [
    "-ERR [IN-USE] Unable to lock maildrop: Mailbox is locked by POP server",
    "-ERR [IN-USE] mailbox already in use by pid 12345",
    "-ERR [in-use]",
    "-ERR maildrop already locked",
    "-ERR unable to lock maildrop",
    "-ERR Maildrop lock busy!  Is another session active?",
    "-ERR /usr/spool/pop/.joe.pop lock busy!  Is another session active? (11)",
    "-ERR Mailbox Locked",
    "-ERR Your mailbox is already locked",
    "-ERR could not aquire lock for maildrop joe",
    "-ERR mailbox in use",
]
BUSY = [
    "-ERR [SYS/TEMP] Temporary authentication failure.",
    "-ERR [SYS/TEMP] Temporary system problem. Please try again later. 66mb6278551yxn",
    "-ERR [LOGIN-DELAY] Logins must be at least 5 minutes apart",
    "-ERR [LOGIN-DELAY 60] wait",
    "-ERR [AUTH] Account exceeded pop command or bandwidth limits (Failure)",
    "-ERR [AUTH] Account exceeded command or bandwidth limits. (Failure)",
    "-ERR Server Unavailable. 21",
    "+ERR Server error: Failed to fetch messages in Inbox.",
    "-ERR Exceeded the login limit for a 15 minute period. Reduce the frequency of requests to the POP3 server.",
    "-ERR Download exceed. msg=10",
    "-ERR Daily download limit exceeded",
    "-ERR 登录太频繁",
    "-ERR Temporary problem, please try again later",
    "-ERR Busy - please try later",
    "-ERR Too many connections",
    "-ERR Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)",
    "-ERR mail storage services unavailable, wait a few minutes and try again",
    "-ERR minimum time between mail checks violation",
    "-ERR unable to scan $HOME/Maildir",
    "-ERR Server temporarily unavailable",
    "-ERR 系统繁忙，请稍后再试",
    "-ERR 登录过于频繁",
    "-ERR 连接数超过限制",
]
NOT_POSSIBLE = [
    "-ERR [SYS/PERM] Your account is not enabled for POP access.",
    "-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
    "-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754",
    "-ERR Command is not valid in this state.",
    "-ERR Invalid command in current state.",
    "-ERR A SSL/TLS-connection is required for authentication.",
    "-ERR Unsafe Login. Please contact kefu@188.com for help",
    "-ERR 您没有权限使用pop3功能",
    "-ERR [AUTH] Application-specific password required: https://support.google.com/accounts/answer/185833",
    "-ERR Must issue a STARTTLS command first",
    "-ERR this user has no $HOME/Maildir",
    "-ERR unknown command",
    "-ERR POP3 is disabled for this user",
    "-ERR Login only available under a layer",
    "-ERR account locked",
    "-ERR 请使用授权码登录。",
]


@pytest.mark.parametrize(
    ("line", "meaning"),
    [(line, LoginRejected) for line in WRONG]
    + [(line, MaildropInUse) for line in IN_USE]
    + [(line, LegacyBusy) for line in BUSY]
    + [(line, LoginNotPossible) for line in NOT_POSSIBLE],
)
def test_what_real_servers_say(line: str, meaning: type[ServerRefused]) -> None:
    error = meant(line)
    assert type(error) is meaning
    assert error.text.startswith("the legacy server refused the login: ")
    if line.isascii():
        assert type(meant(line.upper())) is meaning
    else:
        assert type(meant(line, "gb18030")) is meaning


def test_code_and_words_are_kept() -> None:
    error = meant("-ERR [IN-USE] locked")
    assert error.code == "IN-USE"
    assert str(error) == "the legacy server refused the login: [IN-USE] locked"
    assert str(meant("-ERR")) == "the legacy server refused the login: (it does not say why)"


def test_words_that_repeat_the_password_are_not_quoted() -> None:
    error = meant("-ERR unknown command PASS HUNTER2", withhold=(b"hunter2",))
    assert isinstance(error, LoginNotPossible)
    assert "hunter2" not in str(error).lower()
    assert "unknown" in str(meant("-ERR unknown command", withhold=(b"", b"hunter2")))


def test_a_greeting_is_never_about_a_password() -> None:
    def greeted(line: bytes) -> ServerRefused:
        reply = parse_reply(line)
        assert reply is not None
        return unwelcome(reply)

    assert type(greeted(b"-ERR")) is LegacyBusy
    assert type(greeted(b"-ERR [SYS/TEMP] too many connections")) is LegacyBusy
    assert type(greeted(b"-ERR bad password")) is LegacyBusy
    assert type(greeted(b"-ERR [SYS/PERM] your address is blocked")) is LoginNotPossible


def test_a_command_that_is_refused_for_now_is_told_from_one_that_is_refused_for_good() -> None:
    def refused(line: bytes) -> ServerRefused:
        reply = parse_reply(line)
        assert reply is not None
        return declined("LIST", reply)

    busy = refused(b"-ERR Exceeded the login limit for a 15 minute period.")
    assert type(busy) is LegacyBusy
    assert busy.text == "the legacy server refused LIST: Exceeded the login limit for a 15 minute period."
    assert type(refused(b"-ERR [IN-USE] locked")) is MaildropInUse
    for line in (b"-ERR", b"-ERR Command not understood", b"-ERR [SYS/PERM] no", b"-ERR bad password"):
        assert type(refused(line)) is CommandRefused


def test_a_command_that_is_not_there_differs_from_one_that_does_not_work_today() -> None:
    def is_unsupported(line: bytes) -> bool:
        reply = parse_reply(line)
        assert reply is not None
        return unsupported(reply)

    assert is_unsupported(b"-ERR unknown command")
    assert is_unsupported(b"-ERR")
    assert not is_unsupported(b"-ERR [SYS/TEMP] later")
    assert not is_unsupported(b"-ERR server busy, try again later")
