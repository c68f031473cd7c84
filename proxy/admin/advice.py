"""The kinds of trouble that an account can be in, each with its cause and what helps, in English and Chinese.

A table; which of them an account is in is for `proxy.admin.remedies` to say.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from mailstore.accounts import Account

Language = Literal["en", "zh"]


class Kind(enum.StrEnum):
    """What is the matter."""

    BLOCKED = "blocked"
    REJECTED = "rejected"
    GIVEN_REJECTED = "given rejected"
    PAUSED = "paused"
    DOMAIN_PAUSED = "domain paused"
    QUARANTINE = "quarantine"
    DISK_FULL = "disk full"
    DAMAGED = "damaged"
    DISK = "disk"
    KEY = "key"
    IN_USE = "in use"
    LIMIT = "limit"
    NOT_POSSIBLE = "not possible"
    TLS = "tls"
    UNREACHABLE = "unreachable"
    SLOW = "slow"
    PROTOCOL = "protocol"
    PARTIAL = "partial"
    EMPTIED = "emptied"
    REFUSED = "refused"
    DEFECT = "defect"
    OTHER = "other"
    NEVER = "never"


class Action(enum.StrEnum):
    """What can be done about it here; "" nothing."""

    RETRY = "retry"
    RESUME = "resume"
    RESUME_DOMAIN = "resume domain"
    PASSWORD = "password"  # noqa: S105 - a word
    NONE = ""


COMMANDS: Final[Mapping[Action, str]] = {
    Action.RETRY: "mailferry retry {account}",
    Action.RESUME: "mailferry resume {account}",
    Action.RESUME_DOMAIN: "mailferry resume {domain}",
    Action.PASSWORD: "mailferry migrate --passwords FILE",
    Action.NONE: "",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing that is the matter, in both languages: the cause, and what helps."""

    kind: Kind
    action: Action
    cause: Mapping[Language, str]
    remedy: Mapping[Language, str]

    def command(self, account: Account) -> str:
        """What is typed for it; "" where nothing is."""
        return COMMANDS[self.action].format(account=account.name, domain=account.domain)

    def line(self, account: Account) -> str:
        """The remedy for a terminal."""
        command = self.command(account)
        return self.remedy["en"] + (f" (`{command}`)" if command else "")


def _advice(kind: Kind, action: Action, cause: tuple[str, str], remedy: tuple[str, str]) -> Advice:
    return Advice(kind, action, {"en": cause[0], "zh": cause[1]}, {"en": remedy[0], "zh": remedy[1]})


