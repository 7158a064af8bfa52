"""Fixtures for all tests: a directory and board names for each test, scripts in separate processes, checks for leaks.

No test touches the state directory of the user. After each test nothing new may lie in /dev/shm; after all of them no
descriptor, child process or thread may be left. With CI set, a skipped test has failed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

# OpenBLAS would start a thread per core when numpy is imported, and leaked threads could not be told from these.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.modules["pyarrow"] = None  # type: ignore[assignment]  # nor may pandas import it here: it starts threads as well
# No test asserts how long something took, and Hypothesis would: an example may take longer on a busy machine.
settings.register_profile("headway", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headway")

ROOT = Path(__file__).resolve().parent.parent
SHARED_MEMORY = Path("/dev/shm")
HEADER_BYTES = 4096  # of a segment
SETTLE_S = 15.0  # killed processes end within milliseconds; a recorder leaves some seconds after the last program
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "loky.backend.resource_tracker")

T = TypeVar("T")


# --- skipped tests


def _ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if _ci() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and under CI no test may be: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report


# --- leaks


def _segments() -> set[str]:
    """The files of this user's boards in /dev/shm: segments and semaphores."""
    prefix = f"headway-{os.getuid()}-"
    return {path.name for path in SHARED_MEMORY.glob("*") if path.name.removeprefix("sem.").startswith(prefix)}


def _parents() -> dict[int, int]:
    """The parent of each process that is alive; zombies are left out when somebody else has to reap them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return parents


def _is_this_runs(name: str, base: Path) -> bool:
    """Whether this file of /dev/shm belongs to a board of this run: by its name, or by the directory of its segment.

    base: below which all directories of this run lie. Other programs of this user run at the same time.
    """
    board = re.match(r"t-(\d+)-", name.removeprefix("sem.").removeprefix(f"headway-{os.getuid()}-"))
    if board:
        return int(board[1]) == os.getpid()
    try:
        with (SHARED_MEMORY / name.removeprefix("sem.")).open("rb") as segment:
            return bytes(base) + b"/" in segment.read(HEADER_BYTES)  # the header names the board's directory
    except OSError:
        return (SHARED_MEMORY / name).exists()  # a semaphore names no directory; a file that is gone is no leak


def _children() -> set[str]:
    """The child processes, except multiprocessing's helpers, which live as long as their parent."""
    found = set()
    for pid, parent in _parents().items():
        if parent == os.getpid():
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if not any(helper in command for helper in HELPERS):
                    found.add(f"process {pid}: {command or 'a zombie that nobody waited for'}")
    return found


def _threads() -> set[str]:
    found = set()
    for task in Path("/proc/self/task").glob("*"):
        if task.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                found.add(f"thread {task.name}: {(task / 'comm').read_text().strip()}")
    return found


def _descriptors() -> set[str]:
    found = set()
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.add(f"descriptor {link.name}: {link.readlink()}")
    return found


def _helpers_descriptors() -> set[int]:
    """The descriptors of multiprocessing's connections to its helpers."""
    tracker, server = (sys.modules.get(f"multiprocessing.{name}") for name in ("resource_tracker", "forkserver"))
    values = [
        getattr(getattr(tracker, "_resource_tracker", None), "_fd", None),
        getattr(getattr(server, "_forkserver", None), "_forkserver_alive_fd", None),
    ]
    return {value for value in values if isinstance(value, int)}


def _settled(look: Callable[[], set[T]]) -> set[T]:
    """What `look` finds; it is called again for a while as long as it finds something."""
    deadline = time.monotonic() + SETTLE_S
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


class _Leaks:
    """What existed before the run, and what the whole run left behind."""

    def __init__(self) -> None:
        self.segments = _segments()
        self.descriptors = _descriptors()
        self.threads = _threads()
        self.children = _children()
        self.grew: dict[str, str] = {}  # descriptors, processes and threads, with the test that brought them
        self.report: list[str] = []

    def after_test(self, name: str) -> None:
        for what in (_descriptors() - self.descriptors) | (_threads() - self.threads):
            self.grew.setdefault(what, name)

    def after_all(self) -> None:
        def descriptors() -> set[str]:
            known = _helpers_descriptors()
            return {what for what in _descriptors() - self.descriptors if int(what.split()[1][:-1]) not in known}

        for look in (lambda: _children() - self.children, lambda: _threads() - self.threads, descriptors):
            for what in sorted(_settled(look)):
                since = f" (there since {self.grew[what]})" if what in self.grew else ""
                self.report.append(f"left over: {what}{since}")


