"""`mailferry discover`: a Dovecot found through a real name server, and written into the configuration."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proxy.config import load
from tests.legacy.dovecot import Dovecot
from tests.peers.dns_world import World
from tests.peers.nameservers import Addresses, Knot
from tests.peers.needs import needed
from tests.proxy.admin.scripted_hosts import ScriptedHost, page

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]
USUAL = ("pop3", "pop3s", "imap", "imaps")
PORTS = {"pop3": 110, "pop3s": 995, "imap": 143, "imaps": 993}
CONFIG = """# Ours.
hostname = "new.123.com"
resolvers = ["{resolver}"]
[listen]
imap = ["tcp:143"]
[domain."123.com".legacy]
host = "pop.old.123.com"    # to be found out
tls = "starttls"
"""


@dataclass
class Setting:
    """A name server with 123.com in it, and a Dovecot, of which nobody knows yet."""

    root: Path
    dovecot: Dovecot
    knot: Knot

    @property
    def config(self) -> Path:
        path = self.root / "mailferry.toml"
        if not path.exists():
            path.write_text(CONFIG.format(resolver=self.knot.place))
        return path

    def serve(self, records: str, zone: str = "123.com") -> None:
        self.knot.change(zone, f"@ IN NS ns1\nns1 IN A {self.knot.address}\n{records}")

    def discover(
        self, *arguments: str, usual: bool = True, web: int = 1, config: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """`usual`: Dovecot is where mail servers usually are. `web`: the port of web servers."""
        command = [sys.executable, "-m", "proxy.cli.main", "discover", "123.com", "--at", "443=1", "--at", f"80={web}"]
        command += ["--config", str(self.config if config else self.root / "none.toml")]
        for name in USUAL:
            command += ["--at", f"{PORTS[name]}={getattr(self.dovecot, name) if usual else 1}"]
        ran = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran

    def found(self, *arguments: str, **options: Any) -> Any:
        ran = self.discover("--json", *arguments, **options)
        return json.loads(ran.stdout)


@pytest.fixture
def setting(legacy: Dovecot, tmp_path: Path) -> Iterator[Setting]:
    needed("knotd")
    addresses = Addresses()
    knot = Knot(tmp_path / "knot", addresses.take(), addresses.port, {"123.com": "@ IN NS ns1\n"})
    yield Setting(tmp_path, legacy, knot)
    knot.stop()


def test_by_a_common_name(setting: Setting) -> None:
    setting.serve("pop IN A 127.0.0.1\n")
    found = setting.found()
    places = [(c["host"], c["port"], c["protocol"], c["tls"]) for c in found["candidates"]]
    server = setting.dovecot
    assert places == [
        ("pop.123.com", server.pop3s, "pop3", "implicit"),
        ("pop.123.com", server.pop3, "pop3", "starttls"),
        ("pop.123.com", server.imaps, "imap", "implicit"),
        ("pop.123.com", server.imap, "imap", "starttls"),
    ]
    best = found["candidates"][0]
    assert best["greeting"] == "+OK Dovecot (Debian) ready."
    assert {"TOP", "UIDL", "PIPELINING"} <= set(best["capabilities"])
    assert best["encryption"]["version"] == "TLSv1.3"
    assert best["encryption"]["certificate"].startswith("for localhost, 127.0.0.1, until 20")
    assert best["encryption"]["trouble"] == "the server's certificate is signed by itself"
    assert best["found_by"] == ["a common name"]


def test_by_srv_at_an_odd_port(setting: Setting) -> None:
    setting.serve(
        f"_pop3s._tcp IN SRV 0 1 {setting.dovecot.pop3s} box\nbox IN A 127.0.0.1\n_pop3._tcp IN SRV 0 0 0 .\n"
    )
    (best,) = setting.found(usual=False)["candidates"]
    assert (best["host"], best["port"]) == ("box.123.com", setting.dovecot.pop3s)
    assert best["found_by"] == ["SRV _pop3s._tcp.123.com"]


def test_by_autoconfig_which_tells_the_login_form_as_well(setting: Setting) -> None:
    setting.serve("autoconfig IN A 127.0.0.1\nbox IN A 127.0.0.1\n")
    body = f"""<clientConfig><emailProvider><incomingServer type="pop3"><hostname>box.123.com</hostname>
    <port>{setting.dovecot.pop3}</port><socketType>STARTTLS</socketType><username>%EMAILADDRESS%</username>
    </incomingServer></emailProvider></clientConfig>""".encode()
    with ScriptedHost(page(b"HTTP/1.0 200 OK\r\n\r\n" + body)) as host:
        (best,) = setting.found(usual=False, web=host.port)["candidates"]
    assert (best["host"], best["tls"], best["login"]) == ("box.123.com", "starttls", "full")
    assert best["found_by"] == ["autoconfig (http://autoconfig.123.com/mail/config-v1.1.xml)"]


def test_by_the_mail_server_itself(setting: Setting) -> None:
    setting.serve("@ IN MX 10 mx9\nmx9 IN A 127.0.0.1\n")
    assert setting.found()["candidates"][0]["found_by"] == ["MX of 123.com"]


def test_a_hosted_service_is_known_by_its_mail_servers(setting: Setting) -> None:
    """Its hosts have no address in this world, so nothing of it is spoken to."""
    setting.serve("@ IN MX 10 mxbiz1.qq.com.\n")
    ran = setting.discover()
    assert ran.returncode == 1
    assert "123.com: no POP3 or IMAP server answers\n" in ran.stdout
    assert "Tencent Exmail: it wants a password for mail programs" in ran.stdout


def test_nobody_is_logged_in(setting: Setting) -> None:
    setting.serve("pop IN A 127.0.0.1\n")
    log = setting.dovecot.root / "log"
    before = len(log.read_text(errors="replace"))
    setting.found()
    said = log.read_text(errors="replace")[before:]
    assert "Login:" not in said and "auth failed" not in said
    assert said.count("no auth attempts") >= 4


def test_it_is_written_into_the_configuration(setting: Setting) -> None:
    setting.serve("pop IN A 127.0.0.1\n")
    before = setting.config.read_text()
    ran = setting.discover("--write")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith(f"written into {setting.config}; next: mailferry probe ACCOUNT@123.com\n")
    lines = setting.config.read_text().splitlines()
    port = setting.dovecot.pop3s
    assert lines[:-5] == before.splitlines()[:-2]
    assert lines[-5:] == [
        'host = "pop.123.com"    # to be found out',
        'tls = "implicit"',
        "# the server's certificate is signed by itself; pin it, once you are sure that it is the old server's own:",
        lines[-2],
        f"port = {port}",
    ]
    assert lines[-2].startswith('# fingerprint = "sha256:')
    legacy = load(setting.config).domains["123.com"].legacy
    assert (legacy.host, legacy.port, legacy.tls, legacy.verify) == ("pop.123.com", port, "implicit", True)


def test_a_certificate_that_the_configuration_takes_is_no_trouble(setting: Setting) -> None:
    setting.serve("pop IN A 127.0.0.1\n")
    setting.discover("--write")
    text = setting.config.read_text()
    assert not setting.found()["candidates"][0]["encryption"]["verifies"]
    setting.config.write_text(text.replace("# fingerprint", "fingerprint"))
    best = setting.found()["candidates"][0]
    assert best["found_by"] == ["the configuration names it", "a common name"]
    assert (best["encryption"]["verifies"], best["encryption"]["trouble"]) == (True, "")


def test_without_a_configuration_it_says_what_to_write(setting: Setting) -> None:
    setting.serve("pop IN A 127.0.0.1\n")
    ran = setting.discover("--resolver", setting.knot.place, config=False)
    assert ran.returncode == 0, ran.stderr
    port = setting.dovecot.pop3s
    assert f'\n[domain."123.com".legacy]\nhost = "pop.123.com"\nport = {port}\ntls = "implicit"\n' in ran.stdout
    assert f'123.com: best is POP3 at pop.123.com port {port}, tls = "implicit"\n' in ran.stdout
    assert "  login      not known: `mailferry probe` finds it out\n" in ran.stdout
    written = setting.discover("--write", "--resolver", setting.knot.place, config=False)
    assert (written.returncode, written.stdout) == (2, "")


def test_nothing_is_written_that_would_not_be_right(setting: Setting) -> None:
    setting.serve("pop IN A 127.0.0.1\n")
    broken = setting.config.read_text().replace(
        'tls = "starttls"', 'tls = "starttls"\nport = 110\nca = "x.pem"\nverify = false'
    )
    setting.config.write_text(broken)
    assert setting.discover("--write").returncode == 2
    assert setting.config.read_text() == broken


def test_who_has_chosen_imap_is_led_to_imap(setting: Setting) -> None:
    setting.config.write_text(setting.config.read_text() + 'source = "imap"\n')
    setting.serve("pop IN A 127.0.0.1\n")
    assert setting.found("--write")["candidates"][0]["protocol"] == "imap"
    legacy = load(setting.config).domains["123.com"].legacy
    assert (legacy.source, legacy.imap_port, legacy.tls) == ("imap", setting.dovecot.imaps, "implicit")


def test_this_server_itself_is_left_out(setting: Setting) -> None:
    """After the move the domain's names lead here."""
    setting.config.write_text(setting.config.read_text().replace("tcp:143", f"tcp:{setting.dovecot.imap}"))
    setting.serve("pop IN A 127.0.0.1\n")
    found = setting.found()
    assert setting.dovecot.imap not in [c["port"] for c in found["candidates"]]
    assert "pop.123.com: leads to this server itself, so it was left out" in found["remarks"]


