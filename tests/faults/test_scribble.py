"""A segment that somebody scribbles over while others use it: see scribble.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def scribble(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.faults.scribble", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)


def test_nobody_crashes_or_hangs_while_somebody_scribbles_over_the_segment() -> None:
    done = scribble("--seconds", "2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tried"] > 50


@pytest.mark.slow
def test_a_pointer_in_shared_memory_is_found() -> None:
    done = scribble("--seconds", "3", "--mistake")
    assert done.returncode == 1
    assert "ended with wait status" in done.stderr
