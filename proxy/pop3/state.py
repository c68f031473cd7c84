"""The states of a POP3 session (RFC 1939 3). UPDATE is none of them: QUIT passes through it and the session ends."""

from __future__ import annotations

import enum


class State(enum.Enum):
    AUTHORIZATION = "AUTHORIZATION"
    TRANSACTION = "TRANSACTION"
