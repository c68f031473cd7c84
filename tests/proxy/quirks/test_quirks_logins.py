"""How servers greet, what they want to be told, and what they mean by no (invariant 5: "wrong" only when it is)."""

from __future__ import annotations

from proxy.wire.door import Refusal
from tests.legacy.quirks import Source
from tests.proxy.quirks.rig import Carried, QuirkTestCase, Refused, rows

WRONG, UNAVAILABLE, IN_USE = Refusal.WRONG, Refusal.UNAVAILABLE, Refusal.IN_USE
DOMINO = Source(
    "A challenge of unprintable characters in the greeting of Lotus Notes' POP3 server",
    "https://thearchivebase.com/question/i-wrote-a-program-for-retrieving-mail-from-pop3-servers-one-of-its-users/",
)
GMAIL_HELP = Source("Gmail bandwidth limits", "https://support.google.com/a/answer/1071518")
QQ_CODE = Source("535error: 请使用授权码登录, in GB18030", "DesertsP/Valine-Admin#86")
STATE = Source("ERR Command is not valid in this state", "node-pop3/node-pop3#33")
HMAIL = Source(
    "hMailServer's POP3 server", "hmailserver/hmailserver: hmailserver/source/Server/POP3/POP3Connection.cpp"
)
EXCHANGE_5 = Source(
    "XCLN: POP3 Supported Command Set for Exchange Server 5.0",
    "https://library.thedatadungeon.com/msdn-1998-06/kb/Source/exchange/q161116.content.htm",
)

GREETINGS = (
    Carried(
        "a_stamp_that_works",
        (Source("RFC 1939 7: APOP", "RFC 1939 7"), Source("POP3 client may not detect APOP", "jstedfast/MailKit#529")),
        behaviour={"apop": "works", "greeting": b"+OK mail.test POP3 ready"},
    ),
    Carried(
        "a_stamp_of_a_server_that_cannot_do_it",
        (Source("POP3/IMAP -> Pop3ProtocolException", "jstedfast/MailKit#856"),),
        behaviour={"apop": "refused", "greeting": b"+OK POP3 ready"},
    ),
    Carried(
        "a_stamp_of_a_server_that_hangs_up_then",
        (Source("POP3/IMAP -> Pop3ProtocolException", "jstedfast/MailKit#856"),),
        behaviour={"apop": "hangs up", "greeting": b"+OK POP3 ready"},
    ),
    Carried(
        "a_stamp_that_is_none",
        (Source("Issue where APOP authentication is incorrectly used", "curl/curl#3278"), DOMINO),
        behaviour={"greeting": b"+OK E.Novation POP3 server ready <a.b.c>"},
    ),
    Carried(
        "a_stamp_of_unprintable_characters",
        (DOMINO,),
        behaviour={
            "greeting": b"+OK Lotus Notes POP3 server version X2.0 ready <0039A8E7.\x05\xc0\x05\xe1@\x05\xc0/Org>"
        },
    ),
    Carried(
        "a_banner_of_several_lines",
        (
            Source("RFC 1939 4: a one line greeting", "RFC 1939 4"),
            Source(
                "MTAs with multiline greeting/banners, as boxes in front of servers show them",
                "microsoft/referencesource#123",
            ),
        ),
        {"banner": (b"*** Authorized use only ***", b"", b"All connections are logged.")},
    ),
    Carried(
        "a_banner_with_a_stamp_and_more_lines",
        (Source("RFC 1939 4: a one line greeting", "RFC 1939 4"),),
        {"banner": (b"Willkommen beim Postfach-Server",)},
        {"apop": "works", "capabilities": None},
    ),
    Carried(
        "a_challenge_with_words_in_it",
        (Source("AUTH PLAIN and FormatException in the Challenge method", "jstedfast/MailKit#268"),),
        {"prompt": b"go ahead"},
        {"capabilities": (b"SASL PLAIN", b"UIDL")},
    ),
    Carried(
        "a_welcome_that_sounds_like_no",
        (HMAIL, Source("+OK Mailbox locked and ready SESSIONID=<cyrus-…>", "knadh/go-pop3#1")),
        {"welcome": b"Mailbox locked and ready SESSIONID=<cyrus-1>"},
    ),
    Carried(
        "auth_that_is_no_command_in_this_state",
        (Source("POP3D -ERR Invalid command in current state.", "hmailserver/hmailserver#230"),),
        behaviour={
            "capabilities": (b"USER", b"UIDL", b"TOP"),
            "answers": {b"AUTH": b"-ERR Invalid command in current state.\r\n"},
        },
    ),
)

