"""conf/roundcube/install from the outside: what it makes of mailferry's configuration, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.login.refusing import unavailable
from proxy.wire.door import Because
from tests.browser.roundcube.rig import INSTALL, REPOSITORY, install
from tests.peers.needs import needed, needed_file

pytestmark = pytest.mark.peers
PLUGIN = INSTALL.parent / "plugins" / "mailferry"
DOMAIN = '[domain."{name}".legacy]\nhost = "127.0.0.1"\ntls = "none"\n'
PLAIN = 'hostname = "mail.123.com"\n[listen]\nimap = ["tcp:1430:interface=127.0.0.1"]\n' + DOMAIN.format(name="123.com")


@pytest.fixture(autouse=True)
def packages() -> None:
    needed("nginx")
    needed_file("/usr/sbin/php-fpm[0-9]*", "php-fpm php-sqlite3")
    needed_file("/usr/share/roundcube/index.php", "roundcube-core roundcube-sqlite3")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "mailferry.toml"
    path.write_text(PLAIN)
    return path


def trial(configuration: Path, root: Path, *more: str) -> dict[str, Any]:
    """Install below a directory; what Roundcube is told of mailferry, as PHP reads it."""
    install("--config", configuration, "--trial", root, *more)
    return told(root)


def told(root: Path) -> dict[str, Any]:
    code = "echo json_encode(require $argv[1]);"
    command = ["php", "-r", code, str(root / "config" / "mailferry.inc.php")]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def test_what_is_said(configuration: Path, tmp_path: Path) -> None:
    said = install("--config", configuration, "--trial", tmp_path / "web", "--port", "18080").stdout
    assert said.splitlines()[:4] == [
        "Roundcube is at    http://127.0.0.1:18080/",
        "reads mail from    127.0.0.1:1430",
        "sends mail by      not from here: mailferry's configuration has no `submission`",
        f"your own settings  {tmp_path}/web/config/local.inc.php",
    ]


def test_one_domain_is_added_to_names_without_one(configuration: Path, tmp_path: Path) -> None:
    found = trial(configuration, tmp_path / "web")
    assert found["domain"] == "123.com"
    assert found["imap"] == "127.0.0.1:1430"
    assert found["tls"] is None
    configuration.write_text(PLAIN + DOMAIN.format(name="456.com"))
    assert trial(configuration, tmp_path / "web")["domain"] == ""


@pytest.mark.parametrize(
    ("submission", "host"),
    [("mail.123.com:587", "tls://mail.123.com:587"), ("mail.123.com:465", "ssl://mail.123.com:465")],
)
def test_mail_is_sent_where_mailferry_says(configuration: Path, tmp_path: Path, submission: str, host: str) -> None:
    configuration.write_text(f'submission = "{submission}"\n' + PLAIN)
    assert trial(configuration, tmp_path / "web")["submission"] == host


def test_without_a_submission_nothing_can_be_written(configuration: Path, tmp_path: Path) -> None:
    install("--config", configuration, "--trial", tmp_path / "web")
    code = "include $argv[1]; echo json_encode($config['disabled_actions']);"
    command = ["php", "-r", code, str(tmp_path / "web" / "config" / "config.inc.php")]
    disabled = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert "mail.compose" in disabled
    assert "mail.send" in disabled


def test_names_are_told_as_they_are(configuration: Path, tmp_path: Path) -> None:
    name = "O'Brien \\ Söhne \\' 邮件 ?>"
    assert trial(configuration, tmp_path / "web", "--product", name)["product"] == name


def test_again_the_key_and_own_settings_stay(configuration: Path, tmp_path: Path) -> None:
    first = trial(configuration, tmp_path / "web")
    (tmp_path / "web" / "config" / "local.inc.php").write_text("<?php $config['skin'] = 'mine';")
    configuration.write_text(PLAIN.replace("1430", "1431"))
    second = trial(configuration, tmp_path / "web")
    assert re.fullmatch("[0-9a-f]{32}", first["key"])
    assert second == first | {"imap": "127.0.0.1:1431"}
    assert "mine" in (tmp_path / "web" / "config" / "local.inc.php").read_text()


def test_what_holds_the_key_is_not_for_all(configuration: Path, tmp_path: Path) -> None:
    trial(configuration, tmp_path / "web")
    for path in (tmp_path / "web" / "config" / "mailferry.inc.php", tmp_path / "web" / "mailferry"):
        assert path.stat().st_mode & 0o007 == 0


def test_a_mailferry_that_takes_no_passwords_from_here_is_refused(configuration: Path, tmp_path: Path) -> None:
    configuration.write_text(PLAIN.replace("imap =", "pop3 ="))
    done = install("--config", configuration, "--trial", tmp_path / "web", check=False)
    assert done.returncode == 1
    assert 'imap = ["tcp:143:interface=127.0.0.1"]' in done.stderr
    assert not (tmp_path / "web").exists()


def test_every_mistake_of_the_configuration_is_told(configuration: Path, tmp_path: Path) -> None:
    configuration.write_text(PLAIN.replace("127.0.0.1", "127.0.0.1:x") + "wrong = 1\n")
    done = install("--config", configuration, "--trial", tmp_path / "web", check=False)
    assert done.returncode == 2
    assert "listen.imap[0]" in done.stderr
    assert "wrong" in done.stderr
    assert not (tmp_path / "web").exists()


def test_what_nginx_does_not_take_changes_nothing(configuration: Path, tmp_path: Path) -> None:
    before = trial(configuration, tmp_path / "web")
    site = (tmp_path / "web" / "nginx" / "site.conf").read_bytes()
    secure = f'[tls]\ncertificate = "{tmp_path}/none.pem"\nkey = "{tmp_path}/none.pem"\nplaintext_login = "never"\n'
    configuration.write_text(PLAIN.replace("[listen]", '[listen]\nimaps = ["tcp:9930"]') + secure)
    done = install("--config", configuration, "--trial", tmp_path / "web", check=False)
    assert done.returncode == 1
    assert "nginx does not take its configuration" in done.stderr
    assert "none.pem" in done.stderr
    assert told(tmp_path / "web") == before
    assert (tmp_path / "web" / "nginx" / "site.conf").read_bytes() == site


def test_where_passwords_come_over_tls_only(configuration: Path, tmp_path: Path) -> None:
    key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mail.123.com"]
    paths = {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    subprocess.run([*key, "-out", paths["certificate"], "-keyout", paths["key"]], check=True, capture_output=True)
    tls = "".join(f'{name} = "{path}"\n' for name, path in paths.items())
    listen = '[listen]\nimaps = ["tcp:9930"]\nweb = ["tcp:443"]'
    configuration.write_text(PLAIN.replace("[listen]", listen) + f'[tls]\n{tls}plaintext_login = "never"\n')
    said = install("--config", configuration, "--trial", tmp_path / "web").stdout
    assert said.startswith("Roundcube is at    https://mail.123.com:8443/\nreads mail from    ssl://127.0.0.1:9930\n")
    found = told(tmp_path / "web")
    assert found["tls"] == {"ssl": {"verify_peer": True, "verify_peer_name": True, "peer_name": "mail.123.com"}}
    assert found["https"] is True


# The plugin's words


def labels(language: str) -> set[str]:
    return set(re.findall(r"^    '(\w+)' +=> '", (PLUGIN / "localization" / f"{language}.inc").read_text(), re.M))


def test_both_languages_have_all_words() -> None:
    assert labels("en_US") == labels("zh_CN")


def test_every_word_that_is_asked_for_is_there() -> None:
    sources = "".join(path.read_text() for path in PLUGIN.rglob("*") if path.suffix in {".js", ".php", ".html"})
    asked = set(re.findall(r"words\('(\w+)'", sources)) | set(re.findall(r'"mailferry\.(\w+)"', sources))
    asked |= set(re.findall(r"gettext\('(\w+)'\)", sources)) | set(re.findall(r"=> '([a-z]+)',$", sources, re.M))
    own = {"wrong", "login"}  # not words: what is said by Roundcube, and a value of its form
    assert asked - own <= labels("en_US")


def test_each_refusal_for_now_has_its_words() -> None:
    """What mailferry says with UNAVAILABLE or INUSE, as its code has it, is told in the user's language."""
    gate = "".join((REPOSITORY / "proxy" / "login" / name).read_text() for name in ("gate.py", "questions.py"))
    login = (REPOSITORY / "proxy" / "imap" / "commands" / "login.py").read_text()
    said = [unavailable(because).text for because in Because]
    assert len(set(said)) == len(Because)
    said += re.findall(r'Refusal\.IN_USE, "([^"]+)"', gate)
    said += re.findall(r'No\(b"([^"]+)", b"UNAVAILABLE"\)', login)
    assert len(said) == len(Because) + 2
    known = re.findall(r"^        '([^']+)' +=>", (PLUGIN / "mailferry_reasons.php").read_text(), re.M)
    assert [text for text in said if sum(text.startswith(beginning) for beginning in known) != 1] == []
