"""Each example runs, says what it promises, and leaves nothing behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import RunPython

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SAYS = {
    "hello.py": r"the sum of the squares is 8955050",
    "pool.py": r"400 numbers, success after \d+\.\d s",
    "stages.py": r"BTC, hourly: success, 3 of 3 folds, result \{'auc': 0.91, 'folds': 3\}\n  load +\d+\.\d ms\n  fit ",
    "crash.py": r"second: lost at \d{3,} of 1000, 'on item \d+', pid \d+\n"
    r"and from the file alone: \{.*'success': 1,.*'lost': 1\}",
    "resume.py": r"first run: failed at 400 of 1000 \(ConnectionError: .*\)\n"
    r"second run: success at 1000 of 1000, resumed from 400",
    "threads_in_c.py": r"in the end 4,000,000, exactly",
}


def test_every_example_is_tested_and_listed() -> None:
    files = {path.name for path in EXAMPLES.glob("*.py")}
    listed = set(re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text()))
    assert files == set(SAYS) == listed


@pytest.mark.parametrize("name", sorted(SAYS))
def test_example(name: str, run_python: RunPython, headway_dir: Path) -> None:
    finished = run_python(EXAMPLES / name)
    assert re.search(SAYS[name], finished.stdout), finished.stdout
    assert not re.search(r"Warning|Traceback", finished.stderr), finished.stderr
    left = [path for path in headway_dir.rglob("*") if path.is_file()] if name != "hello.py" else []
    assert not left
