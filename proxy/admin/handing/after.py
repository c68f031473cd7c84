"""after.sh: what Dovecot alone can write down, said to it by doveadm once it runs.

- HIGHESTMODSEQ goes on above what clients were told here: one that asks for changes since (RFC 7162) would otherwise
  miss them.
- What nobody was shown is \\Recent.
- Keywords beyond the 26 that a Maildir of Dovecot's has letters for.
- Annotations (METADATA).

Each line may be run again.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from mailstore.handover import After

_HEAD: Final = """\
#!/bin/sh
# Written by `mailferry handoff dovecot`. To be run as root where Dovecot runs, before its users come or soon after;
# running it again does no harm. DOVEADM may say another doveadm, with its options.
doveadm=${DOVEADM:-doveadm}
failed=0
run() { $doveadm "$@" >/dev/null || { failed=1; echo "failed: doveadm $*" >&2; }; }
"""
_TAIL: Final = "exit $failed\n"
_UIDS_AT_ONCE: Final = 500  # in one line


def script(lines: Iterable[str]) -> str:
    return _HEAD + "".join(lines) + _TAIL


def lines(user: str, folders: Sequence[After]) -> Iterator[str]:
    """An account's. Dovecot has to have read each folder once before it is told more of it."""
    if folders:
        yield f"run mailbox status -u {shlex.quote(user)} messages '*'\n"
    for each in folders:
        for words in _commands(user, each):
            yield " ".join(["run", *map(shlex.quote, words)]) + "\n"


def lines_in(text: str) -> dict[str, list[str]]:
    """A script's lines, by account."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines(keepends=True):
        with suppress(ValueError):  # no line of ours
            words = shlex.split(line)
            if words[:1] == ["run"] and "-u" in words[:-1]:
                found.setdefault(words[words.index("-u") + 1], []).append(line)
    return found


def _commands(user: str, after: After) -> Iterator[list[str]]:
    if after.folder:
        raised = ["--min-next-uid", str(after.uidnext), "--min-first-recent-uid", str(after.first_recent)]
        raised += ["--min-highest-modseq", str(after.modseq + 1)]
        yield ["mailbox", "update", "-u", user, *raised, after.folder]
    for keyword, uids in sorted(after.keywords.items()):
        for at in range(0, len(uids), _UIDS_AT_ONCE):
            chosen = ",".join(map(str, uids[at : at + _UIDS_AT_ONCE]))
            yield ["flags", "add", "-u", user, keyword, "mailbox", after.folder, "uid", chosen]
    for entry, value in sorted(after.annotations.items()):
        server = ["-s"] if not after.folder else []
        said = value.decode("utf-8", "replace")
        yield ["mailbox", "metadata", "set", "-u", user, *server, after.folder, entry, said]
