"""Real servers with the TLS of their time, and an administrator who does what the log says until it works.

setup                     what is old                                    what the log asks for
-----                     -----------                                    ---------------------
Cyrus, OpenSSL            TLS 1.0 alone, a certificate of its own        tls_minimum, fingerprint
Courier, GnuTLS           the same                                       the same
popa3d behind stunnel     expired, for another name, signed by itself    fingerprint
solid-pop3d behind one    Diffie-Hellman in a group of 1,024 bits        ciphers, then ca (it is trusted)
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.dialogues.fixtures import letter
from tests.legacy.certificates import Authority, Identity
from tests.legacy.dh import SHORT_GROUP
from tests.legacy.dovecot import PASSWORD
from tests.legacy.old_tls import OldCourier, OldCyrus
from tests.legacy.peer import Peer
from tests.legacy.stunnel import Stunnel
from tests.peers.daemon import Daemon
from tests.peers.needs import needed_root

pytestmark = pytest.mark.peers
LETTERS = [letter(number) for number in range(1, 6)]


@dataclass
class Setup:
    """`peer` is to be reached at `port`, with a certificate that is not for `127.0.0.1`.

    `lines` are what the administrator has written into the domain's legacy table by now.
    """

    domain: str
    peer: Peer
    port: int
    tls: str
    lines: list[str] = field(default_factory=list)

    def table(self, domain: str, lines: list[str]) -> str:
        more = "\n".join(lines)
        return f'[domain."{domain}".legacy]\nhost = "127.0.0.1"\nport = {self.port}\ntls = "{self.tls}"\n{more}\n'

    def keys(self) -> list[str]:
        return [line.split(" ")[0] for line in self.lines]


@pytest.fixture(scope="module")
def setups(ground: Path, make_peer: Callable[[str], Peer]) -> Iterator[list[Setup]]:
    for name in ("cyrus", "courier", "popa3d", "solid-pop3d"):
        needed_root(name)
    folder = ground / "old-tls"
    folder.mkdir()
    own = Authority.of_its_own("pop.old.example")
    with ExitStack() as stack:

        def behind_stunnel(name: str, identity: Identity) -> Stunnel:
            (folder / name).mkdir()
            return stack.enter_context(Stunnel(make_peer(name).pop3, identity, folder / name))

        cyrus, courier = OldCyrus(folder / "cyrus", own), OldCourier(folder / "courier", own)
        stack.callback(cyrus.stop)
        stack.callback(courier.stop)
        expired = behind_stunnel("popa3d", Authority.of_its_own("pop.old.example", days=-900))
        short = behind_stunnel("solid-pop3d", Authority("Old CA").issue("127.0.0.1", bits=2048))
        (folder / "dh.pem").write_bytes(SHORT_GROUP)
        short.context.set_ciphers("DHE:@SECLEVEL=0")
        short.context.load_dh_params(folder / "dh.pem")
        short.context.maximum_version = ssl.TLSVersion.TLSv1_2
        yield [
            Setup("cyrus.example", cyrus, cyrus.pop3, "starttls"),
            Setup("courier.example", courier, courier.pop3, "starttls"),
            Setup("popa3d.example", make_peer("popa3d"), expired.port, "implicit"),
            Setup("solid.example", make_peer("solid-pop3d"), short.port, "implicit"),
        ]


def test_what_the_log_says_until_it_works_and_for_no_other_domain(setups: list[Setup], ground: Path) -> None:
    for setup in setups:
        setup.peer.enrol("old")
        setup.peer.deliver("old", LETTERS)

    rounds = [follow_the_log(setups, ground / f"old-tls-{number}") for number in range(3)]

    assert rounds == [False, False, True]
    assert [setup.keys() for setup in setups] == [
        ["tls_minimum", "fingerprint"],
        ["tls_minimum", "fingerprint"],
        ["fingerprint"],
        ["fingerprint", "ciphers"],
    ]


def follow_the_log(setups: list[Setup], root: Path) -> bool:
    """Start mailferry, let everybody in who can come, and write down what the log asks for. Did all come in?"""
    tables = [setup.table(setup.domain, setup.lines) for setup in setups]
    others = [setup.table(f"other-{setup.domain}", []) for setup in setups]
    daemon = Daemon(root, f"port = {setups[0].port}\n" + "".join(tables + others))
    daemon.start()
    try:
        with ThreadPoolExecutor(len(setups)) as pool:
            came = list(pool.map(lambda setup: came_in(daemon, setup.domain), setups))
            assert not any(pool.map(lambda setup: came_in(daemon, f"other-{setup.domain}"), setups))
        for setup, inside in zip(setups, came, strict=True):
            if inside:
                assert_all_is_here(daemon, setup)
            else:
                setup.lines.append(remedy(daemon, setup.domain))
        return all(came)
    finally:
        daemon.stop()


def came_in(daemon: Daemon, domain: str) -> bool:
    answer = daemon.ask("imap", f"a LOGIN old@{domain} pass".encode())[1]
    assert answer.startswith((b"a OK", b"a NO [UNAVAILABLE]")), answer
    return answer.startswith(b"a OK")


def assert_all_is_here(daemon: Daemon, setup: Setup) -> None:
    with IMAPClient("127.0.0.1", daemon.ports["imap"], ssl=False, timeout=60) as client:
        client.login(f"old@{setup.domain}", PASSWORD)
        client.select_folder("INBOX", readonly=True)
        found = client.fetch(client.search(), ["BODY.PEEK[HEADER.FIELDS (SUBJECT)]"])
    subjects = [b"".join(message[key] for key in message if key.startswith(b"BODY")) for message in found.values()]
    assert sorted(subjects) == [b"Subject: letter %d\r\n\r\n" % number for number in range(1, len(LETTERS) + 1)]


def remedy(daemon: Daemon, domain: str) -> str:
    """The line of the configuration in the domain's warning: `key = "value"`, in backticks."""
    warnings = [json.loads(line) for line in daemon.log.splitlines() if '"level": "warning"' in line]
    texts = [warning["reason"] for warning in warnings if warning.get("account") == f"old@{domain}"]
    assert len(texts) == 1, daemon.log
    (found,) = re.findall(r'`(\w+ = "[^"`]+")`', texts[0])
    return str(found)
