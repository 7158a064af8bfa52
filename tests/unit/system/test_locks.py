"""Locks on files: one holder, named when it is in the way, and never on a file that is not this user's alone."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.system import locks, machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunPython

HOLD = """
import sys
from pathlib import Path
from headway.system import locks
kept = locks.recorder_lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_has_one_holder_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "board.lock"
    told = rf"board\.lock has been held by pid {os.getpid()} for 0 s"

    def take() -> str:
        try:
            with locks.held(path, wait_s=0.0):
                return "two holders"
        except errors.LockTimeout as error:
            return str(error)

    with locks.held(path), ThreadPoolExecutor(1) as other:
        assert re.search(told, other.submit(take).result())
    with locks.held(path, wait_s=0.0):
        pass


def test_who_interrupts_the_thread_that_holds_a_lock_is_told_so_at_once(tmp_path: Path) -> None:
    """A signal handler, or a finalizer: it would wait for what cannot go on before it returns."""
    path = tmp_path / "board.lock"
    with locks.held(path), pytest.raises(errors.LockTimeout, match="this very thread"), \
            locks.held(path, wait_s=20.0):  # fmt: skip
        pytest.fail("two holders")
    with locks.held(path, wait_s=0.0):
        pass


def test_a_forked_child_has_no_part_in_its_parents_lock(tmp_path: Path) -> None:
    path = tmp_path / "board.lock"
    ready, told = os.pipe()
    stop, stopped = os.pipe()
    with locks.held(path):
        pid = os.fork()
        if not pid:
            os.write(told, b"x")
            os.close(stopped)
            os.read(stop, 1)
            os._exit(0)
        os.read(ready, 1)
        os.close(next(iter(locks._flocks)).fd)  # as the kernel does when the parent is killed: nobody unlocks it
        next(iter(locks._flocks)).fd = -1
        with ThreadPoolExecutor(1) as other:
            other.submit(lambda: locks.held(path, wait_s=0.0).__enter__()).result()
    for fd in (ready, told, stop, stopped):
        os.close(fd)
    assert os.waitpid(pid, 0)[1] == 0


def test_a_lock_is_let_go_when_the_block_ends_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locks.locked(tmp_path):
        raise ZeroDivisionError
    with locks.locked(tmp_path, wait_s=0.0):
        assert (tmp_path / "board.lock").read_text().strip() == str(os.getpid())


