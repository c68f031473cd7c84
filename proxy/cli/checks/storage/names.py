"""Names: those that a Maildir has, how long they may be, and which are told apart."""

from __future__ import annotations

import os
import unicodedata
from typing import Final

from proxy.cli.checks.storage.trial import Trial, write
from proxy.config.places import LONGEST

# As the store writes them: a message with its flags, and folders in the users' languages.
MESSAGE: Final = "1700000000.M123456P1Qabcdef_0123456789ab.mail\\057x,S=1234,W=1256:2,FRS"
FOLDERS: Final = (".已发送", ".Entwürfe.a b", ".100%25")


def tried(trial: Trial) -> None:
    place = trial.place / "names"
    with trial.tried("names", "mailboxes cannot be kept here"):
        place.mkdir()
        _as_they_are(trial, place)
        _length(trial, place)
        _case(trial, place)
        _forms(trial, place)


def _as_they_are(trial: Trial, place: os.PathLike[str]) -> None:
    wanted = {MESSAGE, *FOLDERS}
    refused = []
    for name in sorted(wanted):
        try:
            write(trial.place / "names" / name, b"")
        except OSError:
            refused.append(name)
    found = set(os.listdir(place))  # noqa: PTH208 - names only
    if refused or found != wanted:
        odd = (refused or sorted(wanted - found))[0]
        remedy = "Maildirs cannot be here: messages' names have a colon and folders' are UTF-8 (CIFS takes them with "
        remedy += "mapposix and iocharset=utf8, NTFS without windows_names, FAT never): take another file system"
        trial.told("fail", "names", f'"{odd}" cannot be a name, or comes back as another one', remedy)
    else:
        trial.told("ok", "names", "colons, UTF-8 and backslashes come back as they are")


def _length(trial: Trial, place: os.PathLike[str]) -> None:
    longest = os.statvfs(place).f_namemax
    trial.figures["longest_name"] = longest
    try:
        write(trial.place / "names" / ("n" * 250), b"")
        fits = True
    except OSError:
        fits = False
    trial.holds(
        "length of names",
        fits,
        so="250 octets",
        otherwise=f"250 octets do not fit ({longest} at most); folders with long names, and accounts of {LONGEST} "
        "octets, could not be made (eCryptfs has shorter ones)",
    )


def _case(trial: Trial, place: os.PathLike[str]) -> None:
    write(trial.place / "names" / "Case", b"")
    same = (trial.place / "names" / "case").exists()
    trial.holds(
        "case",
        not same,
        so='"A" and "a" are two names',
        otherwise='"A" and "a" are one name; folders that differ only so would share a place: do not use it (CIFS: '
        "nocase is not to be given; ext4: no +F on the directory)",
    )


def _forms(trial: Trial, place: os.PathLike[str]) -> None:
    """Names in two Unicode forms are two for IMAP."""
    composed = "é-form"
    write(trial.place / "names" / composed, b"")
    listed = composed in os.listdir(place)  # noqa: PTH208 - names only
    same = (trial.place / "names" / unicodedata.normalize("NFD", composed)).exists()
    trial.holds(
        "Unicode",
        listed and not same,
        so="names are octets, in whatever form",
        otherwise="names are changed to one Unicode form; folders would come back under others (ZFS: normalization)",
    )
