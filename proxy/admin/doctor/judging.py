"""What of all that was gathered looks wrong, a line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from proxy.admin.doctor.gathering import TROUBLE

FEW: Final = 0.05  # of a disk's room, or files
DESCRIPTORS: Final = 4_096
_NEARLY: Final = 0.8  # of the descriptors that are allowed


def findings(facts: Mapping[str, Any]) -> list[str]:
    """In the order in which they are worth a look."""
    return [*_unseen(facts), *_checked(facts), *_kept(facts), *_running(facts), *_troubles(facts), *_logged(facts)]


def _unseen(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, found in facts.items():
        if isinstance(found, dict) and TROUBLE in found:
            yield f"{name} could not be looked at: {found[TROUBLE]}"
    for mistake in facts.get("mistakes") or ():
        yield ": ".join(filter(None, ("configuration", mistake["key"], mistake["text"])))


def _checked(facts: Mapping[str, Any]) -> Iterator[str]:
    for each in _list(facts, "check"):
        if each["result"] != "ok":
            yield f"{each['check']}: {each['subject']}: {each['text']}"


def _kept(facts: Mapping[str, Any]) -> Iterator[str]:
    found = facts.get("store") or {}
    if found.get("integrity", "ok") != "ok":
        yield f"the accounts database is damaged: {found['integrity']}"
    for each in _list(facts, "mailboxes"):
        name, ledger = each["account"], each.get("ledger") or {}
        if "nothing is here yet" in each:
            continue
        if "trouble" in each:
            yield f"the mailbox of {name} cannot be read: {each['trouble']}"
        elif each.get("integrity") != "ok":
            yield f"the index of {name} is damaged: {each.get('integrity')}"
        elif each["files"] < each["in the index"] - ledger.get("listed", 0) - ledger.get("quarantined", 0):
            yield f"{name} has fewer files ({each['files']}) than its index has messages ({each['in the index']})"
        if ledger.get("quarantined"):
            yield f"{name} has messages in quarantine: {ledger['quarantined']}"
    for place, disk in (facts.get("disks") or {}).items():
        for what, free in (("octets", "free"), ("files", "files free")):
            if isinstance(disk, dict) and disk[what] and disk[free] < FEW * disk[what]:
                yield f"{place}: little room: {disk[free]} of {disk[what]} {what} are free"


def _running(facts: Mapping[str, Any]) -> Iterator[str]:
    if (facts.get("machine") or {}).get("clock is synchronised") is False:
        yield "the clock of this machine is not synchronised"
    running = _list(facts, "processes")
    if not running:
        yield "the daemon does not run"
    for each in running:
        most, used = each.get("descriptors allowed"), each.get("descriptors")
        if most and most < DESCRIPTORS:
            yield f"process {each['pid']} may open {most} descriptors only"
        if most and isinstance(used, int) and used > _NEARLY * most:
            yield f"process {each['pid']} has {used} of {most} descriptors open"


def _troubles(facts: Mapping[str, Any]) -> Iterator[str]:
    for kind, count in ((facts.get("store") or {}).get("troubles") or {}).items():
        yield f"accounts with trouble: {kind}: {count}"


def _logged(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts.get("log") is None:
        yield "no log was found: name its file with --log FILE"
    counted = Counter(str(line.get("event")) for line in _list(facts, "log") if line.get("level") == "error")
    for event, count in counted.most_common(10):
        yield f'errors in the log: {count} of "{event}"'


def _list(facts: Mapping[str, Any], name: str) -> list[Any]:
    found = facts.get(name)
    return found if isinstance(found, list) else []
