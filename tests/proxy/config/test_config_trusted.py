"""`trusted`: who may say for whom they speak."""

from __future__ import annotations

import pytest

from tests.proxy.config.examples import SMALLEST, accepted, refused


def test_addresses_and_networks() -> None:
    assert accepted(SMALLEST).trusted == ()
    found = accepted(f'trusted = ["127.0.0.1", " 10.1.0.0/16", "2001:DB8::/64"]\n{SMALLEST}').trusted
    assert found == ("127.0.0.1/32", "10.1.0.0/16", "2001:db8::/64")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"127.0.0.1"', 'must be a list: write ["127.0.0.1"]'),
        ('["webmail.123.com"]', '"webmail.123.com" is no address and no network'),
        ('["10.1.2.3/16"]', "the network is 10.1.0.0/16"),
        ('["10.1.0.0/99"]', "is no address and no network"),
        ("[10]", "must be text in quotes"),
        ('["127.0.0.1:143"]', "is no address and no network"),
    ],
)
def test_what_is_none(value: str, said: str) -> None:
    (text,) = refused(f"trusted = {value}\n{SMALLEST}").values()
    assert said in text