_ALL: Final = (
    _advice(
        Kind.BLOCKED,
        Action.RETRY,
        ("It is blocked: nobody can log in to it", "账号被锁定，需要人工处理：目前无法登录"),
        ("look at the reason, then let it go on", "查看原因，处理后点“重试”让它继续"),
    ),
    _advice(
        Kind.REJECTED,
        Action.PASSWORD,
        (
            "The old server no longer takes the password: it was changed there",
            "旧服务器不再接受已保存的密码：用户在旧系统上改过密码",
        ),
        (
            "let the user log in here once with the new password of the old server, or give that password here",
            "请用户用旧系统上的新密码在这里登录一次，或由您在这里填写这个新密码",
        ),
    ),
    _advice(
        Kind.GIVEN_REJECTED,
        Action.PASSWORD,
        (
            "The old server does not take the password that an administrator gave",
            "旧服务器不接受管理员填写的密码",
        ),
        (
            "make sure of the password at the old server, and give it again; it is tried once",
            "请在旧系统上核实密码后重新填写；系统只会尝试一次",
        ),
    ),
    _advice(
        Kind.PAUSED,
        Action.RESUME,
        ("It is paused: the old server is not asked for it", "账号已暂停：不会为它访问旧服务器"),
        ("end the pause when the old server may be asked again", "可以访问旧服务器时，结束暂停"),
    ),
    _advice(
        Kind.DOMAIN_PAUSED,
        Action.RESUME_DOMAIN,
        ("Its domain is paused: the old server is not asked", "所在域已暂停：不会访问旧服务器"),
        ("end the domain's pause when the old server may be asked again", "可以访问旧服务器时，结束该域的暂停"),
    ),
    _advice(
        Kind.QUARANTINE,
        Action.RETRY,
        (
            "Some messages could not be fetched; all the others are here, and their places are kept",
            "有些邮件取不过来；其余邮件都已到位，它们的位置也已保留",
        ),
        (
            "they are asked for again by themselves; look at them in the old server's web mail, or try again now",
            "系统会自动再取；可在旧系统的网页邮箱中查看这些邮件，或现在重试",
        ),
    ),
    _advice(
        Kind.DISK_FULL,
        Action.RETRY,
        ("The disk here is full, or its owner's quota is", "本机磁盘已满，或配额已用完"),
        ("make room on that disk; nothing is lost, and the move goes on", "请腾出磁盘空间；邮件不会丢失，迁移会继续"),
    ),
    _advice(
        Kind.DAMAGED,
        Action.RETRY,
        ("A database file of this mailbox is damaged", "此邮箱的数据库文件已损坏"),
        (
            "the next login makes the index anew; look for what damaged the disk",
            "下次登录会重建索引；请检查磁盘损坏的原因",
        ),
    ),
    _advice(
        Kind.DISK,
        Action.RETRY,
        ("The disk here refused to write", "本机磁盘拒绝写入"),
        ("look at the disk and the rights of its directory, then try again", "请检查磁盘和目录权限，然后重试"),
    ),
    _advice(
        Kind.KEY,
        Action.PASSWORD,
        (
            "The password that is kept does not open with this installation's key",
            "已保存的密码无法用本机的密钥打开",
        ),
        (
            "bring the key file back from the backup, or let the user log in once, or give the password here",
            "请从备份恢复密钥文件，或请用户登录一次，或在这里填写密码",
        ),
    ),
    _advice(
        Kind.IN_USE,
        Action.RETRY,
        (
            "Another program holds the mailbox at the old server; the password may well be right",
            "旧服务器上的邮箱正被其他程序占用；密码很可能是对的",
        ),
        (
            "close what else fetches this mailbox there (an old mail program, a telephone); it is tried again",
            "请关闭还在旧服务器上收信的程序（旧邮件软件、手机）；系统会自动再试",
        ),
    ),
    _advice(
        Kind.LIMIT,
        Action.NONE,
        (
            "The old server wants fewer logins or less at a time: a limit was reached",
            "旧服务器限流：登录太频繁或一次取得太多",
        ),
        (
            "it goes on by itself; if it happens often, lower `connections` or set `logins_per_minute` for the domain",
            "系统会自动继续；如经常出现，请为该域调低 connections 或设置 logins_per_minute",
        ),
    ),
    _advice(
        Kind.NOT_POSSIBLE,
        Action.RETRY,
        (
            "The old server lets this account in over POP3 or IMAP only when something is changed there",
            "旧服务器不允许此账号用 POP3/IMAP 登录，需要先在那边更改设置",
        ),
        (
            "do what its words say (switch POP3 on, make an authorisation code, unlock the account), then try again",
            "按它的提示处理（开启 POP3、生成授权码、解锁账号），然后重试",
        ),
    ),
    _advice(
        Kind.TLS,
        Action.RETRY,
        ("No safe connection to the old server could be made", "无法与旧服务器建立安全连接"),
        (
            "the reason names the line of the configuration that mends it; then restart the daemon and try again",
            "原因中写明了应修改的配置行；修改后重启服务再重试",
        ),
    ),
    _advice(
        Kind.UNREACHABLE,
        Action.RETRY,
        ("The old server cannot be reached, or closes the connection", "旧服务器连接不上，或中途断开"),
        (
            "check that it runs and that firewalls let this machine in; it is tried again by itself",
            "请检查它是否在运行、防火墙是否放行本机；系统会自动再试",
        ),
    ),
    _advice(
        Kind.SLOW,
        Action.RETRY,
        ("The old server was silent for too long", "旧服务器长时间没有回应"),
        (
            "it is tried again by itself; if this goes on, lower `connections` for the domain",
            "系统会自动再试；如持续出现，请为该域调低 connections",
        ),
    ),
    _advice(
        Kind.PROTOCOL,
        Action.RETRY,
        ("The old server said something that is not its protocol", "旧服务器的回答不符合协议"),
        (
            "look for a proxy or a virus scanner between here and there; it is tried again by itself",
            "请检查中间是否有代理或杀毒网关；系统会自动再试",
        ),
    ),
    _advice(
        Kind.PARTIAL,
        Action.NONE,
        (
            "The old server may show only a part of the mailbox, or contradicts itself",
            "旧服务器可能只列出了部分邮件，或前后不一致",
        ),
        (
            "see in its web mail whether more is there, and have it show all mail over POP3; the reason says how",
            "请在旧系统网页邮箱中核对，并设置成 POP3 可收取全部邮件；原因中有说明",
        ),
    ),
    _advice(
        Kind.EMPTIED,
        Action.NONE,
        (
            "The old mailbox is empty now, and was not before; what came over is kept",
            "旧邮箱现在是空的，而以前不是；已迁移的邮件都保留着",
        ),
        (
            "find out who emptied it there: a program that fetches and deletes, or the old server's clean-up",
            "请查明是谁清空的：收信后删除的程序，或旧服务器的自动清理",
        ),
    ),
    _advice(
        Kind.REFUSED,
        Action.RETRY,
        ("The old server refused, for a reason of its own", "旧服务器拒绝了请求，原因见它的原话"),
        ("its words say why; it is tried again by itself", "请看它的原话；系统会自动再试"),
    ),
    _advice(
        Kind.DEFECT,
        Action.RETRY,
        ("Something unexpected went wrong here", "这里发生了意外错误"),
        ("the daemon's log says where; please report it", "请查看服务日志并报告此问题"),
    ),
    _advice(
        Kind.OTHER,
        Action.RETRY,
        ("The last move did not get to its end, or there is something to know", "上次迁移没有完成，或有需要留意的情况"),
        ("see the reason; try again when it is dealt with", "请看原因；处理后重试"),
    ),
    _advice(
        Kind.NEVER,
        Action.PASSWORD,
        (
            "The user has never logged in here, so the old mailbox is not here",
            "用户还没有在这里登录过，旧邮件还没有迁移过来",
        ),
        (
            "remind the user to log in once, or give the password that is right at the old server",
            "请提醒用户登录一次，或填写其在旧服务器上的密码",
        ),
    ),
)
ADVICE: Final[Mapping[Kind, Advice]] = {advice.kind: advice for advice in _ALL}
