"""How notices are sent: the table [notices]."""

from __future__ import annotations

import pytest

from proxy.config.names import sender_parts
from tests.proxy.config.examples import SMALLEST, accepted, refused


def told(lines: str) -> str:
    return f"{SMALLEST}[notices]\n{lines}\n"


def test_without_it_there_is_a_relay_on_this_machine_and_no_sender() -> None:
    notices = accepted(SMALLEST).notices
    assert (notices.relay, notices.tls, notices.sender, notices.rate) == ("localhost:25", "offered", None, 300)


@pytest.mark.parametrize(
    ("sender", "parts"),
    [
        ("it@123.com", ("", "it", "123.com")),
        ("IT help desk <it@123.com>", ("IT help desk", "it", "123.com")),
        ('"Help, IT" <it@123.com>', ("Help, IT", "it", "123.com")),
        ("信息中心 <管理@例子.com>", ("信息中心", "管理", "xn--fsqu00a.com")),
    ],
)
def test_senders(sender: str, parts: tuple[str, str, str]) -> None:
    notices = accepted(told(f"sender = '{sender}'")).notices
    assert sender_parts(notices.sender or "") == parts


@pytest.mark.parametrize(
    ("lines", "key", "said"),
    [
        ('sender = "it"', "sender", "is no sender"),
        ('sender = "IT <it@123.com"', "sender", "is no sender"),
        ('sender = "a@b.com, c@d.com"', "sender", "is no sender"),
        ('sender = "x\\r\\nBcc: a <it@123.com>"', "sender", "is no sender"),
        ('relay = "smtp.123.com"', "relay", "write name and port"),
        ('relay = "smtp.123.com:0"', "relay", "write name and port"),
        ('tls = "always"', "tls", "is none of offered, starttls, implicit, none"),
        ("rate = 0", "rate", "must be at least 1"),
        ('templates = "notices"', "templates", "is not absolute"),
        ('user = "bot"', "password_file", "is missing"),
        ('password_file = "/etc/p"', "user", "is missing"),
        ('user = "bot"\npassword_file = "/etc/p"\nrelay = "smtp.123.com:25"', "tls", "whoever answers"),
        ('ca = "ca.pem"', "ca", "is of no use"),
        ('sendr = "a@b.com"', "sendr", 'did you mean "sender"?'),
    ],
)
def test_what_cannot_be(lines: str, key: str, said: str) -> None:
    assert said in refused(told(lines))[f"notices.{key}"]


def test_a_login_is_encrypted_or_stays_on_this_machine() -> None:
    login = 'user = "bot"\npassword_file = "/etc/p"\n'
    accepted(told(login))
    accepted(told(f'{login}relay = "[::1]:25"'))
    accepted(told(f'{login}relay = "smtp.123.com:465"\ntls = "implicit"'))
