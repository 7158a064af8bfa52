"""A board's segment and semaphore: made whole, looked at with suspicion, removed without a trace."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import mmap
import multiprocessing
import os
import re
import secrets
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headway import errors
from headway.engine import segments
from headway.engine.board import Board, open_board
from headway.native import core
from headway.recorder.recorder import Recorder
from headway.system import locks, machine, memory, paths, shm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython

SHM = Path("/dev/shm")
FORK = multiprocessing.get_context("fork")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and changing owners needs root")

# Where things stand in the header (headway.h).
BYTE_ORDER, LAYOUT_VERSION, SLOT_BYTES, RESULT_BYTES, CAPACITY, WORKERS = 8, 12, 24, 28, 32, 36
ROWS_OFFSET, TOTAL_BYTES, UUID, TIME_NAMESPACE, NAME, CHECKSUM, DIRECTORY = 40, 64, 72, 112, 128, 248, 1024
HEADER_BYTES = 4096
FNV_START, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3


@pytest.fixture
def board(board_name: str) -> Iterator[Board]:
    board = open_board(board_name, capacity=4, workers=4, result_bytes=64)
    yield board
    board.directory.mkdir(exist_ok=True)
    board.remove(files=True)


@pytest.fixture
def name(board: Board) -> str:
    return segments.object_name(board.name, board._segment.uuid)


@pytest.fixture
def path(name: str) -> Path:
    return SHM / name[1:]


@pytest.fixture
def closed(board: Board, path: Path) -> Path:
    """The segment of a board that nobody has open. A copy, so that no mapping leads to what is done to it."""
    board.close()
    copy = path.with_name(f"{path.name}-copy")
    shutil.copy(path, copy)
    copy.chmod(0o600)
    copy.rename(path)
    return path


def semaphore_of(path: Path) -> Path:
    return path.with_name(f"sem.{path.name}")


def fnv(data: bytes | bytearray, seed: int = 0) -> int:
    value = seed ^ FNV_START
    for byte in data:
        value = (value ^ byte) * FNV_PRIME & (2**64 - 1)
    return value


def rewrite(path: Path, offset: int, data: bytes) -> None:
    """Change the header, and make its checksum right again."""
    with path.open("r+b") as file:
        header = bytearray(file.read(HEADER_BYTES))
        header[offset : offset + len(data)] = data
        header[CHECKSUM : CHECKSUM + 8] = struct.pack("<Q", fnv(header[DIRECTORY:], fnv(header[:CHECKSUM])))
        file.seek(0)
        file.write(header)


def refusal(name: str) -> errors.HeadwayError:
    """Why a segment is refused. The refusal leaves it, its semaphore and our descriptors as they were."""
    path = SHM / name[1:]
    before = (path.read_bytes(), path.stat().st_mode, semaphore_of(path).exists(), set(os.listdir("/proc/self/fd")))
    with pytest.raises(errors.HeadwayError) as caught:
        segments.attach(name).close()
    assert "remove it" in str(caught.value) or "use" in str(caught.value), f"no remedy: {caught.value}"
    after = (path.read_bytes(), path.stat().st_mode, semaphore_of(path).exists(), set(os.listdir("/proc/self/fd")))
    assert before == after
    return caught.value


# --- created


def test_a_new_board_has_a_segment_and_a_semaphore_under_an_unforeseeable_name(board: Board, path: Path) -> None:
    assert re.fullmatch(rf"headway-{os.geteuid()}-{re.escape(board.name)}-[0-9a-f]{{32}}", path.name)
    assert (board.directory / "segment").read_text().strip() == board._segment.uuid
    assert path.stat().st_size == board._segment.size == core.segment_bytes(4, 4, 64)
    assert semaphore_of(path).stat().st_size >= 32


def test_the_whole_segment_is_reserved_at_creation(path: Path) -> None:
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size


def test_the_header_says_what_was_asked_for(board: Board) -> None:
    segment = board._segment
    assert (segment.capacity, segment.workers, segment.result_bytes) == (4, 4, 64)
    assert segment.name == board.name
    assert segment.directory == str(board.directory)
    assert segment.boot_id == machine.boot_id().hex()
    assert segment.pid_namespace == machine.namespace("pid")
    assert segment.time_namespace == machine.namespace("time")
    assert not segment.retired


def test_the_default_board_fits_into_a_containers_shared_memory() -> None:
    assert core.segment_bytes(1024, 1024, 2048) < 16 * 2**20


def test_one_process_has_one_object_for_a_name(board: Board, board_name: str) -> None:
    assert open_board(board_name) is board
    with pytest.warns(RuntimeWarning, match="capacity=99 has no effect"):
        assert open_board(board_name, capacity=99) is board


def test_another_process_attaches_to_the_same_segment(board: Board, board_name: str, run_python: RunPython) -> None:
    board.task("a").update(3)
    script = f"""
