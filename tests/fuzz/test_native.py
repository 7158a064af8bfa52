"""The native code on segments in which anything stands: see segment.c. `ci/faults` has it guided by coverage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fuzz.native import CORPUS, MISTAKES, build, run


def test_whatever_stands_in_a_segment_the_native_code_stays_within_it(tmp_path: Path) -> None:
    tried, code, said = run(build(tmp_path, guided=False), 2.0, 1, guided=False)
    assert code == 0, said[-4000:]
    assert tried > len(list(CORPUS.glob("*"))) > 50


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_fuzzer_finds(mistake: str, tmp_path: Path) -> None:
    _, code, said = run(build(tmp_path, (MISTAKES[mistake],), guided=False), 20.0, 1, guided=False)
    assert code != 0
    assert "AddressSanitizer" in said or "runtime error" in said or re.search(r"^line \d+: ", said, re.MULTILINE)
