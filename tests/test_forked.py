"""What is forked is as what is begun as ever: what it prints, how it ends, what others see of it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked

USUAL = subprocess.Popen.__mro__[1]  # what `tests.forked` has put itself in the place of
COMMAND = [sys.executable, "-m", "proxy.cli.main"]
SERVE = """hostname = "localhost"
state = "{state}"
workers = 2
[listen]
pop3 = ["unix:{state}.pop3"]
[domain."123.com".legacy]
host = "127.0.0.1"
tls = "none"
"""


def test_commands_of_the_tests_are_forked() -> None:
    assert subprocess.Popen is forked.Popen
    with subprocess.Popen([*COMMAND, "--version"], stdout=subprocess.PIPE) as process:
        parent = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1]
        assert b"mailferry" in process.communicate()[0]
    assert b"tests.forking" in Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["serve", "--help"], ["no-such-command"], ["status"], ["check", "--config", "odd"]],
    ids=" ".join,
)
def test_they_print_and_end_as_ever(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "odd").write_text('hostname = "é"\nodd = 1\n')
    environment = {**os.environ, "MAILFERRY_CONFIG": "missing", "PYTHONPATH": str(forked.ROOT), "COLUMNS": "60"}
    outcomes = []
    for begin in (forked.Popen, USUAL):
        process = begin(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            outcomes.append((*process.communicate(), process.returncode))
    assert outcomes[0] == outcomes[1]


def test_a_daemon_and_its_workers_are_seen_as_ever_and_end_as_ever(tmp_path: Path) -> None:
    config = tmp_path / "mailferry.toml"
    config.write_text(SERVE.format(state=tmp_path / "state"))
    command = [*COMMAND, "serve", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert any(b'"listening"' in line for line in process.stderr)
        seen = [words_of(process.pid)]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        seen += [words for child in children if "proxy.daemon.worker" in (words := words_of(int(child)))]
        process.terminate()
        process.stderr.read()
        assert process.wait() == 0
    seen[1:] = sorted(seen[1:])
    assert [words[1:] for words in seen] == [command[1:], *(["-P", "-m", "proxy.daemon.worker", n] for n in "12")]
    assert {Path(words[0]) for words in seen} == {Path(sys.executable)} or Path(seen[0][0]).samefile(sys.executable)


def words_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def test_a_clock_that_is_off_is_so_for_what_is_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    off = tmp_path / "off"
    off.write_text(str(-40 * 365 * 86_400))
    monkeypatch.setenv("PYTHONPATH", str(forked.ODD_CLOCK))
    monkeypatch.setenv("MAILFERRY_ODD_CLOCK", str(off))
    assert forked.as_ours(None)
    (tmp_path / "told.py").write_text("import time; print(time.time() < 1e9)")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(forked.ODD_CLOCK)])}
    monkeypatch.setattr(forked, "MODULES", {"told"})
    for begin in (forked.Popen, USUAL):
        with begin([sys.executable, "-m", "told"], env=environment, stdout=subprocess.PIPE) as process:
            assert process.communicate()[0] == b"True\n"


def test_who_is_told_something_else_is_begun_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert forked.as_ours(None)
    (tmp_path / "sitecustomize.py").touch()
    assert not forked.as_ours(None)
    assert not forked.as_ours({"PYTHONUTF8": "1"})
    assert not forked.as_ours({**os.environ, "LC_ALL": "nobody's"})


def test_one_that_is_killed_says_so(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")  # which it waits for
    with subprocess.Popen([*COMMAND, "status", "--config", str(tmp_path / "never")]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        assert process.poll() is None
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.send_signal(signal.SIGKILL)  # nobody is there any more


def test_what_was_begun_by_tests_that_are_gone_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    forked.source()
    others = forked.Source("\0" + os.environ[forked.VARIABLE])
    words = [*COMMAND, "status", "--config", str(tmp_path / "never")]
    with Path(os.devnull).open("r+b") as null:
        pid = others.ask([words, dict(os.environ), str(tmp_path), False], *[null.fileno()] * 3)
        ended = os.pidfd_open(pid)
        try:
            assert not select.select([ended], [], [], 0)[0]
            others.close()
            assert select.select([ended], [], [], 60)[0]
        finally:
            os.close(ended)
