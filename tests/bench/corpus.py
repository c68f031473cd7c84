"""Mailboxes to measure with, the same at each run: real-looking headers, text of a given size, now and then an
attachment, a line that begins with a dot."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

_SUBJECTS = ("Minutes", "=?utf-8?B?5pCs6YG36YCa55+l?=", "Offer", "=?gb2312?B?u+HS6c2o1qo=?=", "Re: lunch")
_DAY = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True)
class Box:
    """How many messages, and of how many octets each."""

    count: int
    least: int
    most: int


BOXES = {
    "small": Box(5_000, 2_000, 8_000),
    "tiny": Box(20_000, 300, 600),
    "large": Box(300, 1 << 20, 1 << 20),
    "huge": Box(1, 200 << 20, 200 << 20),
} | {f"crowd{n}": Box(200, 2_000, 8_000) for n in range(50)}


def _date(n: int) -> str:
    day, hour = divmod(n, 24)
    return f"{_DAY[(day + 3) % 7]}, {day % 28 + 1} Jan {2009 + day // 28 % 10} {hour:02}:15:00 +0800"


def message(random_: random.Random, n: int, size: int) -> bytes:
    """Message number n of about `size` octets, with LF line ends as a Maildir has them."""
    head = (
        f"Return-Path: <from{n % 37}@example.org>\n"
        f"Received: from mx{n % 3}.example.org (192.0.2.{n % 250})\n"
        f"\tby mail.123.com with ESMTP id {n:08x}; {_date(n)}\n"
        f"Date: {_date(n)}\nFrom: Sender {n % 37} <from{n % 37}@example.org>\nTo: user@123.com\n"
        f"Subject: {_SUBJECTS[n % len(_SUBJECTS)]} {n}\nMessage-ID: <{n}.{random_.getrandbits(40):x}@example.org>\n"
        "MIME-Version: 1.0\n"
    )
    if size >= 1 << 20 or n % 7 == 0:
        data = base64.b64encode(random_.randbytes(size * 3 // 4)).decode()
        lines = "\n".join(data[i : i + 76] for i in range(0, len(data), 76))
        text = f"Content-Type: application/octet-stream; name=a{n}.bin\nContent-Transfer-Encoding: base64\n\n{lines}\n"
        return (head + text).encode()
    words = [f"{random_.getrandbits(24):x}" for _ in range(120)]
    lines_, length = [], 0
    while length < size:
        line = " ".join(random_.choices(words, k=9))
        if random_.random() < 0.02:
            line = "." + line
        lines_.append(line)
        length += len(line) + 1
    return (head + "Content-Type: text/plain; charset=utf-8\n\n" + "\n".join(lines_) + "\n").encode()


def fill(
    maildir: Path, box: Box, seed: int | str, *, suffix: Callable[[int, bytes], str] = lambda _n, _data: ":2,"
) -> int:
    """Write a box into an empty Maildir's `cur`, a message an hour, and give back its octets. `suffix` says how the
    name of a message's file ends."""
    random_, octets = random.Random(seed), 0
    for n in range(box.count):
        data = message(random_, n, random_.randint(box.least, box.most))
        (maildir / "cur" / f"{1230768000 + n * 3600}.M{n}P1.bench{suffix(n, data)}").write_bytes(data)
        octets += len(data)
    return octets


def boxes(names: Iterable[str]) -> dict[str, Callable[[Path], int]]:
    """How the Maildirs of the boxes of these names are filled."""
    return {name: partial(fill, box=BOXES[name], seed=name) for name in names}
