"""Containers with one directory of boards, and a /dev/shm each, start at once, and are killed.

    python -m tests.faults.containers [--rounds N]

Each container is a set of namespaces: mounts, host name, processes. What is promised: of those that open one board at
the same moment one has it, and the others are told by whom it is used, in time; so it stays while the first one counts.
Once that one has ended, or was killed with all that ran in its container, the next one has the board, and in it the
task of the one before, ended or lost.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.tally import report

CONTAINERS = 5
BOUND_S = 120.0  # for a hang, not for a busy machine
CONTAINER = (
    "unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
    "sh", "-c", 'mount -t tmpfs tmpfs /dev/shm && hostname "$0" && "$@"',
)  # fmt: skip
PROGRAM = """
import sys
import headway
print("ready", flush=True)
for line in sys.stdin:
    try:
        board = headway.open(sys.argv[1], capacity=8, record=line == "recorded\\n")
    except headway.errors.BoardElsewhere as error:
        print("elsewhere", str(error).replace("\\n", " "), flush=True)
        continue
    print("opened", *(f"{view.id}:{view.state}:{view.count}" for view in board.tasks()), flush=True)
    with board.task(f"{sys.argv[2]}", total=9) as task:
        task.update(7)
        print("counts", flush=True)
        sys.stdin.readline()
        task.update(2)
    board.write_snapshot()
    board.close()
    break
"""


class Container:
    """A program that opens a board when it is told to, in namespaces of its own."""

    def __init__(self, host: str, board: str) -> None:
        self.host = host
        self._process = subprocess.Popen(
            [*CONTAINER, host, sys.executable, "-c", PROGRAM, board, host],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def hear(self) -> str:
        """The next line that it prints. "" once it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self, *, kill: bool) -> None:
        """Have it end in good order, or kill all that runs in it."""
        if kill:
            self._process.kill()
        else:
            with contextlib.suppress(BrokenPipeError):
                self.say("end")
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(BOUND_S)


def opened_by(waiting: list[Container], word: str, board: str, user: str | None) -> tuple[Container, str] | None:
    """Who of them has the board now, and what that one found in it. All others have to be told of somebody's use."""
    for one in waiting:
        one.say(word)
    found: list[tuple[Container, str]] = []
    for one in waiting:
        said = one.hear()
        if said.startswith("opened"):
            found.append((one, said))
        else:
            assert said.startswith(f"elsewhere board {board!r} is"), f"{one.host} was told {said!r}"
            assert user is None or f"on {user}" in said, f"{one.host} was told {said!r}, and {user} has the board"
    assert len(found) <= 1, f"{[one.host for one, _ in found]} all have the board"
    assert not found or user is None, f"{found[0][0].host} and {user} have the board"
    return found[0] if found else None


def a_round(number: int, folder: Path) -> int:
    """One board, opened at once by containers of which one after the other ends or is killed. Returns how many."""
    board, kill, word = f"c-{os.getpid()}-{number}", number % 2 == 1, ("alone", "recorded")[number // 2 % 2]
    waiting = [Container(f"host{number}-{one}", board) for one in range(CONTAINERS)]
    try:
        for one in waiting:
            assert one.hear() == "ready"
        before: str | None = None
        while waiting:
            until = time.monotonic() + BOUND_S
            while (found := opened_by(waiting, word, board, None)) is None:  # a recorder leaves some seconds later
                assert time.monotonic() < until, f"nobody gets the board that {before} left"
                time.sleep(0.2)
            user, told = found
            # Who is killed without a recorder leaves no file: nobody sees its /dev/shm any more.
            expected = None if before is None or (kill and word == "alone") else "lost:7" if kill else "success:9"
            assert expected is None or f"{before}:{expected}" in told, f"after {before}: {told}"
            assert user.hear() == "counts"
            waiting.remove(user)
            if waiting:
                assert opened_by(waiting, word, board, user.host) is None
                if kill and word == "recorded":
                    snapshot = folder / board / "snapshot.npz"
                    while not snapshot.exists() or user.host.encode() not in snapshot.read_bytes():
                        assert time.monotonic() < until, "no snapshot"
                        time.sleep(0.05)
            user.end(kill=kill)
            before = user.host
    finally:
        for one in waiting:
            one.end(kill=True)
    return CONTAINERS


def main() -> int:
    parser = argparse.ArgumentParser(description="Start containers at once that have one directory, and kill some.")
    parser.add_argument("--rounds", type=int, default=4, metavar="N", help="boards, each for five containers")
    given = parser.parse_args()
    if os.geteuid() != 0:
        return report(0, "containers", 0, "namespaces need root")
    tried = failed = 0
    signal.alarm(int(BOUND_S * given.rounds))
    with tempfile.TemporaryDirectory(prefix="headway-containers-") as folder:
        os.environ["HEADWAY_DIR"] = folder
        os.environ.pop("HEADWAY_RECORD", None)
        for number in range(given.rounds):
            try:
                tried += a_round(number, Path(folder))
            except (AssertionError, subprocess.TimeoutExpired) as problem:
                tried += 1
                failed += 1
                print(f"round {number}: {problem}", file=sys.stderr)
    return report(tried, "containers", failed, f"{given.rounds} boards; each second one of them killed")


if __name__ == "__main__":
    sys.exit(main())
