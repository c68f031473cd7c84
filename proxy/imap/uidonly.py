"""Which commands a client that has enabled UIDONLY may not give: those that speak of message numbers (RFC 9586 3)."""

from __future__ import annotations

from proxy.imap.grammar.search_syntax import And, Not, NumberSet, Or, SearchKey
from proxy.imap.grammar.syntax import Command, Select

# Without UID these take numbers, or answer with them.
_BY_NUMBER = frozenset({"FETCH", "STORE", "COPY", "MOVE", "SEARCH", "SORT", "THREAD", "REPLACE"})


def speaks_of_numbers(command: Command) -> bool:
    if command.name in _BY_NUMBER and not command.uid:
        return True
    arguments = command.arguments
    if isinstance(arguments, Select):
        return arguments.resync is not None and arguments.resync.by_number
    key = getattr(arguments, "key", None)  # of SEARCH and of all that search
    return key is not None and _has_numbers(key)


def _has_numbers(key: SearchKey) -> bool:
    """No deeper than MAX_SEARCH_DEPTH. "$" is no number."""
    match key:
        case And() | Or():
            return any(map(_has_numbers, key.keys))
        case Not():
            return _has_numbers(key.key)
        case NumberSet():
            return not key.sequence.saved
        case _:
            return False
