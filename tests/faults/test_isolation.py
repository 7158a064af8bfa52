"""Another user of the machine can do nothing to a board: see isolation.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.campaign import OWN_SHARED_MEMORY
from tests.faults.isolation import MISTAKES

ROOT = Path(__file__).resolve().parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becoming two other users needs root")


def attack(*words: str) -> subprocess.CompletedProcess[str]:
    command = [*OWN_SHARED_MEMORY, sys.executable, "-m", "tests.faults.isolation", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)


@needs_root
@pytest.mark.parametrize(("words", "least"), [("reach", 150), ("squat", 90), ("links --most 40", 160)])
def test_another_user_neither_reads_nor_writes_nor_squats_nor_blocks(words: str, least: int) -> None:
    done = attack(*words.split())
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["tried"] >= least
    assert said["failed"] == 0


@pytest.mark.slow
@needs_root
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_attacks_find(mistake: str) -> None:
    done = attack(*MISTAKES[mistake][0].split(), "--mistake", mistake, "--seed", "1")
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["failed"] > 0


def test_without_root_it_says_that_nothing_was_tried() -> None:
    code = "import os, runpy, sys; sys.argv = ['isolation', 'reach']; from tests.faults import isolation\n"
    code += "os.geteuid = lambda: 1000\nsys.exit(isolation.main())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"tried": 0, "of": "intrusions", "failed": 1, "note": "needs root"}
