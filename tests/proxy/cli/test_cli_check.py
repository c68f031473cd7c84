"""`mailferry check`: what it finds, and that it changes nothing."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mailstore.accounts import Accounts
from mailstore.schema import HEAD
from proxy.cli.checks import ports
from proxy.cli.checks.certificate import certificate_findings
from proxy.cli.checks.finding import Finding
from proxy.cli.checks.limits import limit_findings
from proxy.config import Config, load
from tests.proxy.admin.relay import Relay
from tests.proxy.cli.command import configuration, mailferry, with_accounts

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TLS = '[tls]\ncertificate = "{0}/cert.pem"\nkey = "{0}/key.pem"'


def write_pair(
    directory: Path, names: tuple[str, ...] = ("mail.123.com",), start: int = -10, end: int = 90, issuer: str = ""
) -> ec.EllipticCurvePrivateKey:
    """cert.pem and key.pem; `start` and `end` in days from NOW; signed by itself unless an issuer is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    signer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]) if issuer else subject
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(signer).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(NOW + timedelta(start)).not_valid_after(NOW + timedelta(end))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    (directory / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    write_key(directory, key)
    return key


def write_key(directory: Path, key: ec.EllipticCurvePrivateKey, *, passphrase: bytes = b"", mode: int = 0o600) -> None:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    path = directory / "key.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    path.chmod(mode)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(configuration(tmp_path, more=TLS.format(tmp_path)))


def told(config: Config) -> list[tuple[str, str]]:
    return [(finding.result, finding.text) for finding in certificate_findings(config, NOW)]


def test_a_certificate_as_it_should_be(config: Config, tmp_path: Path) -> None:
    write_pair(tmp_path)
    assert told(config) == [
        ("ok", "valid until 2026-08-30"),
        ("ok", "is for mail.123.com"),
        ("ok", "the certificate's key"),
    ]


def test_a_wildcard_is_for_one_label(config: Config, tmp_path: Path) -> None:
    write_pair(tmp_path, names=("*.123.com",))
    assert told(config)[1] == ("ok", "is for mail.123.com")
    write_pair(tmp_path, names=("*.com",))
    assert told(config)[1] == ("warn", "is not for mail.123.com but for *.com")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (-90, -1, ("fail", "expired on 2026-05-31")),
        (1, 90, ("fail", "is valid only from 2026-06-02")),
        (-90, 5, ("warn", "expires on 2026-06-06, in 5 days")),
    ],
)
def test_a_certificate_out_of_its_time(
    config: Config, tmp_path: Path, start: int, end: int, expected: tuple[str, str]
) -> None:
    write_pair(tmp_path, start=start, end=end)
    assert told(config)[0] == expected


def test_a_certificate_without_names_and_chain(config: Config, tmp_path: Path) -> None:
    write_pair(tmp_path, names=(), issuer="A CA")
    assert told(config)[1:3] == [
        ("warn", "is not for mail.123.com but for no name at all"),
        ("warn", "holds one certificate and not those between it and its CA"),
    ]


def test_a_key_of_another_certificate(config: Config, tmp_path: Path) -> None:
    write_pair(tmp_path)
    write_key(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    assert told(config)[-1] == ("fail", "is not the key of the certificate")


def test_keys_that_cannot_be_used_as_they_are(config: Config, tmp_path: Path) -> None:
    key = write_pair(tmp_path)
    write_key(tmp_path, key, passphrase=b"secret")
    assert told(config)[-1] == ("fail", "is encrypted")
    write_key(tmp_path, key, mode=0o644)
    assert told(config)[-1] == ("warn", "may be read by everybody on this machine")
    (tmp_path / "key.pem").write_text("nonsense")
    assert told(config)[-1] == ("fail", "is no private key in PEM form")


def test_files_that_are_not_there(config: Config) -> None:
    assert told(config) == [("fail", "cannot be read: No such file or directory")] * 2


def test_a_ca_file(tmp_path: Path) -> None:
    write_pair(tmp_path)
    file = configuration(tmp_path)
    file.write_text(file.read_text() + f'ca = "{tmp_path}/cert.pem"\n')
    assert told(load(file)) == [("ok", "1 CA certificates for the legacy server")]
    (tmp_path / "cert.pem").write_text("x")
    assert told(load(file)) == [("fail", "holds no readable certificate in PEM form")]


def findings(file: Path, check: str) -> list[dict[str, str]]:
    rows = json.loads(mailferry("check", "--json", "--config", file).stdout)["checks"]
    return [row for row in rows if row["check"] == check]


def test_few_open_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def hard(limit: int) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (256, limit))

    hard(1024)
    (finding,) = limit_findings()
    assert (finding.result, finding.subject) == ("warn", "open files")
    assert "1024" in finding.text and "204 sessions" in finding.text and "LimitNOFILE" in finding.remedy
    for enough in (4096, 262_144, resource.RLIM_INFINITY):
        hard(enough)
        assert limit_findings() == []


