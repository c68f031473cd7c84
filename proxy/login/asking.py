"""Asking the accounts database one short question from the reactor's thread.

A file of SQLite answers in microseconds: quicker than the way to a thread and back. A server may take its time, or none
at all, and nobody else is to wait for it: it is asked in a thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from proxy.wire.in_thread import InThread

T = TypeVar("T")


class Store(Protocol):
    """Accounts, the queue, sessions of the web: what stands on `mailstore.database.AccountsDatabase`."""

    @property
    def instant(self) -> bool: ...


async def ask(store: Store, in_thread: InThread, question: Callable[..., T], *about: Any) -> T:
    """The answer of a method of `store` that is one short look-up (`AccountsDatabase.first`, `version`). Raises
    MailstoreError."""
    if store.instant:
        return question(*about)
    answer: T = await in_thread(question, *about)
    return answer
