"""What can go wrong in the store, each kind one type, so that a protocol can give each its own answer."""

from __future__ import annotations

from collections.abc import Collection


class MailstoreError(Exception):
    """Anything that the store refuses or cannot do. The text is fit for a client: no paths, no secrets."""


class TakesLonger(Exception):
    """An operation that was asked for briefly is not brief, and has changed nothing: ask again with time to spare.

    No MailstoreError: it is for whoever runs the operation, and never gets to a client.
    """


class NotArrived(Exception):
    """An operation needs messages of INBOX that are listed and not here yet, and has changed nothing: ask again when
    they are. `whole`: their headers are not enough; `octets`: how much is to come for that.

    No MailstoreError: it is for whoever runs the operation, and never gets to a client.
    """

    def __init__(self, uids: Collection[int], *, whole: bool, octets: int) -> None:
        super().__init__("messages that are not here yet")
        self.uids = frozenset(uids)
        self.whole = whole
        self.octets = octets


class NoSuchFolder(MailstoreError):
    """The folder named is not there (IMAP [NONEXISTENT], [TRYCREATE])."""


class FolderExists(MailstoreError):
    """A folder of that name is there already (IMAP [ALREADYEXISTS])."""


class BadFolderName(MailstoreError):
    """A name that cannot be a folder's, or one that may not be changed so (IMAP [CANNOT])."""


class SpecialUseRefused(MailstoreError):
    """A folder cannot have this use: it is none that folders have here, or another one has it (IMAP [USEATTR])."""


class TooManyAnnotations(MailstoreError):
    """A folder, or the account, has as many annotations as it may have (IMAP [METADATA TOOMANY])."""


class OverQuota(MailstoreError):
    """There is no room left for this (IMAP [OVERQUOTA])."""


class NoSuchMessage(MailstoreError):
    """The message was expunged, by this session or another (IMAP [EXPUNGEISSUED])."""


class MessageLost(MailstoreError):
    """The index knows the message and its file cannot be read: something outside removed or damaged it."""


class NotCarriedOver(MessageLost):
    """The message is listed, and could not be fetched from the old server after retries: it is in quarantine."""


class StillAway(MailstoreError):
    """The message is listed and not here, and was waited for in vain: the old server cannot be asked now
    (IMAP [UNAVAILABLE])."""


class StorageFailed(MailstoreError):
    """The disk or the database refused: full, read-only, locked or broken. Nothing half done is left visible."""


class Overtaken(StorageFailed):
    """Others changed what this was about to change, and nothing was changed by it: it is done again."""


class MaildirGone(StorageFailed):
    """The index, which is elsewhere, has mail, and there is no Maildir: nothing is concluded from that, and no new one
    is made."""

    def __init__(self) -> None:
        super().__init__("the mailbox is not there any more: is its disk mounted?")


class OutcomeUnknown(StorageFailed):
    """The database was lost while it was making a change durable, and has not come back to say whether it did. Files
    that belong to the change stay where they are."""


class DiskFull(StorageFailed):
    """There is no room, on the disk or within a quota of its owner. It goes on when there is."""


class InOtherHands(StorageFailed):
    """The mailbox is another program's for now, or somebody is handing it over: `mailstore.custody`."""


class StorageCorrupt(StorageFailed):
    """A database file is damaged. An index is set aside and made anew at the next opening."""


class LeaseLost(MailstoreError):
    """Another node moves the account by now: nothing may be written for it here, and nothing has been."""


class SecretUnreadable(MailstoreError):
    """A sealed password does not open with this key: another key file, another account, or damage."""
