"""`mailferry dns` and `discover`: what is no question is said before anybody is asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.proxy.cli.command import configuration, mailferry


def test_they_are_commands() -> None:
    said = mailferry("--help").stdout
    assert "\n  dns " in said and "\n  discover " in said
    for name in ("--resolver", "--mx", "--spf", "--address", "--host", "--zone", "--watch", "--json"):
        assert name in mailferry("dns", "--help").stdout
    assert "--authority" not in mailferry("dns", "--help").stdout


def test_help_loads_nothing_of_what_they_need() -> None:
    code = (
        "import sys, proxy.cli.main\n"
        "print([m for m in ('dns', 'tomlkit', 'defusedxml', 'OpenSSL', 'xml', 'http') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_a_domain_that_is_not_served_here(tmp_path: Path) -> None:
    result = mailferry("dns", "124.com", "--config", configuration(tmp_path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'mailferry: "124.com" is not served here, did you mean "123.com"?\n'


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--spf", "mail.123.com", '"mail.123.com" is no mechanism of SPF: write for instance "a:mail.123.com"'),
        ("--spf", "ip4:1.2.3", '"ip4:1.2.3" has no network'),
        ("--address", "mail.123.com", "'mail.123.com' does not appear to be an IPv4 or IPv6 address"),
        ("--mx", "-x-", '"-x-" cannot be a domain name'),
        ("--host", "a b", '"a b" cannot be a domain name'),
        ("--mx", "203.0.113.9", '"203.0.113.9" is no name: an address, or only a number, cannot stand here'),
        ("--host", "10", '"10" is no name'),
        ("--address", "0.0.0.0", "'0.0.0.0' can be no server's address"),
        ("--address", "fe80::1%eth0", "'fe80::1%eth0' can be no server's address"),
        ("--spf", "-mx", '"-mx" permits nobody: write it without the "-"'),
        ("--resolver", "dns.net", '"dns.net" is no address of a resolver: write "192.0.2.53"'),
        ("--resolver", "192.0.2.1:0", '"192.0.2.1:0": the port must be from 1 to 65535'),
        ("--every", "0", "0 is not in the range"),
    ],
)
def test_what_cannot_be_meant_is_usage(tmp_path: Path, option: str, value: str, said: str) -> None:
    result = mailferry("dns", "123.com", option, value, "--config", configuration(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("arguments", [["-bad-"], ["123.com", "--resolver", "x"]])
def test_what_cannot_be_looked_for_is_usage(tmp_path: Path, arguments: list[str]) -> None:
    result = mailferry("discover", *arguments, "--config", configuration(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")


def test_to_write_a_configuration_is_needed(tmp_path: Path) -> None:
    result = mailferry("discover", "123.com", "--write", "--config", tmp_path / "none.toml")
    assert result.exit_code == 2
    assert result.stderr.endswith("none.toml: cannot be read: No such file or directory\n")
