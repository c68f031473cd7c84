"""Opening a domain: from what an administrator says of it to a configuration file that is right.

`doubts` are what may be a slip and cannot be known to be one; who asks decides what becomes of them. `compose` makes
the file's text, `proxy.config` checks it, `put` puts it in its place whole.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mailstore.maildir import sync_directory
from proxy.config.mistakes import quoted_key
from proxy.config.names import ascii_name, check_host, is_address

Tls = Literal["none", "starttls", "implicit"]
TLS: Final = ("starttls", "implicit", "none")

STATE: Final = "/var/lib/mailferry"
MODE: Final = 0o640
_HOST_WORDS: Final = frozenset({"mail", "pop", "pop3", "imap", "smtp", "mx", "webmail", "www"})


class NotPut(Exception):
    """The file is not there. The text says why."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What must be known. Names as they were written, and right each by itself."""

    hostname: str
    domain: str
    legacy_host: str
    legacy_tls: Tls = "starttls"
    legacy_port: int | None = None  # None: the usual one
    legacy_login: str = "local"
    certificate: str | None = None
    key: str | None = None
    accounts: Literal["open", "listed"] = "open"
    folders: Literal["en", "zh"] = "en"
    contact: str = ""
    submission: str | None = None
    state: str = STATE

    @property
    def port(self) -> int:
        return self.legacy_port or usual_port(self.legacy_tls)


def usual_port(tls: str) -> int:
    """POP3's."""
    return 995 if tls == "implicit" else 110


def _within(host: str, domain: str) -> bool:
    name = ascii_name(host)
    return name == domain or name.endswith(f".{domain}")


def doubts(answers: Answers) -> Iterator[str]:
    """What an administrator is asked to think of once more. Each ends with a question."""
    domain = ascii_name(answers.domain)
    first = domain.partition(".")[0]
    if first in _HOST_WORDS and domain.count(".") > 1:
        yield (
            f"{answers.domain} looks like a server's name. The domain is what is behind the @ of the users' addresses: "
            f"is it {answers.domain}, and not {domain.partition('.')[2]}?"
        )
    legacy = check_host(answers.legacy_host)
    if not is_address(legacy):
        if legacy == ascii_name(answers.hostname):
            yield (
                f"The old server has this machine's own name, {answers.hostname}. Once DNS is moved mailferry would "
                "ask itself: give the old server's address, or a name that stays its own. Is it right all the same?"
            )
        elif not _within(legacy, domain):
            yield (
                f"The old server {legacy} is not in the domain {answers.domain}. Users keep their addresses, so the "
                f"domain must be the one that they have at the old server: are they called somebody@{answers.domain} "
                "there?"
            )
    if not _within(answers.hostname, domain):
        yield (
            f"This machine's name {answers.hostname} is not in the domain {answers.domain}. Users' mail programs will "
            "be set to it, and the certificate must be for it: is it right?"
        )


def _text(value: str) -> str:
    """A TOML string."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def compose(answers: Answers) -> str:
    """The file's text."""
    domain = f"domain.{quoted_key(answers.domain) if '.' not in answers.domain else _text(answers.domain)}"
    lines = [
        "# The configuration of mailferry. conf/mailferry.toml has every key there is, with its default.",
        "# `mailferry check` says whether this is right and whether what it names can be used.",
        "",
        "# This machine's name, as users' mail programs connect to it.",
        f"hostname = {_text(answers.hostname)}",
        "# Accounts, keys and mail: `mailferry backup` copies all of it.",
        f"state = {_text(answers.state)}",
    ]
    if answers.submission:
        lines += ["# Where users hand in what they send.", f"submission = {_text(answers.submission)}"]
    lines += ["", "[listen]", *_listeners(answers), ""]
    if answers.certificate or answers.key:
        lines.append("[tls]")
        lines += [f"certificate = {_text(answers.certificate)}"] if answers.certificate else []
        lines += [f"key = {_text(answers.key)}"] if answers.key else []
    else:
        lines += [
            "# Without a certificate only clients on this machine can log in.",
            "# [tls]",
            '# certificate = "/etc/mailferry/fullchain.pem"',
            '# key = "/etc/mailferry/privkey.pem"',
        ]
    lines += [
        "",
        f"[{domain}]",
        "# open: whoever the old server accepts gets an account at the first login. listed: only imported accounts.",
        f"accounts = {_text(answers.accounts)}",
        "# The language of the folders that every account is given: en or zh.",
        f"folders = {_text(answers.folders)}",
    ]
    if answers.contact:
        lines += ["# Whom users ask.", f"contact = {_text(answers.contact)}"]
    lines += [
        "",
        "# The old server. Nothing is ever deleted or changed there.",
        f"[{domain}.legacy]",
        f"host = {_text(answers.legacy_host)}",
        f"tls = {_text(answers.legacy_tls)}  # none, starttls or implicit",
        f"port = {answers.port}",
        "# What a user logs in as there: local (zhang), full (zhang@…), or a template such as {local}%{domain}.",
        f"login = {_text(answers.legacy_login)}",
    ]
    return "\n".join(lines) + "\n"


def _listeners(answers: Answers) -> Iterator[str]:
    if answers.certificate or answers.key:
        yield 'pop3 = ["tcp:110"]'
        yield 'pop3s = ["tcp:995"]'
        yield 'imap = ["tcp:143"]'
        yield 'imaps = ["tcp:993"]'
        yield 'web = ["tcp:443"]  # the users\' portal'
    else:
        yield 'pop3 = ["tcp:110"]'
        yield 'imap = ["tcp:143"]'
        yield '# pop3s = ["tcp:995"]  # these need a certificate'
        yield '# imaps = ["tcp:993"]'
        yield '# web = ["tcp:443"]'


def put(path: Path, text: str, *, replace: bool) -> Path | None:
    """Write the file in one step, readable by its owner and group. `replace`: one that is there is kept beside it, and
    that is where. Raises NotPut, with nothing changed."""
    if path.is_dir() or not path.name:
        raise NotPut(f"{path} is a directory: name the file that is to be written")
    passing = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotPut(f"{path.parent}: cannot be made: {error.strerror}") from None
    try:
        with open(passing, "x", encoding="utf-8", opener=lambda name, mode: os.open(name, mode, MODE)) as file:
            os.fchmod(file.fileno(), MODE)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        kept = _keep(path) if replace and path.exists() else None
        if kept is not None:
            passing.replace(path)
        else:
            os.link(passing, path)  # which, unlike a rename, replaces nothing that came meanwhile
        sync_directory(path.parent)
    except FileExistsError:
        raise NotPut(f"{path} is there already: --force replaces it, and keeps it beside the new one") from None
    except OSError as error:
        raise NotPut(f"{path}: {error.strerror}") from None
    finally:
        passing.unlink(missing_ok=True)
    return kept


def _keep(path: Path) -> Path:
    kept = path.with_name(f"{path.name}.old")
    number = 1
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.old-{number}")
    os.link(path, kept)
    return kept
