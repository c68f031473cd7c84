"""The model of the store once more, with an index that is lost now and then: clients are told what they were."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import rule

from mailstore.index.ahead import AHEAD
from tests.mailstore.store_rig import open_home
from tests.mailstore.test_store_model import Store


class LosingStore(Store):
    @rule()
    def lose_the_index(self) -> None:
        """UIDs go on a million higher: nobody knows which were given out since the record was last written."""
        self.home.close()
        for name in ("Maildir.db", "Maildir.db-wal", "Maildir.db-shm"):
            (self.path / name).unlink(missing_ok=True)
        self.home = open_home(self.path)
        for folder in self.model.folders.values():
            folder.uidnext += AHEAD


LosingStore.TestCase.settings = settings(
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestLosingStore = LosingStore.TestCase
