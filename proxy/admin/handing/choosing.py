"""Which accounts can be handed over, and why others cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailstore.accounts import Account, State
from mailstore.custody import Note, Step, read_note
from proxy.config import Config


@dataclass(frozen=True, slots=True)
class Candidate:
    """One that was named. `why_not` is for the administrator; "": it can be."""

    account: Account
    note: Note | None
    why_not: str = ""
    done: bool = False  # there is nothing to be done


def to_hand_over(config: Config, accounts: Iterable[Account], *, every: bool) -> Iterator[Candidate]:
    """`every`: also those whose old server is still asked, where all that it has listed is here. Raises OSError."""
    for account in accounts:
        note = read_note(config.maildir_for(account.local, account.domain))
        if note is not None and note.step is Step.GONE:
            yield Candidate(account, note, done=True)
        elif note is not None and note.step is Step.GOING:
            yield Candidate(account, note)  # of one that was interrupted
        elif note is not None:
            yield Candidate(account, note, note.words + ": let that come to its end first")
        else:
            yield Candidate(account, None, _why_not(account, every=every))


def _is_adoption(note: Note) -> bool:
    return note.step is Step.ADOPTING or (note.step is Step.LEARNT and note.state == State.WAITING.value)


def _why_not(account: Account, *, every: bool) -> str:
    if any(character in ":\t\r\n" for character in account.name):
        return "Dovecot's file of users cannot have a name with a colon or a control character"
    if account.state is State.FINAL:
        return ""
    if account.state is State.BLOCKED:
        return f"it is blocked: {account.reason or 'no reason is known'}"
    if account.state is not State.MOVED:
        return "its old mailbox is not all here: clients that leave mail on the server would forget what they have seen"
    if not every:
        return "it is not final: its old server may still have mail for it; `mailferry finalize`, or give --all"
    return ""


def to_take_back(config: Config, accounts: Iterable[Account]) -> Iterator[Candidate]:
    """Raises OSError."""
    for account in accounts:
        note = read_note(config.maildir_for(account.local, account.domain))
        if note is None:
            yield Candidate(account, None, done=True)
        elif _is_adoption(note):
            yield Candidate(account, note, note.words + ": let that come to its end first")
        else:
            yield Candidate(account, note)
