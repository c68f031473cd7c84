"""Which addresses are one machine's, and one network's."""

from __future__ import annotations

import pytest

from proxy.login.origins import origin


@pytest.mark.parametrize(
    ("one", "other", "machine", "network"),
    [
        ("192.0.2.1", "192.0.2.1", True, True),
        ("192.0.2.1", "192.0.2.200", False, True),
        ("192.0.2.1", "192.0.3.1", False, False),
        ("192.0.2.1", "::ffff:192.0.2.1", True, True),
        ("192.0.2.1", "::ffff:c000:201", True, True),
        ("192.0.2.1", "::192.0.2.1", False, False),
        ("2001:db8::1", "2001:DB8:0:0:ffff::9", True, True),
        ("2001:db8::1", "2001:db8:0:1::1", False, True),
        ("2001:db8::1", "2001:db8:1::1", False, False),
        ("fe80::1%eth0", "fe80::2", True, True),
        ("", "", True, True),
        ("", "192.0.2.1", False, False),
        ("a socket", "another", False, False),
        ("192.0.2.1\0", "192.0.2.1", False, False),
        ("4:c0000201", "192.0.2.1", False, False),
        ("0300.0.2.1", "192.0.2.1", False, False),
    ],
)
def test_what_is_counted_as_one(one: str, other: str, *, machine: bool, network: bool) -> None:
    first, second = origin(one), origin(other)
    assert (first.machine == second.machine, first.network == second.network) == (machine, network)
