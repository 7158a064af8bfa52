"""What another user of the machine can do to a board: nothing. Needs root, which becomes two other users.

    isolation.py reach|squat|links [--seed N] [--most N] [--file NAME] [--mistake NAME]

reach: the intruder tries all that the system has on every file of a board in use, made under umask 000. squat: the
intruder is there first, wherever names can be foreseen or seen. links: something else stands in the place of every file
of a board's directory, as one leaves it that was open to all: links to a file that matters, pipes, folders, foreign
files. The owner then does all that a program does; each step has to go well, or to end in a typed error, in time, and
nothing else may have changed. --mistake plants a fault, which has to be found.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import itertools
import json
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from headway import api, errors
from headway.bars import track
from headway.engine import segments
from headway.engine.board import Board, open_board
from headway.files import history
from headway.recorder.recorder import Recorder
from headway.system import locks, paths
from headway.upkeep import diagnosis, listing, removal
from tests.faults.tally import report

OWNER, INTRUDER = 41001, 41002
BOUND_S = 30
RACE_S = 2.5
NAME = "isolated"
SHM = Path("/dev/shm")
PRECIOUS = "precious, and not to be told\n"
FILES = (
    "segment",
    "board.lock",
    "recorder.lock",
    "users.lock",
    "recorder.log",
    "snapshot.npz",
    "snapshot.prev.npz",
    "results.npz",
    "results.prev.npz",
    "history.sqlite3",
    "history.sqlite3-wal",
    "history.sqlite3-shm",
    "history.sqlite3-journal",
    "history.lock",
    ".segment.1.01234567",
    ".snapshot.0123456789abcdef.tmp",
    ".history.0123456789abcdef.tmp",
    f"result-{'0' * 32}.json",
)
NEEDED = (
    "segment",
    "board.lock",
)  # without them there is no board: to say what stands in the way is all that can be done


class Trials:
    """What was tried, and what failed."""

    def __init__(self) -> None:
        self.tried = 0
        self.failed: list[str] = []

    def expect(self, good: bool, what: str) -> None:
        self.tried += 1
        if not good:
            self.failed.append(what)


def as_user(user: int, function: Callable[[], Any]) -> Any:
    """What a function gives in a child that is another user; an exception is raised here. Bounded."""
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        signal.alarm(BOUND_S)
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            said = {"gave": function()}
        except BaseException:  # noqa: BLE001 - the parent is told
            said = {"raised": traceback.format_exc()}
        with os.fdopen(writer, "w") as pipe:
            json.dump(said, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    status = os.waitpid(pid, 0)[1]
    if status or not text:
        raise TimeoutError(f"user {user} was not done in {BOUND_S} s, or died: wait status {status}")
    said = json.loads(text)
    if "raised" in said:
        raise AssertionError(said["raised"])
    return said["gave"]


# ----------------------------------------------------------------------------------------------------- what owners do


def a_day(name: str = NAME) -> dict[str, str]:
    """All that a program does with a board: of each step how it went, "" for well."""
    went: dict[str, str] = {}
    board: Board | None = None

    def step(what: str, function: Callable[[], object]) -> None:
        went[what] = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                function()
        except errors.HeadwayError as error:
            went[what] = f"{type(error).__name__}: {error}"
        except BaseException:  # noqa: BLE001 - whatever it was is what is to be told
            went[what] = f"UNTYPED {traceback.format_exc()}"

    def begin() -> None:
        nonlocal board
        board = open_board(name, capacity=8, workers=4, result_bytes=64)
        with board.task("a", total=3) as task:
            assert list(task.track(range(3))) == [0, 1, 2]
            task.result = {"said": "much"}
        found = board.get("a")
        assert found is not None
        assert (found.count, found.state) == (3, "success")

    def record() -> None:
        assert board is not None
        recorder = Recorder.elected(board)
        recorder.stop()
        recorder.run()

    def write() -> None:
        assert board is not None
        board.write_snapshot()

    step("open, count, end", begin)
    if board is not None:
        board._segment.want_recorder()
        step("record", record)
        step("write a snapshot", write)
        step("record again", record)
    step("read", lambda: api.read(name))
    step("read the history", lambda: history.read(paths.board_directory(name)))
    step("list", lambda: list(listing.boards()))
    step("look for what is wrong", diagnosis.diagnose)
    step("tidy up", lambda: removal.gc([name]))
    if board is not None:
        step("remove", lambda: board.remove(files=False))
    return went


def forget() -> None:
    """Remove what is left of the board in shared memory."""
    for path in [*SHM.glob(f"headway-{OWNER}-*"), *SHM.glob(f"sem.headway-{OWNER}-*"), *SHM.glob("bait")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextlib.contextmanager
def a_place() -> Iterator[Path]:
    """A folder for all, with a home of the owner, a temporary directory, and a file that matters."""
    with tempfile.TemporaryDirectory(prefix="headway-isolation-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        place.chmod(0o755)
        for folder, user, mode in (("home", OWNER, 0o755), ("intruder", INTRUDER, 0o755), ("tmp", 0, 0o1777)):
            (place / folder).mkdir()
            os.chown(place / folder, user, user)
            (place / folder).chmod(mode)
        for file, user in (("home/precious", OWNER), ("intruder/bait", INTRUDER)):
            (place / file).write_text(PRECIOUS)
            os.chown(place / file, user, user)
            (place / file).chmod(0o644)
        tempfile.tempdir = str(place / "tmp")
        os.environ.update(HOME=str(place / "home"), HEADWAY_RECORD="0")
        for variable in ("HEADWAY_DIR", "HEADWAY_BOARD", "XDG_STATE_HOME"):
            os.environ.pop(variable, None)
        try:
            yield place
        finally:
            tempfile.tempdir = None
            forget()


def fingerprint(path: Path) -> tuple[str, int, int, int]:
    found = path.lstat()
    return path.read_text(), found.st_mode, found.st_uid, found.st_mtime_ns


# -------------------------------------------------------------------------------------------------------------- reach

SYSTEM: dict[str, Callable[[Path], object]] = {
    "read": lambda path: path.read_bytes(),
    "write": lambda path: os.close(os.open(path, os.O_RDWR)),
    "add to": lambda path: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)),
    "truncate": lambda path: os.truncate(path, 0),
    "remove": lambda path: path.unlink(),
    "rename": lambda path: path.rename(path.with_name(f"{path.name}.taken")),
    "replace": lambda path: (
        shutil.copy(os.environ["BAIT"], path.with_name("bait")) and path.with_name("bait").rename(path)
    ),
    "open to all": lambda path: path.chmod(0o666),
    "take": lambda path: os.chown(path, INTRUDER, INTRUDER),
    "date": os.utime,
    "link": lambda path: os.link(path, path.with_name("link")),  # in /dev/shm by fs.protected_hardlinks
    "lock": lambda path: fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB),
}


def reach(trials: Trials, _chance: random.Random, _most: int) -> None:
    """Everything on every file of a board in use, made under umask 000."""
    with a_place() as place:
        (place / "home").chmod(0o777)  # as careless as can be
        pid = _living_owner(place)
        try:
            directory = Path((place / "directory").read_text())
            inside = [path for path in directory.rglob("*") if not path.is_dir()]
            ours = [*SHM.glob(f"headway-{OWNER}-*"), *SHM.glob(f"sem.headway-{OWNER}-*")]
            trials.expect(len(inside) >= 8 and len(ours) == 2, f"the board has only {inside} and {ours}")
            for path in (*inside, *ours, directory, directory.parent):
                mode, wanted = stat.S_IMODE(path.lstat().st_mode), 0o700 if path.is_dir() else 0o600
                trials.expect(mode == wanted, f"{path} has mode {mode:o} under umask 000")
            os.environ["BAIT"] = str(place / "intruder" / "bait")
            for what, path in itertools.product(SYSTEM, (*inside, *ours)):
                gave = as_user(INTRUDER, lambda what=what, path=path: _refused(SYSTEM[what], path))  # type: ignore[misc]
                trials.expect(gave == "", f"another user can {what} {path}: {gave}")
            for what, function in (("list", os.listdir), ("make a file in", lambda at: Path(at, "new").write_text(""))):
                gave = as_user(INTRUDER, lambda function=function: _refused(function, directory))  # type: ignore[misc]
                trials.expect(gave == "", f"another user can {what} {directory}: {gave}")
            for number in (0, signal.SIGSTOP, signal.SIGKILL):
                gave = as_user(INTRUDER, lambda number=number: _refused(lambda _: os.kill(pid, number), directory))  # type: ignore[misc]
                trials.expect(gave == "", f"another user can send signal {number}: {gave}")
            for leaf in ("mem", "fd", "map_files", "environ"):
                look = Path(f"/proc/{pid}/{leaf}")
                enter = os.listdir if look.is_dir() else Path.read_bytes
                gave = as_user(INTRUDER, lambda look=look, enter=enter: _refused(enter, look))  # type: ignore[misc]
                trials.expect(gave == "", f"another user can look into {look}: {gave}")
            os.environ["HEADWAY_DIR"] = str(directory.parent)
            for what, ask in (
                ("open", lambda: open_board(NAME).close()),
                ("attach to", lambda: listing.attach(NAME)),
                ("read", lambda: api.read(NAME)),
                ("read the history of", lambda: history.read(directory)),
                ("remove", lambda: removal.remove(NAME, force=True)),
                ("attach by its name to", lambda: segments.attach(f"/{ours[0].name}")),
            ):
                gave = as_user(INTRUDER, lambda ask=ask: _refused(lambda _: ask(), directory))  # type: ignore[misc]
                trials.expect(gave == "", f"another user can {what} the board: {gave}")
            os.environ.pop("HEADWAY_DIR")
            os.kill(pid, signal.SIGUSR1)  # the owner has noticed nothing
            trials.expect(os.waitpid(pid, 0)[1] == 0, "the owner of the board did not end well")
            pid = 0
        finally:
            if pid:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _refused(ask: Callable[[Any], object], path: Path) -> str:
    """What it gives, or "" where it is refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f"it gave {ask(path)!r}"[:200]
    except (errors.NotOwner, errors.UnusableDirectory, PermissionError, errors.UnknownBoard):
        return ""
    except (errors.HeadwayError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def _living_owner(place: Path) -> int:
    """The pid of a process that uses a board, with all the files that one can have, until SIGUSR1."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        with os.fdopen(reader) as pipe:
            (place / "directory").write_text(pipe.read())
        return pid
    code = 1
    try:
        os.setgroups([])
        os.setgid(OWNER)
        os.setuid(OWNER)
        os.umask(0)
        signal.alarm(300)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        board = open_board(NAME, capacity=8, workers=4, result_bytes=64)
        board._segment.want_recorder()
        with board.task("a", total=1) as task:
            task.update()
            task.result = {"said": "much"}
        for _ in range(2):
            recorder = Recorder.elected(board)
            recorder.stop()
            recorder.run()
            board.write_snapshot()
        (board.directory / f"result-{'0' * 32}.json").write_text("{}")
        (board.directory / f"result-{'0' * 32}.json").chmod(0o600)
        lasting = history.Writer(board.directory)
        # Its log and its index are there as long as it is open.
        lasting._opened(begin=True, until=time.monotonic() + 10)
        os.write(writer, str(board.directory).encode())
        os.close(writer)
        signal.sigwait({signal.SIGUSR1})
        view = board.get("a")
        assert view is not None
        assert view.count == 1
        lasting.close()
        board.remove(files=True)
        code = 0
    except BaseException:  # noqa: BLE001 - it must not go on as a second parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


# -------------------------------------------------------------------------------------------------------------- squat


def squat(trials: Trials, _chance: random.Random, _most: int) -> None:
    """The intruder was there first."""
    for kind in KINDS:
        _in_the_fallback(trials, kind)
        for prefix in ("", "sem."):
            _in_shared_memory(trials, kind, prefix)
    _ahead_of_semaphores(trials)
    with a_place() as place:  # where the home cannot be written the fallback is all there is: then it is said
        _make(place / "tmp" / f"headway-{OWNER}", "a folder", place)
        os.environ["HOME"] = "/dev/null"
        went = as_user(OWNER, a_day)
        trials.expect("NotOwner" in went["open, count, end"], f"a foreign fallback: {went['open, count, end']}")
        trials.expect("HEADWAY_DIR" in went["open, count, end"], f"no remedy: {went['open, count, end']}")
        gave = as_user(OWNER, _count_in_a_loop)
        trials.expect(gave == 3, f"a loop counted {gave} instead of 3")
    with a_place() as place:  # everybody's folder as the place for boards
        os.environ["HEADWAY_DIR"] = str(place / "tmp")
        went = a_day()
        trials.expect("HEADWAY_DIR" in went["open, count, end"], f"root may make boards in /tmp: {went}")
        trials.expect(stat.S_IMODE((place / "tmp").stat().st_mode) == 0o1777, "root closed everybody's folder")


def _ahead_of_semaphores(trials: Trials) -> None:
    """The name of a new segment can be seen before its semaphore is there: the intruder takes that name at once."""
    with a_place():
        pid = os.fork()
        if pid == 0:
            try:
                signal.alarm(2 * BOUND_S)
                os.setgroups([])
                os.setgid(INTRUDER)
                os.setuid(INTRUDER)
                while True:
                    for name in os.listdir(SHM):
                        if name.startswith(f"headway-{OWNER}-"):
                            with contextlib.suppress(OSError):
                                os.close(os.open(SHM / f"sem.{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            finally:  # it must not go on as a second parent
                os._exit(1)
        won, began = 0, time.monotonic()
        while time.monotonic() < began + (RACE_S if won else BOUND_S):
            went, squatted = as_user(OWNER, _open_and_look)
            won += squatted
            trials.expect(not went, f"a semaphore's name was taken ahead of it: {went}")
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        trials.expect(won > 0, "the intruder was never first: nothing was tried")
        for path in SHM.glob("sem.headway-*"):
            path.unlink()


def _open_and_look() -> tuple[str, bool]:
    """What went wrong with a board, and whether its semaphore is somebody else's."""
    try:
        board = open_board(NAME, capacity=512, workers=4, result_bytes=64)
        name = segments.object_name(NAME, board._segment.uuid)
        path = SHM / f"sem.{name[1:]}"
        squatted = path.exists() and path.stat().st_uid == INTRUDER
        board.task("a").update()
        board.remove(files=True)
    except BaseException:  # noqa: BLE001 - whatever it was is what is to be told
        return traceback.format_exc(), True
    return "", squatted


def _count_in_a_loop() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return len(list(track.track(range(3), board="loop")))


def _in_the_fallback(trials: Trials, kind: str) -> None:
    """Under the temporary directory: the fallback itself, the host's folder in it, a board in that."""
    for depth in range(3):
        with a_place() as place:
            fallback = paths._fallback_root()
            assert fallback is not None
            top = Path(str(fallback.parent).replace(f"headway-{os.geteuid()}", f"headway-{OWNER}"))
            chain = (top, top / fallback.name, top / fallback.name / NAME)
            for above in chain[:depth]:
                _make(above, "a folder", place)
            _make(chain[depth], kind, place)
            if kind == "a folder" and depth == 2:
                _make(chain[2] / "segment", "a file", place)
            went = as_user(OWNER, a_day)
            what = f"{kind} of another user at {chain[depth]}"
            bad = {step: how for step, how in went.items() if how}
            trials.expect(not bad, f"{what}: {bad}")
            home = place / "home" / ".local" / "state" / "headway" / fallback.name / NAME
            trials.expect((home / "snapshot.npz").exists(), f"{what}: the board is not in {home}")
            left = {str(path) for path in top.rglob("*")} if top.is_dir() else set()
            meant = {str(path) for path in (*chain, chain[2] / "segment")}
            trials.expect(left <= meant or kind == "a link to a folder", f"{what}: written there: {left - meant}")
            trials.expect((place / "home" / "precious").read_text() == PRECIOUS, f"{what}: precious is gone")


def _in_shared_memory(trials: Trials, kind: str, prefix: str) -> None:
    """Names there can be seen, so after the segment or the semaphore is gone another user can take its name."""
    with a_place() as place:
        uuid = as_user(OWNER, _leave_a_board)
        path = SHM / f"{prefix}headway-{OWNER}-{NAME}-{uuid}"
        path.unlink()
        _make(path, kind, place)
        before = fingerprint(path) if kind == "a file" else None
        went = as_user(OWNER, a_day)
        bad = {step: how for step, how in went.items() if how}
        trials.expect(not bad, f"{kind} of another user at {path}: {bad}")
        trials.expect(os.path.lexists(path), f"{path}, of another user, was removed")
        if before is not None:
            trials.expect(fingerprint(path) == before, f"{path}, of another user, was changed")


def _leave_a_board() -> str:
    """Use a board, and leave it as a power cut or a sweep of /dev/shm would."""
    board = open_board(NAME, capacity=8, workers=4, result_bytes=64)
    board.task("old").update()
    return str(board._segment.uuid)


# -------------------------------------------------------------------------------------------------------------- links

KINDS = ("a file", "a folder", "a pipe", "a link to a file", "a link to a folder", "a link to nothing")
LEAD_TO = {  # others lead nowhere
    "a link to a file": "intruder/bait",
    "a link to a folder": "home",
    "a link to precious": "home/precious",
}
TRAPS = ("a link to precious", "another name of precious", "a file of their own", *KINDS)


def _make(path: Path, kind: str, place: Path) -> None:
    """Have this kind of thing at a path, of the intruder; what stood there goes."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    path.parent.mkdir(exist_ok=True)
    if kind == "a file":
        path.write_text(PRECIOUS)
        path.chmod(0o666)
    elif kind == "a file of their own":
        path.write_text(PRECIOUS)
        os.chown(path, OWNER, OWNER)
        return
    elif kind == "a folder":
        path.mkdir(mode=0o777)
        path.chmod(0o777)
    elif kind == "a pipe":
        os.mkfifo(path)
        path.chmod(0o666)
    elif kind == "another name of precious":
        os.link(place / "home" / "precious", path)
        return
    else:
        path.symlink_to(place / LEAD_TO.get(kind, "nowhere"))
    os.chown(path, INTRUDER, INTRUDER, follow_symlinks=False)


def links(trials: Trials, chance: random.Random, most: int, files: tuple[str, ...] = FILES) -> None:
    """Something else in the place of every file of the directory."""
    cases = list(itertools.product(files, TRAPS, (False, True)))
    for file, trap, used_before in chance.sample(cases, min(most, len(cases))):
        what = f"{trap} as {file}{', in a directory that was used before' if used_before else ''}"
        with a_place() as place:
            directory = place / "home" / ".local" / "state" / "headway" / paths._host_part() / NAME
            if used_before:
                as_user(OWNER, a_day)
            else:
                as_user(OWNER, lambda directory=directory: paths.make_private(directory))  # type: ignore[misc]
            _make(directory / file, trap, place)
            guarded = (place / "home" / "precious", place / "intruder" / "bait")
            before = [fingerprint(path) for path in guarded]
            try:
                went = as_user(OWNER, a_day)
            except (TimeoutError, AssertionError) as error:
                trials.expect(False, f"{what}: {error}")
                continue
            untyped = {step: how for step, how in went.items() if how.startswith("UNTYPED")}
            trials.expect(not untyped, f"{what}: {untyped}")
            trials.expect(PRECIOUS.strip() not in str(went), f"{what}: what it says was told: {went}")
            trials.expect([fingerprint(path) for path in guarded] == before, f"{what}: it was written through it")
            begun = went["open, count, end"]
            if file in NEEDED:
                trials.expect(not begun or file in begun, f"{what}: the error does not name it: {begun}")
            else:
                trials.expect(not begun, f"{what}: {begun}")


# --------------------------------------------------------------------------------------------------------- the program


def _no_look_at_locks() -> None:
    def is_own(found: os.stat_result) -> bool:
        return found is not None

    locks._is_own = is_own


def _no_look_at_the_fallback() -> None:
    def is_private(directory: Path) -> bool:
        return directory is not None

    paths._is_private = is_private


def _directories_for_all() -> None:
    def make(directory: Path) -> None:
        directory.mkdir(mode=0o777, parents=True, exist_ok=True)
        if directory.lstat().st_uid == os.geteuid():
            directory.chmod(0o777)

    paths.make_private = make


def _keeps_what_names_a_segment() -> None:
    real = segments.attach

    def attach(name: str, **how: Any) -> Any:
        try:
            return real(name, **how)
        except errors.NotOwner as error:
            raise errors.CorruptBoard(str(error)) from None

    segments.attach = attach


MISTAKES: dict[str, tuple[str, Callable[[], None]]] = {
    "locks are opened through any name": ("links --file board.lock", _no_look_at_locks),
    "a foreign fallback is looked into": ("squat", _no_look_at_the_fallback),
    "directories are open to all": ("reach", _directories_for_all),
    "who takes a name in /dev/shm keeps others out": ("squat", _keeps_what_names_a_segment),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("attack", choices=("reach", "squat", "links"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--most", type=int, default=1 << 30, help="so many links at most, chosen at random")
    parser.add_argument("--file", choices=FILES, help="of links: in the place of this file alone")
    parser.add_argument("--mistake", choices=tuple(MISTAKES))
    given = parser.parse_args()
    if os.geteuid() != 0:
        print("isolation: only root can become two other users: run this as root", file=sys.stderr)
        return report(0, "intrusions", 1, "needs root")
    with a_place(), tempfile.TemporaryDirectory() as own:  # everything is imported: others may not read this Python
        os.environ["HEADWAY_DIR"] = own
        went = a_day()
        if any(went.values()):
            raise SystemExit(f"isolation: not even alone did all go well: {went}")
        as_user(OWNER, lambda: None)
        _count_in_a_loop()
        open_board("loop").remove(files=True)
        os.environ.pop("HEADWAY_DIR")
    if given.mistake:
        MISTAKES[given.mistake][1]()
    trials = Trials()
    chance = random.Random(given.seed)
    if given.attack == "links":
        links(trials, chance, given.most, (given.file,) if given.file else FILES)
    else:
        {"reach": reach, "squat": squat}[given.attack](trials, chance, given.most)
    for what in trials.failed:
        print(f"isolation: {what}", file=sys.stderr)
    if trials.failed:
        print(f"isolation: repeat with: isolation.py {given.attack} --seed {given.seed}", file=sys.stderr)
    return report(trials.tried, "intrusions", len(trials.failed))


if __name__ == "__main__":
    sys.exit(main())
