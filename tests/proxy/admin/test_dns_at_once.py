"""Calls that wait for others, in threads that nobody has to wait for."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from proxy.admin.dns.at_once import at_once

ROOT = Path(__file__).parents[3]


def test_results_come_in_the_order_of_the_arguments() -> None:
    first = threading.Event()

    def call(number: int) -> int:
        if number == 1:
            first.set()
        assert first.wait(10)
        return number * number

    assert at_once(call, range(8), 4) == [0, 1, 4, 9, 16, 25, 36, 49]
    assert at_once(call, [], 4) == []


def test_no_more_are_called_at_a_time_than_is_said() -> None:
    gate, calls = threading.Barrier(3), threading.Semaphore(3)

    def call(_: int) -> bool:
        free = calls.acquire(blocking=False)
        gate.wait(10)
        calls.release()
        return free

    assert all(at_once(call, range(9), 3))


def test_what_goes_wrong_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        at_once(lambda number: 1 // number, [1, 0, 1], 2)


def test_a_call_that_never_ends_holds_no_process_up() -> None:
    code = """
import threading
from proxy.admin.dns.at_once import at_once
begun = threading.Event()
def call(_):
    begun.set()
    threading.Event().wait()
threading.Thread(target=at_once, args=(call, [1], 1), daemon=True).start()
begun.wait()
print("the end")
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "the end\n"
