"""Servers that hand out messages their own way: what can be kept is kept byte for byte, and what cannot is in
quarantine with its reason, in front of nothing."""

from __future__ import annotations

from tests.legacy.quirks import Source
from tests.proxy.quirks.rig import MAILS, Carried, QuirkTestCase, rows

ALONE = b"Subject: a dot alone\r\n\r\nnormal line\r\n.\r\nthe rest\r\n"
DOTTED = b"Subject: dots\r\n\r\nnormal line\r\n.02 test\r\n..two\r\n...three\r\nthe end.\r\n"
LINE_FEEDS = tuple(each.replace(b"\r\n", b"\n") for each in (*MAILS, DOTTED, ALONE))
ODD_ENDS = (
    b"Subject: bare LF\n\nhello\n.\nnot the end\r\n",
    b"Subject: lone CR\r\rhello\r.\rnot the end\r\n",
    b"Subject: \x00 and \xff\r\n\r\n\x00\r\n\xff\xfe\r\n",
    b"\r\n\r\n.\r\n..\r\n",
    b"no header at all\r\n",
)
ABOUT = b"Subject: POP3\r\n\r\nRETR 1\r\n+OK 120 octets\r\n\r\n.\r\n+OK\r\n..\r\n-ERR no\r\n.\r\n"
LARGE = b"Subject: large\r\n\r\n" + b"".join(b".%d is a line of a large message\r\n" % n for n in range(9_000))
NETIUS = Source("Byte stuff the body of a retrieved message", "hivesolutions/netius#96")
UNSTUFFED = (
    Source("POP3 server does not do dot stuffing", "axllent/mailpit#299"),
    Source("POP3 response not properly byte-stuffed", "greenmail-mail-test/greenmail#475"),
)
CYRUS = Source("POP3 RETR failure for some messages", "cyrusimap/cyrus-imapd#4717")
GONE = Source("Can't get the letter …, try again later", "zhangyunhao116/zmail#22")

LINES = (
    Carried(
        "lines_that_end_in_a_bare_line_feed",
        (Source("Support for results without proper CRLF", "node-pop3/node-pop3#27"),),
        behaviour={"eol": b"\n"},
        messages=LINE_FEEDS,
    ),
    Carried(
        "lines_that_end_as_they_are_stored_and_the_last_one_properly",
        (
            Source("Support for results without proper CRLF", "node-pop3/node-pop3#27"),
            Source("POP message footer not downloaded: mixed line breaks", "andyedinborough/aenetmail#150"),
        ),
        {"as_stored": True},
        messages=LINE_FEEDS,
    ),
    Carried(
        "large_messages_whose_lines_end_as_they_are_stored",
        (Source("Support for results without proper CRLF", "node-pop3/node-pop3#27"),),
        {"as_stored": True},
        messages=(LARGE.replace(b"\r\n", b"\n"), *LINE_FEEDS[:2], LARGE),
    ),
    Carried(
        "a_line_feed_or_return_alone_and_a_dot_behind_it",
        (Source("byte-stuff bare-lf dot lines in POP3 RETR response", "greenmail-mail-test/greenmail#1049"),),
        messages=(*ODD_ENDS, *MAILS),
    ),
    Carried(
        "mail_about_pop3_of_which_the_sizes_are_wrong",
        (Source("pop3 retr incomplete content while meet `.\\r\\n`", "python/cpython#95252"),),
        behaviour={"sizes": dict.fromkeys(range(1, 15), b"7")},
        messages=(ABOUT, *MAILS, b"X-Copy: yes\r\n" + ABOUT),
    ),
    Carried(
        "answers_in_pieces_of_seven_octets",
        (
            Source("Some POPs servers split CAPA responses into multiple packets", "kazu-yamamoto/Mew#188"),
            Source("Sometimes doesn't parsing emails", "agsh/yapople#32"),
        ),
        behaviour={"pieces": 7},
        messages=(*MAILS[:4], DOTTED, ALONE),
    ),
    Carried(
        "long_words_behind_ok",
        (Source("ignoring response starting with…: LIST said more than +OK", "Enough-Software/enough_mail#190"),),
        {"status": b"message follows " + b"and follows " * 300},
    ),
    Carried(
        "nothing_behind_ok",
        (Source("Handle +OK and -ERR without additional info", "knadh/go-pop3#1"),),
        {"welcome": b" "},
    ),
    Carried(
        "octets_in_status_lines_that_are_no_text",
        (Source("pingpong: reject nul byte in server response line", "curl/curl#21996"),),
        {"status": b"\x00\xff\x1b[2J\x07", "welcome": b"\x00 \xb5\xc7\xc2\xbc"},
    ),
)

