"""Files, ids, command lines and requests of whatever kind: see targets.py. `ci/faults` has it guided by coverage."""

from __future__ import annotations

import pytest

from tests.fuzz.guided import MISTAKES, NAMES, corpus, run


@pytest.mark.parametrize("target", NAMES)
def test_whatever_comes_is_taken_or_refused_by_a_typed_error(target: str) -> None:
    tried, code, said = run(target, 1.0, 1, alone=True)
    assert code == 0, said
    assert tried >= len(list(corpus(target).glob("*"))) > 10


@pytest.mark.slow
@pytest.mark.parametrize("target", MISTAKES)
def test_the_fuzzer_finds_what_is_planted(target: str) -> None:
    _, code, said = run(target, 20.0, 1, alone=True, mistake=True)
    assert code != 0
    assert "it was found by this input" in said
