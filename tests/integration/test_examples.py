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
    "one_call.py": r"7 is missing: exit code -9\n19 of 20 squares, 2421 in all",
    "pool.py": r"400 numbers, success after \d+\.\d s",
    "stages.py": r"BTC, hourly: success, 3 of 3 folds, result \{'auc': 0.91, 'folds': 3\}\n  load +\d+\.\d ms\n  fit ",
    "crash.py": r"second: lost at \d{3,} of 1000, 'on item \d+', pid \d+\n"
    r"and from the file alone: \{.*'success': 1,.*'lost': 1\}",
    "resume.py": r"first run: failed at 400 of 1000 \(ConnectionError: .*\)\n"
    r"second run: success at 1000 of 1000, resumed from 400",
    "crash_proof_pool.py": r"a worker died: one of at most [1-4] jobs killed it\nit was 7: BrokenProcessPool\n"
    r"19 of 20 squares, 2421 in all",
    "market.py": r"SP500-1999-2003   1256 of 1D, .*\n(.*\n){6}NASDAQ-2014-2018  1258 of 1D, ",
    "bars_of_tqdm.py": r"epochs/batches +20 of 20, success \{'loss': 0\.05\}\n(.*\n)*all roots +4 of 4, success",
    "calls_of_joblib.py": r"the sum of the roots is 661\.5\nTerminatedWorkerError: .*died: pid \d+ \(parse\(broken\."
    r".*\n(.*\n)*roots +100 of 100, success \n"
    r"parse +\d of 4, failed TerminatedWorkerError: pid \d+ was killed by SIGKILL with parse\(broken\.csv\) in hand",
    "search_with_scikit_learn.py": r"the best: \{'logisticregression__C': \d+\.\d\}\n(.*\n)*"
    r"regularization/search +9 of 9, success\n(.*\n)*trees +20 of 20, success",
    "threads_in_c.py": r"in the end 4,000,000, exactly",
    "openmp_in_c.py": r"in the end 15,000,000, exactly",
    "kernel_in_cython.py": r"in the end 8,000,000, exactly",
    "prange_in_numba.py": r"in the end 15,000,000, exactly",
    "watching.py": r"Shared by the examples of native code",
}
KERNELS = ("openmp_in_c.py", "kernel_in_cython.py", "prange_in_numba.py")
# They and the page are tested in test_programs.py, test_old_programs.py, test_web_dashboard.py, and in a browser.
PROGRAMS = {
    "auto_symbol_training.py",
    "scalable_analysis_system.py",
    "analysis_tracker.py",
    "market_results.py",
    "old_training.py",
}


def test_every_example_is_tested_and_listed() -> None:
    files = {path.name for path in EXAMPLES.glob("*.py")}
    listed = set(re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text()))
    assert files == {*SAYS, *PROGRAMS} == listed


@pytest.mark.parametrize("name", sorted(SAYS))
def test_example(name: str, run_python: RunPython, headway_dir: Path) -> None:
    finished = run_python(EXAMPLES / name)
    assert re.search(SAYS[name], finished.stdout), finished.stdout
    assert not re.search(r"Warning|Traceback", finished.stderr), finished.stderr
    if name in KERNELS:
        seen = [
            int(text.replace(",", "")) for text in re.findall(r"from another process: +([\d,]+) of", finished.stdout)
        ]
        assert seen == sorted(seen)
        assert len(set(seen)) >= 3, "it did not rise"
        told = re.search(r"takes ([\d.]+) ns; counting adds (-?[\d.]+) %", finished.stdout)
        assert told is not None, finished.stdout
        assert float(told[2]) < 20, "ten times what it may cost"
    left = [path for path in headway_dir.rglob("*") if path.is_file()] if name != "hello.py" else []
    assert not left
