"""Which column is which, by its title: Chinese (simplified and traditional) and English, in the many ways in which mail
systems, personnel departments and spreadsheets call them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

Field = Literal[
    "email", "account", "domain", "name", "surname", "given", "department", "password", "quota", "alias", "legacy_login"
]

_SYNONYMS: Final[dict[Field, str]] = {
    "email": """
        email e-mail mail email_address e-mail_address mail_address emailaddress mailbox mailbox_address address
        primary_email primary_address primary_smtp_address primarysmtpaddress smtp_address user_principal_name
        userprincipalname upn email_account mail_account
        邮箱 邮箱地址 邮箱帐号 邮箱账号 邮箱账户 邮箱帐户 邮件 邮件地址 电子邮箱 电子邮箱地址 电子邮件 电子邮件地址
        电邮 电邮地址 邮件帐号 邮件账号 企业邮箱 公司邮箱 工作邮箱 成员邮箱 完整邮箱 邮址 主邮箱 主地址
        郵箱 郵箱地址 郵箱帳號 郵件 郵件地址 電子郵箱 電子郵箱地址 電子郵件 電子郵件地址 電郵 電郵地址 郵件帳號
        公司郵箱 工作郵箱 信箱 信箱地址 電子信箱 主要地址
    """,
    "account": """
        account accounts account_name accountname account_id user users username user_name userid user_id login
        login_name loginname login_id logon logon_name samaccountname uid mailbox_name local_part localpart mailnickname
        帐号 账号 帐户 账户 帐号名 账号名 帐号名称 账号名称 帐户名 账户名 用户 用户名 用户名称 用户帐号 用户账号 用户id
        用户邮箱 登录名 登陆名 登录帐号 登录账号 登陆帐号 登陆账号 登录id 成员帐号 成员账号 员工帐号 员工账号 邮箱名
        邮箱前缀 邮箱用户名
        帳號 帳户 帳戶 帳號名 帳號名稱 帳戶名 帳戶名稱 賬號 賬戶 使用者 使用者名稱 使用者帳號 用戶 用戶名 用戶名稱
        用戶帳號 登入名 登入名稱 登入帳號 登錄名 登錄帳號 員工帳號 信箱帳號
    """,
    "domain": """
        domain domain_name domainname mail_domain email_domain
        域 域名 邮箱域名 邮件域名 邮局域名 所属域 所属域名 邮箱后缀 后缀
        網域 網域名稱 域名稱 郵件網域 郵件域名 網域名
    """,
    "name": """
        name full_name fullname display_name displayname displayed_name real_name realname cn common_name person
        employee_name employee user_display_name contact_name
        姓名 名称 名字 全名 显示名 显示名称 真实姓名 员工姓名 用户姓名 成员姓名 中文名 中文姓名 昵称 员工 人员 联系人
        名稱 全名 顯示名 顯示名稱 真實姓名 員工姓名 使用者姓名 用戶姓名 暱稱 人員 聯絡人
    """,
    "surname": """
        surname last_name lastname family_name familyname sn 姓 姓氏
    """,
    "given": """
        given_name givenname first_name firstname forename 名
    """,
    "department": """
        department departments department_name department_path dept dept_name ou org_unit orgunit org_unit_path
        organizational_unit organisational_unit organization organisation unit division team group
        部门 部门名称 部门路径 所属部门 所在部门 所在部门名称 部门全称 部门全路径 组织 组织机构 组织架构 机构 单位
        所属单位 所在单位 科室 处室 小组 组 班组 子部门 中心 事业部 分组 所属组织
        部門 部門名稱 部門路徑 所屬部門 所在部門 組織 組織架構 機構 單位 所屬單位 科室 小組 組 子部門 處室 事業部 群組
    """,
    "password": """
        password passwd pass pwd user_password userpassword initial_password current_password old_password
        密码 口令 登录密码 登陆密码 邮箱密码 初始密码 原密码 旧密码 当前密码 用户密码 帐号密码 账号密码
        密碼 口令 登入密碼 登錄密碼 郵箱密碼 信箱密碼 初始密碼 原密碼 舊密碼 目前密碼 使用者密碼 帳號密碼
    """,
    "quota": """
        quota mail_quota mailbox_quota mailquota storage storage_quota storage_limit mailbox_size size_limit capacity
        space size mailbox_size_limit max_size disk_quota
        配额 配额大小 容量 邮箱容量 邮箱大小 邮箱配额 空间 邮箱空间 空间大小 存储空间 总容量 容量限制 邮箱空间大小
        大小 最大容量
        配額 容量 郵箱容量 信箱容量 郵箱大小 信箱大小 郵箱配額 空間 郵箱空間 空間大小 儲存空間 總容量 容量限制 最大容量
    """,
    "alias": """
        alias aliases email_alias email_aliases mail_alias mail_aliases other_address other_addresses other_email
        other_emails additional_addresses additional_email proxyaddresses proxy_addresses secondary_email
        secondary_address
        别名 邮箱别名 邮件别名 用户别名 别名地址 其他邮箱 其它邮箱 其他地址 附加邮箱 备用地址 别名邮箱 帐号别名 账号别名
        別名 郵箱別名 郵件別名 使用者別名 用戶別名 信箱別名 別名地址 其他郵箱 其他信箱 其他地址 帳號別名
    """,
    "legacy_login": """
        legacy_login legacylogin legacy_account legacy_user legacy_username old_login old_account old_user old_username
        pop3_login pop3_user pop3_username pop_login pop_user original_login original_account
        原登录名 原登陆名 原帐号 原账号 原用户名 旧登录名 旧登陆名 旧帐号 旧账号 旧用户名 旧系统帐号 旧系统账号
        原系统帐号 原系统账号 原邮箱帐号 原邮箱账号 旧邮箱帐号 旧邮箱账号 pop3帐号 pop3账号
        原登入名 原登錄名 原帳號 原使用者名稱 舊登入名 舊登錄名 舊帳號 舊系統帳號 原系統帳號 原郵箱帳號
        舊信箱帳號 pop3帳號
    """,
}

_BRACKETED = re.compile(r"[(\[{（【<][^)\]}）】>]*[)\]}）】>]?")
_NOISE = re.compile(r"[\s_\-*:.'\"!?、。・·/\\]+")
_BYTES: Final = "b|bytes?|octets?|字节|字節|位元組"
_UNIT_BEHIND = re.compile(rf"[/:_ ](?:in[_ ])?(?:[kmgt]i?b?|{_BYTES})\s*\*?$")
_UNIT_SAID = re.compile(rf"[(\[/:_ ]\s*(?:单位|單位|in)?[:\s_]*(?:([kmgt])i?b?|({_BYTES}))\s*[)\]]?\s*\*?$")
_NUMERAL: Final = {"一": 1, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8}
_UNIT = r"(?:部门|部門|机构|機構|单位|單位|组织|組織|departments?|dept|ou|orgunit|level)"
_LEVEL_BEFORE = re.compile(rf"(?:第)?([1-8一二三四五六七八])(?:级|級|层|層|st|nd|rd|th)(?:level)?{_UNIT}")
_LEVEL_AFTER = re.compile(rf"{_UNIT}(?:level|层级|層級)?([1-8一二三四五六七八])(?:级|級)?")


@dataclass(frozen=True, slots=True)
class Title:
    """What a column is. `level` orders the columns of a department's path; `unit` is what a bracket in the title says
    of a quota's numbers."""

    field: Field
    level: int = 0
    unit: str = ""


