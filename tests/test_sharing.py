"""Tests that several processes share are told as if one had run them, whatever becomes of one of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.forked import ROOT

FILES = {
    "test_one.py": "def test_a(): pass\ndef test_b(): assert 1 == 2\n"
    "def test_c(tmp_path): print('what c said'); 1 / 0\n",
    "test_two.py": "import os\ndef test_d(): pass\ndef test_e(): os._exit(7)\ndef test_f(): pass\n",
    "test_three.py": "from twisted.internet import reactor\nfrom twisted.trial.unittest import TestCase\n"
    "from twisted.internet.task import deferLater\nclass G(TestCase):\n"
    "    def test_g(self): return deferLater(reactor, 0, int)\n",
    "test_four.py": "import os\nimport pytest\n@pytest.fixture(scope='session')\ndef once():\n    yield os.getpid()\n"
    "    print('the end of what is once')\ndef test_h(once): pass\ndef test_i(once): pass\n",
    "test_five.py": "def test_j(): open('/dev/null')\n",
    "test_six.py": "def test_k(): pass\n",
}


def run(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    for name, text in FILES.items():
        (place / name).write_text(text)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.sharing",
        "--rootdir",
        place,
        "-c",
        "/dev/null",
        "-W",
        "error",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    environment.pop("PYTEST_ADDOPTS", None)
    return subprocess.run(
        [*map(str, command), "-p", "no:cacheprovider", "--import-mode=importlib", *arguments, str(place)],
        cwd=place, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_each_is_told_whatever_becomes_of_a_process(tmp_path: Path) -> None:
    ran = run(tmp_path, "--processes", "2", "-q")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    told = sorted(re.findall(r"^(?:FAILED|ERROR) \S*?(\w+\.py::\S+)(?: - (.*))?$", ran.stdout, re.MULTILINE))
    assert [name for name, _ in told] == [
        "test_five.py::test_j",
        "test_one.py::test_b",
        "test_one.py::test_c",
        "test_two.py::test_e",
        "test_two.py::test_f",
    ], ran.stdout
    assert dict(told)["test_one.py::test_b"] == "assert 1 == 2"
    assert "what c said" in ran.stdout, "what a failed test printed"
    assert len(re.findall(r"^process \d died with status 7$", ran.stdout, re.MULTILINE)) == 2
    assert ran.stdout.splitlines()[-1].startswith("5 failed, 6 passed in "), ran.stdout


def test_no_more_is_begun_once_enough_has_failed(tmp_path: Path) -> None:
    ran = run(tmp_path, "--processes", "1", "-x", "-q")
    assert ran.returncode == 1
    shared = run(tmp_path, "--processes", "2", "-x", "-q")
    assert shared.returncode == 1
    assert "stopping after" in shared.stdout
