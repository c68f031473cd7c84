"""What mail programs are set to, and what they ask by themselves."""

from __future__ import annotations

import plistlib
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.browser.company import PASSWORD, Company
from tests.browser.visitor import Visitor


@pytest.fixture
def visitor(company: Company) -> Visitor:
    return Visitor(company)


# Settings


def test_settings(company: Company, visitor: Visitor) -> None:
    address = company.hire(1)
    visitor.log_in(address, PASSWORD)
    words = visitor.when_here().words
    ports = company.daemon.ports
    way = "{} Server localhost Port {} Encryption {}"
    assert way.format("Receiving (IMAP, recommended)", ports["imaps"], "SSL/TLS") in words
    assert way.format("Receiving (POP3)", ports["pop3s"], "SSL/TLS") in words
    assert way.format("Sending (SMTP)", 587, "STARTTLS") in words
    assert way.format("Receiving (IMAP, recommended)", ports["imap"], "STARTTLS") in words  # among the other ways
    assert address in words


def test_the_phones_page_tells_nothing_of_accounts(company: Company, visitor: Visitor) -> None:
    somebody, nobody = company.hire(1), "nobody@123.com"
    Visitor(company).log_in(somebody, PASSWORD)
    pages = [visitor.get(f"/phone?account={name}").text.replace(name, "NAME") for name in (somebody, nobody)]
    pages = [
        page.replace(name.replace("@", "%40"), "NAME") for page, name in zip(pages, (somebody, nobody), strict=True)
    ]
    assert pages[0] == pages[1]
    assert "localhost" in pages[0]


def test_the_qr_code_is_a_picture_of_the_address(visitor: Visitor) -> None:
    answer = visitor.get("/qr.svg?account=li%40123.com")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    root = ElementTree.fromstring(answer.body)
    assert root.tag.endswith("svg")
    assert answer.body != visitor.get("/qr.svg?account=wang%40123.com").body
    assert visitor.get("/qr.svg?account=a%20b").body == visitor.get("/qr.svg").body


def test_the_profile_for_apples_devices(company: Company, visitor: Visitor, tmp_path: Path) -> None:
    answer = visitor.get("/profile.mobileconfig?account=li%40123.com")
    assert answer.headers["Content-Type"] == "application/x-apple-aspen-config"
    signed, plain = tmp_path / "signed", tmp_path / "plain"
    signed.write_bytes(answer.body)
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", signed, "-out", plain, "-purpose", "any"]
    subprocess.run([*command, "-CAfile", company.daemon.ca], check=True, capture_output=True)
    profile = plistlib.loads(plain.read_bytes())
    (mail,) = profile["PayloadContent"]
    assert mail["PayloadType"] == "com.apple.mail.managed"
    assert (mail["EmailAccountType"], mail["EmailAddress"]) == ("EmailTypeIMAP", "li@123.com")
    assert (mail["IncomingMailServerHostName"], mail["IncomingMailServerPortNumber"]) == (
        "localhost",
        company.daemon.ports["imaps"],
    )
    assert mail["IncomingMailServerUseSSL"] is mail["OutgoingMailServerUseSSL"] is True
    assert mail["OutgoingMailServerPortNumber"] == 587
    assert not [key for key in mail if key.endswith("Password") and key != "OutgoingPasswordSameAsIncomingPassword"]
    again = visitor.get("/profile.mobileconfig?account=LI").body
    assert plistlib.dumps(profile) in again and profile["PayloadUUID"].encode() in again


@pytest.mark.parametrize("account", ["", "li@elsewhere.example", "a%0ab@123.com"])
def test_no_profile_for_others(visitor: Visitor, account: str) -> None:
    assert visitor.get(f"/profile.mobileconfig?account={account}").status == 404


# What programs ask


