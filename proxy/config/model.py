"""The keys of the configuration file, with their types and defaults.

Only `proxy.config.loading` makes these objects; it also sees to what no single key can tell (`together`). What a
validator raises as `Unfit` is shown to the administrator behind the key's path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from proxy.config import encryption, names, places
from proxy.config.database import SQLITE, check_database, without_password
from proxy.config.durations import parse_duration, spell
from proxy.config.endpoints import parse_endpoint
from proxy.config.mistakes import Mistake, Unfit
from proxy.config.sizes import parse_size

DEFAULT_STATE: Final = Path("/var/lib/mailferry")
SERVED: Final = ("pop3", "pop3s", "imap", "imaps", "web", "console", "lmtp", "auth", "metrics")
BEHIND_A_PROXY: Final = ("pop3", "pop3s", "imap", "imaps", "web", "console")  # what endpoints with "haproxy:" may be of


class _Table(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _endpoints(value: object) -> object:
    if isinstance(value, str):
        raise Unfit(f'must be a list: write ["{value}"]')
    if isinstance(value, int) and not isinstance(value, bool):
        raise Unfit(f'must be a list of endpoints: write ["tcp:{value}"]')
    return value


def _list(value: object) -> object:
    if isinstance(value, str):
        raise Unfit(f'must be a list: write ["{value}"]')
    return value


def _endpoint(value: str) -> str:
    parse_endpoint(value)
    return value


def _within(lowest: int, highest: int) -> AfterValidator:
    def check(seconds: int) -> int:
        if not lowest <= seconds <= highest:
            raise Unfit(f'"{spell(seconds)}" is not between {spell(lowest)} and {spell(highest)}')
        return seconds

    return AfterValidator(check)


def _ca(value: object) -> object:
    """A path; one that is relative is found by `loading`, which knows the file's directory."""
    return Path(value) if isinstance(value, str) and value and "\0" not in value else value


AbsolutePath = Annotated[Path, BeforeValidator(places.check_absolute)]
EndpointText = Annotated[str, AfterValidator(_endpoint)]
Endpoints = Annotated[tuple[EndpointText, ...], Field(strict=False), BeforeValidator(_endpoints)]
Fingerprint = Annotated[str, AfterValidator(encryption.check_fingerprint)]
Resolver = Annotated[str, AfterValidator(names.check_resolver)]
Resolvers = Annotated[tuple[Resolver, ...], Field(strict=False), BeforeValidator(_list)]
Network = Annotated[str, AfterValidator(names.check_network)]
Networks = Annotated[tuple[Network, ...], Field(strict=False), BeforeValidator(_list)]
Seconds = Annotated[int, BeforeValidator(parse_duration)]


class Listen(_Table):
    """Where to listen: Twisted endpoint strings. A key left out or empty: that service is not offered. `proxied`: the
    machines whose PROXY headers are taken, by the endpoints that begin with "haproxy:"."""

    pop3: Endpoints = ()
    pop3s: Endpoints = ()
    imap: Endpoints = ()
    imaps: Endpoints = ()
    web: Endpoints = ()
    console: Endpoints = ()
    lmtp: Endpoints = ()
    auth: Endpoints = ()
    metrics: Endpoints = ()
    proxied: Networks = ()


class Lmtp(_Table):
    """How mail is handed in."""

    message_size: Annotated[int, BeforeValidator(parse_size), Field(ge=64 * 1024, le=2 * 1024**3)] = 50 * 1024 * 1024


class Tls(_Table):
    """What clients are shown, and when a password may come unencrypted."""

    certificate: AbsolutePath | None = None
    key: AbsolutePath | None = None
    plaintext_login: Literal["never", "loopback", "always"] = "loopback"


class Storage(_Table):
    """Where mail and accounts are kept. `database` may have a password: it is in no text that is made of this."""

    database: Annotated[str, AfterValidator(check_database)] = Field(default=SQLITE, repr=False)
    password_file: AbsolutePath | None = None
    connections: Annotated[int, Field(ge=2, le=1_000)] = 10
    maildir: Annotated[str, AfterValidator(places.check_maildir)] = "{state}/mail/{domain}/{local}/Maildir"

    @property
    def server(self) -> bool:
        """Is it PostgreSQL?"""
        return self.database != SQLITE

    @property
    def shown(self) -> str:
        """The database, without its password."""
        return without_password(self.database)


class Migration(_Table):
    """How a first login goes. Times in seconds."""

    login: Literal["hold", "serve"] = "hold"
    hold_limit: Annotated[Seconds, _within(1, 86_400)] = 1_200
    seen: Literal["headers", "all", "none"] = "headers"
    refresh: Annotated[Seconds, _within(0, 7 * 86_400)] = 300
    round: Annotated[Seconds, _within(0, 30 * 86_400)] = 21_600


class Notices(_Table):
    """How users are told of the move by mail. `relay` is host and port; `rate` in messages a minute."""

    relay: Annotated[str, AfterValidator(names.check_relay)] = "localhost:25"
    tls: Literal["offered", "starttls", "implicit", "none"] = "offered"
    ca: Annotated[Path, BeforeValidator(_ca)] | None = None
    user: str | None = None
    password_file: AbsolutePath | None = None
    sender: Annotated[str, AfterValidator(names.check_sender)] | None = None
    templates: AbsolutePath | None = None
    rate: Annotated[int, Field(ge=1, le=100_000)] = 300


