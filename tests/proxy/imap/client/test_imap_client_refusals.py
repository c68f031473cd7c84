"""What a refusal of IMAP servers means: the words are those of the servers named beside them."""

from __future__ import annotations

import pytest

from proxy.imap.client.commands import Name, Raw, Verb, command, sequence_set
from proxy.imap.client.login import Mechanism, mechanisms
from proxy.imap.client.refusals import refusal, unwelcome
from proxy.imap.client.responses import Reply, parse_state
from proxy.legacy.errors import LegacyBusy, LoginNotPossible, LoginRejected, MaildropInUse


def reply(text: str) -> Reply:
    found = parse_state(text.encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("NO [AUTHENTICATIONFAILED] Authentication failed.", LoginRejected),  # Dovecot
        ("NO LOGIN failed.", LoginRejected),  # Exchange
        ("NO Login failed.", LoginRejected),  # Courier
        ("NO Login failed: authentication failure", LoginRejected),  # Cyrus
        ("NO Invalid user name or password.", LoginRejected),  # hMailServer
        ("NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", LoginRejected),  # Gmail
        (
            "NO Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, "
            "or system is busy",
            LoginRejected,  # exmail.qq.com: one answer for everything
        ),
        ("NO [ALERT] Too many simultaneous connections. (Failure)", LegacyBusy),  # Gmail
        ("NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)", LegacyBusy),  # Gmail
        # Dovecot as hosts have it: github.com/mscdex/node-imap issue 606
        (
            "NO [UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=16)",
            LegacyBusy,
        ),
        ("NO [LIMIT] Maximum number of connections from user+IP exceeded", LegacyBusy),
        ("NO [UNAVAILABLE] Temporary authentication failure.", LegacyBusy),  # Dovecot
        ("NO Temporary problem, please try again later", LegacyBusy),  # Courier
        ("NO User is authenticated but not connected.", LegacyBusy),  # Exchange
        ("BAD Server Unavailable. 15", LegacyBusy),  # Exchange
        ("NO 系统繁忙，请稍后再试", LegacyBusy),
        ("NO mailbox unavailable", LegacyBusy),
        ("NO [INUSE] mailbox is in use", MaildropInUse),  # RFC 5530 3
        ("NO Unable to lock maildrop", MaildropInUse),  # Cyrus, over POP3
        ("NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure connections.", LoginNotPossible),
        ("NO Login only available under a layer", LoginNotPossible),  # Cyrus
        ("NO [ALERT] Application-specific password required: https://support.google.com/", LoginNotPossible),  # Gmail
        ("NO [WEBALERT https://accounts.google.com/] Web login required.", LoginNotPossible),  # Gmail
        ("NO IMAP access is disabled for your domain. Please contact your domain administrator", LoginNotPossible),
        ("NO [EXPIRED] password expired", LoginNotPossible),  # RFC 5530 3
        ("NO [CONTACTADMIN] account suspended", LoginNotPossible),
        ("NO Unsafe Login. Please contact kefu@188.com for help", LoginNotPossible),  # NetEase
        ("NO A SSL/TLS-connection is required for authentication.", LoginNotPossible),  # hMailServer, over POP3
        ("BAD Error in IMAP command received by server.", LoginNotPossible),  # Courier
        ("BAD Command received in Invalid state.", LoginNotPossible),  # Exchange
        ("NO", LoginRejected),
    ],
)
def test_meanings(text: str, meaning: type[Exception]) -> None:
    error = refusal(reply(text))
    assert type(error) is meaning
    assert str(error).startswith("the legacy server refused the login: ")


def test_words_that_repeat_the_password_are_not_quoted() -> None:
    error = refusal(reply("NO LOGIN joe S3cret rejected"), withhold=[b"s3cret"])
    assert "cret" not in str(error)


def test_a_bye_for_a_greeting_is_about_no_password() -> None:
    assert type(unwelcome(reply("BYE Too many connections from your address"))) is LegacyBusy
    assert type(unwelcome(reply("BYE go away"))) is LegacyBusy
    assert type(unwelcome(reply("BYE TLS required"))) is LoginNotPossible


def test_what_is_tried() -> None:
    both = frozenset({"AUTH=PLAIN"})
    assert mechanisms(frozenset(), ascii_only=True) == [Mechanism.LOGIN]
    assert mechanisms(both, ascii_only=True) == [Mechanism.LOGIN, Mechanism.PLAIN]
    assert mechanisms(both, ascii_only=False) == [Mechanism.PLAIN, Mechanism.LOGIN]
    assert mechanisms(both | {"LOGINDISABLED"}, ascii_only=True) == [Mechanism.PLAIN]
    assert mechanisms(frozenset({"LOGINDISABLED"}), ascii_only=True) == []


def test_arguments_cannot_become_commands() -> None:
    assert command(b"a", Verb.LOGIN, b"joe", b'p"w\\d') == [b'a LOGIN joe "p\\"w\\\\d"\r\n']
    assert command(b"a", Verb.LOGIN, b"", b"NIL") == [b'a LOGIN "" "NIL"\r\n']
    assert command(b"a", Verb.LOGIN, b"j\r\nb DELETE x", "é".encode()) == [
        b"a LOGIN {13}\r\n",
        b"j\r\nb DELETE x {2}\r\n",
        b"\xc3\xa9\r\n",
    ]
    assert command(b"a", Verb.LOGIN, b"joe", b"\xff", capabilities={"LITERAL-"}) == [b"a LOGIN joe {1+}\r\n\xff\r\n"]
    assert command(b"a", Verb.EXAMINE, Name(b'a"\xff')) == [b'a EXAMINE "a\\"\xff"\r\n']
    for argument in (Name(b"a\r\nb"), b"\0", b"x" * 5_000):
        with pytest.raises(ValueError, match="cannot be sent"):
            command(b"a", Verb.EXAMINE, argument)


def test_sequence_sets() -> None:
    assert sequence_set([[1], [5, 9, 12], [20, 21]]) == Raw(b"1,5:12,20:21")
