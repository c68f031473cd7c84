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
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from proxy.cli.demo_clients import differences
from tests.dialogues.fixtures import letter
from tests.legacy.certificates import Authority
from tests.legacy.dh import SHORT_GROUP
from tests.legacy.old_tls import OldCourier, OldCyrus
from tests.legacy.peer import Peer
from tests.legacy.reading import octets
from tests.legacy.stunnel import Stunnel
from tests.legacy.wiretap import Wiretap
from tests.peers.daemon import Daemon
from tests.peers.mailboxes import over_imap
from tests.peers.needs import needed_root

pytestmark = pytest.mark.peers
LETTERS = [letter(number) for number in range(1, 6)]


@dataclass(frozen=True)
class Setup:
    """`peer` is to be reached at `port`; `asked` are the keys that the log has to ask for."""

    peer: Peer
    port: int
    tls: str
    asked: list[str]


@pytest.fixture(scope="module", params=["cyrus", "courier", "popa3d", "solid-pop3d"])
def setup(request: pytest.FixtureRequest, ground: Path, make_peer: Callable[[str], Peer]) -> Iterator[Setup]:
    name = request.param
    folder = ground / f"old-tls-{name}"
    folder.mkdir()
    with ExitStack() as stack:
        if name in {"cyrus", "courier"}:
            needed_root(name)
            kind = OldCyrus if name == "cyrus" else OldCourier
            peer: Peer = kind(folder / "root", Authority.of_its_own("pop.old.example"))
            stack.callback(peer.stop)
            yield Setup(peer, peer.pop3, "starttls", ["tls_minimum", "fingerprint"])
            return
        peer = make_peer(name)
        if name == "popa3d":
            stunnel = Stunnel(peer.pop3, Authority.of_its_own("pop.old.example", days=-900), folder)
        else:
            stunnel = Stunnel(peer.pop3, Authority("Old CA").issue("127.0.0.1", bits=2048), folder)
            (folder / "dh.pem").write_bytes(SHORT_GROUP)
            stunnel.context.set_ciphers("DHE:@SECLEVEL=0")
            stunnel.context.load_dh_params(folder / "dh.pem")
            stunnel.context.maximum_version = ssl.TLSVersion.TLSv1_2
        asked = ["fingerprint"] if name == "popa3d" else ["fingerprint", "ciphers"]
        yield Setup(peer, stack.enter_context(stunnel).port, "implicit", asked)


def test_what_the_log_says_until_it_works_and_for_no_other_domain(setup: Setup, ground: Path) -> None:
    peer, user = setup.peer, f"old{setup.port}"
    peer.enrol(user)
    peer.deliver(user, LETTERS)
    with Wiretap(setup.port) as tap:
        way = f'port = {tap.port}\ntls = "{setup.tls}"\n'
        lines: list[str] = []
        for attempt in range(4):
            other = f'[domain."456.com".legacy]\nhost = "127.0.0.1"\n{way}'
            daemon = Daemon(ground / f"old-tls-{user}-{attempt}", way + "\n".join(lines) + "\n" + other)
            daemon.start()
            try:
                answer = daemon.ask("imap", f"a LOGIN {user}@123.com pass".encode())[1]
                if answer.startswith(b"a OK"):
                    refused = daemon.ask("imap", f"a LOGIN {user}@456.com pass".encode())[1]
                    assert refused.startswith(b"a NO [UNAVAILABLE]")
                    old = octets(peer.pop3, user) if setup.tls == "implicit" else None
                    here = over_imap(daemon, user)
                    break
                assert answer.startswith(b"a NO [UNAVAILABLE]"), answer
                lines.append(remedy(daemon))
            finally:
                daemon.stop()
        else:
            pytest.fail(f"these did not help: {lines}")
        assert [line.split(" ")[0] for line in lines] == setup.asked
        if old is not None:
            assert differences(old, here) == (len(LETTERS), [])
        assert [mail.raw.splitlines()[2] for mail in here] == [raw.splitlines()[2] for raw in LETTERS]
        assert all(b"pass" not in session.said for session in tap.sessions)


def remedy(daemon: Daemon) -> str:
    """The line of the configuration in the last warning: `key = "value"`, in backticks."""
    warnings = [json.loads(line) for line in daemon.log.splitlines() if '"level": "warning"' in line]
    texts = [" ".join(str(value) for value in warning.values()) for warning in warnings]
    found = [match for text in texts for match in re.findall(r'`(\w+ = "[^"`]+")`', text)]
    assert found, daemon.log
    return found[-1]