LEAKED = 10  # the exit code of a run that left something behind: no failed test, that may be run once more
LEAKS = pytest.StashKey[_Leaks]()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[LEAKS] = _Leaks()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    leaks = session.config.stash[LEAKS]
    leaks.after_all()
    if leaks.report:
        session.exitstatus = LEAKED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report = config.stash[LEAKS].report
    if report:
        terminalreporter.section("leaks: the run has failed", sep="=", red=True)
        for line in report:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _no_leak(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The test that leaves a segment or a semaphore in /dev/shm fails."""
    leaks, base = request.config.stash[LEAKS], tmp_path_factory.getbasetemp()

    def strays() -> set[str]:
        return {name for name in _segments() - leaks.segments if _is_this_runs(name, base)}

    yield
    left = _settled(strays)
    leaks.segments |= left  # reported once
    leaks.report += [f"left in /dev/shm: {name}, by {request.node.nodeid}" for name in sorted(left)]
    leaks.after_test(request.node.nodeid)
    for name in left:
        if f"-t-{os.getpid()}-" in name:
            (SHARED_MEMORY / name).unlink(missing_ok=True)
    assert not left, f"left in /dev/shm: {', '.join(sorted(left))}"


# --- places and names


@pytest.fixture(autouse=True)
def headway_dir(_no_leak: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the boards of this test, and of the processes it starts."""
    directory = tmp_path / "headway"
    for name in ("HEADWAY_BOARD", "HEADWAY_DISABLE", "HEADWAY_TASK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADWAY_DIR", str(directory))
    monkeypatch.setenv("HEADWAY_RECORD", "0")  # tests of the recorder set it
    return directory


@pytest.fixture
def board_name() -> str:
    """A board name that no other test, run or user has."""
    return f"t-{os.getpid()}-{secrets.token_hex(4)}"


# --- scripts


@dataclass(frozen=True)
class Finished:
    """A script that has ended: `returncode` is negative after a signal, as in `subprocess`."""

    returncode: int
    stdout: str
    stderr: str


class RunPython(Protocol):
    """Runs Python source, or the file at a path, in a process group of its own, with every warning shown.

    The whole group is killed when `timeout_s` is over (and the test fails), and when the script has ended.
    With `check`, an exit code other than 0 fails the test. `env` adds to the environment, None takes a name out.
    """

    def __call__(
        self,
        script: str | Path,
        *args: str,
        timeout_s: float = 60,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        check: bool = True,
        options: tuple[str, ...] = (),
    ) -> Finished: ...


@pytest.fixture
def run_python(tmp_path: Path) -> RunPython:
    def run(
        script: str | Path,
        *args: str,
        timeout_s: float = 60,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        check: bool = True,
        options: tuple[str, ...] = (),
    ) -> Finished:
        if isinstance(script, str):  # a file, so that spawned workers can import it
            path = tmp_path / f"script_{secrets.token_hex(4)}.py"
            path.write_text(script)
        else:
            path = script
        environment: dict[str, Any] = {**os.environ, "PYTHONWARNINGS": "always", **(env or {})}
        process = subprocess.Popen(
            [sys.executable, *options, str(path), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env={name: value for name, value in environment.items() if value is not None},
            cwd=cwd,
            start_new_session=True,
        )
        with process:
            try:
                stdout, stderr = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                stdout, stderr = process.communicate()
                pytest.fail(f"not done after {timeout_s} s\nstdout: {stdout}\nstderr: {stderr}")
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if check and process.returncode:
            pytest.fail(f"ended with {process.returncode}\nstdout: {stdout}\nstderr: {stderr}")
        return Finished(process.returncode, stdout, stderr)

    return run


@pytest.fixture
def call(run_python: RunPython) -> Callable[..., Finished]:
    """Runs the command `headway` in a process of its own."""

    def run(*arguments: str, **options: Any) -> Finished:
        finished = run_python(Path("headway"), *arguments, options=("-m",), **options)
        assert "Traceback" not in finished.stderr
        assert "Warning" not in finished.stderr
        return finished

    return run


@pytest.fixture(scope="session")
def hooks_build() -> Path:
    """A folder for PYTHONPATH: the package with native modules built with steps at which a process can be ended."""
    command = [sys.executable, "setup.py", "--quiet", "build"]
    (ROOT / "build").mkdir(exist_ok=True)
    with (ROOT / "build" / "hooks.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "HOOKS": "1", "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    assert built.returncode == 0, f"the build with hooks failed:\n{built.stdout}{built.stderr}"
    name = sys.implementation.cache_tag
    (folder,) = (ROOT / "build" / "hooks").glob(f"lib*{name}")
    return folder
