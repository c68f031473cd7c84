"""What is known here of an account that is to be probed, and whether its legacy server may be asked for it."""

from __future__ import annotations

from dataclasses import dataclass

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.overview import Overview
from mailstore.wanted import Wanted
from proxy.admin.probing.finding import DomainFigures
from proxy.login.names import Name


class Paused(Exception):
    """An administrator wants the account, or its domain, left alone."""


@dataclass(frozen=True, slots=True)
class Known:
    """`own_login` is the account's name at the legacy server, "" where it has none of its own; `figures` are the
    domain's, None where it has no accounts here."""

    own_login: str = ""
    figures: DomainFigures | None = None


def known(database: AccountsDatabase, name: Name) -> Known:
    """Raises Paused, MailstoreError."""
    accounts = Accounts(database)
    if accounts.is_paused(name.local, name.domain):
        raise Paused(f"{name}, or its domain, is paused: its legacy server is not asked")
    account = accounts.find(name.local, name.domain)
    figures = Overview(database).figures(Wanted(name.domain))
    own_login = account.legacy_login if account is not None else ""
    if not figures.accounts:
        return Known(own_login)
    here = figures.moved + figures.final
    return Known(own_login, DomainFigures(figures.accounts, here, figures.messages_done, figures.bytes_done))
