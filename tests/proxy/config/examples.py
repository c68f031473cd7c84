"""The design's example, and how a test changes one thing in it."""

from __future__ import annotations

from proxy.config import Config, ConfigErrors, parse

DESIGN = """\
hostname = "mail.123.com"
state = "/var/lib/mailferry"

[listen]
pop3 = ["tcp:110"]
pop3s = ["tcp:995"]
imap = ["tcp:143"]
imaps = ["tcp:993"]
web = ["tcp:443"]

[tls]
certificate = "/etc/mailferry/fullchain.pem"
key = "/etc/mailferry/privkey.pem"
plaintext_login = "loopback"

[storage]
database = "sqlite"
maildir = "{state}/mail/{domain}/{local}/Maildir"

[migration]
login = "hold"
hold_limit = "20m"
seen = "headers"
refresh = "5m"

[domain."123.com"]
accounts = "open"

[domain."123.com".legacy]
host = "pop.old.123.com"
port = 110
tls = "starttls"
verify = true
login = "local"
connections = 20
"""

SMALLEST = """\
hostname = "localhost"
[listen]
imap = ["tcp:10143:interface=127.0.0.1"]
[domain."123.com".legacy]
host = "127.0.0.1"
"""


def changed(*replacements: tuple[str, str], text: str = DESIGN) -> str:
    """The example with parts replaced; each must be there."""
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def accepted(text: str) -> Config:
    return parse(text.encode(), "test.toml")


def refused(text: str) -> dict[str, str]:
    """The mistakes, by key."""
    try:
        parse(text.encode(), "test.toml")
    except ConfigErrors as error:
        return {mistake.key: mistake.text for mistake in error.mistakes}
    raise AssertionError("the configuration was accepted")
