"""Programs for several sessions on one account: what they do, in which order, and how hypothesis makes them.

A step says what is done in small numbers, which are resolved against what the client knows when its turn comes: so
any program can be run, and a shorter one is as good. Steps know nothing of bytes; `tests.sessions.playing` has those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

FOLDERS = ("INBOX", "A", "B", "A/c")
FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "\\Answered", "\\Draft", "Work", "$Forwarded")
MANNERS: tuple[tuple[str, ...], ...] = (
    (),
    ("CONDSTORE",),
    ("QRESYNC",),
    ("IMAP4rev2",),
    ("UIDONLY",),
    ("QRESYNC", "IMAP4rev2"),
    ("QRESYNC", "UIDONLY"),
)


@dataclass(frozen=True)
class Client:
    """A participant: what it enables after each login, and whether its bytes arrive one by one."""

    enables: tuple[str, ...] = ()
    bytewise: bool = False


@dataclass(frozen=True)
class Pick:
    """Some of the messages that a client knows: the places of `which`, or all; named by number, by UID or by `$`."""

    by: str = "number"  # number | uid
    which: tuple[int, ...] = ()  # () is all of them
    saved: bool = False


@dataclass(frozen=True)
class Select:
    folder: str
    examine: bool = False
    parameter: str = ""  # "" | condstore | qresync | known | matched
    snapshot: int = 0  # of those that the client keeps, which it resyncs from


@dataclass(frozen=True)
class Leave:
    how: str  # CLOSE | UNSELECT


@dataclass(frozen=True)
class Fetch:
    pick: Pick
    items: str  # flags | modseq | peek | body | size
    modifier: str = ""  # "" | changed | vanished | partial
    value: int = 0


@dataclass(frozen=True)
class Store:
    pick: Pick
    mode: str  # "+" | "-" | ""
    flags: frozenset[str]
    silent: bool = False
    unchanged: str = ""  # "" | zero | mine | highest | much


@dataclass(frozen=True)
class Expunge:
    uids: tuple[int, ...] | None = None  # places of messages; None is EXPUNGE


@dataclass(frozen=True)
class Search:
    key: Any  # see `keys`
    by: str = "number"
    returns: frozenset[str] | None = None
    partial: tuple[int, int] | None = None
    kind: str = "SEARCH"  # SEARCH | SORT | THREAD


@dataclass(frozen=True)
class Transfer:
    pick: Pick
    folder: str
    move: bool = False


@dataclass(frozen=True)
class Append:
    folder: str
    flags: tuple[frozenset[str], ...]  # of each message
    catenate: bool = False


@dataclass(frozen=True)
class Replace:
    by: str
    place: int
    folder: str
    flags: frozenset[str]


@dataclass(frozen=True)
class Simple:
    command: str  # NOOP | CHECK | IDLE | LIST


@dataclass(frozen=True)
class Status:
    folder: str


@dataclass(frozen=True)
class OnFolder:
    command: str  # CREATE | DELETE | RENAME
    folder: str
    new: str = ""


@dataclass(frozen=True)
class Enable:
    name: str


@dataclass(frozen=True)
class Pipelined:
    """Sent in one go; none of them may bring an EXPUNGE but the last."""

    steps: tuple[Any, ...]


@dataclass(frozen=True)
class By:
    """A client's step."""

    who: int
    step: Any


@dataclass(frozen=True)
class Deliver:
    """The daemon's own delivery."""

    folder: str
    flags: frozenset[str]


@dataclass(frozen=True)
class Drop:
    """Another program delivers into `new`, or puts a message with flags into `cur`."""

    folder: str
    flags: frozenset[str] | None  # None: into `new`


@dataclass(frozen=True)
class Touch:
    """Another program renames a message's file to have other flags, or takes it away."""

    folder: str
    place: int
    flags: frozenset[str] | None  # None: rm


@dataclass(frozen=True)
class Pop3:
    """One more client, over POP3."""

    command: str  # LOGIN | DELE | RETR | QUIT | DROP
    place: int = 0


@dataclass(frozen=True)
class Restart:
    """The store is closed and opened again; every connection is gone."""


@dataclass(frozen=True)
class Program:
    clients: tuple[Client, ...]
    steps: tuple[Any, ...]
    letters: int = 0  # that are in INBOX from the beginning
    folders: tuple[str, ...] = ()  # that are there from the beginning


def weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Each as often as its weight says: `one_of` gives branches of branches the weight of branches."""
    table = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.integers(0, len(table) - 1).flatmap(table.__getitem__)


place = st.integers(0, 7)
folder = st.sampled_from(("INBOX", "INBOX", "INBOX", "A", "B", "A/c"))
flags = st.frozensets(st.sampled_from(FLAGS), max_size=3)
new_names = st.sampled_from(("A", "B"))
by = st.sampled_from(("number", "uid"))
picks = st.builds(
    Pick,
    by=by,
    which=st.one_of(st.just(()), st.lists(place, min_size=1, max_size=3).map(tuple)),
    saved=st.integers(0, 7).map(lambda n: n == 7),
)


def _keys() -> st.SearchStrategy[Any]:
    leaf = st.one_of(
        st.just(("ALL",)),
        st.tuples(st.just("FLAG"), st.sampled_from(FLAGS)),
        st.tuples(st.just("MODSEQ"), st.sampled_from(("zero", "mine", "highest")), place),
        st.tuples(st.just("UIDS"), st.lists(place, min_size=1, max_size=3).map(tuple)),
        st.tuples(st.just("NUMBERS"), st.lists(place, min_size=1, max_size=3).map(tuple)),
        st.tuples(st.just("BODY"), place),
        st.just(("SAVED",)),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.just("NOT"), inner),
            st.tuples(st.just("OR"), inner, inner),
            st.tuples(st.just("AND"), inner, inner),
        ),
        max_leaves=3,
    )


fetches = st.builds(
    Fetch,
    picks,
    st.sampled_from(("flags", "flags", "modseq", "peek", "body", "size")),
    st.sampled_from(("", "", "changed", "vanished", "partial")),
    place,
)
stores = st.builds(
    Store,
    picks,
    st.sampled_from(("+", "+", "-", "")),
    flags,
    st.booleans(),
    st.sampled_from(("", "", "", "zero", "mine", "highest", "much")),
)
searches = st.builds(
    Search,
    _keys(),
    by,
    st.one_of(st.none(), st.frozensets(st.sampled_from(("MIN", "MAX", "COUNT", "ALL", "SAVE")))),
    st.one_of(st.none(), st.none(), st.sampled_from(((1, 2), (2, 9), (-1, -2)))),
    st.sampled_from(("SEARCH", "SEARCH", "SEARCH", "SORT", "THREAD")),
)
appends = st.builds(
    Append, folder, st.lists(flags, min_size=1, max_size=2).map(tuple), st.integers(0, 3).map(lambda n: n == 3)
)
selects = st.builds(
    Select,
    folder,
    st.integers(0, 3).map(lambda n: n == 3),
    st.sampled_from(("", "condstore", "qresync", "qresync", "known", "matched")),
    place,
)
simple = st.builds(Simple, st.sampled_from(("NOOP", "NOOP", "IDLE", "IDLE", "CHECK", "LIST")))
deleted = st.builds(Store, picks, st.just("+"), st.just(frozenset({"\\Deleted"})))
last = st.one_of(
    st.builds(Transfer, picks, folder, st.booleans()),
    st.builds(Expunge, st.none()),
    simple.filter(lambda step: step.command != "IDLE"),
)
pipelines = st.builds(
    lambda first, end: Pipelined((*first, end)),
    st.lists(st.one_of(fetches, stores, searches, appends, deleted), min_size=1, max_size=3),
    st.one_of(fetches, stores, last),
)
expunges = st.builds(Expunge, st.one_of(st.none(), st.none(), st.lists(place, min_size=1, max_size=3).map(tuple)))
transfers = st.builds(Transfer, picks, folder, st.booleans())
again = st.builds(
    Select, st.just("INBOX"), st.just(False), st.sampled_from(("", "qresync", "qresync", "known", "matched")), place
)
client_steps = weighted(
    (5, simple),
    (7, stores),
    (4, deleted),
    (6, expunges),
    (7, fetches),
    (5, searches),
    (5, transfers),
    (3, appends),
    (6, pipelines),
    (4, again),
    (2, selects),
    (1, st.builds(Replace, by, place, folder, flags)),
    (2, st.builds(Leave, st.sampled_from(("CLOSE", "CLOSE", "UNSELECT")))),
    (1, st.builds(Status, folder)),
    (1, st.builds(OnFolder, st.sampled_from(("CREATE", "DELETE", "RENAME")), st.sampled_from(FOLDERS), new_names)),
    (1, st.builds(Enable, st.sampled_from(("CONDSTORE", "QRESYNC")))),
)
touches = st.builds(Touch, folder, place, st.one_of(flags, flags, st.none()))
world_steps = weighted(
    (3, st.builds(Deliver, folder, flags)),
    (2, st.builds(Drop, folder, st.one_of(st.none(), flags))),
    (3, touches),
    (3, st.builds(Pop3, st.sampled_from(("LOGIN", "LOGIN", "DELE", "DELE", "RETR", "QUIT", "QUIT", "DROP")), place)),
)


def programs(clients: int = 4, steps: int = 40, *, restarts: bool = True) -> st.SearchStrategy[Program]:
    """Two to `clients` sessions, up to so many steps."""

    def of(who: tuple[Client, ...]) -> st.SearchStrategy[Program]:
        mine = st.builds(By, st.integers(0, len(who) - 1), client_steps)
        step = weighted((32, mine), (7, world_steps), (int(restarts), st.just(Restart())))
        # Lists of lists of lists: left alone, hypothesis makes lists of five.
        parts = st.lists(st.lists(st.lists(step, max_size=10), max_size=4))
        lists = parts.map(lambda parts: [step for some in parts for few in some for step in few][:steps])
        folders = st.lists(st.sampled_from(FOLDERS[1:]), max_size=2).map(tuple)
        return st.builds(Program, st.just(who), lists.map(tuple), st.integers(0, 6), folders)

    participant = st.builds(Client, st.sampled_from(MANNERS), st.integers(0, 4).map(lambda n: n == 4))
    return st.lists(participant, min_size=2, max_size=clients).map(tuple).flatmap(of)
