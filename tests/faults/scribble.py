"""A process writes words at random all over a segment while others count, claim, write, copy, record and attach.

    scribble.py [--seconds S] [--seed N] [--sanitized] [--mistake]

Nobody crashes, nobody hangs, nothing but typed errors comes of it; in the end the segment is put right, and works. The
part of the header that never changes stays as it is for those who attached: it was checked, and is not looked at again;
who attaches meanwhile finds it changed now and then. --sanitized: with the extension built with AddressSanitizer and
UndefinedBehaviorSanitizer; --mistake plants a fault, which has to be found.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import mmap
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = (0, 1, 2, 3, 7, 255, 2**16, 2**31, 2**32 - 1, 2**47, 2**48 - 1, 2**48, 2**61, 2**63 - 1, 2**63, 2**64 - 1)
HEADER_FIXED = 256
SLOWEST_S = 20.0  # no call waits longer, with locks that are waited for 0.05 s; more is a hang
IDS = ("a", "a/b", "c")
VICTIMS = 4


def scribble(path: str, seed: int, until: float, ready: int) -> None:
    """Write words, small ones, large ones, ones that stand elsewhere, as soon as all have attached."""
    chance, arrived = random.Random(seed), 0
    while arrived < VICTIMS and select.select([ready], [], [], SLOWEST_S / 2)[0]:
        arrived += len(os.read(ready, VICTIMS))
    with open(path, "r+b") as file:
        memory = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
        sound = memory[: HEADER_FIXED // 8].tolist()
        places = range(HEADER_FIXED // 8, len(memory))
        while time.monotonic() < until:
            for _ in range(200):
                at = chance.choice(places) if chance.random() < 0.7 else HEADER_FIXED // 8 + chance.randrange(100)
                kind = chance.randrange(4)
                if kind == 0:
                    memory[at] = chance.choice(WORDS)
                elif kind == 1:
                    memory[at] = chance.getrandbits(64)
                elif kind == 2:
                    memory[at] = memory[chance.choice(places)]
                else:
                    memory[at] = (memory[at] + chance.choice((1, -1, 2**32, 2**63))) % 2**64
            if chance.random() < 0.05:  # who attaches just now
                at = chance.randrange(HEADER_FIXED // 8)
                memory[at] = chance.choice(WORDS)
                memory[at] = sound[at]


def suffer(name: str, seed: int, until: float, ready: int, plant: bool) -> dict[str, Any]:
    """Do whatever a program does, over and over: how often, how often it was refused, and how long one call took."""
    from headway import errors
    from headway.engine import segments
    from headway.engine.board import open_board
    from headway.native import core
    from headway.recorder.recorder import Recorder
    from headway.upkeep import diagnosis, listing

    warnings.simplefilter("ignore")
    core.LOCK_SECONDS = 0.05
    chance = random.Random(seed)
    board = open_board(name)
    segment = board._segment
    tasks = [board.attach(id) for id in IDS]

    def count() -> None:
        for task in tasks:
            task.update()

    def write() -> None:
        for task in tasks:
            with contextlib.suppress(ValueError):  # names of eight other metrics stand there by now
                task.set(stage="x", message="y", metrics={"z": 1.0})

    def record() -> None:
        recorder = Recorder.elected(board)
        recorder.stop()
        recorder.run()

    def attach() -> None:
        segments.attach(segments.object_name(name, segment.uuid)).close()

    operations: tuple[Callable[[], object], ...] = (
        board.snapshot,
        board.tasks,
        board.reap,
        lambda: [view.to_dict() for view in board.snapshot().tasks],
        lambda: board.snapshot().array,
        lambda: [board.get(id) for id in (*IDS, "d")],
        lambda: board.task(f"new-{chance.randrange(6)}").update(),
        lambda: board.task("a", resume=True).succeed(),
        count,
        lambda: [task.count for task in tasks],
        lambda: [(task.stage, task.state, task.metrics, task.parent, task.total) for task in tasks],
        write,
        lambda: [task._write_result(b'{"r": 1}') for task in tasks],
        lambda: [task.result for task in tasks],
        lambda: segment.free_archived([(number, 1) for number in range(8)]),
        lambda: [segment.dead(word) for word in WORDS],
        lambda: (segment.owned(), segment.abandoned(), segment.finished(4), segment.in_use),
        attach,
        record,
        lambda: list(listing.boards()),
        diagnosis.diagnose,
        board.write_snapshot,
        segment.leave,
        *((lambda: ctypes.string_at(segment.dropped, 8),) if plant else ()),  # a pointer in shared memory
    )
    calls = refused = 0
    slowest = 0.0
    os.write(ready, b".")
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            chance.choice(operations)()
        except (errors.HeadwayError, OverflowError):  # a count that cannot be is out of range
            refused += 1
        calls += 1
        slowest = max(slowest, time.monotonic() - began)
    return {"calls": calls, "refused": refused, "slowest": slowest}


def child(function: Callable[..., Any], *arguments: Any) -> tuple[int, int]:
    """The pid of a child that does this, and a pipe on which it says what came of it."""
    reader, writer = os.pipe()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        os.close(writer)
        return pid, reader
    code = 1
    try:
        os.close(reader)
        os.write(writer, json.dumps(function(*arguments)).encode())
        code = 0
    except BaseException:  # noqa: BLE001 - it must not go on as a second parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int, reader: int, until: float) -> tuple[dict[str, Any], str]:
    """What a child said, and what is wrong with how it ended."""
    while (found := os.waitpid(pid, os.WNOHANG))[0] == 0:
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reader)
            return {}, f"pid {pid} was not done {SLOWEST_S:g} s after the end: it hangs"
        time.sleep(0.01)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    return json.loads(text) if text else {}, f"pid {pid} ended with wait status {found[1]}" if found[1] else ""


def storm(seconds: float, seed: int, plant: bool) -> dict[str, Any]:
    """One board, one who scribbles, some who suffer it."""
    from headway.engine import segments
    from headway.engine.board import open_board

    name = f"scribbled-{os.getpid()}"
    board = open_board(name, capacity=8, workers=6, result_bytes=64)
    failed: list[str] = []
    said: list[dict[str, Any]] = []
    for id in IDS:
        task = board.task(id, total=5)
        task.update(2)
        task.set(stage="one", message="two", metrics={"three": 3})
        task.result = {"four": 4}
    path = "/dev/shm" + segments.object_name(name, board._segment.uuid)
    sound = Path(path).read_bytes()
    until = time.monotonic() + seconds
    reader, writer = os.pipe()
    crowd = [child(suffer, name, seed * 100 + number, until, writer, plant) for number in range(VICTIMS)]
    enemy = child(scribble, path, seed, until, reader)
    for pid, pipe in (*crowd, enemy):
        told, wrong = ended(pid, pipe, until + SLOWEST_S)
        failed += [wrong] if wrong else []
        said += [told] if told else []
    os.close(reader)
    os.close(writer)
    with open(path, "r+b") as file:
        file.write(sound)
    if board.attach("a").count != 2:
        failed.append("the segment was put right, and does not read so")
    board.remove(files=True)
    slowest = max((one["slowest"] for one in said), default=0.0)
    calls, refused = (sum(one[what] for one in said) for what in ("calls", "refused"))
    if not failed and not calls > refused > 0:
        failed.append(f"of {calls} calls {refused} were refused: nothing was tried")
    return {"calls": calls, "refused": refused, "slowest": slowest, "failed": failed}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 20))
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--mistake", action="store_true")
    given = parser.parse_args()
    if given.sanitized:
        from tests.faults import sanitized

        folder = sanitized.build("address")
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--seconds",
            str(given.seconds),
            "--seed",
            str(given.seed),
        ]
        return subprocess.run(command, env=sanitized.environment_of("address", folder), check=False).returncode
    with tempfile.TemporaryDirectory() as folder_name:
        os.environ.update(HEADWAY_DIR=folder_name, HEADWAY_RECORD="0")
        done = storm(given.seconds, given.seed, given.mistake)
    for failure in done["failed"]:
        print(f"scribble: {failure}", file=sys.stderr)
    if done["failed"]:
        print(f"scribble: repeat with: scribble.py --seed {given.seed} --seconds {given.seconds:g}", file=sys.stderr)
    note = f"{done['refused']:,} refused, the slowest took {done['slowest']:.2f} s"
    print(json.dumps({"tried": done["calls"], "of": "calls", "failed": len(done["failed"]), "note": note}))
    return 1 if done["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
