"""`resolvers`: whom `dns` and `discover` ask."""

from __future__ import annotations

import pytest

from proxy.config.names import resolver_address
from tests.proxy.config.examples import SMALLEST, accepted, refused


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:DB8::53]", ("2001:db8::53", 53)),
        ("[::1]:5353", ("::1", 5353)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert resolver_address(text) == address


def test_none_are_this_machines_own() -> None:
    assert accepted(SMALLEST).resolvers == ()
    assert accepted(f'resolvers = ["192.0.2.53"]\n{SMALLEST}').resolvers == ("192.0.2.53",)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"192.0.2.53"', 'must be a list: write ["192.0.2.53"]'),
        ('["dns.123.com"]', '"dns.123.com" is no address of a resolver'),
        ('["192.0.2.53:99999"]', "the port must be from 1 to 65535"),
        ('["192.0.2.53:"]', "is no address of a resolver"),
        ("[53]", "must be text in quotes"),
        ('[""]', "is no address of a resolver"),
    ],
)
def test_what_is_no_resolver(value: str, said: str) -> None:
    (text,) = refused(f"resolvers = {value}\n{SMALLEST}").values()
    assert said in text
