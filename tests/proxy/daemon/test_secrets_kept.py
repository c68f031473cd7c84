"""Passwords come in by every door, right and wrong, and are looked for in all that is left of it; and processes that
let nobody look into them."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus
from urllib.request import urlopen

import click
import pytest
from click.testing import CliRunner

from mailstore.accounts import State
from proxy.cli.main import main
from tests.browser.company import Company
from tests.browser.visitor import Visitor
from tests.legacy.dovecot import free_port, wait_for_port

RIGHT = "right+Zq%{7}&pärol"
WRONG = "wrong+Zq%{7}&pärol"
ANOTHER = "another+Zq%{7}&pärol"
CONSOLE = "console+Zq%{7}&pärol"
LISTED = "listed+Zq%{7}&pärol"
WORDS = (RIGHT, WRONG, ANOTHER, CONSOLE, LISTED)


def forms(word: str) -> set[bytes]:
    """As it might be left: itself, as forms and JSON have it, and base64, whatever stands before it (SASL PLAIN)."""
    plain = word.encode()
    found = {plain, word.encode("unicode_escape"), quote(word).encode(), quote_plus(word).encode()}
    for before in range(3):
        text = base64.b64encode(b"\0" * before + plain)
        found.add(text[-(-before * 4 // 3) :].rstrip(b"=")[1:-1])  # what its neighbours have no part in
    return found


NEEDLES = {needle: word for word in WORDS for needle in forms(word)}


def found_in(data: bytes) -> set[str]:
    return {word for needle, word in NEEDLES.items() if needle in data}


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(one for child in children for one in family(child))]


def without_capabilities(*command: str) -> list[str]:
    """As root is not more than any user."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    made = Company(tmp_path_factory.mktemp("firm"), workers=2)
    daemon, config = made.daemon, made.daemon.config
    daemon.ports["metrics"] = free_port()
    listener = f'[listen]\nmetrics = ["tcp:{made.daemon.ports["metrics"]}:interface=127.0.0.1"]'
    config.write_text(config.read_text().replace("[listen]", listener))
    # Its processes are to be its own: -P is not forked (`tests.forked`).
    serve = without_capabilities(sys.executable, "-P", "-m", "proxy.cli.main", "serve", "--config", str(config))
    with (daemon.root / "log").open("wb") as log:
        daemon.process = subprocess.Popen(serve, stdout=log, stderr=log)
    try:
        for port in daemon.ports.values():
            wait_for_port(port, daemon.process)
        yield made
    finally:
        made.close()


def mailferry(company: Company, *arguments: str | Path, told: str = "") -> str:
    """In this process."""
    line = [*map(str, arguments), "--config", str(company.daemon.config)]
    return CliRunner().invoke(main, line, input=told).output


