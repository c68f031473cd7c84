"""Servers whose LIST, UIDL and STAT are not what RFC 1939 describes: the mailbox comes over whole all the same."""

from __future__ import annotations

from tests.legacy.quirks import Source
from tests.legacy.server import unique_id
from tests.proxy.quirks.rig import MAILS, Carried, QuirkTestCase, rows

NUMBERS = range(1, len(MAILS) + 1)
OWN = [unique_id(message) for message in MAILS]
HMAIL = Source(
    "hMailServer's POP3 server", "hmailserver/hmailserver: hmailserver/source/Server/POP3/POP3Connection.cpp"
)
LONG = [b"x" * 70 + b"%d" % n for n in NUMBERS]
LONGER = [b"ReactionDigest-2fa2525c;rcid_836992d3;r0;" + b"e" * 230 + b"%02d@odspnotify" % n for n in NUMBERS]

NAMES = (
    Carried(
        "no_uidl_no_top_and_no_pipelining",
        (Source("Getting UIDL is not supported by server error message", "neomutt/neomutt#1427"),),
        behaviour={"capabilities": (b"IMPLEMENTATION jpop-0.1", b"USER", b"SASL LOGIN PLAIN"), "uidl": False},
        uidls=(),  # the store's own; not looked at
    ),
    Carried(
        "no_capa_at_all",
        (Source("RFC 2449 5: servers from before it do not know CAPA", "RFC 2449 5"),),
        behaviour={"capabilities": None, "answers": {b"TOP": b"-ERR unimplemented\r\n", b"LAST": b"-ERR\r\n"}},
    ),
    Carried(
        "capa_without_uidl_that_has_it",
        (Source("POP3 UIDL capability not supported", "jakartaee/mail-api#50"),),
        behaviour={"capabilities": (b"USER", b"TOP")},
    ),
    Carried(
        "the_same_name_for_several_messages",
        (
            Source("CHECKUIDS: message UIDs may not be unique", "http://www.pscs.uk/downloads/vpop3/checkuids.zip"),
            Source("hm_messages.messageuid uniqueness?", "hmailserver/hmailserver#475"),
        ),
        behaviour={"uidls": dict.fromkeys((2, 3, 7), b"twice")},
        uidls=[{2: b"twice", 3: None, 7: None}.get(n, own) for n, own in zip(NUMBERS, OWN, strict=True)],
    ),
    Carried(
        "no_names_for_some_messages",
        (
            Source("UID is not passed with POP3", "greenmail-mail-test/greenmail#58"),
            Source("Malformed POP3 responses crash the whole run", "getmail6/getmail6#277"),
        ),
        behaviour={"uidls": {2: b"", 5: b""}},
        uidls=(),
    ),
    Carried(
        "names_of_more_than_70_characters",
        (
            Source(
                "Pop links no longer retrieve same message if UIDL > 70",
                "https://fastmail.com/blog/pop-links-no-longer-retrieve-same-message-if-uidl-70",
            ),
        ),
        behaviour={"uidls": dict(zip(NUMBERS, LONG, strict=True))},
        uidls=LONG,
    ),
    Carried(
        "names_of_more_than_255_characters_that_differ_at_the_end",
        (Source("UIDL can be too long to save", "jbostoen/itop-jb-mail-to-ticket-automation-v2#60"),),
        behaviour={"uidls": dict(zip(NUMBERS, LONGER, strict=True))},
        uidls=LONGER,
    ),
    Carried(
        "names_with_octets_that_are_no_text",
        (Source("Reject unique-ids that contain characters outside 33-126", "billpg/POP3Listener#13"),),
        behaviour={"uidls": {1: b"\xff\x80\x01", 2: "邮件".encode("gb18030"), 3: "邮件".encode(), 4: b"a b  c"}},
        uidls=[b"\xff\x80\x01", "邮件".encode("gb18030"), "邮件".encode(), b"a b  c", *OWN[4:]],
    ),
    Carried(
        "three_spaces_before_the_name",
        (Source("Adapt broken pop3 server", "thunderbird/thunderbird-android#323"),),
        {"name": b"%d   %s"},
    ),
    Carried(
        "an_empty_line_in_front_of_the_names",
        (Source("fix for bad pop 3 server response", "bertjohnson/OpaqueMail#60"),),
        {"before": b"\r\n"},
    ),
    Carried(
        "numbers_as_names",
        (HMAIL,),
        behaviour={"uidls": {n: b"%d" % (n + 40) for n in NUMBERS}, "capabilities": (b"USER", b"UIDL", b"TOP")},
        uidls=[b"%d" % (n + 40) for n in NUMBERS],
    ),
    Carried(
        "uidl_leaves_some_out",
        (Source("Pop3 server returned an incomplete response to the UIDL command", "jstedfast/MailKit#560"),),
        {"named": [n for n in NUMBERS if n not in (4, 12)]},
        uidls=(),
        remark="LIST names 12 messages, UIDL 10, and 10 are in both",
    ),
    Carried(
        "list_leaves_some_out_that_uidl_names",
        (Source("Incomplete message list of a POP3 account", "flourishlib/flourish-classes#137"),),
        {"listed": [n for n in NUMBERS if n != 6], "named": list(NUMBERS)},
        remark="STAT counts 12 messages, and LIST names 11.*LIST names 11 messages, UIDL 12, and 11 are in both",
    ),
    Carried(
        "uidl_names_one_that_is_not_there",
        (Source("Incomplete message list of a POP3 account", "flourishlib/flourish-classes#137"),),
        {"listed": [n for n in NUMBERS if n != 6], "named": list(NUMBERS)},
        {"vanished": frozenset({6})},
        here=MAILS[:5] + MAILS[6:],
        quarantined="refuses this message: no such message",
        remark="LIST names 11 messages, UIDL 12",
    ),
)

