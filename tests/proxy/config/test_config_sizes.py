"""Sizes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.mistakes import Unfit
from proxy.config.sizes import parse_size
from tests.proxy.config.examples import accepted, changed, refused


@pytest.mark.parametrize(("text", "octets"), [("1K", 1024), ("500M", 500 * 2**20), ("2G", 2**31), ("1.5T", 3 * 2**39)])
def test_sizes(text: str, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize("text", ["", "2", "2g", "G", "-2G", "2 G", "1,5G", "٥G", 2, True, None, []])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(Unfit):
        parse_size(text)


@given(st.text(alphabet="0123456789.KMGT "))
def test_sizes_never_raise_anything_else(text: str) -> None:
    with contextlib.suppress(Unfit):
        assert parse_size(text) >= 0


def test_limits_are_keys_of_a_domain() -> None:
    domain = accepted(changed(('accounts = "open"', 'quota = "2G"\nquota_messages = 10'))).domains["123.com"]
    assert (domain.quota, domain.quota_messages) == (2**31, 10)
    said = refused(changed(('accounts = "open"', 'quota = 2\nquota_messages = 0\nfolders = "de"')))
    assert 'write "2G"' in said['domain."123.com".quota']
    assert "at least 1" in said['domain."123.com".quota_messages']
    assert "none of en, zh" in said['domain."123.com".folders']