from headway.engine.board import open_board
board = open_board({board_name!r})
board.attach("a").update(4)
print(board._segment.uuid, board._segment.capacity)
board.close()
"""
    assert run_python(script).stdout.split() == [board._segment.uuid, "4"]
    assert board.attach("a").count == 7


def test_boards_of_one_name_in_two_places_are_two_boards(
    board: Board, board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_DIR", str(tmp_path / "other"))
    other = open_board(board_name)
    try:
        assert other is not board
        assert other._segment.uuid != board._segment.uuid
    finally:
        other.remove(files=True)
    assert not board._segment.closed
    board.task("a").update()


CREATE = """
import contextlib, json, os, random, signal, sys, time
from pathlib import Path
from headway.engine import segments
from headway.upkeep import removal
from headway.engine.board import open_board

name, rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
shared = Path("/dev/shm")

def create(wait, done):
    os.read(wait, 1)  # all at once: the gate opens when it is closed
    board = open_board(name, capacity=3, workers=8, result_bytes=8)
    board.task(str(os.getpid())).update(2)
    os.write(done, f"{os.getpid()} {board._segment.uuid}\\n".encode())

def start(wait, gate, done):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(gate)
            create(wait, done)
            code = 0
        finally:
            os._exit(code)
    return pid

counts = {"killed": 0, "opened by both": 0}
for number in range(rounds):
    wait, gate = os.pipe()
    told, done = os.pipe()
    pids = [start(wait, gate, done) for _ in range(2)]
    os.close(done)
    os.close(wait)
    victim = chance.choice(pids)
    began = time.monotonic()
    os.close(gate)
    if number % 10:
        time.sleep(chance.uniform(0, 1.2) * took)
        os.kill(victim, signal.SIGKILL)
    status = {pid: os.waitpid(pid, 0)[1] for pid in pids}
    if number % 10 == 0:
        took = time.monotonic() - began  # on this machine, at this hour, with nobody killed
    with os.fdopen(told) as lines:
        uuids = dict(line.split() for line in lines)
    other = next(pid for pid in pids if pid != victim)
    assert status[other] == 0, (number, status)
    counts["killed"] += status[victim] == signal.SIGKILL
    counts["opened by both"] += len(uuids) == 2
    assert str(other) in uuids and len(set(uuids.values())) == 1, (number, uuids)

    board = open_board(name)
    assert board._segment.uuid == uuids[str(other)], number
    assert board._segment.capacity == 3
    assert board.get(str(other)).count == 2
    for task in board.tasks():
        board.task(task.id).succeed()
    board.task("more").update()
    board.remove(files=False)
    board.close()
    # What a creator that was killed had left was removed by the other one.
    assert not list(shared.glob(f"*{name}*")), number
    assert {path.name for path in board.directory.iterdir()} <= {"board.lock", "users.lock"}, number
    removal.remove(name, force=True)
print(json.dumps(counts))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_of_two_who_create_at_once_one_is_killed_and_there_is_one_whole_board(
    board_name: str, run_python: RunPython
) -> None:
    seed = secrets.randbelow(2**32)
    done = run_python(CREATE, board_name, "500", str(seed), timeout_s=280)
    assert done.stderr == "", f"seed {seed}"
    counts = json.loads(done.stdout)
    assert counts["killed"] > 50, counts
    assert counts["opened by both"] > 50, counts


def test_those_who_create_at_once_get_one_board(board_name: str, headway_dir: Path) -> None:
    for round_ in range(10):
        wait, gate = os.pipe()
        told, tell = os.pipe()
        name = f"{board_name}-{round_}"
        children = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    os.close(gate)
                    os.read(wait, 1)
                    os.write(tell, open_board(name, capacity=2, workers=8)._segment.uuid.encode() + b"\n")
                    code = 0
                finally:
                    os._exit(code)
            children.append(pid)
        for one in (gate, wait, tell):
            os.close(one)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        with os.fdopen(told) as lines:
            uuids = set(lines.read().split())
        assert len(uuids) == 1
        assert {path.name for path in (headway_dir / name).iterdir()} == {"board.lock", "segment", "users.lock"}
        assert [path.name[-32:] for path in SHM.glob(f"headway-*-{name}-*")] == list(uuids)
        open_board(name).remove(files=True)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("capacity", 0),
        ("capacity", -1),
        ("capacity", 2**20 + 1),
        ("capacity", 2**70),
        ("capacity", 1.5),
        ("capacity", "8"),
        ("workers", 0),
        ("workers", 2**16 + 1),
        ("workers", 2.0),
        ("result_bytes", -1),
        ("result_bytes", 2**20 + 1),
        ("result_bytes", b"1"),
    ],
)
def test_a_size_out_of_range_is_refused_before_anything_is_made(
    what: str, value: object, board_name: str, headway_dir: Path
) -> None:
    with pytest.raises(ValueError, match=rf"{what} .* is out of range: give an int from \d+ to \d+"):
        open_board(board_name, **{what: value}).remove(files=True)  # type: ignore[arg-type]
    assert not headway_dir.exists()


