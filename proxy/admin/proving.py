"""Has it been seen that a domain's mail comes over whole, with the settings that there are now?

A domain is *proven* once `mailferry verify` has found an account that was moved to be whole, and the legacy server was
asked for it. The proof is for the settings with which it was given: where what decides how the legacy server is spoken
to has changed since, it is none. Until a domain is proven, its accounts move one by one: a mistake in the settings is
to cost one mailbox's time, and not a company's logins.

A user's own first login is never kept from its move, nor is an account that an administrator names.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from mailstore.accounts import Account, Accounts, State
from mailstore.proofs import Proof, Proofs
from proxy.config import Config, Domain

if TYPE_CHECKING:  # `mailferry status` says what is proven, and verifies nothing
    from proxy.admin.verify.outcome import AccountOutcome, Verification

# What decides how a legacy server is spoken to. How often, and how fast, is no matter of being right.
DECIDING: Final = ("host", "port", "source", "tls", "verify", "ca", "fingerprint", "tls_minimum", "ciphers", "login")
LOOKED_AT: Final = 1_000  # accounts of a domain, for one to try it with
_SUMS: Final = ("verdict", "listed", "listed_octets", "ledger", "stored", "files", "contents", "content_octets")


class Stage(enum.StrEnum):
    PROVEN = "proven"
    CHANGED = "changed"  # it was, with other settings
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a domain's proof is."""

    domain: str
    proof: Proof | None
    changed: tuple[str, ...] = ()  # settings that are others now, in words: 'port was 110 and is 995'

    @property
    def stage(self) -> Stage:
        if self.proof is None:
            return Stage.UNPROVEN
        return Stage.CHANGED if self.changed else Stage.PROVEN

    @property
    def proven(self) -> bool:
        return self.stage is Stage.PROVEN


class NotProven(Exception):
    """Many accounts of a domain cannot be moved yet. The text says why, and what to do."""


def settings_of(domain: Domain) -> dict[str, Any]:
    """What decides how a domain's legacy server is spoken to, as JSON has it."""
    legacy = domain.legacy
    found = {key: getattr(legacy, key) for key in DECIDING}
    if legacy.source == "imap":
        found["imap_port"] = legacy.imap_port
    found["ca"] = None if legacy.ca is None else str(legacy.ca)
    found["fingerprint"] = sorted(legacy.fingerprint)
    return found


def standing(domain: Domain, proof: Proof | None) -> Standing:
    """What a proof means under the settings that there are now."""
    was = {} if proof is None else json.loads(proof.settings)
    return Standing(domain.name, proof, () if proof is None else _changes(was, settings_of(domain)))


def changed(before: Domain, now: Domain) -> tuple[str, ...]:
    """Which of the settings that decide it are others, in words."""
    return _changes(settings_of(before), settings_of(now))


def standings(config: Config, proofs: Proofs | None) -> Mapping[str, Standing]:
    """Of every domain that is served. `proofs` is None where there is no database yet. Raises MailstoreError."""
    found = {} if proofs is None else proofs.all()
    return {name: standing(domain, found.get(name)) for name, domain in config.domains.items()}


def _changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    keys = [*now, *(key for key in was if key not in now)]
    return tuple(
        f"{key} was {_value(was.get(key))} and is {_value(now.get(key))}"
        for key in keys
        if was.get(key) != now.get(key)
    )


def _value(value: Any) -> str:
    return "not set" if value in (None, []) else json.dumps(value, ensure_ascii=False)


def settle(config: Config, proofs: Proofs, found: Verification) -> list[Proof]:
    """A verification has ended: write down what it proves. Gives back what was not proven before. Raises
    MailstoreError."""
    before = standings(config, proofs)
    new = []
    for name, best in _best(found).items():
        stands = before.get(name)
        if stands is None:
            continue
        if stands.proven and stands.proof is not None and stands.proof.account != best.account:
            continue  # it is proven already
        settings = json.dumps(settings_of(config.domains[name]), sort_keys=True)
        proof = proofs.write(name, best.account, settings, json.dumps(_report(best, found)))
        if not stands.proven:
            new.append(proof)
    return new


