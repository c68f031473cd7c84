"""Mail that is handed in for accounts: who takes it, and the way into his mailbox.

    a domain that is not served           550 5.1.2
    an account, an alias, user+folder     taken, whatever the account's state: blocked, paused and final ones have mail
    nobody, where accounts are listed     550 5.1.1
    nobody, where they are open           450 4.2.1   whoever the legacy server accepts may log in here tomorrow
    over its quota                        452 4.2.2

Who has used up his quota is refused for now and not for good: old mail counts, so it may be the move that filled the
mailbox, and its user can make room while the sender's server still tries.

Nothing is made for a name that a stranger writes. `user+folder` is the account of that very name where there is one;
else the folder of `user`, or his inbox where there is no such folder.

What comes for one account while its mailbox is being written to is stored together, in one go: see `_Queue`. And what
is brought to stable storage is so for all accounts together that want it at the moment (`proxy.login.together`): the
messages, their names, the indexes. On most disks one barrier costs about as much for many files as for one.

All of this is in the daemon's own process, as moves are, however many workers there are: what arrives during a move is
then in the order of the account's lane (`proxy.login.homes`), and workers' sessions are told of it as of a move's mail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path as StdPath
from typing import Any, Final

from twisted.internet.defer import Deferred, gatherResults
from twisted.python.failure import Failure

from mailstore.accounts import Account, Accounts
from mailstore.errors import DiskFull, MailstoreError, OverQuota
from mailstore.incoming import Arrival, Outcome
from mailstore.maildir import sync_directories
from mailstore.refusals import storage_errors
from mailstore.spool import Spooled, settle_together
from proxy.config import Config
from proxy.lmtp.counter import Recipient
from proxy.lmtp.errors import Refused
from proxy.lmtp.grammar import Path
from proxy.login.asking import ask
from proxy.login.homes import Homes
from proxy.login.together import Together
from proxy.wire.door import Home
from proxy.wire.in_thread import InThread
from proxy.wire.tally import ARRIVALS, Tally

AT_ONCE: Final = 100  # messages for one account in one transaction
RESULTS: Final = ("stored", "over-quota", "failed", "unknown", "not-yet")

_UNKNOWN = Refused(550, "5.1.1", "there is no such user here")
_NOT_YET = Refused(450, "4.2.1", "this user has not come here yet")
_NOT_OURS = Refused(550, "5.1.2", "this domain is not served here")
_OVER_QUOTA = Refused(452, "4.2.2", "the mailbox is full")
_FAILED = Refused(451, "4.3.0", "the mailbox cannot be written to now")
_NO_ROOM = Refused(452, "4.3.1", "there is no room on the disk")


class Delivering:
    """A `proxy.lmtp.counter.Counter`: the real one."""

    def __init__(
        self,
        config: Config,
        accounts: Accounts,
        homes: Homes,
        *,
        in_thread: InThread,
        log: Any,
        tally: Tally,
        elsewhere: Callable[[int], bool] = lambda _account_id: False,
    ) -> None:
        """`elsewhere`: has another process of this node sessions of this account? Those of other nodes need not be
        known: in PostgreSQL nothing is owed to a disk, and what is there is there for all."""
        for domain in config.domains:  # what is there only from its first time on shows no increase
            for result in RESULTS:
                tally.count(ARRIVALS, domain, result, by=0)
        self._config = config
        self._accounts = accounts
        self._homes = homes
        self._log = log
        self._elsewhere = elsewhere
        self._tally = tally
        self._queues: dict[str, _Queue] = {}
        self._ask = partial(ask, accounts, in_thread)
        self._contents = Together(in_thread, self._settle)
        self._directories = Together(in_thread, _settle_directories)

    # Who it is

    async def recipient(self, path: Path, octets: int) -> Recipient:
        """See the table above. Raises Refused."""
        try:
            account, recipient = await self._known(path)
            if self._is_limited(account):
                await self._see_to_room(account, octets)
        except OverQuota:
            self._tally.count(ARRIVALS, account.domain, "over-quota")
            raise _OVER_QUOTA.anew() from None
        except MailstoreError as error:
            self._log.error("recipient cannot be looked up", reason=str(error))
            raise _FAILED.anew() from None
        return recipient

    async def _known(self, path: Path) -> tuple[Account, Recipient]:
        """Raises Refused, MailstoreError."""
        if not path.domain:
            return await self._postmaster()
        domain = self._config.spellings.get(path.domain.lower().rstrip("."))
        if domain is None:
            raise _NOT_OURS.anew()
        local = path.local.lower()
        account, folder = await self._account(local, domain), ""
        if account is None and "+" in local[1:]:
            name, _, folder = path.local.partition("+")
            account = await self._account(name.lower(), domain)
        if account is None:
            listed = self._config.domains[domain].accounts == "listed"
            self._tally.count(ARRIVALS, domain, "unknown" if listed else "not-yet")
            raise (_UNKNOWN if listed else _NOT_YET).anew()
        return account, Recipient(account.local, account.domain, folder)

    async def _account(self, local: str, domain: str) -> Account | None:
        """The one of that name, or of that alias."""
        found = await self._ask(self._accounts.known_as, local, domain)
        return found if found is not None and found.domain in self._config.domains else None

    async def _postmaster(self) -> tuple[Account, Recipient]:
        """Without a domain (RFC 5321 4.5.1): that of the first domain that has one."""
        for domain in self._config.domains:
            account = await self._account("postmaster", domain)
            if account is not None:
                return account, Recipient(account.local, account.domain)
        raise _UNKNOWN.anew()

    def _is_limited(self, account: Account) -> bool:
        domain = self._config.domains[account.domain]
        own = account.quota
        return bool(own if own is not None else domain.quota) or domain.quota_messages is not None

    async def _see_to_room(self, account: Account, octets: int) -> None:
        home = await self._open(account)
        try:
            await home.run(lambda mail: mail.room_for(octets))
        finally:
            home.close()

    # Into the mailbox

    def spool(self) -> Spooled:
        """On the disk that the mail is for: where it is linked, it is written once. Raises OSError."""
        return Spooled(self._config.state)

    def _settle(self, messages: Sequence[Spooled]) -> None:
        now = int(self._homes.now())
        with storage_errors():
            for message in messages:
                message.stamp(now)
            settle_together(messages)

    async def deliver(self, message: Spooled, recipients: Sequence[Recipient]) -> Sequence[Refused | None]:
        """Returns when all of them are done with it."""
        outcomes: list[Refused | None] = await gatherResults(
            [self._hand_in(Arrival(message, recipient.folder), recipient) for recipient in recipients]
        )
        for recipient, refused in zip(recipients, outcomes, strict=True):
            result = "stored"
            if refused is not None:
                result = "over-quota" if refused is _OVER_QUOTA else "failed"
            self._tally.count(ARRIVALS, recipient.domain, result)
        return outcomes

    def _hand_in(self, arrival: Arrival, recipient: Recipient) -> Deferred[Refused | None]:
        queue = self._queues.get(recipient.account)
        if queue is None:
            queue = self._queues[recipient.account] = _Queue()
        done: Deferred[Refused | None] = Deferred()
        queue.waiting.append((arrival, done))
        if not queue.busy:
            queue.busy = True
            Deferred.fromCoroutine(self._work_off(recipient, queue)).addErrback(self._broken, recipient, queue)
        return done

    async def _work_off(self, recipient: Recipient, queue: _Queue) -> None:
        """Store what waits for an account, and what has come meanwhile, until nothing does."""
        while queue.waiting:
            taken, queue.waiting = queue.waiting[:AT_ONCE], queue.waiting[AT_ONCE:]
            queue.taken = taken
            outcomes = await self._store(recipient, [arrival for arrival, _ in taken])
            queue.taken = []
            for (_, done), refused in zip(taken, outcomes, strict=True):
                done.callback(refused)
        del self._queues[recipient.account]

    def _broken(self, failure: Failure, recipient: Recipient, queue: _Queue) -> None:
        """A defect: who waits learns of it."""
        del self._queues[recipient.account]
        for _, done in [*queue.taken, *queue.waiting]:
            done.errback(failure)

    async def _store(self, recipient: Recipient, arrivals: Sequence[Arrival]) -> Sequence[Refused | None]:
        try:
            await self._contents.sync([arrival.message for arrival in arrivals])
            account = await self._ask(self._accounts.find, recipient.local, recipient.domain)
            if account is None:  # removed a moment ago: the sender's server hears so when it comes again
                return [_FAILED] * len(arrivals)
            outcomes = await self._in_steps(account, arrivals)
        except MailstoreError as error:
            self._log.error("mail not stored", account=recipient.account, count=len(arrivals), reason=str(error))
            return [_NO_ROOM if isinstance(error, DiskFull) else _FAILED] * len(arrivals)
        return [None if outcome is None else _OVER_QUOTA for outcome in outcomes]

    async def _in_steps(self, account: Account, arrivals: Sequence[Arrival]) -> Sequence[Outcome]:
        """See `MailHome.deliver`. Where other processes have sessions of the account nothing may be owed to the disk,
        and nobody in this thread is to wait for it."""
        whole = account.was_whole
        home = await self._open(account)
        run = home.run if self._elsewhere(account.id) else home.run_briefly
        try:
            laid = await run(lambda mail: mail.lay(arrivals, whole=whole))
            try:
                await self._directories.sync(laid.directories)
            except MailstoreError:
                await home.run(lambda mail: mail.take_back(laid))
                raise
            if laid.new:
                await run(lambda mail: mail.show_laid(laid))
            return laid.outcomes
        finally:
            home.close()

    async def _open(self, account: Account) -> Home:
        maildir = self._config.maildir_for(account.local, account.domain)
        return await self._homes.open(account.id, account.name, maildir)


def _settle_directories(directories: Sequence[StdPath]) -> None:
    """One that was deleted a moment ago is missed when its message is to be shown."""
    with storage_errors():
        sync_directories([each for each in directories if each.is_dir()])


class _Queue:
    """What waits for one account's mailbox."""

    def __init__(self) -> None:
        self.busy = False
        self.waiting: list[tuple[Arrival, Deferred[Refused | None]]] = []
        self.taken: list[tuple[Arrival, Deferred[Refused | None]]] = []
