"""What other programs, people and disks do to a Maildir: each takes the directory of an account and its INBOX's files
by UID, and gives back which of the messages of UIDs 1 to 3 are still as they were, and what there is beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailstore.maildir import unique_of

SAID: Final = (b"Subject: 1\r\n\r\nbare\nlf", b"Subject: 2\r\n\r\ntwo", b"Subject: 3\r\n\r\nthree")
NATIVE, SENT = b"Subject: new\n\nbody\n", b"Subject: new\r\n\r\nbody\r\n"


@dataclass(frozen=True)
class After:
    """The INBOX as it has to be then."""

    kept: Sequence[int] = (1, 2, 3)  # UIDs that are still the same messages
    new: Sequence[bytes] = ()  # messages that have new UIDs
    said: str = ""  # part of an event of the log


Damage = Callable[[Path, Sequence[Path]], After]
CHANGED = "changed by another program"


def lost(_inbox: Path, files: Sequence[Path]) -> After:
    files[0].unlink()
    return After((2, 3), said=CHANGED)


def all_lost(inbox: Path, _files: Sequence[Path]) -> After:
    shutil.rmtree(inbox / "cur")
    return After((), said="directories were missing")


def no_maildir(inbox: Path, _files: Sequence[Path]) -> After:
    shutil.rmtree(inbox)
    return After((), said="directories were missing")


def no_new(inbox: Path, _files: Sequence[Path]) -> After:
    (inbox / "new").rmdir()
    return After(said="directories were missing")


def no_tmp(inbox: Path, _files: Sequence[Path]) -> After:
    (inbox / "tmp").rmdir()
    return After()


def truncated(_inbox: Path, files: Sequence[Path]) -> After:
    os.truncate(files[0], 5)
    return After((2, 3), (SAID[0][:5],), "another size")


def emptied(_inbox: Path, files: Sequence[Path]) -> After:
    os.truncate(files[1], 0)
    return After((1, 3), (b"",), "another size")


def grown(_inbox: Path, files: Sequence[Path]) -> After:
    with files[2].open("ab") as file:
        file.write(b"more")
    return After((1, 2), (SAID[2] + b"more",), "another size")


def flags_in_the_name(_inbox: Path, files: Sequence[Path]) -> After:
    files[0].rename(files[0].with_name(unique_of(files[0].name) + ":2,FRST"))
    return After(said=CHANGED)


def no_flags_in_the_name(_inbox: Path, files: Sequence[Path]) -> After:
    files[0].rename(files[0].with_name(unique_of(files[0].name)))
    return After()


def nonsense_for_flags(_inbox: Path, files: Sequence[Path]) -> After:
    files[0].rename(files[0].with_name(unique_of(files[0].name) + ":2,zz:2,Q"))
    return After()


def back_in_new(inbox: Path, files: Sequence[Path]) -> After:
    files[0].rename(inbox / "new" / unique_of(files[0].name))
    return After()


def another_name(inbox: Path, files: Sequence[Path]) -> After:
    files[0].rename(inbox / "cur" / "renamed by hand")
    return After((2, 3), (SAID[0].replace(b"bare\nlf", b"bare\r\nlf"),), CHANGED)  # no file of ours any more


def moved_to_a_folder(inbox: Path, files: Sequence[Path]) -> After:
    files[0].rename(inbox / ".a" / "cur" / files[0].name)
    return After((2, 3), said=CHANGED)


def copied_into_new(inbox: Path, files: Sequence[Path]) -> After:
    shutil.copy(files[0], inbox / "new" / unique_of(files[0].name))
    return After(new=(SAID[0],), said=CHANGED)


def copied_under_another_name(inbox: Path, files: Sequence[Path]) -> After:
    shutil.copy(files[1], inbox / "cur" / "1.copy.host:2,S")
    return After(new=(SAID[1],), said=CHANGED)


def two_sets_of_flags(_inbox: Path, files: Sequence[Path]) -> After:
    shutil.copy(files[0], files[0].with_name(unique_of(files[0].name) + ":2,FRS"))
    return After(new=(SAID[0],), said=CHANGED)


def linked_under_two_sets_of_flags(_inbox: Path, files: Sequence[Path]) -> After:
    """As a program that renames by link and unlink has it for a moment: one file, one message."""
    os.link(files[0], files[0].with_name(unique_of(files[0].name) + ":2,FRS"))
    return After()


def wrong_sizes(inbox: Path, _files: Sequence[Path]) -> After:
    (inbox / "new" / "1.a.host,S=9999,W=1").write_bytes(NATIVE)
    return After(new=(SENT,), said=CHANGED)


def nonsense_for_sizes(inbox: Path, _files: Sequence[Path]) -> After:
    (inbox / "new" / "1.a.host,S=,W=x").write_bytes(NATIVE)
    return After(new=(SENT,), said=CHANGED)


def empty_files(inbox: Path, _files: Sequence[Path]) -> After:
    (inbox / "new" / "1.a.host").touch()
    (inbox / "cur" / "2.a.host:2,S").touch()
    return After(new=(b"", b""), said=CHANGED)


def names_that_are_no_text(inbox: Path, _files: Sequence[Path]) -> After:
    names = (
        b"1.\xff\xfe.host",
        "2.邮件.host".encode("gb18030"),
        "3.邮件.host".encode(),
        b"4.a b\tc\nd",
        b"5." + b"x" * 250,
    )
    for name in names:
        Path(os.fsdecode(os.fsencode(inbox / "new") + b"/" + name)).write_bytes(NATIVE)
    return After(new=(SENT,) * len(names), said=CHANGED)


def directory_for_a_file(inbox: Path, files: Sequence[Path]) -> After:
    files[0].unlink()
    files[0].mkdir()
    (inbox / "new" / "1.directory.host").mkdir()
    return After((2, 3))


def pipe_for_a_file(inbox: Path, files: Sequence[Path]) -> After:
    """Whoever opens one waits for a writer who never comes."""
    files[0].unlink()
    os.mkfifo(files[0])
    os.mkfifo(inbox / "new" / "1.pipe.host")
    return After((2, 3))


def links_elsewhere(inbox: Path, files: Sequence[Path]) -> After:
    """What lies outside is not this account's mail, and not to be given out."""
    outside = inbox.parent / "secret"
    outside.write_bytes(b"secret")
    files[0].unlink()
    files[0].symlink_to(outside)
    (inbox / "new" / "1.link.host").symlink_to(outside)
    (inbox / "new" / "2.link.host").symlink_to(inbox / "nowhere")
    return After((2, 3))


