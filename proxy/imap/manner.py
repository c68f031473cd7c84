"""How one session is told of messages: what it has enabled, reduced to what that means for responses.

Pure. A session makes it anew whenever ENABLE, or a command that implies one, changes something; its view
and the commands that write FETCH responses go by it.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

CONDSTORE, QRESYNC, UIDONLY, REV2, UTF8 = "CONDSTORE", "QRESYNC", "UIDONLY", "IMAP4REV2", "UTF8=ACCEPT"


@dataclass(frozen=True, slots=True)
class Manner:
    """What every response goes by."""

    modseq: bool = False  # MODSEQ with each message whose flags are told (RFC 7162 3.2)
    vanished: bool = False  # VANISHED in place of EXPUNGE (RFC 7162 3.2.10, RFC 9586 3.5)
    uid: bool = False  # the UID with each message whose flags are told (RFC 7162 3.2.4, RFC 9051 7.5.2)
    recent: bool = True  # RECENT and \\Recent, which IMAP4rev2 has not (RFC 9051 E)
    numbers: bool = True  # message numbers; without them UIDFETCH in place of FETCH (RFC 9586 3)

    @classmethod
    def of(cls, enabled: Set[str]) -> Manner:
        return cls(
            modseq=CONDSTORE in enabled,
            vanished=bool({QRESYNC, UIDONLY} & enabled),
            uid=bool({QRESYNC, REV2} & enabled) and UIDONLY not in enabled,
            recent=REV2 not in enabled,
            numbers=UIDONLY not in enabled,
        )

    def opening(self, number: int, uid: int) -> bytes:
        """`* 7 FETCH (`, or `* 4711 UIDFETCH (`."""
        return b"* %d FETCH (" % number if self.numbers else b"* %d UIDFETCH (" % uid


PLAIN = Manner()