def test_a_board_that_cannot_fit_is_refused_before_a_page_is_taken(
    board_name: str, headway_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(*_: object) -> None:
        pytest.fail("pages were taken")

    monkeypatch.setattr(os, "posix_fallocate", taken)
    with pytest.raises(errors.NoSpace, match=r"needs \d+\.\d MiB and 2 files, /dev/shm has .*smaller capacity"):
        open_board(board_name, capacity=2**20, result_bytes=2**20)
    monkeypatch.setattr(memory, "limits", lambda: iter([memory.Limit(3 << 20, "the limit of this test", "raise it")]))
    with pytest.raises(errors.NoSpace, match=r"needs \d\.\d MiB, the limit of this test leaves 3\.0 MiB.*or raise it"):
        open_board(board_name)
    assert [path.name for path in (headway_dir / board_name).iterdir()] == ["board.lock"]


def test_who_is_killed_while_pages_are_taken_leaves_none(board_name: str) -> None:
    pid = os.fork()
    if pid == 0:
        real = os.posix_fallocate

        def killed(*arguments: int) -> None:
            real(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        os.posix_fallocate = killed
        open_board(board_name)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert not list(SHM.glob(f"*{board_name}*"))


def test_the_smallest_board_works(board_name: str) -> None:
    board = open_board(board_name, capacity=1, workers=1, result_bytes=0)
    try:
        task = board.task("a")
        task.update(2)
        task.succeed()
        assert (task.count, task.state) == (2, "success")
        with pytest.raises(errors.ResultTooLarge):
            task.result = 1
    finally:
        board.remove(files=True)


def test_leftovers_of_a_killed_creator_are_tidied_away(board_name: str, headway_dir: Path) -> None:
    directory = paths.board_directory(board_name, create=True)
    (directory / ".segment.12345.0123abcd").write_text("half")
    board = open_board(board_name)
    try:
        assert {path.name for path in directory.iterdir()} == {"board.lock", "segment", "users.lock"}
    finally:
        board.remove(files=True)


def test_a_reference_to_a_segment_that_is_gone_means_a_new_board(board_name: str) -> None:
    directory = paths.board_directory(board_name, create=True)
    (directory / "segment").write_text("0123456789abcdef" * 2 + "\n")
    board = open_board(board_name)
    try:
        assert board._segment.uuid != "0123456789abcdef" * 2
        assert segments.referenced(directory) == board._segment.uuid
    finally:
        board.remove(files=True)


@pytest.mark.parametrize("content", [b"", b"\n", b"0123", b"g" * 32, b"A" * 32, b"0" * 33, b"\xff" * 40, b"../" * 11])
def test_a_reference_that_names_no_segment_is_corrupt_and_stays(board_name: str, content: bytes) -> None:
    directory = paths.board_directory(board_name, create=True)
    (directory / "segment").write_bytes(content)
    with pytest.raises(errors.CorruptBoard, match="does not name a segment: remove it"):
        open_board(board_name).remove(files=True)
    assert (directory / "segment").read_bytes() == content
    assert not list(SHM.glob(f"*{board_name}*"))


def test_a_reference_that_is_a_link_a_folder_or_a_pipe_is_corrupt(board_name: str, tmp_path: Path) -> None:
    directory = paths.board_directory(board_name, create=True)
    reference = directory / "segment"
    (tmp_path / "target").write_text("0" * 32)
    reference.symlink_to(tmp_path / "target")
    with pytest.raises(errors.CorruptBoard, match="remove it"):
        segments.referenced(directory)
    reference.unlink()
    reference.mkdir()
    with pytest.raises(errors.CorruptBoard, match="remove it"):
        segments.referenced(directory)
    reference.rmdir()
    os.mkfifo(reference)
    with pytest.raises(errors.CorruptBoard, match="remove it"):
        segments.referenced(directory)


@needs_root
def test_a_reference_of_another_user_is_not_trusted(board_name: str) -> None:
    directory = paths.board_directory(board_name, create=True)
    (directory / "segment").write_text("0" * 32)
    os.chown(directory / "segment", 65534, 65534)
    with pytest.raises(errors.NotOwner, match="belongs to user 65534"):
        open_board(board_name).remove(files=True)


def test_a_directory_too_long_for_the_header_is_refused_and_nothing_is_left(
    board_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_DIR", str(tmp_path.joinpath(*["x" * 200] * 16)))
    with pytest.raises(errors.UnusableDirectory, match=r"a path of \d+ bytes, and the limit is 470"):
        open_board(board_name).remove(files=True)
    assert not list(SHM.glob(f"*{board_name}*"))
    assert not (paths.board_directory(board_name) / "segment").exists()


# --- refused, with nothing changed


def truncations() -> list[int]:
    rows = HEADER_BYTES + 4 * 128
    total = core.segment_bytes(4, 4, 64)
    inside = [1, 7, 8, CHECKSUM, 255, 256, 1024, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 1, HEADER_BYTES + 64]
    return [0, *inside, rows, rows + 16, 8192, 8192 + 128, total // 2, total - 4096, total - 8, total - 1]


@pytest.mark.parametrize("size", truncations())
def test_a_truncated_segment_is_refused(size: int, board_name: str, name: str, closed: Path) -> None:
    os.truncate(closed, size)
    assert isinstance(refusal(name), errors.CorruptBoard)
    with pytest.raises(errors.CorruptBoard):
        open_board(board_name)
    assert closed.stat().st_size == size


@pytest.mark.parametrize("more", [1, 8, 4096, 2**20])
def test_a_segment_that_grew_is_refused(more: int, name: str, closed: Path) -> None:
    os.truncate(closed, closed.stat().st_size + more)
    assert isinstance(refusal(name), errors.CorruptBoard)


def test_no_single_flipped_bit_of_the_headers_immutable_part_goes_unseen(name: str, path: Path) -> None:
    places = [
        *range(256),
        *range(DIRECTORY, DIRECTORY + 64),
        *range(DIRECTORY + 64, HEADER_BYTES, 97),
        HEADER_BYTES - 1,
    ]
    with path.open("r+b") as file, mmap.mmap(file.fileno(), HEADER_BYTES) as header:
        for at in places:
            for bit in range(8):
                header[at] ^= 1 << bit
                expected: type[errors.HeadwayError] | tuple[type[errors.HeadwayError], ...] = errors.CorruptBoard
                if BYTE_ORDER <= at < LAYOUT_VERSION + 4:
                    expected = errors.LayoutMismatch
                with pytest.raises(expected):
                    segments.attach(name).close()
                header[at] ^= 1 << bit
    segments.attach(name).close()


def test_what_changes_in_the_header_is_not_covered_by_its_checksum(board: Board, name: str) -> None:
    """Else a board in use could not be attached to."""
    board.task("a").update()
    board.task("b").succeed()
    segments.attach(name).close()


def test_another_layout_version_is_told_from_damage(name: str, closed: Path) -> None:
    rewrite(closed, LAYOUT_VERSION, struct.pack("<I", core.LAYOUT_VERSION + 1))
    error = refusal(name)
    assert isinstance(error, errors.LayoutMismatch)
    assert "another version of Headway" in str(error)


def test_another_byte_order_is_told_from_damage(name: str, closed: Path) -> None:
    rewrite(closed, BYTE_ORDER, struct.pack(">I", 0x01020304))
    assert isinstance(refusal(name), errors.LayoutMismatch)


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (CAPACITY, 0),
        (CAPACITY, 2**20 + 1),
        (CAPACITY, 2**32 - 1),
        (WORKERS, 0),
        (WORKERS, 2**16 + 1),
        (WORKERS, 2**32 - 1),
        (RESULT_BYTES, 2**20 + 1),
        (RESULT_BYTES, 2**32 - 1),
    ],
)
def test_a_count_out_of_range_is_refused_even_with_a_right_checksum(
    offset: int, value: int, board: Board, name: str, path: Path
) -> None:
    board.close()
    rewrite(path, offset, struct.pack("<I", value))
    error = refusal(name)
    assert isinstance(error, errors.CorruptBoard)
    assert "out of range" in str(error)


@pytest.mark.parametrize(
    ("offset", "size"),
    [
        (16, 4),
        (20, 4),
        (SLOT_BYTES, 4),
        (ROWS_OFFSET, 8),
        (48, 8),
        (56, 8),
        (TOTAL_BYTES, 8),
        (CAPACITY, 4),
        (WORKERS, 4),
    ],
)
@pytest.mark.parametrize("change", [1, -1, 128])
def test_a_size_or_an_offset_that_does_not_fit_is_refused_even_with_a_right_checksum(
    offset: int, size: int, change: int, board: Board, name: str, path: Path
) -> None:
    board.close()
    old = int.from_bytes(path.read_bytes()[offset : offset + size], "little")
    rewrite(path, offset, (old + change).to_bytes(size, "little"))
    assert isinstance(refusal(name), errors.CorruptBoard | errors.LayoutMismatch)


def test_a_longest_result_that_changes_the_slots_size_is_refused(name: str, closed: Path) -> None:
    rewrite(closed, RESULT_BYTES, struct.pack("<I", 2**20))
    assert isinstance(refusal(name), errors.CorruptBoard | errors.LayoutMismatch)


@pytest.mark.parametrize(("offset", "room"), [(NAME, 72), (DIRECTORY, 3072)])
def test_a_text_without_an_end_is_refused(offset: int, room: int, name: str, closed: Path) -> None:
    rewrite(closed, offset, b"x" * room)
    assert isinstance(refusal(name), errors.CorruptBoard)


@pytest.mark.parametrize(("offset", "text"), [(NAME, b"another-board\0"), (UUID, b"0123456789abcdef")])
def test_a_segment_that_calls_itself_otherwise_is_refused(
    offset: int, text: bytes, board: Board, name: str, path: Path
) -> None:
    board.close()
    rewrite(path, offset, text)
    error = refusal(name)
    assert isinstance(error, errors.CorruptBoard)
    assert "renamed" in str(error)


def test_a_segment_of_another_time_namespace_is_elsewhere(name: str, closed: Path) -> None:
    rewrite(closed, TIME_NAMESPACE, struct.pack("<Q", machine.namespace("time") + 1))
    error = refusal(name)
    assert isinstance(error, errors.BoardElsewhere)
    assert "time namespace" in str(error)


@pytest.mark.parametrize("written", [None, "pid 1 on elsewhere\n0123 45\n", "pid 1 on elsewhere\n", ""])
def test_who_finds_no_segment_makes_another_unless_somebody_may_have_it_in_another_shared_memory(
    written: str | None, board: Board, path: Path, run_python: RunPython
) -> None:
    path.unlink()
    if written is not None:  # as a container writes it that has a /dev/shm of its own, or an older version
        (board.directory / "users.lock").write_text(written)
    script = """
import sys
from headway import errors
from headway.engine.board import open_board
try:
    open_board(sys.argv[1], record=False).remove()
    print("made")
except errors.BoardElsewhere as error:
    print(error)
"""
    done = run_python(script, board.name)
    said = done.stdout
    if written is None:
        assert said == "made\n"
        assert f"pid {os.getpid()} on" in done.stderr
        assert "still counts on that one, unseen" in " ".join(done.stderr.split())
    else:
        assert f"is in use by {written.partition(chr(10))[0] or 'another process'}, whose /dev/shm" in said


@needs_root
def test_a_process_in_another_time_namespace_is_refused(board: Board, run_python: RunPython, tmp_path: Path) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text(f"""
from headway import errors
from headway.engine.board import open_board
try:
    open_board({board.name!r})
except errors.BoardElsewhere as error:
    print("refused:", error)
""")
    command = ["unshare", "--time", "--fork", "--kill-child", sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("refused:"), done.stderr


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o640, 0o620, 0o601, 0o666, 0o777])
def test_a_segment_open_to_others_is_refused(mode: int, name: str, closed: Path) -> None:
    closed.chmod(mode)
    error = refusal(name)
    assert isinstance(error, errors.CorruptBoard)
    assert f"mode {mode:o}" in str(error)


@needs_root
def test_a_segment_of_another_user_is_refused_and_keeps_nobody_from_the_board(
    board_name: str, name: str, closed: Path
) -> None:
    os.chown(closed, 65534, 65534)
    error = refusal(name)
    assert isinstance(error, errors.NotOwner)
    assert "user 65534" in str(error)
    anew = open_board(board_name, capacity=4, workers=4, result_bytes=64)
    assert anew._segment.uuid not in name
    anew.remove(files=False)
    assert closed.exists()


@needs_root
def test_a_user_who_may_not_open_a_segment_is_told_so(board: Board, name: str) -> None:
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setuid(65534)
            with pytest.raises(errors.NotOwner, match="belongs to another user"):
                segments.attach(name)
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_something_else_under_the_segments_name_is_refused(kind: str, name: str, closed: Path) -> None:
    aside = closed.with_name(f"{closed.name}-aside")
    closed.rename(aside)
    try:
        if kind == "pipe":
            os.mkfifo(closed, 0o600)
        elif kind == "folder":
            closed.mkdir(0o700)
        else:
            closed.symlink_to(aside)
        with pytest.raises((errors.CorruptBoard, errors.NotOwner), match="remove it"):
            segments.attach(name).close()
    finally:
        if kind == "folder":
            closed.rmdir()
        else:
            closed.unlink()
        aside.rename(closed)


def test_a_segment_that_does_not_exist_is_not_found(board: Board) -> None:
    before = sorted(SHM.iterdir())
    with pytest.raises(FileNotFoundError):
        segments.attach(segments.object_name(board.name, "0" * 32))
    assert sorted(SHM.iterdir()) == before


def test_attaching_never_resizes(name: str, path: Path) -> None:
    before = path.stat()
    segment = segments.attach(name)
    assert (path.stat().st_size, path.stat().st_ino) == (before.st_size, before.st_ino)
    segment.close()


# --- the semaphore


def test_a_missing_semaphore_is_made_anew(board_name: str, closed: Path) -> None:
    semaphore_of(closed).unlink()
    board = open_board(board_name)
    assert stat.S_IMODE(semaphore_of(closed).stat().st_mode) == 0o600
    board.task("a").update()
    assert board.attach("a").count == 1
    board.close()


def test_a_semaphore_that_goes_away_in_use_stops_nobody(board: Board, path: Path) -> None:
    semaphore_of(path).unlink()
    board.task("a").update()
    assert board.attach("a").count == 1


def test_a_segment_that_is_refused_gets_no_semaphore(name: str, closed: Path) -> None:
    semaphore_of(closed).unlink()
    os.truncate(closed, 4096)
    refusal(name)


@pytest.mark.parametrize("size", [0, 1, 31])
def test_a_truncated_semaphore_is_refused(size: int, name: str, closed: Path) -> None:
    os.truncate(semaphore_of(closed), size)
    error = refusal(name)
    assert isinstance(error, errors.CorruptBoard)
    assert "truncated" in str(error)


def test_a_semaphore_that_is_not_ours_alone_is_refused(name: str, closed: Path) -> None:
    semaphore_of(closed).chmod(0o666)
    assert isinstance(refusal(name), errors.CorruptBoard)
    semaphore_of(closed).unlink()
    semaphore_of(closed).symlink_to(closed)
    assert isinstance(refusal(name), errors.CorruptBoard)


@needs_root
def test_a_semaphore_of_another_user_is_not_used_and_stops_nobody(name: str, closed: Path) -> None:
    os.chown(semaphore_of(closed), 65534, 65534)
    segment = segments.attach(name)
    mapped = Path("/proc/self/maps").read_text()
    assert name in mapped
    assert f"sem.{name[1:]}" not in mapped
    assert segment.claim("a", "", "it")[2] is None
    segment.close()


# --- no room


FULL = """
import os, sys
from pathlib import Path
from headway import errors
from headway.engine.board import open_board
capacity = int(sys.argv[1])
try:
    board = open_board("full", capacity=capacity, workers=8, result_bytes=64)
except errors.NoSpace as error:
    print("NoSpace", isinstance(error, OSError), error.errno, error)
else:
    board.task("a").update()
    print("made")
print(sorted(os.listdir("/dev/shm")))
print(sorted(path.name for path in Path(os.environ["HEADWAY_DIR"], "full").iterdir()))
"""


def on_a_small_tmpfs(tmp_path: Path, options: str, capacity: int) -> list[str]:
    script = tmp_path / "full.py"
    script.write_text(FULL)
    mount = f'mount -t tmpfs -o {options} tmpfs /dev/shm && exec "$0" "$@"'
    command = ["unshare", "-m", "sh", "-c", mount, sys.executable, str(script), str(capacity)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_root
def test_a_full_shared_memory_is_an_error_that_names_sizes_and_remedy(tmp_path: Path) -> None:
    said, objects, files = on_a_small_tmpfs(tmp_path, "size=1m", 1024)
    assert said.startswith("NoSpace True 28")
    needed = core.segment_bytes(1024, 8, 64) / 2**20
    assert f"needs {needed:.1f} MiB and 2 files, /dev/shm has 1.0 MiB" in said
    assert "smaller capacity" in said
    assert "headway gc" in said
    assert (objects, files) == ("[]", "['board.lock']")


@needs_root
def test_a_segment_that_just_fits_but_leaves_no_room_for_the_semaphore_is_no_space(tmp_path: Path) -> None:
    said, objects, files = on_a_small_tmpfs(tmp_path, f"size={core.segment_bytes(8, 8, 64)}", 8)
    assert said.startswith("NoSpace True 28"), said
    assert (objects, files) == ("[]", "['board.lock']")


@needs_root
@pytest.mark.parametrize("inodes", [1, 2])
def test_a_shared_memory_without_inodes_is_no_space(inodes: int, tmp_path: Path) -> None:
    said, objects, files = on_a_small_tmpfs(tmp_path, f"size=16m,nr_inodes={inodes}", 8)
    assert said.startswith("NoSpace True 28"), said
    assert (objects, files) == ("[]", "['board.lock']")


@needs_root
def test_a_shared_memory_with_just_enough_room_is_enough(tmp_path: Path) -> None:
    said, objects, _ = on_a_small_tmpfs(tmp_path, f"size={core.segment_bytes(8, 8, 64) + 2 * 4096}", 8)
    assert said == "made"
    assert objects.count("headway-") == 2


# --- the lock of the directory


def test_the_directorys_lock_excludes_and_names_its_holder(tmp_path: Path) -> None:
    def take() -> None:
        with locks.locked(tmp_path, wait_s=0.05):
            pytest.fail("two have the lock")

    refused = pytest.raises(errors.LockTimeout, match=rf"held by pid {os.getpid()} for 0.05 s: resume or end")
    with locks.locked(tmp_path), ThreadPoolExecutor(1) as another, refused:
        another.submit(take).result()
    with locks.locked(tmp_path, wait_s=0):
        pass


def test_the_directorys_lock_is_let_go_when_its_holder_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locks.locked(tmp_path):
        raise ZeroDivisionError
    with locks.locked(tmp_path, wait_s=0):
        pass


def test_the_directorys_lock_is_let_go_by_the_death_of_its_holder(tmp_path: Path) -> None:
    def hold_and_die() -> None:
        with locks.locked(tmp_path):
            os.kill(os.getpid(), 9)

    child = FORK.Process(target=hold_and_die)
    child.start()
    child.join(30)
    assert child.exitcode == -9
    with locks.locked(tmp_path):
        pass


def test_a_forked_child_does_not_keep_the_directorys_lock(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with locks.locked(tmp_path):
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    try:
        with locks.locked(tmp_path, wait_s=0):
            pass
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(pid, 0)


def test_removing_the_lock_file_under_a_waiter_does_not_let_two_in(tmp_path: Path) -> None:
    """unlink(files=True) removes it while others may be waiting for it."""
    entered, leave = threading.Event(), threading.Event()

    def wait_for_it() -> None:
        with locks.locked(tmp_path):
            entered.set()
            leave.wait(30)

    other = threading.Thread(target=wait_for_it)
    with locks.locked(tmp_path):
        other.start()
        assert not entered.wait(0.3)  # it tries again and again, each time by opening the file
        (tmp_path / "board.lock").unlink()
    try:
        assert entered.wait(30)
        with pytest.raises(errors.LockTimeout), locks.locked(tmp_path, wait_s=0.1):
            pytest.fail("two have the lock")
    finally:
        leave.set()
        other.join()


def descriptors() -> Iterator[str]:
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/self/fd/{fd}")


# --- unlinked


def test_unlinking_leaves_nothing(board_name: str, headway_dir: Path) -> None:
    board = open_board(board_name)
    board.task("a").update()
    board.remove(files=True)
    assert not list(SHM.glob(f"*{board_name}*"))
    assert not (headway_dir / board_name).exists()


def test_unlinking_keeps_the_directory_unless_asked(board: Board, board_name: str, path: Path) -> None:
    (board.directory / "notes.txt").write_text("mine")
    board.remove(files=False)
    assert not path.exists()
    assert not semaphore_of(path).exists()
    assert not (board.directory / "segment").exists()
    board = open_board(board_name)
    board.remove(files=True)
    assert {found.name for found in board.directory.iterdir()} == {"notes.txt"}, "what is not ours is not removed"


def test_unlinking_twice_is_unlinking_once(board: Board) -> None:
    board.remove(files=False)
    board.remove(files=False)


def test_unlinking_after_closing_works(board: Board, path: Path) -> None:
    board.close()
    board.remove(files=False)
    assert not path.exists()


def test_unlinking_an_old_board_leaves_a_new_one_of_the_name_alone(board: Board, board_name: str) -> None:
    board.remove(files=False)
    new = open_board(board_name)
    board.remove(files=False)
    assert not new._segment.retired
    assert segments.referenced(new.directory) == new._segment.uuid
    new.task("a").update()
    new.remove(files=True)


def test_unlinking_works_when_somebody_removed_the_directory(board: Board, path: Path) -> None:
    shutil.rmtree(board.directory)
    board.remove(files=False)
    assert not path.exists()
    assert not semaphore_of(path).exists()


def test_a_removal_that_was_killed_halfway_is_ended_by_who_opens_the_board(
    board: Board, board_name: str, path: Path
) -> None:
    """Its remover was killed between telling everyone and removing it."""
    board._segment.retire()
    with recorded(board.directory):  # an elected recorder that has not looked yet
        new = open_board(board_name)
    try:
        assert new._segment.uuid != board._segment.uuid
        assert open_board(board_name) is new
        assert not path.exists()
        assert not semaphore_of(path).exists()
    finally:
        new.remove(files=True)
        board.close()


def test_a_removal_that_was_only_announced_by_who_was_killed_is_withdrawn_by_who_opens_the_board(
    board: Board, board_name: str, run_python: RunPython
) -> None:
    """Found by the model of the election: it was taken for a board of another machine."""
    board.task("a")
    board._segment.announce_retirement()
    with recorded(board.directory):  # by one that was elected since
        done = run_python(f"import headway; print(headway.open({board_name!r}).get('a').state)")
    assert done.stdout.strip() in ("pending", "running")
    assert not board._segment.retiring


def test_what_was_removed_does_not_come_back_by_an_announcement_that_is_withdrawn(board: Board) -> None:
    board._segment.retire()
    board._segment.announce_retirement(False)
    assert board._segment.retired
    board._segment.announce_retirement()
    assert board._segment.retired


def test_a_recorder_that_cannot_get_the_lock_withdraws_nothing(board: Board, board_name: str) -> None:
    """Somebody removes the board under that lock just now."""
    recorder = Recorder.elected(board)
    try:
        with locks.locked(board.directory):
            board._segment.retire()
            assert not recorder.finish()
        assert board._segment.retired
    finally:
        recorder.resign()


def test_opening_a_board_again_in_a_forked_child_makes_it_present(board: Board, board_name: str) -> None:
    """As a daemon does: open, fork, let the parent go, and open again."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            again = open_board(board_name)
            assert again is board
            os.write(writer, f"{again._segment.incarnation}\n".encode())
            code = 0
        finally:
            os._exit(code)
    try:
        assert os.waitpid(pid, 0)[1] == 0
        assert int(os.read(reader, 32)) not in (0, board._segment.incarnation)
    finally:
        os.close(reader)
        os.close(writer)


def test_a_forked_child_that_comes_out_of_a_locked_section_leaves_the_lock_to_its_parent(tmp_path: Path) -> None:
    with locks.locked(tmp_path):
        pid = os.fork()
        if pid == 0:
            try:
                raise SystemExit
            finally:
                for lock in [one for one in gc.get_objects() if type(one) is locks.Flock]:
                    lock.release()
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        with pytest.raises(errors.LockTimeout), locks.locked(tmp_path, wait_s=0):
            pytest.fail("two have the lock")


def test_a_semaphore_is_not_made_for_a_segment_that_was_removed_meanwhile(board: Board, name: str, path: Path) -> None:
    path.unlink()
    semaphore_of(path).unlink()
    shm.ensure_semaphore(name)
    assert not semaphore_of(path).exists()


def test_those_who_open_and_remove_a_board_at_the_same_time_are_not_in_each_others_way(
    run_python: RunPython, board_name: str
) -> None:
    """With its directory: nobody hears of a file that is not there, and nothing is left."""
    run_python(
        """
import os, sys, warnings
from headway import errors
from headway.upkeep import removal
from headway.engine.board import open_board

def come_and_go():
    for turn in range(100):
        board = open_board(sys.argv[1], capacity=4, workers=4, result_bytes=64, record=False)
        try:
            board.task(f"{os.getpid()}-{turn}").update()
        except errors.BoardClosed:  # another one has removed it
            pass
        if turn % 3:
            board.remove(files=True)
        else:
            board.close()
            try:
                removal.remove(sys.argv[1], force=True)
            except errors.UnknownBoard:
                pass

warnings.simplefilter("ignore")
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            come_and_go()
            code = 0
        finally:
            if code:
                sys.excepthook(*sys.exc_info())
            os._exit(code)
    pids.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
""",
        board_name,
    )


@contextlib.contextmanager
def recorded(directory: Path) -> Iterator[None]:
    """A recorder of this machine holds its lock."""
    lock = locks.recorder_lock(directory)
    assert lock is not None
    try:
        yield
    finally:
        lock.release()


def test_a_limit_on_memory_that_files_count_towards_is_told_as_no_room_and_leaves_nothing(
    board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(os, "posix_fallocate", refused)  # as in a container whose memory is used up
    with pytest.raises(errors.NoSpace, match="headway gc"):
        open_board(board_name)
    assert not list(shm.SHM.glob(f"*{board_name}*"))