def hidden_files(inbox: Path, _files: Sequence[Path]) -> After:
    (inbox / "new" / ".nfs000001").write_bytes(NATIVE)
    (inbox / "cur" / ".DS_Store").write_bytes(NATIVE)
    return After()


def left_in_tmp(inbox: Path, _files: Sequence[Path]) -> After:
    (inbox / "tmp" / "1.dead.host").write_bytes(b"half of a mess")
    os.utime(inbox / "tmp" / "1.dead.host", (0, 0))
    return After()


def strange_folders(inbox: Path, _files: Sequence[Path]) -> After:
    for name in (b".\xff", b".a..b", b".INBOX", b"..", b".x" * 120):
        directory = Path(os.fsdecode(os.fsencode(inbox) + b"/" + name))
        directory.mkdir(exist_ok=True)
        (directory / "cur").mkdir(exist_ok=True)
    (inbox / ".file").write_bytes(b"no directory")
    return After()


DAMAGE: Final[Mapping[str, Damage]] = {
    damage.__name__: damage
    for damage in (
        *(lost, all_lost, no_maildir, no_new, no_tmp, truncated, emptied, grown, flags_in_the_name),
        *(no_flags_in_the_name, nonsense_for_flags, back_in_new, another_name, moved_to_a_folder, copied_into_new),
        *(copied_under_another_name, two_sets_of_flags, linked_under_two_sets_of_flags, wrong_sizes),
        *(nonsense_for_sizes, empty_files, names_that_are_no_text, directory_for_a_file, pipe_for_a_file),
        *(links_elsewhere, hidden_files, left_in_tmp, strange_folders),
    )
}
