"""Work that pages of a domain's steps begin and that is not waited for: `proxy.admin.tasks`.

A step's page (`showing.step_page`) shows the task of its kind while it is under way, then what came of it, and has the
forms that begin it:

    self._steps.begin(visit, "dns", "123.com", self._look)
    return visit.go(place("123.com", "dns"))
"""

from __future__ import annotations

from typing import Any

from proxy.admin.tasks import Busy, Work
from proxy.web.console.seeing import Seeing
from proxy.web.visit import Visit


class Steps:
    """Of one daemon's console."""

    def __init__(self, seeing: Seeing) -> None:
        self._seeing = seeing

    def begin(self, visit: Visit, kind: str, subject: str, work: Work, **about: Any) -> bool:
        """Begin a task; `about` is for the log. False where the same is under way, which the next page says."""
        by = visit.session.subject if visit.session is not None else ""
        try:
            visit.web.tasks.begin(kind, subject, by, work)
        except Busy:
            visit.tell("console.task.busy", "bad")
            return False
        self._seeing.note(visit, kind, subject=subject, **about)
        return True

    def stop(self, visit: Visit, kind: str, subject: str) -> None:
        """End a task before its end."""
        if visit.web.tasks.stop(kind, subject):
            self._seeing.note(visit, f"stop {kind}", subject=subject)
            visit.tell("console.task.stopped")
