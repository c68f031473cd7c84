"""From what a user is told to a mail (RFC 5322), in all languages that are wanted at once."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.quoprimime import body_encode
from email.utils import format_datetime
from typing import Final

from mailstore.accounts import Account
from proxy.admin.noticing.facts import plain
from proxy.admin.noticing.fields import LINE, address, mailbox, unstructured
from proxy.admin.noticing.texts import Text
from proxy.config import Config
from proxy.config.names import sender_parts

_BELOW: Final = {"zh": "（中文内容在下方）", "en": "(The same in English below.)"}
_RULE: Final = "-" * 60
_LONGEST_NAME: Final = 200  # characters in the header


@dataclass(frozen=True, slots=True)
class Addressed:
    """A mail and the addresses of its envelope. `international`: the relay must speak SMTPUTF8 (RFC 6531)."""

    sender_name: str
    sender: str
    recipient_name: str
    recipient: str
    subject: str
    text: str  # lines end with a line feed
    fields: Mapping[str, str]  # the other header fields, in ASCII
    in_base64: bool

    @property
    def international(self) -> bool:
        return not (self.sender.isascii() and self.recipient.isascii())

    def octets(self) -> bytes:
        """As the relay gets it, before dots are stuffed: lines end with CRLF."""
        fields = {
            "From": mailbox(self.sender_name, self.sender),
            "To": mailbox(self.recipient_name, self.recipient),
            "Subject": unstructured(self.subject),
            **self.fields,
            "Content-Transfer-Encoding": "base64" if self.in_base64 else "quoted-printable",
        }
        octets = self.text.replace("\n", "\r\n").encode()
        if self.in_base64:
            encoded = base64.b64encode(octets).decode()
            body = "".join(f"{encoded[at : at + LINE]}\r\n" for at in range(0, len(encoded), LINE))
        else:
            body = body_encode(self.text.encode().decode("latin-1"), LINE, "\r\n")
        return (_head(fields, "\r\n") + body).encode()

    def readable(self) -> bytes:
        """For a file that a person may look into: letters as they are, which mail programs take as well (RFC 6532)."""
        fields = {
            "From": mailbox(self.sender_name, self.sender, raw=True),
            "To": mailbox(self.recipient_name, self.recipient, raw=True),
            "Subject": self.subject,
            **self.fields,
            "Content-Transfer-Encoding": "8bit",
        }
        return (_head(fields, "\n") + self.text).encode()


def _head(fields: Mapping[str, str], end: str) -> str:
    return "".join(f"{name}: {value}{end}" for name, value in fields.items()) + end


def compose(config: Config, account: Account, texts: Sequence[Text], now: datetime) -> Addressed:
    """One mail to one user. `now` has its time zone. The configuration has a sender."""
    assert config.notices.sender is not None
    name, local, domain = sender_parts(config.notices.sender)
    return Addressed(
        sender_name=name,
        sender=address(local, domain),
        recipient_name=plain(account.full_name)[:_LONGEST_NAME].strip(),
        recipient=address(account.local, config.domains[account.domain].ascii_name),
        subject=" / ".join(text.subject for text in texts),
        text=body(texts),
        fields={
            "Date": format_datetime(now),
            "Message-ID": f"<{uuid.uuid4().hex}@{config.hostname}>",
            # No absence notices are wanted: RFC 3834 5, and what Exchange looks at.
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "OOF, AutoReply",
            "Content-Language": ", ".join(text.language for text in texts),
            "MIME-Version": "1.0",
            "Content-Type": 'text/plain; charset="utf-8"',
        },
        in_base64=any(text.language == "zh" for text in texts),  # what is shorter: no relay is asked for eight bits
    )


def body(texts: Sequence[Text]) -> str:
    """All languages, one below the other; the first says that there is another."""
    if len(texts) == 1:
        return texts[0].body
    told = "".join(f"{_BELOW[text.language]}\n" for text in texts[1:])
    return told + "\n" + f"\n{_RULE}\n\n".join(text.body for text in texts)
