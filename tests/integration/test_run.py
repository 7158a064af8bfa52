"""`headway run`: a program behaves as by Python itself, and its tqdm bars are on one board, in whatever process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import headway
from headway.integrations.startup import sitecustomize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headway.engine.board import Board
    from tests.conftest import RunPython

RUN = ("-m", "headway", "run")

WHO = """
import __main__, pickle, sys
class Thing: pass
print(sys.argv[1:], sys.path[0] == __file__.rpartition("/")[0], __name__, __spec__, __doc__, __builtins__.__name__)
print(sys.argv[0] == __file__, __main__.Thing is Thing, type(__loader__), sorted(vars()))
print(type(pickle.loads(pickle.dumps(Thing()))), sys.flags.dev_mode, __file__ in sys.modules["__main__"].__file__)
"""
ENDS = {
    "a status": "import sys; sys.exit(3)",
    "a text": "import sys; sys.exit('that was it')",
    "an exception": "def f():\n    1 / 0\nf()",
    "a chain": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('so') from error",
    "a mistake in it": "x = (",
    "Ctrl-C": "import os, signal, time\nprint('on', flush=True)\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)",
    "SIGTERM": "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(9)",
    "its hook": "import sys\nsys.excepthook = lambda *what: print(what[0], what[2].tb_lineno)\nraise KeyError(1)",
    "exit handlers": "import atexit, sys\natexit.register(lambda: print('late', sys.last_value))\nraise KeyError(1)",
    "a closed pipe": "import os\nos.close(1)\nprint('nobody')",
}

EVERYWHERE = """
import multiprocessing, subprocess, sys
from tqdm import tqdm

def work(name):
    for _ in tqdm(range(5), desc=name):
        pass

if __name__ == "__main__":
    work("here")
    for start in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(start).Pool(1) as pool:
            pool.map(work, [start])
            pool.close()
            pool.join()
    code = "from tqdm.auto import tqdm\\nfor _ in tqdm(range(5), desc='by itself'): pass"
    subprocess.run([sys.executable, "-c", code], check=True)
    subprocess.run([sys.executable, "-I", "-c", code.replace("itself", "-I")], check=True)
"""

PARALLEL = """
import subprocess, sys
import joblib

def outer(number):
    return joblib.Parallel(n_jobs=1)(joblib.delayed(abs)(n) for n in range(3))

if __name__ == "__main__":
    for backend in ("loky", "multiprocessing", "threading"):
        joblib.Parallel(n_jobs=2, backend=backend)([joblib.delayed(outer)(n) for n in range(4)])
    code = "import joblib; joblib.Parallel()(joblib.delayed(max)(n, 1) for n in range(5))"
    subprocess.run([sys.executable, "-c", code], check=True)
"""

LEARNING = """
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate

X, y = make_classification(60, random_state=0)
if __name__ == "__main__":
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2, n_jobs=2, refit=False).fit(X, y)
    scores = cross_validate(LogisticRegression(), X, y, cv=3, n_jobs=2)["test_score"]
    forest = RandomForestClassifier(5, n_jobs=2, random_state=0).fit(X, y)
    print(len(search.cv_results_["params"]) == 2, len(scores) == 3, forest.score(X, y) > 0.5)
