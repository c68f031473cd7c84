"""The responses that a migration asks for, as values: capabilities, namespaces, folders, a folder's messages.

Each is an object that takes untagged responses while they arrive and tells afterwards what they were.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mailstore.index.rows import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Flags, shared_flags
from proxy.imap.client import names
from proxy.imap.client.responses import Reply, Untagged, Value, number, values
from proxy.imap.grammar.dates import parse_date_time
from proxy.imap.grammar.syntax import BadSyntax
from proxy.legacy.errors import LegacyProtocolError

LISTED_LIMIT = 5_000_000  # messages of one folder
FOLDERS_LIMIT = 100_000
KEYWORDS_LIMIT = 64  # of one message
NO_DATE = -(2**62)  # in an array of dates

_SYSTEM: Mapping[str, str] = MappingProxyType(
    {flag.upper(): flag for flag in (SEEN, ANSWERED, FLAGGED, DELETED, DRAFT)}
)
_KEYWORD = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]{1,128}")


def capabilities_in(reply: Reply) -> frozenset[str] | None:
    """Those that came with a greeting, or with the answer to a login (RFC 3501 7.1)."""
    return _names(reply.arguments) if reply.code == "CAPABILITY" else None


def _names(text: bytes) -> frozenset[str]:
    return frozenset(text.decode("ascii", "replace").upper().split())


class CapabilityList:
    """CAPABILITY: names in capitals."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()

    def take(self, response: Untagged) -> None:
        if response.name == "CAPABILITY":
            self.names |= _names(response.parts[0])


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Prefixes of folders' names: the user's own, and those of others (RFC 2342)."""

    personal: tuple[bytes, ...] = (b"",)
    others: tuple[bytes, ...] = ()


class NamespaceList:
    """NAMESPACE. What cannot be read leaves everything the user's own."""

    def __init__(self) -> None:
        self.found = Namespaces()

    def take(self, response: Untagged) -> None:
        if response.name != "NAMESPACE":
            return
        kinds = values(response.parts)[:3]
        personal, *foreign = ([*map(_prefixes, kinds), (), (), ()])[:3]
        others = tuple(prefix for kind in foreign for prefix in kind)
        self.found = Namespaces(personal or (b"",), others)


def _prefixes(kind: Value) -> tuple[bytes, ...]:
    if not isinstance(kind, list):
        return ()
    return tuple(each[0] for each in kind if isinstance(each, list) and each and isinstance(each[0], bytes))


@dataclass(frozen=True, slots=True)
class Listed:
    """A folder as LIST has it: its name as the server says it, its delimiter, and its attributes in lower case."""

    name: bytes
    delimiter: bytes | None
    attributes: frozenset[str]


