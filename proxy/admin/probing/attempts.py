"""Who is logged in, and when a refusal is the end of it.

A login that is refused counts at the legacy server, and a few of them lock the account. So there are two at most, and
the second only behind an answer that means nothing but a wrong name or password. An answer that speaks of attempts, of
locks or of waiting may come of a limit that is near.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.admin.probing.finding import Answer, LoginForm
from proxy.config import Domain
from proxy.legacy.errors import (
    LegacyBusy,
    LegacyError,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
)
from proxy.legacy.refusals import meaning_of
from proxy.login.names import Name

MOST: Final = 2  # logins of one probe
OWN: Final = "own"
_UNREPEATED: Final = "(its words are not repeated here)"
_LIMIT: Final = re.compile(
    r"lock|attempt|too many|block|suspend|disabl|frozen|remain|\b(re)?tries\b|later|\bwait|limit|banned"
    r"|denied|forbidden|expired|captcha|锁|鎖|次[数數]|剩[余餘]|冻结|凍結|封|禁|限制|[稍之][后後]|[尝嘗][试試]|验证码|驗證碼",
    re.IGNORECASE,
)


def forms(domain: Domain, name: Name, own: str = "") -> list[LoginForm]:
    """How the account may be called there: as the configuration says, then in the other usual way. One that has a name
    of its own (`own`) is called by that alone."""
    if own:
        return [LoginForm(OWN, own)]
    configured = domain.legacy.login
    other = "local" if configured == "full" else "full"
    users = {"local": name.local, "full": str(name)}
    first = LoginForm(configured, domain.legacy.login_name(name.local, name.domain))
    second = LoginForm(other, users[other])
    return [first] if second.user == first.user else [first, second]


def answer_of(error: LegacyError) -> Answer:
    """What an error of a login means."""
    for kind, answer in (
        (LoginRejected, Answer.WRONG),
        (MaildropInUse, Answer.IN_USE),
        (LegacyBusy, Answer.BUSY),
        (LoginNotPossible, Answer.NOT_POSSIBLE),
    ):
        if isinstance(error, kind):
            return answer
    return Answer.BROKEN


def words_of(error: LegacyError) -> str:
    """The server's words, without ours before them."""
    head, colon, words = error.text.partition("the legacy server refused the login: ")
    return words if colon and not head else error.text


def plainly_wrong(error: LegacyError) -> bool:
    """Does the answer mean a wrong name or password, and nothing else at all?"""
    if not isinstance(error, LoginRejected):
        return False
    words = words_of(error)
    if _UNREPEATED in words or _LIMIT.search(words):
        return False
    return meaning_of(words) in {None, LoginRejected}
