"""The database's address, as `storage.database` has it: for SQLAlchemy, and for people without its password.

Only looked at here. SQLAlchemy is not loaded for it: most commands are told what is wrong before they need a database.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from proxy.config.mistakes import Unfit, meant, shown

SQLITE: Final = "sqlite"
SCHEME: Final = "postgresql+psycopg"
EXAMPLE: Final = "postgresql+psycopg://mailferry@db.123.com/mailferry"

# What libpq is told beside host, user and database (PostgreSQL 34.1.2); the rest is mailferry's to say.
_OPTIONS: Final = (
    "host",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "channel_binding",
    "gssencmode",
    "krbsrvname",
    "require_auth",
    "target_session_attrs",
    "load_balance_hosts",
)
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_WRONG: Final = f'write "{SQLITE}", or "{EXAMPLE}"'


def check_database(value: str) -> str:
    """The value of `storage.database`. Raises Unfit, which never quotes what may be a password."""
    if value == SQLITE:
        return value
    if "://" not in value:
        near = meant(value, (SQLITE,)) if "@" not in value else ""
        what = f"{shown(value)} is no database" if "@" not in value else "this is no database"
        raise Unfit(f"{what} that mailferry uses{near}: {_WRONG}")
    scheme = value.partition("://")[0]
    if scheme in {"postgres", "postgresql", "postgresql+psycopg2", "postgresql+asyncpg", "postgresql+psycopg3"}:
        raise Unfit(f'must begin with "{SCHEME}://", not with {shown(scheme + "://")}')
    if scheme != SCHEME:
        raise Unfit(f"{shown(scheme + '://')} is no database that mailferry uses: {_WRONG}")
    if not value.isprintable() or " " in value:
        raise Unfit("has a space or what cannot be seen in it: write such characters as % and two hexadecimal digits")
    _check_parts(value)
    return value


def _check_parts(value: str) -> None:
    parts = _split(value)
    name = parts.path.removeprefix("/")
    if not name or "/" in name:
        raise Unfit(f'must end with the name of a database: "{EXAMPLE}"')
    options = parse_qs(parts.query, keep_blank_values=True)
    for key, given in options.items():
        if key in {"password", "passfile", "sslpassword"}:
            raise Unfit(f"?{key}=: put the password into a file, and its name into storage.password_file")
        if key not in _OPTIONS:
            raise Unfit(
                f"?{key}= is nothing that may be said here{meant(key, _OPTIONS)}; it may be {', '.join(_OPTIONS)}"
            )
        if key == "sslmode" and given[-1] not in _SSL_MODES:
            raise Unfit(f"?sslmode= must be one of {', '.join(_SSL_MODES)}")
    if not parts.hostname and "host" not in options:
        raise Unfit(f'has no host: "{EXAMPLE}", or ?host=/run/postgresql for a socket of this machine')


def _split(value: str) -> SplitResult:
    """Raises Unfit."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise Unfit(
            "cannot be taken apart: is the port a number, and are characters of the password such as / @ : # written "
            "as % and two hexadecimal digits?"
        ) from None
    if parts.fragment or re.search(r"[@/]", parts.netloc.rpartition("@")[0]):
        raise Unfit("is ambiguous: write / @ : # ? in a user or password as % and two hexadecimal digits")
    return parts


def has_password(value: str) -> bool:
    """Does the address have one itself?"""
    return value != SQLITE and _split(value).password is not None


def without_password(value: str) -> str:
    """Fit to be shown."""
    return re.sub(r"(?<=://)([^:@/?]*):[^@/?]*@", r"\1@", value, count=1)