DOTS = (
    Carried("dots_that_are_not_doubled", UNSTUFFED, {"unstuffed": True}, messages=(*MAILS, DOTTED, b".\t\r\n")),
    Carried("dots_that_are_not_doubled_in_a_large_message", UNSTUFFED, {"unstuffed": True}, messages=(LARGE, *MAILS)),
    Carried(
        "a_dot_alone_that_is_not_doubled",
        (NETIUS, *UNSTUFFED),
        {"unstuffed": True},
        messages=(*MAILS[:3], ALONE, *MAILS[3:]),
        here=MAILS,
        quarantined="message 4 seems to have ended before its end, at a line that is a dot",
    ),
    Carried(
        "a_dot_alone_that_is_not_doubled_in_the_last_message",
        (NETIUS,),
        {"unstuffed": True},
        messages=(*MAILS, ALONE),
        here=MAILS,
        quarantined="message 13 seems to have ended before its end",
    ),
    Carried(
        "a_dot_alone_where_one_message_is_given_at_a_time",
        (NETIUS,),
        {"unstuffed": True},
        {"pipelining": "drops", "capabilities": (b"UIDL",)},
        messages=(*MAILS[:3], ALONE, *MAILS[3:]),
        here=MAILS,
        quarantined="message 4 seems to have ended before its end",
    ),
    Carried(
        "a_last_line_without_its_line_feed",
        (CYRUS,),
        {"endings": {5: b".\r"}},
        here=MAILS[:4] + MAILS[5:],
        quarantined="the connection broke at this message",
    ),
    Carried(
        "a_message_that_ends_with_the_connection",
        (
            Source("problem dropped connections on POP3 Fetch to client", "hmailserver/hmailserver#6"),
            Source("The POP3 server has unexpectedly disconnected", "jstedfast/MailKit#174"),
        ),
        {"endings": {5: b""}, "closes": frozenset({5})},
        here=MAILS[:4] + MAILS[5:],
        quarantined="was closed by the server in the middle of message 5",
    ),
    Carried(
        "a_connection_that_ends_behind_each_message",
        (Source("POP3 socket closed too early", "mguessan/davmail#102"),),
        {"closes": frozenset(range(1, 13))},
        {"capabilities": (b"UIDL",), "pipelining": "drops"},
    ),
)

REFUSALS = (
    Carried(
        "one_message_that_is_refused",
        (Source("-ERR Message can not load", "zhangyunhao116/zmail#106"),),
        {"refuses": {7: b"-ERR Message can not load"}},
        here=MAILS[:6] + MAILS[7:],
        quarantined="refuses this message: Message can not load",
    ),
    Carried(
        "one_message_that_is_refused_for_now_and_for_ever",
        (GONE,),
        {"refuses": {1: b"-ERR Can't get the letter xtbBLQwAABrqlERZ8pmJc6[301], try again later"}},
        here=MAILS[1:],
        quarantined="Can't get the letter .*try again later",
    ),
    Carried(
        "several_messages_that_are_refused",
        (GONE,),
        {"refuses": dict.fromkeys(range(2, 9), b"-ERR [SYS/TEMP] cannot be read")},
        here=MAILS[:1] + MAILS[8:],
        quarantined="refuses this message: cannot be read",
    ),
)


@rows(LINES, QuirkTestCase.carries_over)
class Lines(QuirkTestCase):
    pass


@rows(DOTS, QuirkTestCase.carries_over)
class Dots(QuirkTestCase):
    pass


@rows(REFUSALS, QuirkTestCase.carries_over)
class Refusals(QuirkTestCase):
    pass
