"""What the server says: Dovecot's authentication protocol, version 1.2."""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from typing import Final

MAJOR: Final = 1
MINOR: Final = 2

# A refusal's kind, by a word as clients of Dovecot 2.2 know it, and by the code that later ones know.
TEMPORARY: Final = ("temp", "code=temp_fail")
DISABLED: Final = ("user_disabled", "code=user_disabled")
NO_SUCH_MECHANISM: Final = ("code=auth_mech_invalid",)
UNENCRYPTED: Final = ("code=auth_mech_ssl_required",)

_ESCAPES: Final = {0: "\x010", 1: "\x011", 9: "\x01t", 10: "\x01n", 13: "\x01r"}


def greeting(mechanisms: Sequence[bytes], process: int, connection: int, cookie: str) -> bytes:
    """Said at once. `cookie`: 32 hexadecimal digits that no other connection has."""
    return b"".join(
        [
            _line("VERSION", str(MAJOR), str(MINOR)),
            *(_line("MECH", mechanism.decode(), "plaintext") for mechanism in mechanisms),
            _line("SPID", str(process)),
            _line("CUID", str(connection)),
            _line("COOKIE", cookie),
            _line("DONE"),
        ]
    )


def goes_on(id_: int, challenge: bytes) -> bytes:
    """The client is asked for more."""
    return _line("CONT", str(id_), binascii.b2a_base64(challenge, newline=False).decode())


def in_order(id_: int, account: str) -> bytes:
    """It is the password of this account."""
    return _line("OK", str(id_), f"user={account}")


def refused(id_: int, text: str, kind: Sequence[str] = ()) -> bytes:
    """It is not, or that cannot be said."""
    return _line("FAIL", str(id_), f"reason={text}", *kind)


def _line(*words: str) -> bytes:
    return "\t".join(word.translate(_ESCAPES) for word in words).encode() + b"\n"
