"""What a notice says: when, which servers, whom to ask. The words are the templates'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from mailstore.accounts import Account
from proxy.admin.offered import Server, Service, best
from proxy.config import Config, Domain
from proxy.config.endpoints import parse_endpoint

Language = Literal["zh", "en"]

_ENGLISH_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_ENGLISH_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_SECURITY: Final[Mapping[Language, Mapping[str, str]]] = {
    "zh": {"tls": "SSL/TLS", "starttls": "STARTTLS", "none": "无"},
    "en": {"tls": "SSL/TLS", "starttls": "STARTTLS", "none": "none"},
}
_JOINERS: Final = "\u200c\u200d"


class NothingToSay(Exception):
    """Something that users have to be told is not known. The text is for the administrator."""


@dataclass(frozen=True, slots=True)
class When:
    """A day, and a time of it where that matters."""

    day: date
    time: str = ""  # "20:00"

    def spelled(self, language: Language) -> str:
        """`2026年12月5日（星期六）20:00`, or `Saturday, 5 December 2026, 20:00`."""
        day, weekday = self.day, self.day.weekday()
        if language == "zh":
            return f"{day.year}年{day.month}月{day.day}日（星期{'一二三四五六日'[weekday]}）{self.time}"
        spelled = f"{_ENGLISH_DAYS[weekday]}, {day.day} {_ENGLISH_MONTHS[day.month - 1]} {day.year}"
        return f"{spelled}, {self.time}" if self.time else spelled


def when(text: str) -> When:
    """`2026-12-05` or `2026-12-05 20:00`. Raises ValueError with what would be right."""
    for form, timed in (("%Y-%m-%d", False), ("%Y-%m-%d %H:%M", True), ("%Y-%m-%dT%H:%M", True)):
        try:
            moment = datetime.strptime(text.strip(), form)
        except ValueError:
            continue
        return When(moment.date(), f"{moment:%H:%M}" if timed else "")
    raise ValueError(f'"{text}" is no day: write it as 2026-12-05, or with a time as "2026-12-05 20:00"')


@dataclass(frozen=True, slots=True)
class Facts:
    """What is the same for all users of a domain."""

    domain: Domain
    imap: Server | None
    pop3: Server | None
    submission: Server | None
    portal: str  # an address for browsers; "": there is none
    same_names: bool  # do users keep the server names that they have?
    same_login: bool  # … and the user name, whether or not it is the whole address?
    serves_early: bool  # are they let in before all is here?
    date: When | None

    def fields(self, account: Account, language: Language) -> dict[str, Any]:
        """What a template may use, for one user."""
        return {
            "user": {
                "name": plain(account.full_name),
                "address": account.name,
                "department": plain(account.department),
                "moved": account.refreshed is not None,  # is the old mail here already, without a login?
            },
            "domain": account.domain,
            "date": self.date.spelled(language) if self.date is not None else "",
            "contact": self.domain.contact,
            "same_names": self.same_names,
            "same_login": self.same_login,
            "serves_early": self.serves_early,
            "portal": self.portal,
            "imap": _server(self.imap, language),
            "pop3": _server(self.pop3, language),
            "submission": _server(self.submission, language),
        }


def plain(text: str) -> str:
    """What an administrator's list has, as one line without control characters, nor those that turn the direction of
    writing. Joiners stay: Persian names and Emoji are made with them."""
    return " ".join("".join(c if c.isprintable() or c in _JOINERS else " " for c in text).split())


def _server(server: Server | None, language: Language) -> dict[str, Any] | None:
    if server is None:
        return None
    return {"host": server.host, "port": server.port, "security": _SECURITY[language][server.security]}


def facts(config: Config, domain: Domain, date: When | None, *, same_names: bool | None) -> Facts:
    """`same_names` None: as the configuration's own names say, which differ unless the legacy server's is ours. Raises
    NothingToSay."""
    if not domain.contact:
        raise NothingToSay(
            f'users are to be told whom they ask: add contact = "IT help desk, it@{domain.name}, telephone …" '
            f'to [domain."{domain.name}"]'
        )
    found: dict[Service, Server | None] = {name: best(config, name) for name in ("imap", "pop3", "submission")}
    portal = portal_address(config)
    if not (found["imap"] or found["pop3"] or portal):
        raise NothingToSay(
            "there is nothing that users could connect to: [listen] has no imap, imaps, pop3, pop3s or web"
        )
    if same_names is None:
        same_names = domain.legacy.host.lower().rstrip(".") == config.hostname
    return Facts(
        domain=domain,
        imap=found["imap"],
        pop3=found["pop3"],
        submission=found["submission"],
        portal=portal,
        same_names=same_names,
        same_login=len(config.domains) == 1 or domain.legacy.login == "full",
        serves_early=config.migration.login == "serve" and domain.legacy.source == "pop3",
        date=date,
    )


def portal_address(config: Config) -> str:
    """Where users' browsers find the portal; "" where there is none for them."""
    secure = config.tls.certificate is not None
    for text in config.listen.web:
        endpoint = parse_endpoint(text)
        if endpoint.proxied:  # TLS ends here or there, at the usual port
            return f"https://{config.hostname}/"
        if endpoint.kind == "unix":
            continue
        usual = 443 if secure else 80
        port = endpoint.port or usual
        return f"{'https' if secure else 'http'}://{config.hostname}{'' if port == usual else f':{port}'}/"
    return ""