@pytest.mark.parametrize("path", ["/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml"])
def test_autoconfig(company: Company, visitor: Visitor, path: str) -> None:
    answer = visitor.get(f"{path}?emailaddress=li%40123.com", Host="autoconfig.123.com")
    assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
    provider = ElementTree.fromstring(answer.body).find("emailProvider")
    assert provider is not None
    assert [domain.text for domain in provider.findall("domain")] == ["123.com"]
    servers = [
        (s.get("type"), s.findtext("hostname"), s.findtext("port"), s.findtext("socketType"), s.findtext("username"))
        for s in (*provider.findall("incomingServer"), *provider.findall("outgoingServer"))
    ]
    ports = company.daemon.ports
    assert servers[0] == ("imap", "localhost", str(ports["imaps"]), "SSL", "%EMAILADDRESS%")
    assert ("pop3", "localhost", str(ports["pop3s"]), "SSL", "%EMAILADDRESS%") in servers
    assert servers[-1] == ("smtp", "localhost", "587", "STARTTLS", "%EMAILADDRESS%")


def test_autoconfig_without_an_address_and_with_a_foreign_one(visitor: Visitor) -> None:
    assert visitor.get("/mail/config-v1.1.xml").status == 200
    assert visitor.get("/mail/config-v1.1.xml?emailaddress=li%40elsewhere.example").status == 404


QUESTION = (
    '<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/'
    'requestschema/2006"><Request><EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{schema}'
    "</AcceptableResponseSchema></Request></Autodiscover>"
)
OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"])
def test_autodiscover(company: Company, visitor: Visitor, path: str) -> None:
    body = QUESTION.format(address="Li@123.com", schema=OUTLOOK).encode()
    answer = visitor.ask("POST", path, body, {"Content-Type": "text/xml", "Host": "autodiscover.123.com"})
    root = ElementTree.fromstring(answer.body)
    name = f"{{{OUTLOOK}}}"
    protocols = {
        protocol.findtext(f"{name}Type"): [
            protocol.findtext(f"{name}{key}") for key in ("Server", "Port", "LoginName", "SSL", "Encryption")
        ]
        for protocol in root.iter(f"{name}Protocol")
    }
    ports = company.daemon.ports
    assert protocols == {
        "IMAP": ["localhost", str(ports["imaps"]), "li@123.com", "on", "SSL"],
        "POP3": ["localhost", str(ports["pop3s"]), "li@123.com", "on", "SSL"],
        "SMTP": ["localhost", "587", "li@123.com", "on", "TLS"],
    }


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (QUESTION.format(address="li@elsewhere.example", schema=OUTLOOK), 200, "<ErrorCode>600</ErrorCode>"),
        (QUESTION.format(address="li@123.com", schema="mobilesync"), 200, "<ErrorCode>601</ErrorCode>"),
        ("", 400, "cannot be read"),
        ("<a>", 400, "cannot be read"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 400, "cannot be read"),
        ("<a>" + "x" * 70_000 + "</a>", 400, "cannot be read"),
        ('<?xml version="1.0" encoding="utf-7"?><a/>', 400, "cannot be read"),
    ],
)
def test_autodiscover_of_what_is_none_of_ours(visitor: Visitor, body: str, status: int, words: str) -> None:
    answer = visitor.ask("POST", "/autodiscover/autodiscover.xml", body.encode(), {"Content-Type": "text/xml"})
    assert (answer.status, words in answer.text) == (status, True)


def test_autodiscover_by_get(visitor: Visitor) -> None:
    assert "<ErrorCode>600" in visitor.get("/autodiscover/autodiscover.xml").text
    found = visitor.get("/AutoDiscover/AutoDiscover.xml?emailaddress=li%40123.com").text
    assert "<LoginName>li@123.com</LoginName>" in found


def test_where_autodiscover_is(company: Company, visitor: Visitor) -> None:
    for path in ("/autodiscover/autodiscover.json?", "/Autodiscover/autodiscover.json/v1.0/li@123.com?"):
        answer = visitor.get(f"{path}Email=li%40123.com&Protocol=AutodiscoverV1")
        assert f'"{company.address}/autodiscover/autodiscover.xml"' in answer.text
        refused = visitor.get(f"{path}Protocol=ActiveSync")
        assert refused.status == 400 and "ProtocolNotSupported" in refused.text