def _best(found: Verification) -> dict[str, AccountOutcome]:
    """By domain, the account of which most was compared, among those that prove something."""
    best: dict[str, AccountOutcome] = {}
    for outcome in filter(proves, found.accounts):
        known = best.get(outcome.domain)
        if known is None or _much(outcome) > _much(known):
            best[outcome.domain] = outcome
    return best


def _much(outcome: AccountOutcome) -> tuple[int, int]:
    return outcome.contents, outcome.listed_octets


def proves(outcome: AccountOutcome) -> bool:
    """Is this account's move one that shows that the settings are right? It has to be done and whole, and messages must
    have been given by the legacy server again and be the same."""
    from proxy.admin.verify.outcome import Verdict  # noqa: PLC0415

    done = outcome.state == State.MOVED.value and not outcome.not_compared and not outcome.under_way
    return done and outcome.verdict in {Verdict.WHOLE, Verdict.NOTES} and outcome.contents > 0


def _report(outcome: AccountOutcome, found: Verification) -> dict[str, Any]:
    sums = {key: getattr(outcome, key) for key in _SUMS}
    counts = {kind.value: count for kind, count in outcome.counts.items()}
    return sums | {"counts": counts, "content": found.circumstances.how.content, "version": found.circumstances.version}


def check(config: Config, proofs: Proofs, accounts: Accounts, domains: Iterable[str]) -> None:
    """May many accounts of these domains be moved? Raises NotProven, MailstoreError."""
    stands = standings(config, proofs)
    missing = [stands[name] for name in dict.fromkeys(domains) if name in stands and not stands[name].proven]
    if missing:
        raise NotProven("\n".join(_refusal(each, example(accounts, each.domain)) for each in missing))


def example(accounts: Accounts, domain: str) -> Account | None:
    """An account to try it with: one that is here already, else one whose password is known."""
    some = list(islice(accounts.list(domain), LOOKED_AT))
    likely = [account for account in some if account.state is State.MOVED] or [a for a in some if a.movable]
    return likely[0] if likely else None


def _refusal(stands: Standing, likely: Account | None) -> str:
    account = likely.name if likely is not None else f"test@{stands.domain}"
    lines = [
        f"{line_of(stands)}. Prove it with one account before all others move:",
        f"  mailferry probe {account}      what the old server can do, in two logins at most",
        f"  mailferry migrate {account}    with --passwords FILE where its user has not logged in here yet",
        f"  mailferry verify {account}     is it whole, compared with the old server",
        "or move them all the same with --force",
    ]
    return "\n".join(lines)


def line_of(stands: Standing) -> str:
    """In a sentence without its full stop."""
    if stands.proof is None:
        return f"{stands.domain} is not proven: no account's whole move was verified yet"
    proven = f"{stands.domain} {'is' if stands.proven else 'was'} proven with {stands.proof.account} on {day(stands)}"
    if stands.proven:
        return proven
    return f"{proven}, and its settings have changed since ({', '.join(stands.changed)})"


def day(stands: Standing) -> str:
    """2026-11-26, UTC."""
    assert stands.proof is not None
    return f"{datetime.fromtimestamp(stands.proof.proven, UTC):%Y-%m-%d}"


def as_json(stands: Iterable[Standing]) -> dict[str, Any]:
    """By domain, those that have a proof; `current`: with the settings that there are now."""
    found: dict[str, Any] = {}
    for each in stands:
        if each.proof is not None:
            when = f"{datetime.fromtimestamp(each.proof.proven, UTC):%Y-%m-%dT%H:%M:%SZ}"
            found[each.domain] = {
                "account": each.proof.account,
                "proven": when,
                "current": each.proven,
                "changed": list(each.changed),
            }
    return found
