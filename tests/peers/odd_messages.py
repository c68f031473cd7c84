"""Messages as they come in the wild, each odd in one way: what a server makes of them is compared with Dovecot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _mail(header: str, body: str = "body\n") -> bytes:
    return (header + "\n" + body).replace("\n", "\r\n").encode("latin-1")


def _mixed(body: str, boundary: str = "b", more: str = "") -> bytes:
    return _mail(f"Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary={boundary}\n{more}", body)


ODD: Final[Mapping[str, bytes]] = {
    "plain": _mail("From: a@b.c\nTo: d@e.f\nSubject: x\nDate: Tue, 14 Nov 2023 10:00:00 +0000\nMessage-ID: <1@b>\n"),
    "nothing but a body": b"\r\nbody\r\n",
    "empty": b"\r\n",
    "a header alone": b"Subject: x\r\n\r\n",
    "a header without its blank line": b"Subject: x\r\nFrom: a@b\r\n",
    "no line end at the end": b"Subject: x\r\n\r\nbody",
    "bare LFs": b"Subject: x\nFrom: a@b\n\nbody\nmore\n",
    "a folded subject": _mail("Subject: one\n two\n\tthree\n"),
    "8-bit in the header": _mail("Subject: caf\xe9\nFrom: \xe9 <a@b>\n"),
    "encoded words": _mail("Subject: =?utf-8?B?5Lya6K6u?= =?gb2312?Q?=D6=D0?=\nFrom: =?utf-8?Q?=C3=A9?= <a@b>\n"),
    "quotes and backslashes": _mail('Subject: say "x" \\ y\nFrom: "a \\"b\\" c" <a@b>\n'),
    "comments": _mail("From: a@b (A (nested) name)\nTo: (before) c@d\n"),
    "groups": _mail("To: friends: a@b, C <c@d>;\nCc: undisclosed-recipients:;\nFrom: x@y\n"),
    "no addresses": _mail("From:\nTo: \nCc: ,\nSubject: x\n"),
    "a name without address": _mail("From: root\nTo: Somebody\n"),
    "a route": _mail("From: <@relay,@other:a@b>\n"),
    "many addresses": _mail("From: a@b\nTo: " + ", ".join(f"u{n}@b" for n in range(30)) + "\n"),
    "sender and reply-to": _mail("From: a@b\nSender: c@d\nReply-To: e@f, g@h\nBcc: i@j\nIn-Reply-To: <1@x> <2@x>\n"),
    "a header twice": _mail("Subject: one\nSubject: two\nFrom: a@b\nFrom: c@d\n"),
    "an html message": _mail("Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n"),
    "a type without a charset": _mail("Content-Type: text/plain\n"),
    "a type alone": _mail("Content-Type: text\n"),
    "a type that is none": _mail("Content-Type: what is this; x\n"),
    "a type in capitals": _mail('CONTENT-TYPE: TEXT/PLAIN; CHARSET="UTF-8"; Format=Flowed\n'),
    "a disposition": _mail('Content-Type: x/y; name="a b"\nContent-Disposition: attachment; filename="a b"; size=7\n'),
    "RFC 2231": _mail("Content-Type: application/x; name*0*=utf-8''%E4%BC; name*1*=%9A; name*2=.txt\n"),
    "id, description, language, location, md5": _mail(
        "Content-Type: image/png\nContent-ID: <x@y>\nContent-Description: a picture\nContent-Language: en, fr\n"
        "Content-Location: http://x/\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Transfer-Encoding: BASE64\n"
    ),
    "two parts": _mixed("--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n--b--\n"),
    "preamble and epilogue": _mixed("before\n--b\n\none\n--b--\nafter\n"),
    "a quoted boundary with spaces": _mixed("--a b\n\none\n--a b--\n", '"a b"'),
    "a boundary that begins another": _mixed("--b\n\n--bb\nx\n--b\n\n--b-\ny\n--b--\n"),
    "never closed": _mixed("--b\n\none\n--b\n\ntwo\n"),
    "closed twice": _mixed("--b\n\none\n--b--\n--b\n\ntwo\n--b--\n"),
    "an empty part": _mixed("--b\n\n--b\n\n\n--b\nContent-Type: text/html\n\n--b--\n"),
    "a part whose header runs into a delimiter": _mixed("--b\nContent-Type: text/html\n--b\n\ntwo\n--b--\n"),
    "no boundary": _mail("Content-Type: multipart/mixed\n", "--b\n\none\n--b--\n"),
    "no parts": _mixed("nothing here\n"),
    "white space behind delimiters": _mixed("--b  \n\none\n--b\t\n\ntwo\n--b-- \n"),
    "nested multiparts": _mixed(
        "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\n1\n--c\nContent-Type: text/html\n\n2\n--c--\n\n"
        "--b\nContent-Type: image/gif\nContent-Transfer-Encoding: base64\n\nR0lG\n--b--\n"
    ),
    "an inner multipart that is not closed": _mixed(
        "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\none\n--b\n\ntwo\n--b--\n"
    ),
    "a message inside": _mixed(
        "--b\nContent-Type: message/rfc822\n\nFrom: i@j\nSubject: inner\n\ninner body\n--b\n\nlast\n--b--\n"
    ),
    "a message with a multipart inside": _mail(
        "Content-Type: message/rfc822\nSubject: outer\n",
        "Subject: inner\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\none\n--c\n\ntwo\n--c--\n",
    ),
    "a digest": _mail(
        "Content-Type: multipart/digest; boundary=d\n", "--d\n\nSubject: one\n\n1\n--d\n\nSubject: two\n\n2\n--d--\n"
    ),
    "an empty message inside": _mixed("--b\nContent-Type: message/rfc822\n\n--b--\n"),
    "a delivery report": _mail(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n",
        "--b\n\nfailed\n--b\nContent-Type: message/delivery-status\n\nAction: failed\n--b\n"
        "Content-Type: text/rfc822-headers\n\nSubject: x\n--b--\n",
    ),
    "a long line": _mail("Subject: " + "x" * 2000 + "\n"),
    "a line that is no field": _mail("Subject: x\nthis is no field\nFrom: a@b\n"),
    "space before the colon": _mail("Subject : x\nFrom : a@b\n"),
    "From of an mbox": _mail("From root Tue Nov 14 2023\nSubject: x\n"),
}  # fmt: skip