class LegacyServer(_Table):
    """A domain's old server: POP3, and IMAP where `source` says so."""

    host: Annotated[str, AfterValidator(names.check_host)]
    port: Annotated[int, Field(ge=1, le=65_535)]
    source: Literal["pop3", "imap"] = "pop3"
    imap_port: Annotated[int, Field(ge=1, le=65_535)]
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    verify: bool = True
    ca: Annotated[Path, BeforeValidator(_ca)] | None = None
    fingerprint: Annotated[tuple[Fingerprint, ...], Field(strict=False), BeforeValidator(encryption.several)] = ()
    tls_minimum: Literal["1.0", "1.1", "1.2", "1.3"] = "1.2"
    ciphers: Annotated[str, AfterValidator(encryption.check_ciphers)] | None = None
    login: Annotated[str, AfterValidator(names.check_login_form)] = "local"
    connections: Annotated[int, Field(ge=1, le=10_000)] = 20
    logins_per_minute: Annotated[int, Field(ge=1, le=100_000)] | None = None
    bandwidth: Annotated[int, BeforeValidator(parse_size), Field(ge=1024)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _usual_ports(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        implicit = table.get("tls") == "implicit"
        return {"port": 995 if implicit else 110, "imap_port": 993 if implicit else 143} | table

    @property
    def address(self) -> tuple[str, int]:
        """Host and port: domains that have the same share what it allows."""
        return self.host.lower().rstrip("."), self.imap_port if self.source == "imap" else self.port

    def login_name(self, local: str, domain: str) -> str:
        """What the account is called there."""
        return names.login_name(self.login, local, domain)


class Domain(_Table):
    """A domain that is served here. `name` is in lower case as the file has it, `ascii_name` as DNS has it."""

    accounts: Literal["open", "listed"] = "open"
    folders: Literal["en", "zh"] = "en"
    quota: Annotated[int, BeforeValidator(parse_size), Field(ge=1)] | None = None
    quota_messages: Annotated[int, Field(ge=1)] | None = None
    contact: str = ""
    legacy: LegacyServer
    _name: str = PrivateAttr(default="")

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def ascii_name(self) -> str:
        return names.ascii_name(self._name)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a configuration was read from, as `proxy.config.parse` takes it. It makes no two configurations differ."""

    data: bytes = field(compare=False)
    source: str = field(compare=False)
    directory: Path = field(compare=False)


class Config(_Table):
    """The whole file."""

    hostname: Annotated[str, AfterValidator(names.check_hostname)]
    state: AbsolutePath = DEFAULT_STATE
    sealing_key: AbsolutePath | None = None
    workers: Annotated[int, Field(ge=1, le=256)] | None = None
    submission: Annotated[str, AfterValidator(names.check_submission)] | None = None
    resolvers: Resolvers = ()
    trusted: Networks = ()
    listen: Listen
    lmtp: Lmtp = Lmtp()
    tls: Tls = Tls()
    storage: Storage = Storage()
    migration: Migration = Migration()
    notices: Notices = Notices()
    domain: Annotated[dict[str, Domain], Field(min_length=1)]
    _domains: Mapping[str, Domain] = PrivateAttr()
    _warnings: tuple[Mistake, ...] = PrivateAttr(default=())
    _origin: Origin = PrivateAttr()

    def model_post_init(self, _context: Any) -> None:
        for written, domain in self.domain.items():
            domain._name = written.lower().rstrip(".")
        self._domains = MappingProxyType({domain.name: domain for domain in self.domain.values()})

    @property
    def domains(self) -> Mapping[str, Domain]:
        """The domains by name, in lower case."""
        return self._domains

    @property
    def spellings(self) -> Mapping[str, str]:
        """Each domain's name by every spelling that a client may send: as the file has it, and as DNS has it."""
        return {spelling: d.name for d in self._domains.values() for spelling in (d.name, d.ascii_name)}

    @property
    def warnings(self) -> tuple[Mistake, ...]:
        """What is allowed and yet probably not meant."""
        return self._warnings

    @property
    def worker_count(self) -> int:
        """How many processes serve clients: as many as there are cores that this process may use, if not said."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def origin(self) -> Origin:
        """What it was read from."""
        return self._origin

    @property
    def accounts_file(self) -> Path:
        """The database of domains and accounts, where that is a file."""
        return self.state / "accounts.db"

    @property
    def accounts_place(self) -> str:
        """Where they are, for people: the file, or the server without its password."""
        return self.storage.shown if self.storage.server else str(self.accounts_file)

    @property
    def key_file(self) -> Path:
        """The keys that seal passwords."""
        return self.sealing_key or self.state / "sealing.key"

    @property
    def maildir_root(self) -> Path:
        """The directory that all Maildirs are below."""
        return places.maildir_root(self.storage.maildir, self.state)

    @property
    def maildir_layout(self) -> str:
        """How accounts' places are made, below `maildir_root`."""
        return places.maildir_layout(self.storage.maildir)

    def maildir_for(self, local: str, domain: str) -> Path:
        """Where the account's Maildir is; always below `maildir_root`, whatever the names are. Whoever wants to know an
        account's place asks here."""
        return places.maildir(self.storage.maildir, self.state, local, domain)


_TABLES: Final[Mapping[tuple[str | int, ...], type[_Table]]] = MappingProxyType(
    {
        (): Config,
        ("listen",): Listen,
        ("lmtp",): Lmtp,
        ("tls",): Tls,
        ("storage",): Storage,
        ("migration",): Migration,
        ("notices",): Notices,
    }
)


def known_keys(parts: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that the table at this path may have."""
    found = _TABLES.get(parts)
    if parts[:1] == ("domain",) and len(parts) in {2, 3}:
        found = Domain if len(parts) == 2 else LegacyServer
    return tuple(found.model_fields) if found is not None else ()
