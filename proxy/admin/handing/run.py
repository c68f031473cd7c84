"""Handing over and taking back, one account after the other.

    handing over: note GOING → blocked → (nobody is in it any more) → Dovecot's files → note GONE → said
    taking back:  note COMING → the file of users without it → our names → the index learns → as before → no note

Each step is durable before the next, and may be done again: who is killed anywhere runs the same command again, or the
other one. Where somebody has a session, or a move, it is waited for; when that takes too long the account is as it was.

Everything here is synchronous, is run by a command without a reactor, and raises MailstoreError or OSError.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from mailstore.accounts import Account, Accounts, State
from mailstore.custody import Custody, InUse, Note, Step, alone_with, end_note, give_all_to_owner, read_note, write_note
from mailstore.errors import MaildirGone, MailstoreError
from mailstore.handover import MANNER, HandedOver, Handover, come_back, hand_to
from mailstore.inheritance.tree import read_tree
from mailstore.inheriting import Inherited
from mailstore.maildir import DIRECTORY_MODE
from mailstore.mailhome import MailHome
from mailstore.opening import Mailboxes
from proxy.admin.handing.choosing import Candidate
from proxy.admin.handing.reasons import COMING, GOING, HANDED
from proxy.admin.handing.users import below_home
from proxy.config import Config

TOGETHER: Final = 50  # accounts that are out of use at the same time
OPEN: Final = 0o755
_LOOK: Final = 0.25  # seconds between two looks at whether somebody is still in


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one account. `why` says why it did not work; "": it did, or there was nothing to do."""

    account: Account
    why: str = ""
    handed_over: HandedOver | None = None
    inherited: Inherited | None = None
    already: bool = False
    remarks: Sequence[str] = field(default_factory=tuple)