def test_before_the_first_start_all_is_well_and_nothing_is_made(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    result = mailferry("check", "--config", file)
    assert result.exit_code == 0
    assert "fail" not in result.stdout
    assert f"ok    configuration  {file}: right; serves 123.com, 456.com" in result.stdout
    assert list(tmp_path.iterdir()) == [file]


def test_a_database_in_use(tmp_path: Path) -> None:
    with_accounts(tmp_path, lambda accounts: accounts.add("x", "123.com"))
    file = configuration(tmp_path)
    (row,) = findings(file, "database")
    assert (row["result"], row["text"]) == ("ok", f"opens; schema {HEAD}")


def test_databases_that_cannot_be_used(tmp_path: Path) -> None:
    def later(accounts: Accounts) -> None:
        with accounts._database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    with_accounts(tmp_path, later)
    file = configuration(tmp_path)
    (row,) = findings(file, "database")
    assert (row["result"], row["text"]) == ("fail", "schema 9999 is of a later version of mailferry")
    (tmp_path / "state" / "accounts.db").write_bytes(b"no database" * 100)
    (row,) = findings(file, "database")
    assert (row["result"], row["text"]) == ("fail", "cannot be read: file is not a database")
    assert mailferry("check", "--config", file).exit_code == 1


def test_the_sealing_key(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    key = tmp_path / "state" / "sealing.key"
    file = configuration(tmp_path)
    for mode, octets, result in ((0o600, 32, "ok"), (0o640, 32, "fail"), (0o600, 31, "fail")):
        key.write_bytes(b"x" * octets)
        key.chmod(mode)
        assert findings(file, "key")[0]["result"] == result


def test_a_state_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    (row,) = findings(configuration(tmp_path), "directory")
    assert (row["result"], row["text"]) == ("fail", f"{tmp_path}/state is no directory")


def test_a_state_that_everybody_may_write_in(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    (row,) = findings(configuration(tmp_path), "directory")
    assert (row["result"], row["text"]) == ("warn", "everybody may write in it")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def port_finding(tmp_path: Path, endpoint: str) -> Finding:
    (found,) = ports.port_findings(load(configuration(tmp_path, listen=f'imap = ["{endpoint}"]')))
    return found


def test_a_port_that_somebody_else_has(tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = f"tcp:{taken}:interface=127.0.0.1"
    found = port_finding(tmp_path, endpoint)
    assert found.result == "fail" and found.text.startswith("in use by: ")  # this very process
    monkeypatch.setattr(ports, "listener", lambda port: ["/usr/bin/python3", "/usr/bin/mailferry", "serve"])
    assert port_finding(tmp_path, endpoint).text == "mailferry is listening"
    monkeypatch.setattr(ports, "listener", lambda port: ["/lib/systemd/systemd", "--system"])
    assert port_finding(tmp_path, endpoint).text == "systemd has opened it"
    monkeypatch.setattr(ports, "listener", lambda port: None)
    assert port_finding(tmp_path, endpoint).result == "warn"


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    found = port_finding(tmp_path, "tcp:10143:interface=192.0.2.1")
    assert (found.result, found.text) == ("fail", "192.0.2.1 is not an address of this machine")


def test_the_socket_that_mail_is_handed_in_at(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    file.write_text(file.read_text().replace("[listen]", f'[listen]\nlmtp = ["unix:{tmp_path}/run/lmtp"]', 1))
    (finding,) = [each for each in findings(file, "port") if each["subject"].startswith("lmtp ")]
    assert (finding["result"], finding["text"]) == ("fail", f"{tmp_path}/run is not there")
    (tmp_path / "run").mkdir()
    (finding,) = [each for each in findings(file, "port") if each["subject"].startswith("lmtp ")]
    assert (finding["result"], finding["text"]) == ("ok", "free")


def test_unix_sockets(tmp_path: Path) -> None:
    assert port_finding(tmp_path, f"unix:{tmp_path}/imap").result == "ok"
    assert "is not there" in port_finding(tmp_path, f"unix:{tmp_path}/no/imap").text
    (tmp_path / "file").write_text("")
    assert "no socket" in port_finding(tmp_path, f"unix:{tmp_path}/file").text
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/imap")
        listener.listen()
        assert "in use" in port_finding(tmp_path, f"unix:{tmp_path}/imap").text
    assert "nobody listens" in port_finding(tmp_path, f"unix:{tmp_path}/imap").text


def test_mistakes_as_json(tmp_path: Path) -> None:
    file = tmp_path / "mailferry.toml"
    file.write_text("hostname = 5\n")
    result = mailferry("check", "--json", "--config", file)
    assert result.exit_code == 2
    assert json.loads(result.stdout)["checks"][0] == {
        "check": "configuration",
        "result": "fail",
        "subject": "hostname",
        "text": "must be text in quotes, not 5",
        "remedy": "",
    }


# What users are to be told


def with_notices(directory: Path, notices: str = "", contact: str = 'contact = "IT"') -> Path:
    both = f'[domain."123.com"]\n{contact}\n[domain."456.com"]\n{contact}'
    return configuration(directory, more=f"{notices}\n{both}")


def told_of_notices(file: Path, *arguments: str) -> list[tuple[str, str, str]]:
    rows = json.loads(mailferry("check", "--json", *arguments, "--config", file).stdout)["checks"]
    return [(row["result"], row["subject"], row["text"]) for row in rows if row["check"] == "notices"]


def test_notices_that_nobody_has_thought_of_yet(tmp_path: Path) -> None:
    found = told_of_notices(configuration(tmp_path))
    later = "not said yet; needed before users are told by mail"
    assert found == [
        ("ok", "notices.sender", later),
        ("ok", 'domain."123.com".contact', later),
        ("ok", 'domain."456.com".contact', later),
        ("ok", "the texts that mailferry brings", "notice and reminder can be filled in, in Chinese and English"),
    ]


def test_what_notices_lack_once_they_are_meant(tmp_path: Path) -> None:
    file = with_notices(tmp_path, '[notices]\nsender = "IT <it@123.com>"', contact="")
    missing = "is missing: users cannot be told by mail"
    assert told_of_notices(file)[:3] == [
        ("ok", "notices.sender", "IT <it@123.com>"),
        ("warn", 'domain."123.com".contact', missing),
        ("warn", 'domain."456.com".contact', missing),
    ]
    result = mailferry("check", "--config", file)
    assert result.exit_code == 0
    assert '(add contact = "the IT help desk, it@456.com, telephone …")' in result.stdout
    assert told_of_notices(with_notices(tmp_path, "[notices]\nrate = 5"))[0] == ("warn", "notices.sender", missing)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("notice.zh.txt", "Subject: x\n\n{{ usr }}", "line 3: 'usr' is undefined"),
        ("reminder.en.txt", "no subject", "line 1: must be the subject"),
        (
            "notice.en.txt",
            "Subject: x\n\n{% if not same_names %}{{ date[99] }}{% endif %}{{ user.name[0].x }}",
            "line 3: ",
        ),
        ("reminder.zh.txt", "Subject: x\n\n{% if user.moved %}{{ 1 / 0 }}{% endif %}x", "line 3: division by zero"),
    ],
)
def test_texts_that_cannot_be_filled_in(tmp_path: Path, name: str, text: str, words: str) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / name).write_text(text)
    file = with_notices(tmp_path, f'[notices]\nsender = "it@123.com"\ntemplates = "{own}"')
    (found,) = [one for one in told_of_notices(file) if one[0] == "fail"]
    assert found[1] == str(own) and f"{own}/{name}" in found[2] and words in found[2]
    assert mailferry("check", "--config", file).exit_code == 1


def test_what_the_way_to_the_relay_needs(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o644)
    login = f'user = "bot"\npassword_file = "{secret}"'
    file = with_notices(tmp_path, f'[notices]\nsender = "it@123.com"\n{login}')
    assert told_of_notices(file)[-1] == (
        "fail",
        "notices.relay",
        f"{secret} may be read by others: give it mode 0600",
    )
    file = with_notices(tmp_path, f'[notices]\nsender = "it@123.com"\ntls = "starttls"\nca = "{tmp_path}/none.pem"')
    assert "No such file" in told_of_notices(file)[-1][2]


def test_the_relay_is_asked_only_when_that_is_wanted(tmp_path: Path) -> None:
    with Relay() as relay:
        file = with_notices(tmp_path, f'[notices]\nsender = "IT <it@123.com>"\nrelay = "{relay.address}"')
        assert told_of_notices(file)[-1][1] == "the texts that mailferry brings" and relay.connections == 0
        assert told_of_notices(file, "--connect")[-1] == (
            "ok",
            relay.address,
            "answers, not encrypted, and takes mail from it@123.com",
        )
        relay.say("MAIL", "451 later", "553 not yours")
        assert told_of_notices(file, "--connect")[-1][0] == "warn"
        assert told_of_notices(file, "--connect")[-1] == (
            "fail",
            relay.address,
            "the relay refuses the sender it@123.com: 553 not yours",
        )
        assert relay.taken == []
    assert "Connection refused" in told_of_notices(file, "--connect")[-1][2]
    assert mailferry("check", "--connect", "--config", file).exit_code == 1
    assert told_of_notices(configuration(tmp_path), "--connect")[-1][2].startswith("not tried")
