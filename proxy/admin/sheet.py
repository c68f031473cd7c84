"""Accounts as a spreadsheet: CSV that Excel, WPS and LibreOffice open as it is meant.

UTF-8 with a byte order mark, which Excel needs to see that it is; CRLF (RFC 4180 2). A cell that would be taken for a
formula is written with an apostrophe before it: a user could have a name that a spreadsheet carries out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from mailstore.accounts import Account
from proxy.admin.advice import Kind, Language
from proxy.admin.remedies import advices
from proxy.admin.spreadsheet.formulas import defused

BOM: Final = "\ufeff"
_TOGETHER: Final = 200  # accounts in a piece

_TITLES: Final[Mapping[Language, tuple[str, ...]]] = {
    "en": (
        "account",
        "name",
        "department",
        "state",
        "reason",
        "what helps",
        "messages here",
        "messages there",
        "bytes here",
        "bytes there",
        "last login (UTC)",
        "next try (UTC)",
        "paused",
    ),
    "zh": (
        "账号",
        "姓名",
        "部门",
        "状态",
        "原因",
        "处理办法",
        "已迁移邮件数",
        "旧服务器邮件数",
        "已迁移字节数",
        "旧服务器字节数",
        "最近登录（UTC）",
        "下次重试（UTC）",
        "已暂停",
    ),
}


def sheet(accounts: Iterable[Account], language: Language, paused: Mapping[str, int]) -> Iterator[str]:
    """The text of the file in pieces, so that a long list is never in memory as a whole. `paused`: the domains that
    are."""
    yield BOM
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(_TITLES[language])
    for number, account in enumerate(accounts, 1):
        writer.writerow(_row(account, language, domain_paused=account.domain in paused))
        if number % _TOGETHER == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _row(account: Account, language: Language, *, domain_paused: bool) -> list[str | int]:
    found = advices(account, domain_paused=domain_paused)
    helps = "; ".join(dict.fromkeys(advice.remedy[language] for advice in found if advice.kind is not Kind.NEVER))
    texts = (account.name, account.full_name, account.department, account.state.value, account.reason, helps)
    numbers = (account.messages_done, account.messages_total, account.bytes_done, account.bytes_total)
    paused = {"en": "yes", "zh": "是"}[language] if account.paused or domain_paused else ""
    return [*map(defused, texts), *numbers, _time(account.last_login), _time(account.due), paused]


def _time(seconds: int | None) -> str:
    """As spreadsheets understand it."""
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