"""

KILLED = """
import os, signal, sys, time
from tqdm import tqdm
for number in tqdm(range(50), desc="items"):
    if number == 20:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def board(board_name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """The board of the program, watched by this process."""
    monkeypatch.setenv("HEADWAY_BOARD", board_name)
    with headway.open(board_name) as board:
        yield board
        board.remove()


def written(folder: Path, source: str, name: str = "program.py") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return path


def test_the_program_is_what_it_would_be_by_itself(run_python: RunPython, tmp_path: Path) -> None:
    program = written(tmp_path, WHO)
    arguments = ("-m", "--help", "--", "-x", "")
    for options in ((), ("-X", "dev"), ("-P",)):
        alone = run_python(program, *arguments, options=options)
        assert alone.stdout.count("\n") == 3
        assert run_python(program, *arguments, options=(*options, *RUN)) == alone


@pytest.mark.parametrize("what", ENDS)
def test_it_ends_as_it_would_by_itself(run_python: RunPython, tmp_path: Path, what: str) -> None:
    program = written(tmp_path, ENDS[what])
    alone = run_python(program, check=False)
    assert run_python(program, check=False, options=RUN) == alone
    assert alone.returncode


def test_modules_and_folders_run_as_well(run_python: RunPython, tmp_path: Path) -> None:
    module = written(
        tmp_path / "pack", "import sys\nprint(sys.argv, sys.path[0], __spec__.name)\n1 / 0\n", "__main__.py"
    )
    written(tmp_path / "pack", "", "__init__.py")
    for given, options in ((Path("pack"), ("-m",)), (module.parent, ())):
        alone = run_python(given, "x", cwd=tmp_path, options=options, check=False)
        assert "ZeroDivisionError" in alone.stderr
        assert run_python(given, "x", cwd=tmp_path, options=(*RUN, *options), check=False) == alone


@pytest.mark.parametrize(("given", "status"), [("nowhere.py", 2), ("", 2), ("-x", 2), ("--help", 0)])
def test_what_cannot_be_run_is_refused(run_python: RunPython, tmp_path: Path, given: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, *RUN, *filter(None, [given])], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert "run" in done.stderr + done.stdout


def test_the_bars_of_all_processes_are_on_one_board(run_python: RunPython, board: Board) -> None:
    done = run_python(EVERYWHERE, options=RUN)
    assert "Warning" not in done.stderr
    names = ("here", "fork", "spawn", "forkserver", "by itself")  # -I keeps a Python from what the environment says
    assert {task.id: (task.state, task.count) for task in board} == dict.fromkeys(names, ("success", 5))


def test_the_calls_of_joblib_in_all_processes_are_on_one_board(run_python: RunPython, board: Board) -> None:
    done = run_python(PARALLEL, options=RUN)
    assert "Warning" not in done.stderr
    tasks = {task.id: (task.state, task.count, task.total) for task in board}
    assert tasks.pop("outer") == ("success", 4, 4)
    assert tasks.pop("max") == ("success", 5, 5)
    assert set(tasks) <= {"outer/abs", "outer/abs-2"}, "parts, also in workers"
    assert set(tasks.values()) == {("success", 3, 3)}


@pytest.mark.timeout(300)  # three processes import scikit-learn
def test_what_scikit_learn_does_in_parallel_is_on_the_board_and_gives_what_it_gave(
    run_python: RunPython, board: Board
) -> None:
    done = run_python(LEARNING, options=RUN, timeout_s=250)
    assert done.stdout.split() == ["True", "True", "True"]
    tasks = {task.id: (task.state, task.count, task.total) for task in board}
    assert tasks.pop("_fit_and_score") == ("success", 3, 3), "of cross_validate, after that of the search"
    assert tasks.pop("_parallel_build_trees") == ("success", 5, 5)
    assert set(tasks.values()) == {("success", 5, 5)}, "the predictions of the trees"


def test_the_board_is_called_like_the_program(run_python: RunPython, tmp_path: Path, headway_dir: Path) -> None:
    child = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import tqdm; list(tqdm.trange(3))'])"
    run_python(written(tmp_path, child, "night shift.py"), options=RUN)
    (task,) = headway.read("night-shift").tasks
    assert (task.id, task.state, task.count) == ("tqdm", "success", 3)
    assert [directory.name for directory in headway_dir.iterdir()] == ["night-shift"]


def test_the_bar_of_a_killed_program_reads_lost(run_python: RunPython, board: Board) -> None:
    assert run_python(KILLED, options=RUN, check=False).returncode == -9
    assert [(task.id, task.state, task.count, task.total) for task in board] == [("items", "lost", 20, 50)]


def test_a_program_without_bars_imports_nothing_and_leaves_nothing(run_python: RunPython, headway_dir: Path) -> None:
    done = run_python("import sys; print(*sorted(m for m in sys.modules if m.startswith('headway')))", options=RUN)
    allowed = {"headway", "headway.__main__", "headway.cli", "headway.cli.run", "headway.integrations"}
    startup = {"headway.integrations.startup", "headway.integrations.startup.sitecustomize"}
    assert set(done.stdout.split()) <= allowed | startup
    assert not headway_dir.exists()


def test_a_child_has_its_own_sitecustomize_and_does_not_notice_a_missing_headway(tmp_path: Path) -> None:
    written(tmp_path / "own", "import sys; sys.own = __name__", "sitecustomize.py")
    written(tmp_path / "own" / "tqdm", "", "__init__.py")
    written(tmp_path / "own" / "tqdm", "kind = 'another one'", "std.py")
    code = "import sys, tqdm.std; print(sys.own, tqdm.std.kind, type(tqdm.std.__loader__).__name__, *sys.path[:2])"
    path = os.pathsep.join((sitecustomize.FOLDER, str(tmp_path / "own")))
    python = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    done = subprocess.run(
        [python, "-W", "error", "-c", code],
        env={"PYTHONPATH": path, sitecustomize.VARIABLE: "x"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[:4] == ["sitecustomize", "another", "one", "SourceFileLoader"]
    assert sitecustomize.FOLDER not in done.stdout
    assert not done.stderr
