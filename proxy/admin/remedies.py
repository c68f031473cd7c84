"""What is the matter with an account, and what an administrator can do about it.

An account's `reason` is one line of English that was written where the trouble was met: what the server said, which
disk is full. It is kept as it is, since support and search engines want just these words. What is found here stands
beside it: which kind of trouble that is, in plain words, and what helps (`proxy.admin.advice`). Kinds are recognised by
the very texts that `proxy.legacy.errors`, `proxy.login` and `proxy.migration` write; a reason that none of them fits is
OTHER.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from mailstore.accounts import Account, PasswordState, State
from proxy.admin.advice import ADVICE, Advice, Kind, Language
from proxy.admin.handing import reasons as handing
from proxy.legacy import errors

# What reasons of each kind say. The remedies that errors carry tell them best: they are the errors' own.
_SIGNS: Final[Sequence[tuple[Kind, str]]] = (
    (Kind.QUARANTINE, r"\bin quarantine\b"),
    (Kind.DISK_FULL, r"; make room there"),
    (Kind.DAMAGED, r"\bdatabase is damaged\b"),
    (Kind.DISK, r"; look at the disk that holds|\b(disk|database) refused\b"),
    (Kind.KEY, r"\bsealed password (is of an unknown kind|does not open)|\bsealing key\b"),
    (Kind.EMPTIED, r"\blists no messages any more\b"),
    (Kind.PARTIAL, r"does not come over\b|\bcontradicts itself\b|\(EXPIRE 0\)|\blist the mail of the last\b"),
    (Kind.IN_USE, re.escape(errors.MaildropInUse.usual_remedy) + r"|\bmailbox\b.{0,20}\bin use\b"),
    (Kind.LIMIT, re.escape(errors.LegacyBusy.usual_remedy)),
    (Kind.NOT_POSSIBLE, re.escape(errors.LoginNotPossible.usual_remedy)),
    (Kind.SLOW, re.escape(errors.LegacyTimeout.usual_remedy)),
    (Kind.PROTOCOL, re.escape(errors.LegacyProtocolError.usual_remedy)),
    (Kind.TLS, r"\bTLS\b|\bSTLS\b|\bSTARTTLS\b|\bcertificate\b|\bfingerprint\b"),
    (Kind.UNREACHABLE, re.escape(errors.LegacyUnreachable.usual_remedy) + r"|\bcheck `host` and `port`"),
    (Kind.UNREACHABLE, r"\bclosed the connection\b|\brefuses connections\b|\bconnection was (lost|reset)\b"),
    (Kind.REFUSED, re.escape(errors.ServerRefused.usual_remedy)),
    (Kind.DEFECT, r"\bsomething unexpected went wrong\b"),
)
_RECOGNISED: Final = [(kind, re.compile(pattern)) for kind, pattern in _SIGNS]
_HERE: Final = {Kind.QUARANTINE, Kind.EMPTIED, Kind.PARTIAL}  # remarks, of which there may be several


def kinds_of(reason: str) -> list[Kind]:
    """What a reason says: one kind of trouble, and any remarks."""
    if not reason:
        return []
    found = list(dict.fromkeys(kind for kind, pattern in _RECOGNISED if pattern.search(reason)))
    remarks = [kind for kind in found if kind in _HERE]
    return remarks or found[:1] or [Kind.OTHER]


def advices(account: Account, *, domain_paused: bool) -> list[Advice]:
    """All that is the matter with it, what matters most first. Empty where all is well."""
    return [ADVICE[kind] for kind in _kinds(account, domain_paused=domain_paused)]


def _kinds(account: Account, *, domain_paused: bool) -> Iterator[Kind]:
    if account.state is State.BLOCKED and account.reason not in handing.ALL:
        yield Kind.BLOCKED
    if account.state is not State.FINAL:
        if account.paused:
            yield Kind.PAUSED
        if domain_paused:
            yield Kind.DOMAIN_PAUSED
        if account.password_state is PasswordState.REJECTED:
            yield Kind.GIVEN_REJECTED if account.password_hash is None else Kind.REJECTED
            return
        if account.state is State.WAITING and account.sealed_password is None and not account.reason:
            yield Kind.NEVER
    found = kinds_of(account.reason)
    if account.state is not State.BLOCKED or found != [Kind.OTHER]:
        yield from found


def about_passwords(account: Account) -> Mapping[Language, str]:
    """What to tell a user who is told that the password is wrong. Where a password is checked depends on the state."""
    return _HERE_ALONE if account.state is State.FINAL else _AT_THE_OLD_SERVER


_AT_THE_OLD_SERVER: Final[Mapping[Language, str]] = {
    "en": "Until this account is final its password is checked at the old server: a password that is wrong here is "
    "wrong there. It is changed, or reset, at the old server, and is then right here at once.",
    "zh": "在账号完成（final）之前，密码由旧服务器核对：这里提示密码错误，就是旧服务器认为密码错误。"
    "请在旧系统上修改或重置密码，改好后这里立即生效。",
}
_HERE_ALONE: Final[Mapping[Language, str]] = {
    "en": "This account is final: its password is checked here alone, and the old server's does not count any more. "
    "A forgotten password is set anew here.",
    "zh": "此账号已完成（final）：密码只在这里核对，旧服务器上的密码不再有效。忘记密码时请在这里重新设置。",
}


def remedy_line(account: Account, *, domain_paused: bool = False, beside_reason: bool = False) -> str:
    """What helps, in a line for a terminal; "" where nothing is the matter, or only that nobody has logged in.
    `beside_reason`: it stands beside the reason, which most often says what helps itself; then it is the command."""
    found = [advice for advice in advices(account, domain_paused=domain_paused) if advice.kind is not Kind.NEVER]
    if beside_reason and "; " in account.reason:
        lines = [f"`{command}`" for advice in found if (command := advice.command(account))]
    else:
        lines = [advice.line(account) for advice in found]
    return "; ".join(dict.fromkeys(lines))
