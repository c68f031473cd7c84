"""What SEARCH says of its result: SEARCH, or ESEARCH with the figures that the client asked for.

RFC 3501 7.2.5, RFC 4731 3.1, RFC 5182 2.1, RFC 7162 3.1.10, RFC 9394 3.1. Pure: places of messages in the
view go in, ascending, and bytes come out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from proxy.imap import responses
from proxy.imap.grammar.search_syntax import Returns


def part(found: Sequence[int], places: tuple[int, int]) -> Sequence[int]:
    """PARTIAL's part of a result: `places` as in Returns, whatever of them is there (RFC 9394 3.1)."""
    near, far = places
    if near > 0:
        return found[near - 1 : far]
    return found[max(0, len(found) + far) : max(0, len(found) + near + 1)]


def of_interest(found: Sequence[int], returns: Returns) -> Sequence[int]:
    """The messages that `$` stands for and whose modseq counts: all, or those asked for (RFC 5182 2.1, RFC 9394)."""
    if returns.whole or not found:
        return found
    few: set[int] = set()
    if returns.min:
        few.add(found[0])
    if returns.max:
        few.add(found[-1])
    if returns.partial is not None:
        few.update(part(found, returns.partial))
    return sorted(few)


def plain(numbers: Sequence[int], modseq: int | None) -> bytes:
    """`* SEARCH 2 3 5 (MODSEQ 917)`"""
    words = [b"* SEARCH", *(b"%d" % number for number in numbers)]
    if modseq is not None:
        words.append(b"(MODSEQ %d)" % modseq)
    return b" ".join(words) + b"\r\n"


def extended(
    tag: bytes, found: Sequence[int], number: Callable[[int], int], returns: Returns, *, uid: bool, modseq: int | None
) -> bytes:
    """`* ESEARCH (TAG "a") UID MIN 2 COUNT 17 …`; `number` gives a place's number or UID.

    Nothing where nothing but SAVE was asked for (RFC 5182 2.1).
    """
    words = [b"* ESEARCH (TAG %b)" % responses.string(tag)]
    if uid:
        words.append(b"UID")
    if returns.min and found:
        words.append(b"MIN %d" % number(found[0]))
    if returns.max and found:
        words.append(b"MAX %d" % number(found[-1]))
    if returns.all and found:
        words.append(b"ALL " + responses.numbers(map(number, found)))
    if returns.partial is not None:
        some = responses.numbers(map(number, part(found, returns.partial))) or responses.NIL
        words.append(b"PARTIAL (%d:%d %b)" % (*returns.partial, some))
    if returns.count:
        words.append(b"COUNT %d" % len(found))
    if modseq is not None:
        words.append(b"MODSEQ %d" % modseq)
    wants = returns.min or returns.max or returns.all or returns.count or returns.partial is not None
    return b" ".join(words) + b"\r\n" if wants else b""
