"""The base subject: what SORT and THREAD compare of a subject (RFC 5256 2.1).

"Re: [list] [Fwd: Figures (fwd)]" and "figures" are of one conversation: the marks of replies and forwards
and the names of lists in square brackets are taken off. Linear in the subject's length, without recursion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_SPACES = re.compile(r"[ \t\r\n]+")
# subj-blob = "[" *BLOBCHAR "]" *WSP; BLOBCHAR is any character except "[" and "]"
_BLOBS = re.compile(r"(?:\[[^\[\]]*+\] *+)*")
_BLOB: Final = r"\[[^\[\]]*+\] *+"
# subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
_REFWD = re.compile(rf"(?:re|fwd?) *+(?:{_BLOB})?:", re.IGNORECASE | re.ASCII)
_FWD_HEADER: Final = "[fwd:"  # subj-fwd-hdr
_FWD_TRAILER: Final = "]"  # subj-fwd-trl
_TRAILER: Final = "(fwd)"  # subj-trailer = "(fwd)" / WSP


@dataclass(frozen=True, slots=True)
class BaseSubject:
    """`text` without the marks, its case as it was. `reply`: a mark of a reply or forward was among them."""

    text: str
    reply: bool


def base_subject(subject: str) -> BaseSubject:
    """The base of a decoded subject (step 1, decoding, is `headers.decode_words`)."""
    text = _SPACES.sub(" ", subject)
    start, end = 0, len(text)
    reply = False
    while True:
        end, forwarded = _without_trailers(text, start, end)
        start, replied = _without_leaders(text, start, end)
        reply = reply or forwarded or replied
        wrapped = text[start : start + len(_FWD_HEADER)].lower() == _FWD_HEADER
        if not (wrapped and start + len(_FWD_HEADER) < end and text[end - 1] == _FWD_TRAILER):
            return BaseSubject(text[start:end], reply)
        start, end, reply = start + len(_FWD_HEADER), end - 1, True


def _without_trailers(text: str, start: int, end: int) -> tuple[int, bool]:
    """Step 2: where the text ends without them, and whether a "(fwd)" was there."""
    forwarded = False
    while True:
        while end > start and text[end - 1] == " ":
            end -= 1
        at = end - len(_TRAILER)
        if at < start or text[at:end].lower() != _TRAILER:
            return end, forwarded
        end, forwarded = at, True


def _without_leaders(text: str, start: int, end: int) -> tuple[int, bool]:
    """Steps 3 to 5: subj-leader = (*subj-blob subj-refwd) / WSP; blobs in front of a base that is not empty go too."""
    replied = False
    while True:
        while start < end and text[start] == " ":
            start += 1
        blobs = _BLOBS.match(text, start, end)
        behind = start if blobs is None else blobs.end()
        mark = _REFWD.match(text, behind, end)
        if mark is None:
            break
        start, replied = mark.end(), True
    if behind < end:
        return behind, replied
    return max(text.rfind("[", start, end), start), replied  # nothing but blobs: the last is the base