def test_a_lock_on_a_file_that_was_replaced_is_none(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    first, second, third = locks.Flock(), locks.Flock(), locks.Flock()
    assert first.take(path) is None
    path.unlink()
    assert second.take(path) is None, "a new file: the first holder's lock is on one that nobody finds any more"
    assert third.take(path) == "unknown", "nobody has written a pid"
    for lock in (first, second, third):
        lock.release()
        lock.release()
        assert lock.fd == -1


def test_a_file_that_is_replaced_while_it_is_locked_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, lock, real = tmp_path / "one.lock", locks.Flock(), fcntl.flock

    def replaced_first(descriptor: int, operation: int) -> None:
        path.unlink()
        path.touch(0o600)
        real(descriptor, operation)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", replaced_first)
        assert lock.take(path) == "unknown"
    assert lock.fd == -1
    assert lock.take(path) is None
    lock.release()


@pytest.mark.parametrize("replaced", [False, True], ids=["as it was", "replaced"])
def test_code_that_interrupts_the_taking_of_a_lock_holds_only_that_of_the_file_that_all_find(
    replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler comes after the file was opened, and before it was looked at whether it still has its name."""
    path, real = tmp_path / "one.lock", fcntl.flock
    found: list[bool] = []

    def interrupted(descriptor: int, operation: int) -> None:
        monkeypatch.setattr(fcntl, "flock", real)
        if replaced:
            path.unlink()
        with locks.held(path, wait_s=0.0, again=True), ThreadPoolExecutor(1) as other:
            found.append(other.submit(locks.Flock().take, path).result() is None)
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", interrupted)
    with locks.held(path, again=True) as lock:
        assert found == [False], "another one could lock the file meanwhile"
        assert os.path.samestat(path.lstat(), os.fstat(lock.fd))
    with locks.held(path, wait_s=0.0):
        pass


def test_a_lock_file_is_this_users_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with locks.locked(tmp_path):
            assert (tmp_path / "board.lock").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", ["link", "second name", "folder", "pipe"])
def test_what_is_no_file_of_its_own_is_neither_locked_nor_written(kind: str, tmp_path: Path) -> None:
    path, other = tmp_path / "board.lock", tmp_path / "other"
    other.write_text("precious")
    match kind:
        case "link":
            path.symlink_to(other)
        case "second name":
            path.hardlink_to(other)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    with pytest.raises(errors.NotOwner, match=r"board\.lock"), locks.locked(tmp_path):
        pytest.fail("it was locked")
    assert other.read_text() == "precious"


def test_the_recorders_lock_tells_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    assert locks.lock_holder(tmp_path) is None
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert locks.recorder_lock(tmp_path) is None
        assert locks.lock_holder(tmp_path) == f"pid {process.pid} on {machine.host()}"
        process.kill()
    assert locks.lock_holder(tmp_path) is None
    own = locks.recorder_lock(tmp_path)
    assert own is not None
    own.release()
    own.release()


def test_a_sign_of_life_is_the_time_of_the_file(tmp_path: Path) -> None:
    own = locks.recorder_lock(tmp_path)
    assert own is not None
    path = tmp_path / "recorder.lock"
    os.utime(path, (0, 0))
    own.touch()
    assert path.stat().st_mtime > 0
    own.release()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_with_the_remedy(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    told = r"no locks on files .*HEADWAY_DIR.*board\.lock"
    with pytest.raises(errors.UnusableDirectory, match=told) as caught, locks.locked(tmp_path):
        pytest.fail("it was locked")
    assert caught.value.errno == number
    assert caught.value.filename == str(tmp_path / "board.lock")
    monkeypatch.setattr(fcntl, "fcntl", lambda *_: refused(0, 0))
    assert locks.use(tmp_path) is None, "it only tells others"
    assert locks.user(tmp_path) is None


def test_users_share_their_lock_until_the_last_one_has_let_go(tmp_path: Path) -> None:
    assert locks.user(tmp_path) is None
    first, second = locks.use(tmp_path), locks.use(tmp_path)
    assert first is not None
    assert second is not None
    assert locks.lock_holder(tmp_path) is None, "a user is not the recorder"
    first.release()
    assert locks.user(tmp_path) == f"pid {os.getpid()} on {machine.host()}"
    second.release()
    assert locks.user(tmp_path) is None


def test_a_lock_whose_descriptor_the_program_closed_and_used_anew_closes_nothing_of_the_programs(
    tmp_path: Path,
) -> None:
    lock = locks.use(tmp_path)
    assert lock is not None
    descriptor = lock._fd
    os.close(descriptor)
    with open(tmp_path / "mine", "w") as mine:
        assert mine.fileno() == descriptor, "the lowest number that is free"
        lock.release()
        mine.write("still open")


def test_locks_need_no_constant_that_old_pythons_lack(run_python: RunPython) -> None:
    done = run_python(
        "import fcntl\nfor name in [name for name in dir(fcntl) if name.startswith('F_OFD')]: delattr(fcntl, name)\n"
        "from headway.system import locks\nprint(locks.F_OFD_GETLK, locks.F_OFD_SETLK)"
    )
    assert done.stdout.split() == [str(fcntl.F_OFD_GETLK), str(fcntl.F_OFD_SETLK)]


@pytest.mark.parametrize("end", ["release", "child"])
def test_a_number_that_the_program_has_given_to_a_file_of_its_own_is_left_alone(end: str, tmp_path: Path) -> None:
    """A program closes all its descriptors, as daemons do, and opens its own files."""
    lock, own = locks.Flock(), tmp_path / "own"
    assert lock.take(tmp_path / "one.lock") is None
    number = lock.fd
    theirs = os.open(own, os.O_RDWR | os.O_CREAT)
    os.dup2(theirs, number)
    os.close(theirs)
    fcntl.flock(number, fcntl.LOCK_EX)
    if end == "release":
        lock.release()
    else:
        lock.forget()
    assert os.path.samestat(os.fstat(number), own.stat())
    other = os.open(own, os.O_RDWR)
    with pytest.raises(BlockingIOError):  # it is locked still
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    os.close(number)


# ------------------------------------------------------------------------------------------- what a lock file tells

LONG = [b"pid 1 on a host of long ago\n" * 400, b"pid 1", b"\0" * 4096, b"\xff" * 33, b"\n" * 100, b"\x1b[2J" * 9]


@pytest.mark.parametrize("before", LONG, ids=lambda text: f"{len(text)} bytes of {text[:4]!r}")
@pytest.mark.parametrize("take", [locks.recorder_lock, locks.use])
def test_a_lock_file_tells_of_its_holder_and_nothing_of_what_stood_there(
    take: Callable[[Path], locks.FileLock | None], before: bytes, tmp_path: Path
) -> None:
    path = tmp_path / ("recorder.lock" if take is locks.recorder_lock else "users.lock")
    mine = f"pid {os.getpid()} on {machine.host()}\n{machine.shared_memory()}\n"
    for stood in (before, mine.encode() + before, mine.encode()[:-1], b""):
        path.write_bytes(stood)
        path.chmod(0o600)
        lock = take(tmp_path)
        assert lock is not None
        assert path.read_text() == mine
        assert (locks.user(tmp_path), locks.elsewhere(tmp_path)) == (f"pid {os.getpid()} on {machine.host()}", None)
        lock.release()


@pytest.mark.parametrize("told", LONG, ids=lambda text: f"{len(text)} bytes of {text[:4]!r}")
def test_whatever_a_lock_file_tells_is_a_short_line_that_can_be_printed(told: bytes, tmp_path: Path) -> None:
    lock = locks.recorder_lock(tmp_path)
    assert lock is not None
    (tmp_path / "recorder.lock").write_bytes(told)
    for found in (locks.lock_holder(tmp_path), locks.user(tmp_path), locks.elsewhere(tmp_path)):
        assert found is not None
        assert found
        assert len(found) <= 512
        assert found.isprintable() or set(found) - {"\N{REPLACEMENT CHARACTER}"} == set()
    lock.release()


@pytest.mark.parametrize("told", LONG, ids=lambda text: f"{len(text)} bytes of {text[:4]!r}")
def test_whatever_stands_in_the_lock_of_a_board_its_holder_is_told_in_one_line(told: bytes, tmp_path: Path) -> None:
    path = tmp_path / "board.lock"
    with locks.held(path):
        path.write_bytes(told)
        lock = locks.Flock()
        found = lock.take(path)
        assert found is not None
        assert found
        assert len(found) <= 32
        assert found.isprintable() or set(found) - {"\N{REPLACEMENT CHARACTER}"} == set()
