"""Right commands of every kind: what fuzzing begins with. One more command in the table needs its examples here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

MESSAGE: Final = b"Subject: x\r\n\r\nbody\r\n"


def literal(data: bytes, kind: bytes = b"{%d+}") -> bytes:
    return kind % len(data) + b"\r\n" + data


_KEYS: Final = (
    b"ALL", b"1:* NOT SEEN",
    b"UID 1:*,4", b"OR FROM carol (SUBJECT figures TEXT table)", b"$", b"LARGER 5 SMALLER 9999",
    b"CHARSET UTF-8 BODY " + literal("会议".encode()), b"CHARSET GB18030 SUBJECT " + literal("会议".encode("gb18030")),
    b"SINCE 1-Nov-2023 BEFORE 31-Dec-2023", b"SENTON 14-Nov-2023", b"HEADER Message-ID one", b"KEYWORD $Work",
    b'MODSEQ "/flags/\\\\seen" all 1', b"YOUNGER 100 OLDER 2", b"EMAILID E1", b"SAVEDBEFORE 1-Jan-2030",
    b"(((NOT NOT NOT ALL)))",
)  # fmt: skip
_ITEMS: Final = (
    b"FLAGS", b"ALL", b"FULL", b"(UID ENVELOPE BODYSTRUCTURE)", b"BODY[]", b"BODY.PEEK[1.MIME]", b"BODY[2]<1.5>",
    b"(RFC822.SIZE INTERNALDATE)", b"BODY.PEEK[HEADER.FIELDS (From To)]", b"RFC822.HEADER", b"BODY[4.2.HEADER]",
    b"BINARY.PEEK[2]<0.9>", b"BINARY.SIZE[1]", b"BODY.PEEK[HEADER.FIELDS.NOT (X " + literal(b"Date") + b")]",
    b"(MODSEQ) (CHANGEDSINCE 1)", b"(PREVIEW (LAZY) SAVEDATE EMAILID THREADID)", b"FLAGS (PARTIAL -1:-2)",
    b"BODY[TEXT]<5.0>", b"FAST (CHANGEDSINCE 1 VANISHED)",
)  # fmt: skip
_RETURNS: Final = (b"", b"RETURN () ", b"RETURN (MIN MAX COUNT ALL) ", b"RETURN (SAVE) ", b"RETURN (PARTIAL -1:-10) ")
_FLAGS: Final = (
    b"+FLAGS (\\Seen $Work)",
    b"-FLAGS.SILENT \\Deleted",
    b"FLAGS ()",
    b"(UNCHANGEDSINCE 1) +FLAGS \\Flagged",
)
_SELECTS: Final = (
    b"INBOX", b"Other", b'"&g0l6Pw-"', literal(b"INBOX"), b"INBOX (CONDSTORE)",
    b"INBOX (QRESYNC (1700100000 1 1:9 (1 1)))",
)  # fmt: skip
_APPENDS: Final = (
    b"INBOX " + literal(MESSAGE),
    b'Other (\\Seen $Work) "14-Nov-2023 22:13:20 +0000" ' + literal(MESSAGE),
    b"INBOX " + literal(MESSAGE, b"~{%d+}"),
    b"INBOX " + literal(MESSAGE, b"{%d}"),
    b"INBOX " + literal(MESSAGE) + b" (\\Flagged) " + literal(MESSAGE),
    b'INBOX CATENATE (URL "/INBOX;UIDVALIDITY=1700100000/;UID=1/;SECTION=HEADER" TEXT ' + literal(b"x") + b")",
    b"INBOX UTF8 (" + literal(MESSAGE, b"~{%d+}") + b")",
)


def _with(name: bytes, *arguments: bytes) -> tuple[bytes, ...]:
    return tuple(name + b" " + each for each in arguments)


def _both(name: bytes, *arguments: bytes) -> Mapping[str, Sequence[bytes]]:
    return {name.decode(): _with(name, *arguments), f"UID {name.decode()}": _with(b"UID " + name, *arguments)}


def _searches(name: bytes, what: bytes = b"") -> Mapping[str, Sequence[bytes]]:
    returns = _RETURNS if name == b"SEARCH" else (b"",)
    return _both(name, *(kind + what + key for kind in returns for key in _KEYS if not what or b"CHARSET" not in key))


EXAMPLES: Final[Mapping[str, Sequence[bytes]]] = {
    "CAPABILITY": (b"CAPABILITY",),
    "NOOP": (b"NOOP", b"noop"),
    "LOGOUT": (b"LOGOUT",),
    "ID": (b"ID NIL", b'ID ("name" "x" "version" NIL)', b"ID ()", b"ID (" + literal(b"name") + b' "y")'),
    "STARTTLS": (b"STARTTLS",),
    "AUTHENTICATE": (
        b"AUTHENTICATE PLAIN AHVzZXJAMTIzLmNvbQBwYXNz",
        b"AUTHENTICATE PLAIN\r\nAHVzZXJAMTIzLmNvbQBwYXNz",
        b"AUTHENTICATE LOGIN\r\ndXNlckAxMjMuY29t\r\ncGFzcw==",
        b"AUTHENTICATE PLAIN =",
        b"AUTHENTICATE PLAIN\r\n*",
        b"AUTHENTICATE SCRAM-SHA-256 abc",
    ),
    "LOGIN": (
        b"LOGIN user@123.com pass",
        b'LOGIN "user" "pa\\"ss"',
        b"LOGIN " + literal(b"user@123.com") + b" " + literal(b"pass"),
        b"LOGIN " + literal(b"user@123.com", b"{%d}") + b" pass",
    ),
    "UNAUTHENTICATE": (b"UNAUTHENTICATE",),
    "ENABLE": _with(b"ENABLE", b"CONDSTORE", b"QRESYNC UTF8=ACCEPT", b"IMAP4rev2", b"UIDONLY", b"X-NOTHING"),
    "COMPRESS": (b"COMPRESS DEFLATE", b"COMPRESS LZW"),
    "SELECT": _with(b"SELECT", *_SELECTS),
    "EXAMINE": _with(b"EXAMINE", *_SELECTS),
    "CREATE": _with(b"CREATE", b"New", b"a/b/c/", b'"&ZTZO9nux-"', b"Sent2 (USE (\\Sent))", literal(b"In literal")),
    "DELETE": _with(b"DELETE", b"Other", b"New", b"INBOX", b"a"),
    "RENAME": _with(b"RENAME", b"Other Another", b"INBOX Kept", b"a b", b"New a/New"),
    "SUBSCRIBE": _with(b"SUBSCRIBE", b"Other", b'"gone"'),
    "UNSUBSCRIBE": _with(b"UNSUBSCRIBE", b"Other", b"INBOX"),
    "LIST": _with(
        b"LIST", b'"" *', b'"" ""', b'a %/%', b'(SUBSCRIBED RECURSIVEMATCH) "" (* %) RETURN (CHILDREN SPECIAL-USE)',
        b'"" % RETURN (STATUS (MESSAGES UNSEEN SIZE))', b'() "" (INBOX)', b'"" ' + literal(b"*"),
    ),
    "LSUB": _with(b"LSUB", b'"" *', b'"a" %'),
    "NAMESPACE": (b"NAMESPACE",),
    "STATUS": _with(
        b"STATUS", b"INBOX (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)", b"Other (HIGHESTMODSEQ SIZE DELETED)"),
    "GETMETADATA": _with(
        b"GETMETADATA", b'"" /private/comment', b"(DEPTH infinity MAXSIZE 9) INBOX (/private /shared/x)"),
    "SETMETADATA": _with(
        b"SETMETADATA", b'INBOX (/private/comment "x")',
        b'"" (/shared/a NIL /private/b ' + literal(b"y", b"~{%d+}") + b")",
    ),
    "GETQUOTA": _with(b"GETQUOTA", b'""', b"x"),
    "GETQUOTAROOT": _with(b"GETQUOTAROOT", b"INBOX", b"nowhere"),
    "APPEND": _with(b"APPEND", *_APPENDS),
    **_both(b"REPLACE", *(b"1 " + each for each in _APPENDS[:4])),
    "IDLE": (b"IDLE\r\nDONE", b"IDLE\r\nnot done"),
    "CHECK": (b"CHECK",),
    "CLOSE": (b"CLOSE",),
    "UNSELECT": (b"UNSELECT",),
    "EXPUNGE": (b"EXPUNGE",),
    "UID EXPUNGE": _with(b"UID EXPUNGE", b"1:*", b"$"),
    "NOTIFY": _with(
        b"NOTIFY", b"NONE", b"SET (SELECTED (MessageNew (UID FLAGS) MessageExpunge FlagChange))",
        b"SET STATUS (PERSONAL (MessageNew MessageExpunge)) (SUBTREE Other (MailboxName SubscriptionChange))",
        b"SET (MAILBOXES (INBOX Other) NONE)",
    ),
    **_searches(b"SEARCH"),
    **_searches(b"SORT", b"(REVERSE DATE SUBJECT) UTF-8 "),
    **_searches(b"THREAD", b"REFERENCES UTF-8 "),
    **_both(b"FETCH", *(numbers + b" " + items for numbers in (b"1:*", b"2,4:3", b"$") for items in _ITEMS)),
    **_both(b"STORE", *(b"1:2 " + flags for flags in _FLAGS), b"* +FLAGS \\Deleted"),
    **_both(b"COPY", b"1:* Other", b"$ " + literal(b"nowhere"), b"9 INBOX"),
    **_both(b"MOVE", b"1 Other", b"* INBOX", b"2:4 nowhere"),
}  # fmt: skip
