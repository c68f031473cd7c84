"""Which accounts an administrator means: by their names, by their domain, or all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from mailstore.accounts import Account, Accounts, PasswordState, State
from proxy.admin.handing import reasons
from proxy.config import Config
from proxy.config.mistakes import meant
from proxy.login.names import Name, parse


class NotServed(Exception):
    """A name that cannot be meant. The text is for the administrator."""


@dataclass(slots=True)
class Chosen:
    """What was named. Domains are names that are served here, in lower case."""

    names: list[Name] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)

    def named(self, accounts: Accounts) -> Iterator[tuple[Name, Account | None]]:
        """The accounts that were named one by one, by their names or aliases; None where nobody is known so here."""
        for name in self.names:
            yield name, accounts.known_as(name.local, name.domain)

    def of_domains(self, accounts: Accounts) -> Iterator[Account]:
        """All accounts of the domains that were named."""
        for domain in self.domains:
            yield from accounts.list(domain)


def choose(
    config: Config, arguments: Sequence[str], domains: Iterable[str] = (), *, everything: bool = False
) -> Chosen:
    """Understand what was written: `li@123.com`, `li` where one domain is served, or a domain. Raises NotServed."""
    chosen = Chosen()
    for text in domains:
        chosen.domains.append(_domain(config, text))
    for text in arguments:
        domain = config.spellings.get(text.lower().rstrip("."))
        if domain is not None:
            chosen.domains.append(domain)
        else:
            chosen.names.append(account_name(config, text))
    if everything:
        chosen.domains = list(config.domains)
    chosen.domains = list(dict.fromkeys(chosen.domains))
    chosen.names = [name for name in dict.fromkeys(chosen.names) if name.domain not in chosen.domains]
    return chosen


def _domain(config: Config, text: str) -> str:
    domain = config.spellings.get(text.lower().rstrip("."))
    if domain is None:
        raise NotServed(f'"{text}" is not served here{meant(text.lower(), config.domains)}')
    return domain


def account_name(config: Config, text: str) -> Name:
    """The account that is meant. Raises NotServed."""
    name = parse(text.encode(errors="surrogateescape"), config.spellings)  # which a command line may have
    if name is not None:
        return name
    _, at, domain = text.rpartition("@")
    if at:
        _domain(config, domain)
        raise NotServed(f'"{text}" cannot be an account\'s name')
    raise NotServed(f'"{text}" is no domain that is served here, and an account is written with its domain')


def obstacle(account: Account, *, paused: bool) -> str:
    """Why a move cannot be begun for it; "" where it can. `paused`: its domain is."""
    if account.state is State.FINAL:
        return "it is final: the legacy server is no longer asked"
    if account.state is State.BLOCKED:
        help_ = "" if account.reason in reasons.ALL else "; `mailferry retry` lets it go on"
        return f"it is blocked: {account.reason or 'no reason is known'}{help_}"
    if account.password_state is PasswordState.REJECTED:
        return account.reason
    if account.sealed_password is None:
        return "its password is not known here: its user has to log in once, or give it with --passwords"
    if paused or account.paused:
        return "it is paused; `mailferry resume` ends that"
    return ""