def mailferry_apart(company: Company, *arguments: str | Path) -> str:
    """What needs a reactor."""
    command = [sys.executable, "-m", "proxy.cli.main", *map(str, arguments), "--config", str(company.daemon.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def plain(user: str, word: str) -> bytes:
    return base64.b64encode(f"\0{user}\0{word}".encode())


def test_a_password_is_nowhere_but_hashed_and_sealed(company: Company, tmp_path: Path) -> None:
    daemon = company.daemon
    user, moved, listed = (company.hire(password=RIGHT) for _ in range(3))
    told = [mailferry(company, "admin", "add", "anna", told=CONSOLE + "\n")]
    before = b"a AUTHENTICATE PLAIN " + plain(user, WRONG)
    for said in daemon.ask("imap", before, b"b AUTHENTICATE PLAIN " + plain(user, RIGHT), b"c LOGOUT"):
        told.append(said.decode())
    assert any(said.startswith("b OK") for said in told)
    told += [said.decode() for said in daemon.ask("pop3", b"AUTH PLAIN " + plain(user, ANOTHER), b"QUIT")]
    told += [said.decode() for said in daemon.ask("imap", b"a " + RIGHT.encode(), b"PASS " + RIGHT.encode(), b"c NOOP")]
    visitor = Visitor(company)
    assert "still" not in visitor.log_in(moved, WRONG).words
    Visitor(company).log_in(moved, RIGHT)
    for word in (WRONG, CONSOLE):
        at_the_console = Visitor(company)
        answer = at_the_console.submit("/console/login", "/console/login", {"name": "anna", "password": word})
    assert 'action="/console/logout"' in answer.text
    staff = tmp_path / "staff.csv"
    staff.write_text(f'account,password\n{listed},"{LISTED}"\nnew@123.com,"{RIGHT}"\n')
    told.append(mailferry(company, "accounts", "import", staff))
    told.append(mailferry(company, "accounts", "passwd", listed, told=ANOTHER + "\n"))
    told.append(mailferry(company, "accounts", "export", tmp_path / "out.csv"))
    told.append(mailferry_apart(company, "migrate", listed))  # which is refused there
    told.append(mailferry_apart(company, "verify", user, "--output", tmp_path / "verified.json"))
    told.append(mailferry(company, "rotate-key"))
    assert "sealed anew" in told[-1]
    Visitor(company).log_in(moved, RIGHT)
    assert company.account(user).state is State.MOVED
    told.append(mailferry_apart(company, "finalize", user, "--yes", "--report", tmp_path / "report.csv"))
    told.append(mailferry(company, "backup", daemon.root / "backups"))
    told += [mailferry(company, *each) for each in (("status", "--json"), ("check",), ("accounts", "show", user))]

    with urlopen(f"http://127.0.0.1:{daemon.ports['metrics']}/metrics") as page:
        assert found_in(page.read()) == set()
    assert found_in("".join(told).encode()) == set()
    files = [path for path in (*daemon.root.rglob("*"), *tmp_path.glob("[orv]*")) if path.is_file()]
    assert {"log", "accounts.db", "report.csv", "verified.json", "out.csv", "backup.json"} <= {f.name for f in files}
    assert {path: found_in(path.read_bytes()) for path in files if found_in(path.read_bytes())} == {}
    assert daemon.process is not None
    processes = family(daemon.process.pid)
    assert len(processes) >= 3
    for pid in processes:
        assert found_in(Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()) == set()
        assert "Max core file size        0                    0" in Path(f"/proc/{pid}/limits").read_text()


def test_every_form_is_looked_for() -> None:
    for around in (b"\0u\0", b"\0us\0", b"\0use\0", b""):
        assert found_in(base64.b64encode(around + RIGHT.encode() + around)) == {RIGHT}
    assert found_in(quote_plus(RIGHT).encode()) == found_in(f"x{RIGHT}x".encode()) == {RIGHT}


def test_no_command_takes_a_password_on_its_line() -> None:
    def commands(command: click.Command) -> Iterator[click.Command]:
        yield command
        for each in command.commands.values() if isinstance(command, click.Group) else ():
            yield from commands(each)

    takes = {
        option.opts[0]
        for command in commands(main)
        for option in command.params
        if any(word in (option.name or "") for word in ("pass", "secret", "word", "token"))
        and not (isinstance(option, click.Option) and option.is_flag)
    }
    assert takes <= {"--password-file", "--passwords"}  # files


def seen_by_its_own_user(pid: int, name: str) -> bool:
    look = without_capabilities("head", "-c", "1", f"/proc/{pid}/{name}")
    return "Permission denied" not in subprocess.run(look, capture_output=True, text=True, check=False).stderr


def test_not_even_its_own_user_may_look_into_a_process(company: Company) -> None:
    process = company.daemon.process
    assert process is not None
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in family(process.pid)}
    writing = [pid for pid, line in lines.items() if b"mailstore.scribe" in line]  # it has no passwords
    assert len(lines) == len(writing) + 3
    for name in ("mem", "environ"):
        assert [pid for pid in lines if seen_by_its_own_user(pid, name)] == writing


def test_what_a_process_asks_for() -> None:
    code = (
        "from proxy.daemon import process; import ctypes, resource, types; process.prepare(types.SimpleNamespace());"
        "print(ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 (0, 0)\n"