def _plain(text: str) -> str:
    return _NOISE.sub("", unicodedata.normalize("NFKC", text).casefold())


_KNOWN: Final[dict[str, Field]] = {_plain(word): field for field, words in _SYNONYMS.items() for word in words.split()}


def title_of(text: str) -> Title | None:
    """What the title means; None for any other text."""
    if not text or len(text) > 60:
        return None
    folded = unicodedata.normalize("NFKC", text).casefold()
    bare = _plain(_UNIT_BEHIND.sub("", _BRACKETED.sub("", folded)))
    level = _LEVEL_BEFORE.fullmatch(bare) or _LEVEL_AFTER.fullmatch(bare)
    if level is not None:
        return Title("department", _NUMERAL.get(level[1]) or int(level[1]))
    field = _KNOWN.get(bare) or _numbered(bare)
    if field is None and "(" in folded:  # "账号(邮箱)" is known by either
        inner = _plain(folded.partition("(")[2].rstrip(") "))
        field = _KNOWN.get(inner) if not bare else None
    if field is None:
        return None
    return Title(field, 0, _unit(folded) if field == "quota" else "")


def _numbered(bare: str) -> Field | None:
    """Of "alias 2": of all else there is one."""
    return "alias" if _KNOWN.get(bare.rstrip("0123456789")) == "alias" else None


def _unit(folded: str) -> str:
    """ "配额(GB)" is in "G", "容量/M" in "M", "quota (bytes)" in "B"."""
    found = _UNIT_SAID.search(folded)
    return "" if found is None else "B" if found[2] else found[1].upper()


def field_of(text: str) -> Field | None:
    """The field that a title names."""
    title = title_of(text)
    return None if title is None else title.field
