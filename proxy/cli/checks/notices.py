"""Can users be told of the move: a sender, whom to ask, texts that can be filled in, and a relay that answers?

What of [notices] is not there yet is no mistake: it is needed at the third step, and only for mail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from itertools import product
from typing import Final, get_args

from mailstore.accounts import Account, PasswordState, State
from proxy.admin.noticing.facts import Facts, Language, NothingToSay, When, facts
from proxy.admin.noticing.fields import address
from proxy.admin.noticing.planning import Lack, missing
from proxy.admin.noticing.relay import Refused, Relay, RelayError, Unusable, read_password, trust
from proxy.admin.noticing.texts import BadTemplate, Kind, Texts
from proxy.cli.checks.finding import Finding
from proxy.config import Config, Domain, Notices
from proxy.config.names import sender_parts

_LANGUAGES: Final = get_args(Language)
_KINDS: Final = get_args(Kind)
_SOME_DAY: Final = When(date(2030, 12, 5), "20:00")


def notice_findings(config: Config, *, connect: bool) -> Iterator[Finding]:
    """Sender, contacts, texts, and the way to the relay; `connect`: see whether it answers."""
    notices = config.notices
    if notices.sender is not None:
        yield Finding("notices", "ok", "notices.sender", notices.sender)
    for lack in missing(config, sorted(config.domains)):
        yield _lacking(lack, begun=notices != Notices())
    yield from _texts(config)
    problems = [*_files(config)]
    yield from problems
    if connect and not problems:
        yield _relay(config)


def _lacking(lack: Lack, *, begun: bool) -> Finding:
    """A warning where [notices] says something already: then somebody means to send them."""
    subject = f"{lack.table.strip('[]')}.{lack.key}"
    if begun:
        return Finding("notices", "warn", subject, "is missing: users cannot be told by mail", f"add {lack.line}")
    return Finding("notices", "ok", subject, "not said yet; needed before users are told by mail")


# Texts


def _texts(config: Config) -> Iterator[Finding]:
    """Both kinds in both languages, filled in for whoever and whatever may be different."""
    where = str(config.notices.templates or "the texts that mailferry brings")
    wrong = list(dict.fromkeys(_wrong_texts(config)))
    yield from (
        Finding("notices", "fail", where, text, "nothing is sent to anybody until it is right") for text in wrong
    )
    if not wrong:
        yield Finding("notices", "ok", where, "notice and reminder can be filled in, in Chinese and English")


def _wrong_texts(config: Config) -> Iterator[str]:
    for kind, language in product(_KINDS, _LANGUAGES):
        try:
            texts = Texts(kind, [language], config.notices.templates)
            for domain in config.domains.values():
                for said, account in _cases(config, domain):
                    texts.render(said, account)
        except (BadTemplate, NothingToSay) as error:
            yield str(error)


def _cases(config: Config, domain: Domain) -> Iterator[tuple[Facts, Account]]:
    known = domain if domain.contact else domain.model_copy(update={"contact": "…"})
    said = facts(config, known, _SOME_DAY, same_names=None)
    account = _somebody(domain.name)
    for name, refreshed, same, dated in product(("李伟", ""), (None, 1), (True, False), (True, False)):
        yield (
            replace(said, same_names=same, date=said.date if dated else None),
            replace(account, full_name=name, refreshed=refreshed),
        )


def _somebody(domain: str) -> Account:
    """An account that is nobody's."""
    return Account(
        id=0,
        domain=domain,
        local="user",
        state=State.WAITING,
        reason="",
        password_hash=None,
        sealed_password=None,
        last_login=None,
        refreshed=None,
        messages_done=0,
        messages_total=0,
        bytes_done=0,
        bytes_total=0,
        due=None,
        asked=None,
        again=False,
        paused=False,
        tries=0,
        password_state=PasswordState.UNTRIED,
        department="Sales/North",
    )


# The relay


def _files(config: Config) -> Iterator[Finding]:
    """What the way to the relay needs on this machine, where it cannot be used."""
    notices = config.notices
    try:
        if notices.password_file is not None:
            read_password(notices.password_file)
        if notices.ca is not None:
            trust(notices, verified=True)
    except Unusable as error:
        yield Finding("notices", "fail", "notices.relay", str(error))


def _relay(config: Config) -> Finding:
    """Nothing is sent."""
    if config.notices.sender is None:
        return Finding(
            "notices", "warn", config.notices.relay, "not tried: it would be asked whether it takes the sender"
        )
    _, local, domain = sender_parts(config.notices.sender)
    sender = address(local, domain)
    relay: Relay | None = None
    try:
        relay = Relay(config.notices, config.hostname)
        encrypted = relay.try_out(sender)
    except Refused as error:
        return Finding("notices", "warn", config.notices.relay, f"refuses {sender} for now: {error}", "try again later")
    except RelayError as error:
        return Finding("notices", "fail", config.notices.relay, str(error), "see relay, tls and user under [notices]")
    finally:
        if relay is not None:
            relay.close()
    way = "encrypted" if encrypted else "not encrypted"
    return Finding("notices", "ok", config.notices.relay, f"answers, {way}, and takes mail from {sender}")
