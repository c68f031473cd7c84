"""Real legacy servers with their IMAP side beside POP3: both prefix the user's folders with "INBOX." (RFC 2342).

Courier's EXAMINE gives a folder that was never opened for writing another UIDVALIDITY each time. Cyrus's UIDLs are its
UIDs, so that both protocols tell the same.
"""

from __future__ import annotations

import imaplib
from collections.abc import Mapping
from typing import Protocol

from tests.legacy.courier import Courier
from tests.legacy.cyrus import Cyrus
from tests.legacy.dovecot import PASSWORD, free_port, wait_for_port

_CAPABILITIES = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT THREAD=REFERENCES SORT QUOTA IDLE"


class ImapPeer(Protocol):
    pop3: int
    imap: int


class CourierImap(Courier):
    def furnish(self) -> None:
        super().furnish()
        self.imap = free_port()

    def encryption(self) -> dict[str, str]:
        return super().encryption() | {
            "IMAP_STARTTLS": "NO",
            "IMAP_CAPABILITY": _CAPABILITIES,
            "IMAP_CHECK_ALL_FOLDERS": "0",
            "IMAP_KEYWORDS": "1",
            "IMAP_OBSOLETE_CLIENT": "0",
            "IMAP_UMASK": "022",
        }

    def start(self) -> None:
        super().start()
        limits = ("-maxprocs=40", f"-maxperip={self.per_address}", "-nodnslookup", "-noidentlookup")
        server = ("/usr/lib/courier/courier/imaplogin", "/usr/bin/imapd", "Maildir")
        tcpd = self._spawn("/usr/sbin/couriertcpd", "-address=127.0.0.1", *limits, str(self.imap), *server)
        wait_for_port(self.imap, tcpd)


class CyrusImap(Cyrus):
    def furnish(self) -> None:
        super().furnish()
        self.imap = free_port()
        services = self.root / "etc/cyrus.conf"
        line = f'  imap cmd="imapd" listen="127.0.0.1:{self.imap}" prefork=0 maxchild=50\n'
        services.write_text(services.read_text().replace("SERVICES {\n", "SERVICES {\n" + line))


def fill_folders(peer: ImapPeer, user: str, folders: Mapping[str, bytes]) -> None:
    """Make folders, each with a message that is read and flagged, of 14 November 2023, 22:13:20 UTC."""
    with imaplib.IMAP4("127.0.0.1", peer.imap, timeout=60) as session:
        session.login(user, PASSWORD)
        for name, message in folders.items():
            for status, data in (
                session.create(f'"{name}"'),
                session.append(f'"{name}"', r"(\Seen \Flagged)", '"14-Nov-2023 22:13:20 +0000"', message),
            ):
                assert status == "OK", data
