"""From what a user is told to a mail (RFC 5322), in all languages that are wanted at once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from mailstore.accounts import Account
from proxy.admin.noticing.facts import plain
from proxy.admin.noticing.texts import Text
from proxy.config import Config
from proxy.config.names import sender_parts

_BELOW: Final = {"zh": "（中文内容在下方）", "en": "(The same in English below.)"}
_RULE: Final = "-" * 60


@dataclass(frozen=True, slots=True)
class Addressed:
    """A mail and the addresses of its envelope. `international`: the relay must speak SMTPUTF8 (RFC 6531)."""

    message: EmailMessage
    sender: str
    recipient: str

    @property
    def international(self) -> bool:
        return not (self.sender.isascii() and self.recipient.isascii())

    def octets(self) -> bytes:
        """As the relay gets it, before dots are stuffed."""
        return self.message.as_bytes(policy=policy.SMTPUTF8 if self.international else policy.SMTP)

    def readable(self) -> bytes:
        """For a file that a person may look into: letters as they are, which mail programs take as well (RFC 6532)."""
        copy = EmailMessage(policy.default.clone(utf8=True, cte_type="8bit"))
        copy.set_content(self.message.get_content(), charset="utf-8", cte="8bit")
        for name, value in self.message.items():
            if name not in copy:
                copy[name] = value
        return copy.as_bytes()


def compose(config: Config, account: Account, texts: Sequence[Text], now: datetime) -> Addressed:
    """One mail to one user. `now` has its time zone. The configuration has a sender."""
    assert config.notices.sender is not None
    name, local, domain = sender_parts(config.notices.sender)
    sender = Address(name, local, domain)
    recipient = Address(plain(account.full_name), account.local, config.domains[account.domain].ascii_name)
    international = not (sender.addr_spec.isascii() and recipient.addr_spec.isascii())
    message = EmailMessage(policy.SMTPUTF8 if international else policy.SMTP)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = " / ".join(text.subject for text in texts)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{uuid.uuid4().hex}@{config.hostname}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: no absence notices are wanted
    message.set_content(body(texts), charset="utf-8", cte=_encoding(texts))
    message["Content-Language"] = ", ".join(text.language for text in texts)
    return Addressed(message, sender.addr_spec, recipient.addr_spec)


def _encoding(texts: Sequence[Text]) -> str:
    """What is shorter: no relay is asked whether it takes eight bits."""
    return "base64" if any(text.language == "zh" for text in texts) else "quoted-printable"


def body(texts: Sequence[Text]) -> str:
    """All languages, one below the other; the first says that there is another."""
    if len(texts) == 1:
        return texts[0].body
    told = "".join(f"{_BELOW[text.language]}\n" for text in texts[1:])
    return told + "\n" + f"\n{_RULE}\n\n".join(text.body for text in texts)
