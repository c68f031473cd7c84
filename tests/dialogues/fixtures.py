"""The mailboxes that dialogues begin with: the same octets, flags and dates in the real store and in Dovecot."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mailstore.errors import NoSuchFolder
from mailstore.index.rows import ANSWERED, DELETED, FLAGGED, SEEN
from mailstore.mailbox import Announce
from mailstore.mailhome import MailHome
from mailstore.quota import Limits
from proxy.login.furnishing import NAMES
from tests.dialogues.store import (
    abandoned,
    arrives,
    deliver,
    drop,
    header_comes,
    list_only,
    lose,
    make,
    make_home,
    rename,
)

FIRST_DATE = 1_700_000_000  # 14-Nov-2023 22:13:20 +0000; each further message is an hour younger
HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Sample:
    """A message as it is delivered. `uidl` is what POP3 calls it."""

    octets: bytes
    uidl: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What is in an account: INBOX, then the other folders."""

    inbox: tuple[Sample, ...] = ()
    folders: Mapping[str, tuple[Sample, ...]] = field(default_factory=dict)


def crlf(text: str, encoding: str = "utf-8") -> bytes:
    return text.replace("\n", "\r\n").encode(encoding)


ATTACHMENT = crlf(
    """From: Ann <ann@123.com>
To: user@123.com
Subject: Figures
Date: Tue, 14 Nov 2023 22:13:20 +0000
Message-ID: <one@123.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

--b1
Content-Type: text/plain; charset=utf-8

See the table.
--b1
Content-Type: text/csv; name="figures.csv"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="figures.csv"

YSxiCjEsMgo=
--b1--
"""
)

GB18030 = b"".join(
    (
        b"From: =?gb18030?B?wO7LxA==?= <li@123.com>\r\n",
        b"To: user@123.com\r\n",
        b"Subject: =?gb18030?B?y8S8vrvh0ukx?=\r\n",
        b"Date: Tue, 14 Nov 2023 23:13:20 +0000\r\n",
        b"Message-ID: <two@123.com>\r\n",
        b"MIME-Version: 1.0\r\n",
        b"Content-Type: text/plain; charset=gb18030\r\n",
        b"Content-Transfer-Encoding: 8bit\r\n",
        b"\r\n",
        "四季会议在星期五。\r\n".encode("gb18030"),
    )
)

DOTS = b"".join(
    (
        b"From: bob@123.com\r\n",
        b"To: user@123.com\r\n",
        b"Subject: dots\r\n",
        b"Date: Wed, 15 Nov 2023 00:13:20 +0000\r\n",
        b"Message-ID: <three@123.com>\r\n",
        b"\r\n",
        b".leading dot\r\n",
        b"bare LF\n",
        b".dot after it\r\n",
        b".\r\n",
        b"last line without end",
    )
)

THREE = (
    Sample(ATTACHMENT, "uidl-one"),
    Sample(GB18030, "uidl-two"),
    Sample(DOTS, "uidl-three"),
)

NESTED = crlf(
    """From: carol@123.com
To: user@123.com
Subject: Fwd: outer
Date: Tue, 14 Nov 2023 22:13:20 +0000
Message-ID: <outer@123.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

preamble
--outer
Content-Type: text/plain; charset=us-ascii

forwarded below
--outer
Content-Type: message/rfc822

From: dave@123.com
To: carol@123.com
Subject: inner
Date: Mon, 13 Nov 2023 09:00:00 +0000
Message-ID: <inner@123.com>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=us-ascii

plain
--inner
Content-Type: text/html; charset=us-ascii

<p>rich</p>
--inner--

--outer--
epilogue
"""
)


ENCODINGS = crlf(
    """From: eve@123.com
Subject: encodings
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b"

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

a=3Db=
 caf=C3=A9
--b
Content-Type: text/plain

abcdefghijkl
--b
Content-Type: application/octet-stream
Content-Transfer-Encoding: BASE64

YQ
Bi/wA=
--b--
"""
)
UNKNOWN_ENCODING = crlf("From: eve@123.com\nSubject: uu\nContent-Transfer-Encoding: x-uuencode\n\nbegin\n")


def letter(number: int) -> bytes:
    """A small plain message: `Subject: letter N`, body `body N`."""
    return crlf(
        f"From: sender{number}@123.com\nTo: user@123.com\nSubject: letter {number}\n"
        f"Date: Tue, 14 Nov 2023 10:00:{number % 60:02} +0000\nMessage-ID: <letter{number}@123.com>\n\n"
        f"body {number}\n"
    )


def letters(count: int, *flags: str) -> tuple[Sample, ...]:
    return tuple(Sample(letter(number), f"letter-{number}", flags) for number in range(1, count + 1))


