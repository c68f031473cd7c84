"""Where an LMTP session stands (RFC 5321 4.1.4)."""

from __future__ import annotations

import enum


class State(enum.Enum):
    GREETING = "greeting"  # the client has not said who it is
    READY = "ready"
    SENDER = "sender"  # a message has a sender, and nobody yet who takes it
    RECIPIENTS = "recipients"
