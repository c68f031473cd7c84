"""IMAP URLs of messages and their parts on this server (RFC 5092, as far as RFC 4469 3 needs them).

imap://user@host/INBOX;UIDVALIDITY=785799047/;UID=113330/;SECTION=1.5.9/;PARTIAL=0.1024
/INBOX/;UID=20                  the same server
;UID=20/;SECTION=HEADER         the selected mailbox
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from proxy.imap.grammar import folder_names
from proxy.imap.grammar.fetch_items import body_section
from proxy.imap.grammar.sequences import LAST_NUMBER
from proxy.imap.grammar.syntax import BadSyntax, BodySection

MAX_URL: Final = 4_096

# "imap://" [iuserinfo "@"] host [":" port]; iuserinfo = enc-user [";AUTH=" …]
_SERVER: Final = re.compile(
    r"imap://(?:(?P<user>[^/@;]*)(?:;AUTH=[^/@]*)?@)?(?P<host>[^/@:]+)(?::[0-9]*)?", re.IGNORECASE
)
# [enc-mailbox [";UIDVALIDITY=" nz-number]] "/" ";UID=" nz-number ["/;SECTION=" enc-section] ["/;PARTIAL=" range]
_MESSAGE: Final = re.compile(
    r"(?:/(?P<folder>[^;]+?)(?:;UIDVALIDITY=(?P<validity>[0-9]{1,10}))?/|/?)"
    r";UID=(?P<uid>[0-9]{1,10})"
    r"(?:/;SECTION=(?P<section>[^;]+?))?"
    r"(?:/;PARTIAL=(?P<first>[0-9]{1,18})(?:\.(?P<count>[0-9]{1,18}))?)?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """What a URL names. `folder` None: the selected one; `section` None: the whole message. `partial` is the first
    octet and how many, None to the end. `user` and `host` only if the URL has them."""

    user: str | None
    host: str | None
    folder: str | None
    uidvalidity: int | None
    uid: int
    section: BodySection | None
    partial: tuple[int, int | None] | None


def message_url(url: bytes) -> MessageUrl | None:
    """None for whatever is no URL of a message."""
    if len(url) > MAX_URL or not url.isascii():
        return None
    text = url.decode("ascii")
    server = _SERVER.match(text)
    rest = text[server.end() :] if server is not None else text
    found = _MESSAGE.fullmatch(rest)
    if found is None or not 0 < int(found["uid"]) <= LAST_NUMBER or (server is not None and found["folder"] is None):
        return None
    first, count = found["first"], found["count"]
    try:
        return MessageUrl(
            user=unquote_to_bytes(server["user"]).decode() if server is not None and server["user"] else None,
            host=server["host"].lower() if server is not None else None,
            folder=folder_names.decode(unquote_to_bytes(found["folder"]), utf8=True) if found["folder"] else None,
            uidvalidity=int(found["validity"]) if found["validity"] else None,
            uid=int(found["uid"]),
            section=body_section(unquote_to_bytes(found["section"])) if found["section"] else None,
            partial=(int(first), int(count) if count is not None else None) if first is not None else None,
        )
    except (BadSyntax, UnicodeDecodeError):
        return None
