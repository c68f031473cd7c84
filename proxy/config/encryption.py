"""How a legacy server's encryption is described: fingerprints of certificates, and OpenSSL's cipher strings."""

from __future__ import annotations

import re
from typing import Final

from proxy.config.mistakes import Unfit, shown

_SHA256: Final = 64  # hexadecimal digits
_OTHERS: Final = {32: "MD5", 40: "SHA-1", 128: "SHA-512"}
_COMMAND: Final = "openssl x509 -in FILE -noout -fingerprint -sha256"
_LEVEL = re.compile(r"@SECLEVEL=\d")


def several(value: object) -> object:
    """One of something is as good as a list of it."""
    return [value] if isinstance(value, str) else value


def check_fingerprint(value: str) -> str:
    """A certificate's SHA-256, as `sha256:AB:CD:…` however it was written. Raises Unfit."""
    kind, _, digits = value.strip().partition(":")
    if kind.lower().replace("-", "") != "sha256":
        raise Unfit(f'{shown(value)} does not say what it is: write "sha256:AB:CD:…", such as `{_COMMAND}` prints it')
    plain = digits.replace(":", "").replace(" ", "").upper()
    if not re.fullmatch(r"[0-9A-F]*", plain):
        raise Unfit(f"{shown(value)} holds what is no hexadecimal digit")
    if len(plain) != _SHA256:
        other = f", as of {_OTHERS[len(plain)]}" if len(plain) in _OTHERS else ""
        raise Unfit(f"is {len(plain) // 2} octets long{other}, not 32: `{_COMMAND}` prints the right one")
    return "sha256:" + ":".join(plain[at : at + 2] for at in range(0, _SHA256, 2))


def check_ciphers(value: str) -> str:
    """An OpenSSL cipher string, of which at least one suite is known here. Raises Unfit."""
    if not value.isascii() or not value.isprintable():
        raise Unfit("must be printable ASCII")
    if not matches(value):
        raise Unfit(
            f"the OpenSSL that is used here has none of {shown(value)}: "
            'write, for instance, "ALL:!aNULL:@SECLEVEL=0" (RC4 is in no OpenSSL since 1.1, 3DES in few)'
        )
    return value


def matches(ciphers: str) -> bool:
    """Does OpenSSL know a suite up to TLS 1.2 that this cipher string allows?"""
    from OpenSSL import SSL  # noqa: PLC0415 - a tenth of a second, and few files need it

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)  # suites of TLS 1.3 are always there
    try:
        context.set_cipher_list(ciphers.encode("ascii"))
    except SSL.Error:
        return False
    return bool(SSL.Connection(context, None).get_cipher_list())


def unknown_suites(ciphers: str) -> list[str]:
    """The parts of a cipher string that stand for nothing here: OpenSSL passes over them in silence."""
    parts = [part for part in re.split(r"[:, ]+", _LEVEL.sub("", ciphers)) if part and part[0] not in "!-+@"]
    return [part for part in parts if not matches(f"{part}:@SECLEVEL=0")]


def level(ciphers: str) -> str | None:
    """The security level that a cipher string sets, such as "0"."""
    found = _LEVEL.findall(ciphers)
    return found[-1][-1] if found else None
