"""`python -m tests.rewritten`: what pytest makes of the assertions in the tests' files is made once, and is there for
each of its processes, which would otherwise all begin with it at the same time in a fresh checkout.

Its cache is checked against the source. What is not there, or is of another pytest, is made by pytest itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.assertion import rewrite

HERE = Path(__file__).parent


class Rewriting:
    """In the place of looking for tests."""

    def pytest_collection(self, session: pytest.Session) -> bool:
        state = session.config.stash[rewrite.assertstate_key]
        for file in (*HERE.rglob("test_*.py"), *HERE.rglob("conftest.py")):
            kept = rewrite.get_cache_dir(file) / f"{file.stem}{rewrite.PYC_TAIL}"
            if rewrite.try_makedirs(kept.parent) and rewrite._read_pyc(file, kept) is None:
                source, code = rewrite._rewrite_test(file, session.config)
                rewrite._write_pyc(state, code, source, kept)
        session.items = []
        return True


if __name__ == "__main__":
    pytest.main(["-q", "-p", "no:cacheprovider", str(HERE)], plugins=[Rewriting()])
