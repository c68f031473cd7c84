"""Stable storage: whether a file can be brought to it, what that costs, and how the store does it here."""

from __future__ import annotations

import os
import time
from typing import Final

from mailstore.barrier import TOGETHER, sync_each, sync_file_system
from mailstore.file_systems import FileSystem, Kind, file_system, names_by_files
from proxy.cli.checks.storage.trial import EACH, Trial, as_often_as, write

MESSAGE: Final = b"x" * 4_096
BATCH: Final = 64  # files of a barrier
SLOW: Final = 50.0  # milliseconds


def tried(trial: Trial) -> None:
    found = file_system(trial.place)
    _type(trial, found)
    _fsync(trial)
    _directory(trial)
    _creates(trial)
    _barrier(trial)


def _type(trial: Trial, found: FileSystem) -> None:
    trial.figures |= {"type": found.type, "kind": found.kind.value, "syncfs": found.at_once}
    if found.kind is Kind.MEMORY:
        trial.told("fail", "stable storage", f"{found.type} is memory", "all mail is lost with the next restart")
    elif found.at_once:
        trial.told("ok", "barriers", "one syncfs for many files: the kernel writes to the disk itself")
    else:
        text = f"files are synced one by one, {TOGETHER} at a time: syncfs says nothing of what is behind {found.type}"
        trial.told("ok", "barriers", text)


def _fsync(trial: Trial) -> None:
    with trial.tried("fsync", "mail that was acknowledged could be lost: nothing can be kept here"):
        descriptor = os.open(trial.place / "fsync", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        took: list[float] = []

        def step(_number: int) -> None:
            os.write(descriptor, MESSAGE)
            begun = time.perf_counter()
            os.fsync(descriptor)
            took.append((time.perf_counter() - begun) * 1000)

        try:
            as_often_as(EACH, step, 50)
        finally:
            os.close(descriptor)
        took.sort()
        median, worst = took[len(took) // 2], took[-1]
        trial.figures |= {"fsync_ms": round(median, 3), "fsync_worst_ms": round(worst, 3)}
        trial.holds(
            "fsync",
            median <= SLOW,
            so=f"{median:.2f} ms at the median, {worst:.1f} ms at worst",
            otherwise=f"{median:.0f} ms at the median; each delivery and each change of a flag waits so long",
            worse="warn",
        )


def _directory(trial: Trial) -> None:
    with trial.tried("fsync of a directory", "names could be lost with the power: nothing can be kept here"):
        write(trial.place / "entry", b"")
        descriptor = os.open(trial.place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != 22:  # EINVAL: it has none, since its server has every name at once
                raise
            trial.told("ok", "fsync of a directory", "there is none here: names are the server's at once")
        else:
            by_files = names_by_files(descriptor)
            text = "names are brought to stable storage"
            if by_files:
                text = "is answered and not done here; each file is synced once more when it has its name"
            trial.told("ok", "fsync of a directory", text)
        finally:
            os.close(descriptor)


def _creates(trial: Trial) -> None:
    new, cur = trial.place / "new", trial.place / "cur"
    with trial.tried("new files", "nothing can be stored here"):
        new.mkdir()
        cur.mkdir()
        count, seconds = as_often_as(EACH, lambda number: write(new / str(number), MESSAGE), 1_000)
        trial.figures["creates_per_second"] = round(count / seconds)
        renames, took = as_often_as(EACH, lambda number: (new / str(number)).rename(cur / str(number)), count)
        trial.figures["renames_per_second"] = round(renames / took)
        listed = len(os.listdir(cur))  # noqa: PTH208 - names only
        trial.holds(
            "new files",
            listed == renames,
            so=f"{count / seconds:,.0f} made and {renames / took:,.0f} renamed a second, one after another",
            otherwise=f"{renames:,} were put into a directory, and {listed:,} are listed; mail would be missed: do not "
            "use it",
        )


def _barrier(trial: Trial) -> None:
    batch = trial.place / "batch"
    with trial.tried("barrier", "nothing can be stored here"):
        batch.mkdir()
        descriptor = os.open(batch, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

        def sync(name: str) -> None:
            file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=descriptor)
            try:
                os.fsync(file)
            finally:
                os.close(file)

        try:
            names = [str(number) for number in range(BATCH)]
            begun = time.perf_counter()
            for name in names:
                write(batch / name, MESSAGE)
            if not sync_file_system(descriptor):
                sync_each(sync, names, descriptor)
            seconds = time.perf_counter() - begun
        finally:
            os.close(descriptor)
        trial.figures["messages_per_second"] = round(BATCH / seconds)
        trial.told("ok", "barrier", f"{BATCH / seconds:,.0f} messages of 4 KiB a second, {BATCH} at a time")