class FolderList:
    """LIST, XLIST or LSUB."""

    def __init__(self) -> None:
        self.found: dict[bytes, Listed] = {}

    def take(self, response: Untagged) -> None:
        if response.name not in {"LIST", "XLIST", "LSUB"}:
            return
        attributes, delimiter, name = (*values(response.parts)[:3], None, None, None)[:3]
        if not isinstance(name, bytes) or not isinstance(attributes, list) or isinstance(delimiter, list):
            raise LegacyProtocolError(f"the server's answer to {response.name} is not a folder")
        if len(self.found) >= FOLDERS_LIMIT:
            raise LegacyProtocolError(f"the server lists more than {FOLDERS_LIMIT} folders")
        said = frozenset(a.decode("ascii", "replace").lower() for a in attributes if isinstance(a, bytes))
        before = self.found.get(name)
        self.found[name] = Listed(name, delimiter or None, said | (before.attributes if before else frozenset()))


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the user's. `levels` without the namespace's prefix; the inbox is ("INBOX",)."""

    name: bytes  # as the server says it, and as it is said to it
    levels: tuple[str, ...]
    attributes: frozenset[str]
    subscribed: bool

    @property
    def selectable(self) -> bool:
        return not self.attributes & {"\\noselect", "\\nonexistent"}


class FolderState:
    """EXAMINE: how many messages, and what their UIDs mean."""

    def __init__(self) -> None:
        self.exists = 0
        self.uidvalidity: int | None = None

    def take(self, response: Untagged) -> None:
        if response.name == "EXISTS" and response.number is not None:
            self.exists = response.number
        elif response.name == "OK":
            found = re.search(rb"\[UIDVALIDITY ([0-9]{1,10})", response.parts[0], re.IGNORECASE)
            if found:
                self.uidvalidity = int(found[1])


class Summaries:
    """UID FETCH of a whole folder: UIDs ascending, with octets, dates and flags.

    In arrays: there may be millions. A size that is not told is 0, a date that is not told NO_DATE.
    """

    def __init__(self) -> None:
        self.uids = array("L")
        self.octets = array("Q")
        self.dates = array("q")
        self.flags: list[Flags] = []
        self.gmail: dict[int, int] = {}  # UID → X-GM-MSGID, where it was asked for
        self.exists: int | None = None  # what the server has said since it was asked
        self.gone = 0
        self._ordered = True

    def settle(self) -> None:
        """All has come: bring it into order where the server did not, and count once what came twice."""
        if self._ordered:
            return
        last = {uid: index for index, uid in enumerate(self.uids)}
        order = [last[uid] for uid in sorted(last)]
        self.uids = array("L", [self.uids[index] for index in order])
        self.octets = array("Q", [self.octets[index] for index in order])
        self.dates = array("q", [self.dates[index] for index in order])
        self.flags = [self.flags[index] for index in order]
        self._ordered = True

    def take(self, response: Untagged) -> None:
        if response.name == "EXPUNGE":
            self.gone += 1
        if response.name != "FETCH":
            return
        items = fetched(response)
        uid = number(items.get("UID"))
        if uid is None or uid < 1 or not items.keys() & {"RFC822.SIZE", "INTERNALDATE"}:
            return  # flags that changed meanwhile
        if self.uids and uid <= self.uids[-1]:
            self._ordered = False
        if len(self.uids) >= LISTED_LIMIT:
            raise LegacyProtocolError(f"a folder has more than {LISTED_LIMIT} messages")
        self.uids.append(uid)
        self.octets.append(number(items.get("RFC822.SIZE")) or 0)
        self.dates.append(date_of(items.get("INTERNALDATE")))
        self.flags.append(flags_of(items.get("FLAGS")))
        gmail = number(items.get("X-GM-MSGID"))
        if gmail is not None:
            self.gmail[uid] = gmail


class Headers:
    """UID FETCH of headers, or of some fields of them, by UID."""

    def __init__(self) -> None:
        self.by_uid: dict[int, bytes] = {}

    def take(self, response: Untagged) -> None:
        if response.name != "FETCH":
            return
        items = fetched(response)
        uid = number(items.get("UID"))
        header = next((v for k, v in items.items() if k.startswith("BODY[HEADER") and isinstance(v, bytes)), None)
        if uid is not None and header is not None:
            self.by_uid[uid] = header


def message_id(header: bytes) -> bytes:
    """The value of the first Message-ID field of a header, unfolded and without spaces; b"" where there is none."""
    found = re.search(rb"(?:\A|\n)message-id[ \t]*:((?:[^\n]|\n[ \t])*)", header, re.IGNORECASE)
    return b"".join(found[1].split()) if found else b""


def fetched(response: Untagged) -> Mapping[str, Value]:
    """The items of a FETCH response by name, in capitals. Raises LegacyProtocolError."""
    found = values(response.parts)
    items = found[0] if found else None
    if not isinstance(items, list) or len(items) % 2:
        raise LegacyProtocolError("the server's FETCH response is not a list of items")
    named = {}
    for name, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(name, bytes):
            raise LegacyProtocolError("the server's FETCH response has an item without a name")
        named[name.decode("ascii", "replace").upper()] = value
    return named


def date_of(value: Value) -> int:
    """INTERNALDATE in seconds since 1970. What is no date is none."""
    if isinstance(value, bytes):
        try:
            return parse_date_time(value)
        except BadSyntax:
            pass
    return NO_DATE


def flags_of(value: Value) -> Flags:
    """System flags and keywords. \\Recent is each session's own, and flags of a server's own invention are dropped."""
    if not isinstance(value, list):
        return shared_flags(())
    named: dict[str, str] = {}
    for flag in value:
        if isinstance(flag, bytes):
            text = flag.decode("ascii", "replace")
            known = _SYSTEM.get(text.upper()) or (text if _KEYWORD.fullmatch(text) else None)
            if known is not None and len(named) < KEYWORDS_LIMIT:
                named.setdefault(known.upper(), known)
    return shared_flags(named.values())


def folders(listed: Mapping[bytes, Listed], subscribed: frozenset[bytes], namespaces: Namespaces) -> list[Folder]:
    """The user's own folders, INBOX first, then by name; those of other users' and shared namespaces left out."""
    found = []
    for each in listed.values():
        levels = _own_levels(each, namespaces)
        if any(levels):
            is_subscribed = each.name in subscribed or "\\subscribed" in each.attributes
            found.append(Folder(each.name, levels, each.attributes, is_subscribed))
    return sorted(found, key=lambda folder: (folder.levels != ("INBOX",), folder.levels))


def _own_levels(folder: Listed, namespaces: Namespaces) -> tuple[str, ...]:
    """A name without its namespace's prefix; () where the namespace is not the user's own (RFC 2342 5)."""
    if folder.name.upper() == b"INBOX":
        return ("INBOX",)
    prefixes = [p for p in (*namespaces.personal, *namespaces.others) if folder.name.startswith(p)]
    prefix = max(prefixes, key=len, default=None)
    if prefix is None or prefix not in namespaces.personal:
        return ()
    return names.levels(folder.name[len(prefix) :], folder.delimiter)
