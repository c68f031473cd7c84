"""conf/systemd/mailferry.service: what systemd thinks of it, and a first login with what it forbids forbidden."""

from __future__ import annotations

import imaplib
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from proxy import config
from proxy.config.endpoints import parse_endpoint
from tests.legacy.dovecot import Dovecot, free_port
from tests.peers.daemon import LISTENERS, Daemon
from tests.peers.needs import needed, needed_file
from tests.peers.sandboxed import allowed

pytestmark = pytest.mark.peers
UNIT = Path(__file__).parents[2] / "conf" / "systemd" / "mailferry.service"
SOCKET = UNIT.with_suffix(".socket")
COMMAND = "/opt/mailferry/current/bin/mailferry"


def analyze(*words: str | Path) -> str:
    done = subprocess.run([needed("systemd-analyze"), *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_exposure_is_below_2() -> None:
    text = analyze("security", "--offline=yes", "--no-pager", UNIT)
    found = re.search(r"Overall exposure level for mailferry.service: ([\d.]+)", text)
    assert found, text
    assert float(found[1]) < 2.0


def test_every_line_is_understood(tmp_path: Path) -> None:
    text = UNIT.read_text()
    assert f"ExecStart={COMMAND} serve\n" in text
    here = tmp_path / UNIT.name
    here.write_text(text.replace(COMMAND, sys.executable))
    ports = tmp_path / SOCKET.name
    ports.write_text(SOCKET.read_text())
    assert analyze("verify", "--man=no", here, ports) == ""


def test_its_ports_are_those_of_the_configuration() -> None:
    bound = {int(port) for port in re.findall(r"^ListenStream=0\.0\.0\.0:(\d+)$", SOCKET.read_text(), re.MULTILINE)}
    listen = config.load(UNIT.parents[1] / "mailferry.toml").listen
    offered = [text for service in ("pop3", "pop3s", "imap", "imaps", "web") for text in getattr(listen, service)]
    assert bound == {parse_endpoint(text).port for text in offered}


def test_a_first_login_with_what_it_forbids_forbidden(legacy: Dovecot, letters_user: str, tmp_path: Path) -> None:
    needed("systemd-analyze")
    needed_file("/usr/lib/*/libseccomp.so.2", "libseccomp2")
    assert {"prlimit64", "fchown", "pipe2", "syncfs"} <= allowed(UNIT)
    assert not {"setuid", "mount", "ptrace", "bpf", "io_uring_setup", "keyctl"} & allowed(UNIT)
    old = f'port = {legacy.pop3}\ntls = "starttls"\nca = "{legacy.certificate}"\n'
    ports = {name: free_port() for name in (*LISTENERS, "web")}
    daemon = Daemon(tmp_path / "ferry", old, ports=ports, workers=2, program=("tests.peers.sandboxed", str(UNIT)))
    daemon.start()
    try:
        with imaplib.IMAP4_SSL("localhost", daemon.ports["imaps"], ssl_context=daemon.trust(), timeout=60) as client:
            client.login(f"{letters_user}@123.com", "pass")
            assert client.select("INBOX") == ("OK", [b"8"])
            assert client.append("INBOX", "", "", b"Subject: new\r\n\r\n")[0] == "OK"
        with urlopen(f"https://localhost:{ports['web']}/", context=daemon.trust(), timeout=60) as page:
            assert page.status == 200
        daemon.config.write_text(daemon.config.read_text().replace('"localhost"', '"mail.localhost"', 1))
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)
        daemon.logs('"reloaded"')
        with imaplib.IMAP4_SSL("localhost", daemon.ports["imaps"], ssl_context=daemon.trust(), timeout=60) as client:
            assert b"mail.localhost" in client.welcome
        with urlopen(f"https://localhost:{ports['web']}/", context=daemon.trust(), timeout=60) as page:
            assert page.status == 200
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    assert not re.search(r'"level": "(error|warning)"', daemon.log), daemon.log
