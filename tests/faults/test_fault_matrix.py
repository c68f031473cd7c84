"""The whole matrix: whatever a legacy server does wrong at whichever octet, the mailbox ends whole.

MAILFERRY_FAULTS=1 tries every offset with faults of every length; `python -m tests.faults` prints the counts."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.faults.injecting import Kind
from tests.faults.matrix import Case, Lasts, cases, run
from tests.faults.rig import Ground

MORE = bool(os.environ.get("MAILFERRY_FAULTS"))

_BY_STEP: defaultdict[tuple[str, Kind], list[Case]] = defaultdict(list)
for _case in cases(more=MORE):
    _BY_STEP[f"{_case.manner.name}: {_case.fault.step}", _case.fault.kind].append(_case)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    shared = Ground()
    yield shared
    shared.close()


@pytest.mark.parametrize(("step", "kind"), _BY_STEP, ids=[f"{step}, {kind.value}" for step, kind in _BY_STEP])
def test_whole_in_the_end(ground: Ground, step: str, kind: Kind) -> None:
    """At each octet of this step."""
    wrong = []
    for case in _BY_STEP[step, kind]:
        try:
            run(case, ground)
        except AssertionError as error:
            wrong.append(f"{case}: {error}")
    assert not wrong, "\n".join(wrong)


def test_the_matrix_has_every_step_every_fault_and_every_length() -> None:
    tried = [case for some in _BY_STEP.values() for case in some]
    assert len(tried) == len(set(tried)) > 1500
    steps = {case.fault.step.split()[0] for case in tried}
    said = {"CAPA", "STLS", "USER", "PASS", "APOP", "AUTH", "LIST", "UIDL", "NOOP", "RETR", "QUIT"}
    assert steps == {"connect", "greeting", "TLS"} | said
    for step in steps - {"connect", "TLS"}:
        kinds = {(case.fault.kind, case.lasts) for case in tried if case.fault.step.split()[0] == step}
        assert {kind for kind, _ in kinds} == set(Kind), step
        for kind in set(Kind) - {Kind.DRIP}:
            assert {lasts for each, lasts in kinds if each is kind} == set(Lasts), (step, kind)
