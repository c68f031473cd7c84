"""The command line as such: help, versions, which configuration is meant, exit statuses."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from tests.proxy.cli.command import configuration, mailferry

BROKEN = """\
[listen]
imap = ["tcp:99999"]
[domain."123.com".legacy]
hots = "x"
"""


def test_help_names_the_commands() -> None:
    result = mailferry("--help")
    assert result.exit_code == 0
    for command in (
        *("init", "serve", "check", "accounts", "discover", "probe", "dns", "notify", "status", "migrate", "pause"),
        *("resume", "retry", "verify", "finalize", "unfinalize", "admin", "demo"),
    ):
        assert f"\n  {command} " in result.stdout


def test_version() -> None:
    assert mailferry("--version").stdout == f"mailferry, version {version('mailferry')}\n"


def test_help_loads_nothing_slow() -> None:
    slow = ["twisted", "pydantic", "sqlalchemy", "rich", "cryptography", "openpyxl"]
    code = f"import sys, proxy.cli.main\nprint([m for m in {slow} if m in sys.modules])"
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_status_loads_nothing_of_what_moves_and_verifies(tmp_path: Path) -> None:
    slow = ["twisted", "alembic", "openpyxl", "cryptography.x509", "psycopg", "mailstore.audit", "mailstore.mailhome"]
    code = f"""import atexit, sys, proxy.cli.main
atexit.register(lambda: print([m for m in {slow} if m in sys.modules]))
proxy.cli.main.main(["status", "--config", {str(configuration(tmp_path))!r}])"""
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("123.com"), ran.stdout
    assert ran.stdout.endswith("\n[]\n")


def test_an_unknown_command_or_option_is_usage() -> None:
    assert mailferry("sreve").exit_code == 2
    assert mailferry("status", "--jsn").exit_code == 2


def test_the_configuration_is_named_before_or_after_the_command_or_by_the_environment(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    expected = mailferry("status", "--config", file).stdout
    assert "123.com" in expected
    assert mailferry("--config", file, "status").stdout == expected
    assert mailferry("status", env={"MAILFERRY_CONFIG": str(file)}).stdout == expected
    both = mailferry("status", "--config", file, env={"MAILFERRY_CONFIG": "/nowhere"})
    assert both.stdout == expected


def test_mistakes_end_every_command_with_status_2_and_are_all_told(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(BROKEN)
    for command in ("serve", "check", "status"):
        result = mailferry(command, "--config", file)
        assert result.exit_code == 2, command
        assert result.stdout == ""
        assert result.stderr.splitlines() == [
            f'{file}: hostname: is missing: add hostname = "mail.123.com"',
            f'{file}: listen.imap[0]: "tcp:99999": the port must be a number from 1 to 65535, not "99999"',
            f'{file}: domain."123.com".legacy.host: is missing: '
            'add the old server\'s name or address, such as host = "pop.old.123.com"',
            f'{file}: domain."123.com".legacy.hots: unknown key, did you mean "host"?',
        ]


def test_a_missing_file_is_status_2() -> None:
    result = mailferry("status", "--config", "/nowhere/mailferry.toml")
    assert (result.exit_code, result.stderr) == (
        2,
        "/nowhere/mailferry.toml: cannot be read: No such file or directory\n",
    )
