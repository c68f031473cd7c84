"""Mail services that serve others' domains, known by the mail servers that a domain's MX names.

For `discover`, which tries their POP3 and IMAP hosts, and for `dns`, which says whose an MX is. Nothing of a service is
asked here. Each entry has the page of the service's own that its hosts are from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Hosted:
    """One service. `login` is the form that it wants, "" where its pages do not say."""

    name: str
    mx: tuple[str, ...]  # domains that its mail servers are in
    pop3: str
    imap: str
    login: str = "full"
    remark: str = ""  # what its users, or their administrator, have to do before POP3 works


_SEPARATE: Final = "it wants a password for mail programs, made in its webmail, in place of the usual one"
_SWITCHED_OFF: Final = "POP3 may have to be switched on there, for the domain and in each mailbox"

SERVICES: Final = (
    # Tencent: service.exmail.qq.com, "how to set up a mail program"
    Hosted(
        "Tencent Exmail",
        ("exmail.qq.com", "mxbiz.qq.com", "mxbiz1.qq.com", "mxbiz2.qq.com"),
        "pop.exmail.qq.com",
        "imap.exmail.qq.com",
        remark=_SEPARATE,
    ),
    # NetEase: qiye.163.com, help, "settings of mail programs"; MX qiye163mx01.mxmail.netease.com
    Hosted(
        "NetEase Qiye",
        ("mxmail.netease.com", "qiye.163.com"),
        "pop.qiye.163.com",
        "imap.qiye.163.com",
        remark=_SEPARATE,
    ),
    # NetEase's older, free service: ym.163.com, help; MX mx.ym.163.com
    Hosted("NetEase Ym", ("ym.163.com",), "pop.ym.163.com", "imap.ym.163.com"),
    # Alibaba Mail: help.aliyun.com, "DNS records of a domain"; the older MX are mxn.mxhichina.com and mxw.mxhichina.com
    Hosted(
        "Alibaba Mail",
        ("qiye.aliyun.com", "mxhichina.com"),
        "pop.qiye.aliyun.com",
        "imap.qiye.aliyun.com",
        remark=_SWITCHED_OFF,
    ),
    # 263: help of 263.net, "set up a mail program"; MX mx.263.net and mx*.263xmail.com
    Hosted("263", ("263.net", "263xmail.com"), "pop.263.net", "imap.263.net", remark=_SWITCHED_OFF),
    # Microsoft: support.microsoft.com, "POP, IMAP, and SMTP settings"; MX DOMAIN.mail.protection.outlook.com
    Hosted(
        "Microsoft 365",
        ("protection.outlook.com", "mx.microsoft"),
        "outlook.office365.com",
        "outlook.office365.com",
        remark="it has ended logins by password over POP3 and IMAP: only OAuth is taken there",
    ),
    # Google: support.google.com/mail, "read Gmail messages on other email clients using POP"
    Hosted(
        "Google Workspace",
        ("google.com", "googlemail.com"),
        "pop.gmail.com",
        "imap.gmail.com",
        remark="it wants an app password, and POP3 switched on in each mailbox",
    ),
    # Zoho: zoho.com/mail/help, "POP access"; organisations' hosts, which each of its regions has of its own
    *(
        Hosted(
            "Zoho Mail", (f"zoho.{region}",), f"poppro.zoho.{region}", f"imappro.zoho.{region}", remark=_SWITCHED_OFF
        )
        for region in ("com", "eu", "in", "com.au", "com.cn")
    ),
    # Yandex: yandex.com/support/yandex-360, "mail clients"; MX mx.yandex.net
    Hosted("Yandex 360", ("yandex.net", "yandex.ru"), "pop.yandex.com", "imap.yandex.com", remark=_SEPARATE),
)


def hosted_by(exchange: str) -> Hosted | None:
    """Whose mail server this is; the name in lower case."""
    name = exchange.lower().rstrip(".")
    for service in SERVICES:
        if any(name == suffix or name.endswith(f".{suffix}") for suffix in service.mx):
            return service
    return None