class Handing:
    """For one command."""

    def __init__(
        self,
        config: Config,
        accounts: Accounts,
        custody: Custody,
        engine: Mailboxes,
        *,
        owner: tuple[int, int] | None = None,
        wait: float = 90.0,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`owner`: whose the Maildirs are to be, user and group; `wait`: how long sessions are waited for."""
        self._config = config
        self._accounts = accounts
        self._custody = custody
        self._engine = engine
        self._owner = owner
        self._wait = wait
        self._clock = clock
        self._pause = pause

    def _maildir(self, account: Account) -> Path:
        return self._config.maildir_for(account.local, account.domain)

    @contextmanager
    def _home(self, account: Account) -> Iterator[MailHome]:
        """As its custodian."""
        home = MailHome(self._engine, account.id, self._maildir(account), clock=self._clock, custodian=True)
        try:
            yield home
        finally:
            home.close()
            give_all_to_owner(self._maildir(account))

    # Handing over

    def rehearse(self, candidate: Candidate) -> Done:
        """What would be handed over. It looks while the account is served as usual."""
        account = candidate.account
        if candidate.done or candidate.why_not:
            return Done(account, candidate.why_not, already=candidate.done)
        try:
            if not self._is_there(account):
                return Done(account, handed_over=HandedOver())
            home = MailHome(self._engine, account.id, self._maildir(account), clock=self._clock)
            try:
                return Done(account, handed_over=Handover(home).survey(), remarks=self._remarks(home))
            finally:
                home.close()
        except (MailstoreError, OSError) as error:
            return Done(account, said(error))

    def _is_there(self, account: Account) -> bool:
        """Has it a Maildir? Raises MaildirGone where it has to have one."""
        there = self._maildir(account).is_dir()
        if not there and account.messages_done:
            raise MaildirGone
        return there

    def hand_over(self, candidates: Sequence[Candidate]) -> Iterator[Done]:
        """`TOGETHER` at a time; each is told when it is done."""
        for start in range(0, len(candidates), TOGETHER):
            yield from self._hand_over(candidates[start : start + TOGETHER])

    def _hand_over(self, candidates: Sequence[Candidate]) -> Iterator[Done]:
        going: list[tuple[Account, Note]] = []
        for candidate in candidates:
            if candidate.done or candidate.why_not:
                yield Done(candidate.account, candidate.why_not, already=candidate.done)
                continue
            try:
                going.append(self._close(candidate.account, candidate.note))
            except (MailstoreError, OSError) as error:
                yield Done(candidate.account, said(error))
        until = self._clock() + self._wait
        while going:
            left = []
            for account, note in going:
                try:
                    yield self._over(account, note)
                except InUse as error:
                    left.append((account, note))
                    if self._clock() >= until:
                        left.pop()
                        yield self._let_go(account, note, str(error))
                except (MailstoreError, OSError) as error:
                    yield Done(account, said(error) + "; run it again, or with --undo")
            going = left
            if going:
                self._pause(_LOOK)

    def _close(self, account: Account, note: Note | None) -> tuple[Account, Note]:
        """Nobody is let in any more."""
        maildir = self._maildir(account)
        if not self._is_there(account):  # nothing has ever come for it, and Dovecot is to let its user in all the same
            MailHome(self._engine, account.id, maildir, clock=self._clock).close()
            give_away(self._config, maildir)
        if note is None:
            note = Note(Step.GOING, int(self._clock()), account.state.value, account.reason)
            write_note(maildir, note)
        if account.state is not State.BLOCKED and not self._custody.block(account, GOING):
            end_note(maildir)
            raise MailstoreError("its user, or somebody else, has changed it this moment: run it again")
        return self._accounts.get(account.id), note

    def _let_go(self, account: Account, note: Note, why: str) -> Done:
        self._custody.release(account, note)
        end_note(self._maildir(account))
        return Done(account, f"{why}; it is as it was")

    def _over(self, account: Account, note: Note) -> Done:
        """Raises InUse."""
        maildir = self._maildir(account)
        with alone_with(maildir):
            come_back(maildir, note)  # what an earlier attempt had renamed
            with self._home(account) as home:
                home.reconcile()
                remarks = self._remarks(home)
                last = [note]

                def keep(changed: Note) -> None:
                    last[0] = changed
                    write_note(maildir, changed)

                done = Handover(home, self._owner).write(note, keep)
            self._let_in(maildir)
            write_note(maildir, replace(last[0], step=Step.GONE))
        self._custody.say(account, HANDED)
        return Done(self._accounts.get(account.id), handed_over=done, remarks=[*remarks, *done.remarks])

    def _let_in(self, maildir: Path) -> None:
        """Another user's Dovecot has to open the directory that is its user's home; the index in it stays closed."""
        if self._owner is not None and below_home(self._config):
            maildir.parent.chmod(OPEN)

    def _remarks(self, home: MailHome) -> list[str]:
        quarantined = len(home.ledger.quarantined())
        if not quarantined:
            return []
        return [
            f"{quarantined} messages that could not be carried over are not in Dovecot: `mailferry verify` lists them"
        ]

    def survey_of_gone(self, account: Account) -> HandedOver:
        """What was handed over, once more. Raises MailstoreError."""
        with self._home(account) as home:
            return Handover(home).survey()

    # Taking back

    def recall(self, candidate: Candidate) -> Done | None:
        """Dovecot is not to serve it any more: with the next file of users. None: `take_back` is to follow."""
        account = candidate.account
        if candidate.done or candidate.why_not or candidate.note is None:
            return Done(account, candidate.why_not, already=candidate.done)
        if candidate.note.step is Step.GONE:  # else Dovecot has never had it, or has it no more
            write_note(self._maildir(account), replace(candidate.note, step=Step.COMING))
        self._custody.say(account, COMING)
        return None

    def take_back(self, account: Account) -> Done:
        """Of one that was recalled."""
        maildir = self._maildir(account)
        try:
            note = read_note(maildir)
            if note is None:
                return Done(account, already=True)
            with alone_with(maildir):
                about = maildir.parent.stat()
                if maildir.stat().st_uid != about.st_uid:
                    hand_to(maildir, (about.st_uid, about.st_gid))
                    if below_home(self._config):
                        maildir.parent.chmod(DIRECTORY_MODE)
                odd = come_back(maildir, note)
                with self._home(account) as home:
                    inherited = self._inherit(home, note)
                    home.reconcile()
                if not self._custody.release(account, note):
                    return Done(
                        account, "its state is not what it was made: `mailferry accounts show` tells; run it again"
                    )
                end_note(maildir)
        except (MailstoreError, OSError) as error:
            return Done(account, said(error))
        return Done(
            self._accounts.get(account.id),
            inherited=inherited,
            remarks=[*odd, *map(str, inherited.remarks)],
        )

    def _inherit(self, home: MailHome, note: Note) -> Inherited:
        if note.step is not Step.COMING:  # learnt already; or Dovecot has never had it, and what lies there is older
            return Inherited()
        inherited = home.inherit(read_tree(home.maildir.root, MANNER), whole=True)
        write_note(home.maildir.root, replace(note, step=Step.LEARNT))
        return inherited


def give_away(config: Config, maildir: Path) -> None:
    """What root has made, up to the directory of all Maildirs, belongs to whom the state directory belongs to. Raises
    OSError."""
    if os.geteuid() != 0:
        return
    about = config.state.stat()
    owner = about.st_uid, about.st_gid
    hand_to(maildir, owner)
    for path in maildir.parents:
        if path == config.maildir_root or not path.is_relative_to(config.maildir_root):
            break
        os.chown(path, *owner)
    give_all_to_owner(maildir)


def said(error: Exception) -> str:
    """For the administrator."""
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}"
    return str(error)
