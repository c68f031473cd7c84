"""What one user would be told, to be looked at before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailstore.accounts import Account
from proxy.admin.noticing.facts import Facts, Language, facts, plain, when
from proxy.admin.noticing.message import body
from proxy.admin.noticing.texts import Kind, Text, Texts
from proxy.config import Config


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail as text. `sender` is None where the configuration names none."""

    account: Account
    to: str
    sender: str | None
    subject: str
    text: str


def letter(config: Config, account: Account, texts: Sequence[Text]) -> Letter:
    """From what was rendered for the account."""
    name = plain(account.full_name)
    return Letter(
        account,
        to=f"{name} <{account.name}>" if name else account.name,
        sender=config.notices.sender,
        subject=" / ".join(text.subject for text in texts),
        text=body(texts),
    )


def material(
    config: Config, domain: str, kind: Kind, languages: Sequence[Language], date: str, *, same_names: bool | None
) -> tuple[Facts, Texts]:
    """What there is to say to a domain's users, and the words for it. Raises NothingToSay, BadTemplate; ValueError for
    a date that is none."""
    said = facts(config, config.domains[domain], when(date) if date else None, same_names=same_names)
    return said, Texts(kind, languages, config.notices.templates)