NAMES = (
    Carried(
        "a_login_of_the_full_address",
        (Source("Invalid user name or password. Please use full email address as user name.", HMAIL.where),),
        {"names": frozenset({b"user@123.com"})},
        legacy='login = "full"',
    ),
    Carried(
        "a_login_with_a_percent_sign",
        (Source("vpopmail: user%virtual_domain_name", "http://www.hightechwebservice.com/HSphere_FAQ.asp"),),
        {"names": frozenset({b"user%123.com"})},
        legacy='login = "{local}%{domain}"',
    ),
    Carried(
        "a_login_of_windows_domain_user_and_mailbox",
        (EXCHANGE_5,),
        {"names": frozenset({b"CORP\\user/user"})},
        legacy="login = 'CORP\\{local}/{local}'",
    ),
)


def gbk(text: str) -> bytes:
    return b"-ERR " + text.encode("gb18030")


REFUSALS = (
    # Exchange
    Refused(
        "exchange_wrong",
        (Source("Failed logon does not give error", "mattnenterprise/rust-pop3#17"),),
        b"-ERR Logon failure: unknown user name or bad password.",
        WRONG,
    ),
    Refused(
        "exchange_without_tls",
        (STATE,),
        b"-ERR Command is not valid in this state.",
        UNAVAILABLE,
        "not valid in this state",
    ),
    Refused(
        "exchange_that_has_lost_its_backend",
        (Source("POP3 Server Unavailable. 21", "https://jaapwesselius.com/2012/03/"),),
        b"-ERR Server Unavailable. 21",
        UNAVAILABLE,
        r"refused the login: Server Unavailable\. 21",
    ),
    # hMailServer, MDaemon, and others that lock
    Refused("hmailserver_locked", (HMAIL,), b"-ERR Your mailbox is already locked", IN_USE, "already locked"),
    Refused(
        "hmailserver_that_says_plus_err",
        (Source("POP3: Return -ERR when inbox messages can't be fetched", "hmailserver/hmailserver#594"),),
        b"+ERR Server error: Failed to fetch messages in Inbox.",
        UNAVAILABLE,
        "refused the login: Server error: Failed to fetch messages",
    ),
    Refused(
        "hmailserver_wrong",
        (HMAIL,),
        b"-ERR Invalid user name or password. Too many invalid logon attempts.",
        WRONG,
    ),
    Refused(
        "mdaemon_locked",
        (Source("What is the purpose of LCK files?", "https://www.altn.com/Support/FAQ/FAQResults/?Number=247"),),
        b"-ERR Maildrop already locked",
        IN_USE,
        "Maildrop already locked",
    ),
    Refused(
        "locked_by_a_process",
        (Source("Re-Authentication Failure when pop mailbox is locked", "horms/perdition#4"),),
        b"-ERR [IN-USE] mailbox already in use by pid 12345",
        IN_USE,
        "pid 12345",
    ),
    # Limits
    Refused(
        "logins_too_close_together",
        (Source("Login delay", "https://www.chiark.greenend.org.uk/doc/mailutils/mailutils.html/Login-delay.html"),),
        b"-ERR [LOGIN-DELAY] Attempt to log in within the minimum login delay interval",
        UNAVAILABLE,
        "LOGIN-DELAY",
    ),
    Refused(
        "too_many_sessions",
        (Source("Session limits", "https://stalw.art/docs/email/sessions/"),),
        b"-ERR [SYS/TEMP] Too many concurrent requests",
        UNAVAILABLE,
        "Too many concurrent requests",
    ),
    # Gmail
    Refused(
        "gmail_wrong",
        (Source("poplib's demo against Gmail", "ditesh/node-poplib: README"),),
        b"-ERR [AUTH] Username and password not accepted.",
        WRONG,
    ),
    Refused(
        "gmail_over_its_bandwidth",
        (GMAIL_HELP, Source("[OVERQUOTA] Account exceeded command or bandwidth limits.", "ljmerza/ha-email-sensor#16")),
        b"-ERR [AUTH] Account exceeded command or bandwidth limits. (Failure)",
        UNAVAILABLE,
        "bandwidth limits",
    ),
    Refused(
        "gmail_that_wants_a_browser",
        (Source("Web login required", "https://support.google.com/mail/answer/78754"),),
        b"-ERR [AUTH] Web login required: https://support.google.com/mail/answer/78754",
        UNAVAILABLE,
        "Web login required",
    ),
    # Tencent, NetEase and others in China
    Refused(
        "qq_that_wants_a_code",
        (QQ_CODE,),
        gbk("请使用授权码登录。详情请看: http://service.mail.qq.com"),
        UNAVAILABLE,
        "请使用授权码登录",
    ),
    Refused(
        "qq_with_one_answer_for_all",
        (Source("Login fail. Account is abnormal, …", "chengazhen/cursor-auto-free#294"),),
        b"-ERR Login fail. Account is abnormal, service is not open, password is incorrect, login frequency limited, "
        b"or system is busy.",
        WRONG,
    ),
    Refused(
        "netease_too_many_logins",
        (Source("登录失败: -ERR \\xb5\\xc7\\xc2\\xbc\\xcc\\xab…", "zhangyunhao116/zmail#30"),),
        gbk("登录太频繁"),
        UNAVAILABLE,
        "登录太频繁",
    ),
    Refused(
        "netease_without_pop3",
        (Source("Notes on SSH tunnels, by way of a login at pop.163.com", "public notes, found by just these words"),),
        gbk("您没有权限使用pop3功能"),
        UNAVAILABLE,
        "没有权限使用pop3",
    ),
    Refused(
        "netease_unsafe_login",
        (Source("EXAMINE Unsafe Login. Please contact kefu@188.com for help", "TimeCyber/email-mcp#2"),),
        b"-ERR Unsafe Login. Please contact kefu@188.com for help",
        UNAVAILABLE,
        "Unsafe Login",
    ),
    Refused(
        "netease_busy",
        (Source("Hosts in China answer in GB18030 or UTF-8", QQ_CODE.where),),
        "-ERR 系统繁忙，请稍后再试".encode(),
        UNAVAILABLE,
        "系统繁忙",
    ),
    # Words that are not fit for a log as they are
    Refused(
        "octets_that_are_no_text",
        (Source("pingpong: reject nul byte in server response line", "curl/curl#21996"),),
        b"-ERR \x00busy\x1b[2J \xff\xfe later\x07",
        UNAVAILABLE,
        r"busy \[2J",
    ),
    Refused(
        "no_words",
        (Source("Handle +OK and -ERR without additional info", "knadh/go-pop3#1"),),
        b"-ERR",
        WRONG,
    ),
    # Before the login
    Refused(
        "a_greeting_that_refuses",
        (
            Source(
                "Number of simultaneous connections exceeded maximum (16)", "https://mskb.pkisolutions.com/kb/932905"
            ),
        ),
        b"",
        UNAVAILABLE,
        "refused the connection: maximum number of connections",
        {"greeting": b"-ERR maximum number of connections from this address exceeded"},
    ),
    Refused(
        "no_greeting_but_the_end",
        (
            Source(
                "POP3 Error Msg=UserConnectionLimitReached",
                "https://ezcloudinfo.com/2017/04/25/pop3-error-msguserconnectionlimitreached/",
            ),
        ),
        b"",
        UNAVAILABLE,
        "was closed by the server",
        {"greeting": b""},
        {"full": True},
    ),
)


@rows(GREETINGS, QuirkTestCase.carries_over)
class Greetings(QuirkTestCase):
    pass


@rows(NAMES, QuirkTestCase.carries_over)
class Names(QuirkTestCase):
    pass


@rows(REFUSALS, QuirkTestCase.is_refused)
class Refusals(QuirkTestCase):
    pass
