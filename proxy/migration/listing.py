"""LIST, UIDL and STAT of one mailbox put together: which messages there are, and whether these are all of them.

A server may show less of a mailbox than it holds. It hardly ever says so, and a client cannot make it show the rest;
only a person can. So what can be noticed is remarked on, for the administrator:

* its three answers contradict each other. A message that LIST or UIDL names is listed here: asked for in vain, it
  is seen in the quarantine; left out, it would be missed by nobody.
* its greeting or its capabilities give it away as one that is known to show a window only;
* it announces EXPIRE 0 (RFC 2449 6.7): what is fetched may be gone when the session ends with QUIT.

No I/O.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailstore.entries import NUL, Listed

UIDL_LIMIT: Final = 1_000  # characters of a UIDL that is kept; RFC 1939 7 allows 70, and some servers do not keep to it
_UNIQUE_ID: Final = re.compile(rb"[!-~]{0,70}").fullmatch  # RFC 1939 7; "" is a server's that does not say
_DIGEST: Final = 33  # of these, in a longer one: "…" and what tells it from others that begin alike


@dataclass(frozen=True, slots=True)
class Window:
    """Servers known to show part of a mailbox by default. `sign` is looked for in greeting and capabilities."""

    sign: re.Pattern[str]
    remark: str


WINDOWS: Final = (
    # Gmail: "+OK Gpop ready for requests from …", capability X-GOOGLE-RICO. About 250 of the oldest conversations that
    # no POP client has fetched, or with "recent:" before the login all of the last 30 days (its help page 7104828).
    Window(
        re.compile(r"\bGpop ready\b|\bX-GOOGLE-RICO\b"),
        'Gmail lists about 250 conversations at a time over POP3, with `login = "recent:…"` the last 30 days: '
        "what is not listed does not come over; it has all of it over IMAP",
    ),
    # "+OK QQMail POP3 Server v1.0 Service Ready(QQMail v2.0)", of qq.com and of exmail.qq.com
    Window(
        re.compile(r"\bQQMail POP3 Server\b"),
        "QQ and exmail list the mail of the last 30 days unless the user has chosen all of it in the web mail's "
        "settings for POP3: what is not listed does not come over",
    ),
    # "+OK Welcome to coremail Mail Pop3 Server (163coms[…])": 163.com, 126.com and their business hosts. Others run the
    # same software on their own terms, with their own name in the brackets.
    Window(
        re.compile(r"\bcoremail Mail Pop3 Server \((163|126|yeah|188|qiye)", re.IGNORECASE),
        "NetEase lists the mail of the last 30 days unless the user has chosen all of it in the web mail's "
        "settings for POP3: what is not listed does not come over",
    ),
    # WildDuck: "+OK WDPop ready for requests from …", IMPLEMENTATION WildDuck-v…; its README: "POP3 listing displays
    # the newest 250 messages in INBOX (configurable)"
    Window(
        re.compile(r"\bWDPop ready\b|^IMPLEMENTATION WILDDUCK\b", re.MULTILINE),
        "WildDuck lists the newest 250 messages unless it is configured otherwise: what is not listed does not come "
        "over",
    ),
)

EXPIRES: Final = (
    "the legacy server announces that it does not keep what was fetched (EXPIRE 0): sessions end without QUIT, so "
    "that nothing changes there; let it be set to keep mail until the move is over, or other programs that fetch "
    "there may have it removed"
)


def together(
    sizes: Mapping[int, int | None], uidls: Sequence[tuple[int, bytes]] | None, count: int | None
) -> tuple[list[Listed], list[str]]:
    """By number: what is listed, and what is to be remarked on. `count` is STAT's, None where it is not known.

    A server without UIDL gives names of ""; a size that it does not tell is 0.
    """
    names = dict(uidls or ())
    numbers = sorted(sizes.keys() | names.keys())
    listed = [Listed(number, uidl(names.get(number)), sizes.get(number) or 0) for number in numbers]
    remarks = []
    if count is not None and count != len(sizes):
        remarks.append(
            f"the legacy server contradicts itself: STAT counts {count} messages, and LIST names {len(sizes)}; "
            "what it does not list does not come over"
        )
    if uidls is not None and names.keys() != sizes.keys():
        remarks.append(
            f"the legacy server contradicts itself: LIST names {len(sizes)} messages, UIDL {len(names)}, and "
            f"{len(sizes.keys() & names.keys())} are in both"
        )
    return listed, remarks


def odd(sizes: Mapping[int, int | None], uidls: Sequence[tuple[int, bytes]] | None, count: int | None) -> bool:
    """Is there anything in the answers that servers seldom say? They may have been garbled on their way."""
    if None in sizes.values() or count not in {None, len(sizes)}:
        return True
    if uidls is None:
        return False
    return len(uidls) != len(sizes) or any(number not in sizes or not _UNIQUE_ID(name) for number, name in uidls)


def known(greeting: str, capabilities: Mapping[str, Sequence[str]]) -> list[str]:
    """What is known to be remarked on of a server that presents itself so. Capabilities are in capitals."""
    signs = "\n".join([greeting, *(" ".join([name, *arguments]) for name, arguments in capabilities.items())])
    return [window.remark for window in WINDOWS if window.sign.search(signs)]


def uidl(name: bytes | None) -> str:
    """A UIDL as the ledger keeps it. Bytes that are no text are kept one to one."""
    text = b"" if name is None else name
    if len(text) <= UIDL_LIMIT:
        return _text(text)
    digest = hashlib.sha256(text).hexdigest()[: _DIGEST - 1]
    return _text(text[: UIDL_LIMIT - _DIGEST]) + "_" + digest


def _text(name: bytes) -> str:
    return name.decode("latin-1").replace("\0", NUL)