def _conversation() -> Iterator[Sample]:
    """Seven messages: an answer to an answer, a message that nobody has, and subjects that belong together."""
    rows = (
        ("Zoe <zoe@123.com>", "ann@123.com", "Figures", 5, "one", ""),
        ("ann@123.com", "zoe@123.com", "Re: figures", 6, "two", "<one@123.com>"),
        ("=?utf-8?Q?=C3=84nne?= <bee@123.com>", "dan@123.com", "[list] Re: Figures (fwd)", 4, "three", ""),
        ("dan@123.com", "Carl <carl@123.com>", "minutes", 3, "four", "<lost@123.com>"),
        ("carl@123.com", "ann@123.com", "agenda", 8, "five", "<lost@123.com>"),
        ("ann@123.com", "bee@123.com", "Re: Re[2]: FIGURES", 7, "six", "<one@123.com> <two@123.com>"),
        ("bee@123.com", "ann@123.com", "=?gb18030?B?y8S8vrvh0ukx?=", 1, "seven", ""),
    )
    for sender, to, subject, day, name, references in rows:
        refers = f"References: {references}\n" if references else ""
        text = f"From: {sender}\nTo: {to}\nSubject: {subject}\nDate: {day} Nov 2023 10:00:00 +0000\n"
        yield Sample(crlf(f"{text}Message-ID: <{name}@123.com>\n{refers}\n{'x' * day}\n"), name)


MAILBOXES: Mapping[str, Mailbox] = {
    "empty": Mailbox(),
    "three": Mailbox(THREE),
    "nested": Mailbox((Sample(NESTED, "uidl-nested"),)),
    "encodings": Mailbox((Sample(ENCODINGS, "uidl-encodings"), Sample(UNKNOWN_ENCODING, "uidl-unknown"))),
    "letters": Mailbox(letters(5)),
    "fifty": Mailbox(letters(50)),
    "conversation": Mailbox(tuple(_conversation())),
    "flags": Mailbox(
        (
            Sample(letter(1), "letter-1", (SEEN,)),
            Sample(letter(2), "letter-2", (SEEN, ANSWERED)),
            Sample(letter(3), "letter-3", (FLAGGED,)),
            Sample(letter(4), "letter-4", (DELETED,)),
            Sample(letter(5), "letter-5"),
        )
    ),
    "office": Mailbox(
        (*letters(3), Sample(ATTACHMENT, "uidl-one")), {"Archive": letters(2), "Drafts": (), "Sent": (), "草稿": ()}
    ),
    "folders": Mailbox(THREE, {"Archive": letters(2), "Archive/2023": letters(1), "Sent": (), "草稿": ()}),
}


def open_home(path: Path, setup: str = "empty", announce: Announce = lambda *_: None) -> MailHome:
    """A real account below `path` with one of MAILBOXES in it, INBOX's UIDs from 1. Close it."""
    home = make_home(path, announce)
    fill(home, setup)
    return home


def fill(home: MailHome, setup: str) -> None:
    """Have one of MAILBOXES in an account that is empty, INBOX's UIDs from 1."""
    mailbox = MAILBOXES[setup]
    deliver(home, ((each.octets, each.uidl, each.flags, date) for each, date in dated(mailbox.inbox)))
    for name, samples in mailbox.folders.items():
        home.create(name)
        for sample, date in dated(samples):
            home.append(name, io.BytesIO(sample.octets), sample.flags, date)


def dated(samples: Sequence[Sample]) -> Iterator[tuple[Sample, int]]:
    """Messages with their internal dates."""
    return ((sample, FIRST_DATE + at * HOUR) for at, sample in enumerate(samples))


def told(home: MailHome, words: str) -> None:
    """What a dialogue does to the mailbox behind the sessions' back:

    `lose N`: the file of INBOX's Nth message disappears;
    `deliver NAME`: the messages of INBOX of that one of MAILBOXES arrive;
    `furnish LANGUAGE`: the account is given its special folders, as at the first login;
    `quota OCTETS`: the account may hold so much from here on, and 7 messages;
    `drop NAME`: another program delivers them into the Maildir, with LF line ends;
    `make NAME`: another program makes a folder, of Latin letters, with the message of "nested" in it;
    `name N LETTERS`: another program renames INBOX's Nth message to have these flags;
    `list NAME`: the messages of INBOX of that one are listed, and none is here; then for the Nth of them:
    `header N`: its header comes; `arrive N`: it comes; `abandon N`: it cannot be fetched, and is in quarantine;
    `notice INBOX`: the kernel tells of what happened in a folder's directories.
    """
    word, value, *rest = words.split()
    if word == "lose":
        lose(home, int(value))
    elif word == "deliver":
        for sample in MAILBOXES[value].inbox:
            home.append("INBOX", io.BytesIO(sample.octets), sample.flags, FIRST_DATE)
    elif word == "furnish":
        home.make_special_folders(NAMES[value])
    elif word == "quota":
        home.limits = Limits(int(value), 7)
    elif word == "drop":
        for number, sample in enumerate(MAILBOXES[value].inbox):
            drop(home, f"{FIRST_DATE}.{number}.elsewhere", sample.octets.replace(b"\r\n", b"\n"))
    elif word == "make":
        make(home, value, NESTED)
    elif word == "name":
        rename(home, int(value), "".join(rest))
    elif word in {"list", "header", "arrive", "abandon"}:
        _awaited(home, word, value)
    elif word == "notice":
        with suppress(NoSuchFolder):
            home.status(value, looking=True)
    else:
        raise AssertionError(f"the mailbox does not know {words!r}")


def _awaited(home: MailHome, word: str, value: str) -> None:
    if word == "list":
        list_only(home, [(sample.octets, sample.uidl) for sample in MAILBOXES[value].inbox])
    else:
        happens = {"header": header_comes, "arrive": arrives, "abandon": abandoned}[word]
        happens(home, int(value), letter(int(value)))