def test_this_servers_own_name_comes_last_since_it_will_lead_here(setting: Setting) -> None:
    setting.config.write_text(setting.config.read_text().replace("new.123.com", "mail.123.com"))
    setting.serve("mail IN A 127.0.0.1\nmx9 IN A 127.0.0.1\n@ IN MX 10 mx9\n")
    found = setting.found()
    assert [c["host"] for c in found["candidates"][:4]] == ["mx9.123.com"] * 2 + ["mail.123.com"] * 2
    assert any(
        text.startswith("mail.123.com is this server's own name: once DNS has moved") for text in found["remarks"]
    )


def test_no_resolver_that_answers(setting: Setting) -> None:
    setting.knot.stop()
    ran = setting.discover()
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("mailferry: 123.com could not be looked up: resolver 127.")


def test_a_resolver_does_not_come_to_remember_what_is_missing(legacy: Dovecot, tmp_path: Path) -> None:
    """The domain's own name servers are asked for its names."""
    (tmp_path / "w").mkdir()
    world = World(tmp_path / "w")
    try:
        world.change("@ IN MX 10 mx9\nmx9 IN A 127.0.0.1\n")
        command = [
            sys.executable,
            "-m",
            "proxy.cli.main",
            "discover",
            "123.com",
            "--config",
            str(world.config),
            "--json",
        ]
        moved = {53: world.addresses.port, 995: legacy.pop3s, 110: 1, 993: 1, 143: 1, 443: 1, 80: 1}
        command += [word for usual, port in moved.items() for word in ("--at", f"{usual}={port}")]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert [c["host"] for c in json.loads(ran.stdout)["candidates"]] == ["mx9.123.com"]
        world.change("_pop3s._tcp IN SRV 0 1 995 box\npop IN A 127.0.0.1\nautoconfig IN A 127.0.0.1\n")
        for name, rdtype in (("_pop3s._tcp", "SRV"), ("pop", "A"), ("autoconfig", "A")):
            assert world.resolver.learn(f"{name}.123.com", rdtype).answer, name
    finally:
        world.stop()
