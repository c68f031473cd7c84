"""What a process of the daemon asks for at its start, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

TIME_IS_SET = """
import time
real = time.time
off = 0.0
time.time = lambda: real() + off
from twisted.internet import reactor
from proxy.daemon import process
process.prepare(reactor)
said = []
reactor.callLater(3600, said.append, "an hour")
reactor.callLater(0.01, said.append, "a moment")
off = 7200.0
reactor.callLater(0.02, lambda: globals().update(off=-86400.0))
reactor.callLater(0.03, reactor.stop)
reactor.run()
print(said)
"""


def test_what_is_planned_comes_in_time_when_the_time_of_day_is_set() -> None:
    done = subprocess.run([sys.executable, "-c", TIME_IS_SET], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "['a moment']\n"
