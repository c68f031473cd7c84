"""An old mailbox as people have it: talk in threads, Chinese, an attachment, and much else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from email.message import EmailMessage

from tests.legacy.dovecot import Dovecot
from tests.peers.mailboxes import write_letters

REPORT = b"%PDF-1.4\n" + bytes(range(256)) * 40
_BEGINNING = 1_710_000_000


def message(
    number: int, subject: str, text: str, *, answers: Sequence[int] = (), report: str = "", charset: str = "utf-8"
) -> bytes:
    """`answers` are the numbers of those before it in its thread, `report` is what the attachment is called."""
    mail = EmailMessage()
    mail["From"] = "李伟 <li@123.com>"
    mail["To"] = "wang@123.com"
    mail["Subject"] = subject
    mail["Date"] = f"Mon, 11 Mar 2024 09:{number:02d}:00 +0800"
    mail["Message-ID"] = f"<talk{number}@123.com>"
    if answers:
        mail["In-Reply-To"] = f"<talk{answers[-1]}@123.com>"
        mail["References"] = " ".join(f"<talk{each}@123.com>" for each in answers)
    mail.set_content(text, charset=charset)
    if report:
        mail.add_attachment(REPORT, maintype="application", subtype="pdf", filename=report)
    return mail.as_bytes().replace(b"\n", b"\r\n")


TALK = (
    message(1, "Budget", "What do we need next year?\n"),
    message(2, "Re: Budget", "Three more desks.\n", answers=[1]),
    message(3, "Re: Budget", "And a kettle.\n", answers=[1, 2]),
    message(4, "会议纪要", "下周三讨论搬迁计划。\n", charset="gb18030"),
    message(5, "季度报告", "请查收附件。\n", report="季度报告.pdf"),
)


def write_talk(legacy: Dovecot, user: str, letters: int = 5) -> int:
    """Write the mailbox: so many letters, then the talk. Gives back how many messages there are."""
    write_letters(legacy, user, letters)
    for number, octets in enumerate(TALK, 1):
        file = legacy.maildir(user) / "cur" / f"{_BEGINNING + number}.T{number}P1.old:2,"
        file.write_bytes(octets)
        os.utime(file, (_BEGINNING + number,) * 2)
    legacy.own()
    return letters + len(TALK)
