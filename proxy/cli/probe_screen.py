"""What `mailferry probe` shows: what it is doing, on a terminal, and in the end what was found, in lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from textwrap import wrap
from types import TracebackType
from typing import Any, Final, Self

from proxy.admin.probing.advice import Change
from proxy.admin.probing.attempts import MOST, OWN
from proxy.admin.probing.estimate import Estimate, ForDomain
from proxy.admin.probing.finding import Ability, Answer, Attempt, Lock, Mailbox, Maildrop, Probed, Server, Speed, Step
from proxy.admin.probing.outcome import Outcome
from proxy.admin.verify.columns import COLUMNS, fold
from proxy.cli.showing import spelled
from proxy.config.sizes import size

_MARGIN: Final = 17
_SHOWN: Final = 20  # folders
_ANSWERS: Final = {
    Answer.ACCEPTED: "let in",
    Answer.WRONG: "refused as wrong",
    Answer.IN_USE: "refused: the mailbox is in use",
    Answer.BUSY: "refused for now",
    Answer.NOT_POSSIBLE: "refused",
    Answer.BROKEN: "broken off",
}


_STEPS: Final = {
    Step.CONNECTING: "connecting to",
    Step.LOGGING_IN: "logging in as",
    Step.LISTING: "listing the mailbox",
    Step.FOLDERS: "listing all folders",
    Step.DATES: "looking for the oldest and the newest message",
    Step.AGAIN: "logging in a second time",
    Step.SPEED: "measuring how fast it gives messages",
    Step.POP3: "looking whether POP3 is open beside IMAP",
}


class Silent:
    """Says nothing."""

    def begin(self) -> None:
        pass

    def say(self, step: Step, whom: str) -> None:
        pass


class Steps(Silent):
    """One line on standard error that changes; gone at the end."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where there is a terminal

        self._status: Any = Console(stderr=True).status("")

    def begin(self) -> None:
        self._status.start()

    def say(self, step: Step, whom: str) -> None:
        from rich.text import Text  # noqa: PLC0415

        self._status.update(Text(f"{_STEPS[step]} {whom}".strip()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()


def report(ended: Outcome) -> Iterator[str]:
    """Its lines, of at most 100 columns but for fingerprints."""
    found, estimated = ended.found, ended.estimated
    protocol = "IMAP" if found.source == "imap" else "POP3"
    yield from _labelled("Account", f"{found.account} at {found.host} ({protocol})")
    yield from _labelled("Logins", _logins(found.attempts))
    for end in found.dead_ends:
        yield from _labelled("Not reached", f"{end.way}: {end.why}" + (f"; {end.remedy}" if end.remedy else ""))
    if found.way is not None and found.server is not None:
        yield from _server(found, found.server)
    if found.maildrop is not None:
        yield from _maildrop(found.maildrop)
    if found.uidls_by_pop3:
        yield from _labelled("POP3", found.uidls_by_pop3)
    if found.mailbox is not None:
        yield from _mailbox(found.mailbox)
    if found.speed is not None:
        yield from _labelled("Speed", _speed(found.speed))
    if estimated is not None:
        yield from _estimate(found, estimated)
    for remark in found.remarks:
        yield from _labelled("Remark", remark)
    for text in ended.advice:
        yield from _labelled("Advice", text)
    yield from _configuration(found, ended.new)


def _logins(attempts: Sequence[Attempt]) -> str:
    if not attempts:
        return f"none of the {MOST} that were allowed was tried"
    told: list[str] = []
    for attempt in attempts:
        again = "once more " if attempt.login.user in {each.login.user for each in attempts[: len(told)]} else ""
        words = f' ("{attempt.words}")' if attempt.words and attempt.answer is not Answer.BROKEN else ""
        broken = f" ({attempt.words})" if attempt.answer is Answer.BROKEN else ""
        told.append(f'{again}as "{attempt.login.user}": {_ANSWERS[attempt.answer]}{words}{broken}')
    return f"{len(attempts)} of at most {MOST}: {'; '.join(told)}"


def _server(found: Probed, server: Server) -> Iterator[str]:
    encryption = server.encryption
    how = "" if encryption is None else f", {encryption.version}, {encryption.cipher} ({encryption.bits} bits)"
    yield from _labelled("Reached at", f"{found.way}{how}")
    if encryption is not None and encryption.certificate is not None:
        certificate = encryption.certificate
        names = ", ".join(certificate.names) or f"nobody (common name {certificate.common_name or 'none'})"
        issuer = "signed by itself" if certificate.self_signed else f"signed by {certificate.issuer}"
        shown = (
            f"for {names}, until {certificate.until:%Y-%m-%d}, {certificate.key}, {issuer}, {certificate.fingerprint}"
        )
        yield from _labelled("Certificate", shown)
    yield from _labelled("Greeting", server.greeting or "(no words)")
    if server.software:
        yield from _labelled("Software", server.software)
    yield from _labelled("Capabilities", ", ".join(server.capabilities) or "none: the server has no CAPA")


def _maildrop(drop: Maildrop) -> Iterator[str]:
    yield from _labelled("UIDL", _ability(drop.uidl))
    yield from _labelled("TOP", _ability(drop.top))
    yield from _labelled("PIPELINING", _ability(drop.pipelining))
    yield from _labelled("LAST", "no" if drop.last is None else f"yes: {drop.last}")
    yield from _labelled("EXPIRE", "not announced" if drop.expire is None else drop.expire)
    yield from _labelled("LOGIN-DELAY", "not announced" if drop.login_delay is None else _delay(drop.login_delay))
    words = f': "{drop.lock_words}"' if drop.lock_words else ""
    yield from _labelled(
        "Second session",
        {
            Lock.NOT_TRIED: "whether one may have the mailbox at the same time was not tried (--lock tries)",
            Lock.SHARED: "is let in at the same time",
            Lock.ONE_SESSION: f"is not let in: the mailbox is one session's at a time{words}",
            Lock.REFUSED: f"was refused for another reason{words}",
        }[drop.lock],
    )


def _delay(announced: str) -> str:
    """RFC 2449 6.5: seconds, and USER where others have another."""
    seconds, _, more = announced.partition(" ")
    return " ".join([seconds, "s", more]).strip() if seconds.isdigit() else announced or "announced, and not how long"


def _ability(ability: Ability) -> str:
    announced = "announced" if ability.announced else "not announced"
    if ability.works is None:
        return f"{announced}, not tried"
    if ability.works:
        return f"{announced}, works"
    return f"{announced}, does not work" + (f": {ability.words}" if ability.words else "")


def _mailbox(mailbox: Mailbox) -> Iterator[str]:
    folders = f" in {len(mailbox.folders):,} folders" if mailbox.folders else ""
    total = f"{mailbox.messages:,} messages{folders}, {size(mailbox.octets)}"
    yield from _labelled("Mailbox", f"{total}, listed in {mailbox.listing_seconds:.2f} s")
    for folder in mailbox.folders[:_SHOWN]:
        held = folder.refused or f"{folder.messages:,} messages, {size(folder.octets)}"
        yield from _labelled("", f"{folder.name}: {held}")
    if len(mailbox.folders) > _SHOWN:
        yield from _labelled("", f"and {len(mailbox.folders) - _SHOWN:,} more folders: --json has them")
    if mailbox.oldest is not None and mailbox.newest is not None:
        of = "" if mailbox.dated == mailbox.messages else f" (of the {mailbox.dated} at both ends of the list)"
        yield from _labelled("Oldest, newest", f"{_day(mailbox.oldest)}, {_day(mailbox.newest)}{of}")
    if mailbox.largest is not None:
        folder_name = f" in {mailbox.largest.folder}" if mailbox.largest.folder else ""
        text = f"message {mailbox.largest.position:,}{folder_name}, {size(mailbox.largest.octets)}"
        yield from _labelled("Biggest", text)


def _day(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _speed(speed: Speed) -> str:
    how = "many asked for at once" if speed.at_once else "one by one"
    sample = f"{speed.messages:,} messages, {size(speed.octets)}, in {speed.seconds:.2f} s, {how}"
    milliseconds = speed.round_trip * 1000
    return f"{size(round(speed.rate))}/s ({sample}); round trip {milliseconds:.{1 if milliseconds >= 1 else 2}f} ms"


def _estimate(found: Probed, estimated: Estimate) -> Iterator[str]:
    rough = ", as far as so small a sample tells" if estimated.rough else ""
    yield from _labelled("This mailbox", f"moves in about {_about(estimated.mailbox)}{rough}")
    if found.figures is None:
        yield from _labelled("The domain", "no accounts are known here yet, so nothing can be said of all")
    elif estimated.domain is None:
        yield from _labelled("The domain", f"all {found.figures.accounts:,} known accounts are here already")
    else:
        yield from _labelled("The domain", _of_domain(estimated.domain) + rough)


def _of_domain(domain: ForDomain) -> str:
    basis = "by those that are here" if domain.by_those_here else "if each is like this one"
    accounts = f"{domain.accounts:,} account" + ("s are" if domain.accounts != 1 else " is")
    mail = f"{accounts} not here yet: some {domain.messages:,} messages, {size(domain.octets)} {basis}"
    if domain.connections == 1 or domain.fastest == domain.slowest:
        return f"{mail}; about {_about(domain.slowest)}"
    fast = f"{_about(domain.fastest)} with {domain.connections} at once as fast as this one was"
    return f"{mail}; from {fast} to {_about(domain.slowest)} if they share its speed"


def _about(seconds: float) -> str:
    return spelled(max(seconds, 1.0))


def _configuration(found: Probed, new: Sequence[Change]) -> Iterator[str]:
    if found.accepted is None or found.mailbox is None:
        return
    for change in new:
        text = f"{change.key} = {json.dumps(change.value)} is right, and not {json.dumps(change.was)}: {change.why}"
        yield from _labelled("Configuration", f"{text} (--write puts it there)")
    if not new:
        form = found.accepted.login.form
        right = "its own login" if form == OWN else f'login = "{form}"'
        yield from _labelled("Configuration", f"is right as it is: host, port, tls, {right}")


def _labelled(label: str, text: str) -> Iterator[str]:
    """Fingerprints are not cut in two, so that they can be copied."""
    line = f"{label:{_MARGIN}}{text}"
    if not line.isascii():
        return fold(line, hanging=_MARGIN)
    indent = " " * _MARGIN
    return iter(wrap(line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))