SIZES = (
    Carried(
        "sizes_that_are_estimates",
        (
            Source(
                "MS-OXPOP3, product behavior <2>: the MIME size can differ before a message was retrieved",
                "https://msdn.microsoft.com/en-us/library/ee202389(v=exchg.80).aspx",
            ),
            Source("HP OpenMail rounds the sizes in LIST to 1,024 octets", "The fetchmail FAQ, S3"),
        ),
        behaviour={"sizes": {n: b"%d" % (1024 * (1 + n // 3)) for n in NUMBERS}},
    ),
    Carried(
        "sizes_that_count_a_line_end_once",
        (Source("POP message footer not downloaded", "andyedinborough/aenetmail#150"),),
        behaviour={"sizes": {n: b"%d" % len(each.replace(b"\r\n", b"\n")) for n, each in enumerate(MAILS, 1)}},
    ),
    Carried(
        "sizes_of_nothing",
        (Source("pop3 server should omit DELE-ted messages from LIST and UIDL", "twisted/twisted#9094"),),
        behaviour={"sizes": dict.fromkeys(NUMBERS, b"0")},
    ),
    Carried(
        "no_sizes",
        (Source("Malformed POP3 responses crash the whole run", "getmail6/getmail6#277"),),
        behaviour={"sizes": dict.fromkeys(NUMBERS, b"")},
    ),
    Carried(
        "sizes_that_are_no_numbers",
        (Source("Changed POP3 size output to show compatible size", "axllent/mailpit#312"),),
        behaviour={"sizes": {n: b"%%!d(float64=%d)" % len(each) for n, each in enumerate(MAILS, 1)}},
    ),
    Carried(
        "sizes_in_brackets",
        (Source("POP3 — an example", "http://www.memoryhole.net/~kyle/index.php?section=reference&inc=pop3"),),
        {"line": b"%d (%s octets)", "stat": b"12 (1200 octets)"},
    ),
    Carried(
        "negative_sizes",
        (Source("A message was listed with an invalid size", "markushinz/aws-ses-pop3-server#9"),),
        behaviour={"sizes": {1: b"-1", 2: b"-2147483648", 12: b"-97"}},
    ),
    Carried(
        "sizes_that_no_message_has",
        (
            Source("A message was listed with an invalid size", "markushinz/aws-ses-pop3-server#9"),
            Source("A size near the end of 64 bits", "stalwartlabs/stalwart#1778"),
        ),
        behaviour={"sizes": dict.fromkeys(NUMBERS, b"999999999999999999") | {1: b"18446744073699323355"}},
    ),
)

ORDER = (
    Carried(
        "listings_out_of_order",
        (
            Source(
                "No guarantee that the order of messages will be consistent",
                "https://www.everything-mdaemon.com/mdaemon/understanding-pop3-mail-client-duplicates",
            ),
        ),
        {"listed": (7, 3, 12, 1, 2, 11, 4, 6, 5, 10, 9, 8), "named": tuple(reversed(NUMBERS))},
    ),
    Carried("gaps_in_the_numbers", (HMAIL,), {"numbers": tuple(3 * n + 1 for n in NUMBERS)}),
    Carried("a_listing_whose_lines_come_twice", (Source("Data in UIDL's lines", "ruby/net-pop#27"),), {"twice": True}),
    Carried(
        "stat_that_counts_what_list_does_not_show",
        (HMAIL, Source("server.stat() does not give the right number of mails", "zhangyunhao116/zmail#78")),
        {"stat": b"158 90210"},
        remark="STAT counts 158 messages, and LIST names 12; what it does not list does not come over",
    ),
    Carried(
        "stat_that_makes_no_sense",
        (Source("Pop3 server returned an invalid response to the STAT command", "jstedfast/MailKit#872"),),
        {"stat": b"-1 -1 \x00"},
    ),
)


@rows(NAMES, QuirkTestCase.carries_over)
class Names(QuirkTestCase):
    pass


@rows(SIZES, QuirkTestCase.carries_over)
class Sizes(QuirkTestCase):
    pass


@rows(ORDER, QuirkTestCase.carries_over)
class Order(QuirkTestCase):
    pass
