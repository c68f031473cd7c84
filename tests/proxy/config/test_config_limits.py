"""What a legacy server may be asked, and how often mailboxes are looked after."""

from __future__ import annotations

import pytest

from tests.proxy.config.examples import accepted, changed, refused

LEGACY = 'domain."123.com".legacy'
SECOND = '[domain."456.com".legacy]\nhost = "POP.old.123.com."\n'


def limited(line: str) -> str:
    return changed(("connections = 20", f"connections = 20\n{line}"))


def test_without_limits_there_are_none() -> None:
    config = accepted(changed())
    legacy = config.domains["123.com"].legacy
    assert (legacy.logins_per_minute, legacy.bandwidth, config.migration.round) == (None, None, 21_600)


def test_limits() -> None:
    config = accepted(limited('logins_per_minute = 60\nbandwidth = "5M"'))
    legacy = config.domains["123.com"].legacy
    assert (legacy.logins_per_minute, legacy.bandwidth) == (60, 5 * 2**20)


@pytest.mark.parametrize(
    ("line", "key", "said"),
    [
        ("logins_per_minute = 0", "logins_per_minute", "must be at least 1, not 0"),
        ('logins_per_minute = "60"', "logins_per_minute", "a whole number, without quotes"),
        ("bandwidth = 5000000", "bandwidth", "a number needs its unit"),
        ('bandwidth = "5 MB"', "bandwidth", "is no size"),
        ('bandwidth = "0.5K"', "bandwidth", "must be at least 1024"),
        ('bandwith = "5M"', "bandwith", 'did you mean "bandwidth"?'),
    ],
)
def test_limits_that_are_none(line: str, key: str, said: str) -> None:
    assert said in refused(limited(line))[f"{LEGACY}.{key}"]


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("30m", 1_800), ("30d", 30 * 86_400)])
def test_rounds(text: str, seconds: int) -> None:
    assert accepted(changed(('refresh = "5m"', f'refresh = "5m"\nround = "{text}"'))).migration.round == seconds


def test_a_round_that_is_too_long() -> None:
    assert "is not between" in refused(changed(('refresh = "5m"', 'round = "31d"')))["migration.round"]


def test_how_large_a_message_may_be() -> None:
    assert accepted(changed()).lmtp.message_size == 50 * 2**20
    assert accepted(changed() + '[lmtp]\nmessage_size = "64K"\n').lmtp.message_size == 65_536


@pytest.mark.parametrize(
    ("value", "said"),
    [("50000000", "a number needs its unit"), ('"63K"', "at least 65536"), ('"3G"', "at most"), ('"x"', "is no size")],
)
def test_what_no_message_may_be(value: str, said: str) -> None:
    assert said in refused(changed() + f"[lmtp]\nmessage_size = {value}\n")["lmtp.message_size"]


def test_mail_that_everybody_can_hand_in_is_warned_of() -> None:
    def listening(text: str) -> str:
        return changed(('imap = ["tcp:143"]', f'imap = ["tcp:143"]\nlmtp = ["{text}"]'))

    assert accepted(listening("unix:/run/mailferry/lmtp")).warnings == ()
    assert accepted(listening("tcp:24:interface=127.0.0.1")).warnings == ()
    (warning,) = accepted(listening("tcp:24")).warnings
    assert warning.key == "listen.lmtp"
    assert "takes mail for every user from everybody who can reach it" in str(warning)


def test_domains_that_share_a_server_and_disagree_are_told_so() -> None:
    assert accepted(changed() + SECOND).warnings == ()
    assert accepted(changed() + SECOND + "port = 995\ntls = 'implicit'\nconnections = 5\n").warnings == ()
    (warning,) = accepted(changed() + SECOND + "connections = 5\n").warnings
    assert warning.key == 'domain."456.com".legacy.connections'
    assert '"123.com" has the same old server and says otherwise: the lower counts' in str(warning)
