"""Files that are replaced as a whole: one of the two loads at every instant, and nothing is left behind."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from headway import errors
from headway.files import npz, replacement
from headway.files.replacement import Copied

NAME = "snapshot.npz"
ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import os, sys
from headway.files import replacement
folder = os.open(sys.argv[1], os.O_RDONLY)
name, descriptor = replacement._create(folder)
print(name, flush=True)
sys.stdin.read()
"""


def write(directory: Path, text: str, *, sync: bool = True, uuid: str = "one board", taken_ns: int = 5) -> None:
    meta = json.dumps({"text": text, "synced": sync, "uuid": uuid, "taken_ns": taken_ns})
    pieces = npz.pack([(replacement.META, [meta.encode()])])
    replacement.replace(directory, NAME, pieces, Copied(uuid, taken_ns), sync=sync)


def content(path: Path) -> str:
    return path.read_bytes().partition(b'"text": "')[2].partition(b'"')[0].decode()


def test_the_present_file_becomes_the_previous_one(tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        write(tmp_path, text)
    assert {path.name: content(path) for path in tmp_path.iterdir()} == {NAME: "three", "snapshot.prev.npz": "two"}


def test_an_older_copy_of_a_board_does_not_take_the_place_of_a_newer_one(tmp_path: Path) -> None:
    """Its writer was held up between the copy and the file."""
    write(tmp_path, "before", taken_ns=1)
    write(tmp_path, "newer", taken_ns=7, sync=False)
    write(tmp_path, "older", taken_ns=6)
    assert {path.name: content(path) for path in tmp_path.iterdir()} == {NAME: "newer", "snapshot.prev.npz": "before"}
    write(tmp_path, "another board", uuid="another", taken_ns=2)
    assert content(tmp_path / NAME) == "another board"
    write(tmp_path, "as old", uuid="another", taken_ns=2)
    assert content(tmp_path / NAME) == "as old"


def test_a_child_that_was_forked_meanwhile_does_not_keep_the_folder_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread may fork at any moment, and its child lives for long, with the descriptors of its parent."""
    rename = os.rename
    children: list[int] = []
    end, holds = os.pipe()

    def renamed(*arguments: Any, **options: Any) -> None:
        if not children:
            child = os.fork()
            if child == 0:
                os.close(holds)
                os.read(end, 1)  # until its parent has looked
                os._exit(0)
            children.append(child)
        rename(*arguments, **options)

    monkeypatch.setattr(os, "rename", renamed)
    write(tmp_path, "one")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(folder)
        os.close(holds)
        os.close(end)
        for child in children:
            os.waitpid(child, 0)
    assert len(children) == 1


def test_a_clock_that_was_set_back_keeps_nothing_from_being_written(tmp_path: Path) -> None:
    write(tmp_path, "of tomorrow", taken_ns=time.time_ns() + 10**14)
    write(tmp_path, "of today", taken_ns=time.time_ns())
    assert content(tmp_path / NAME) == "of today"


WRITE = """
import sys
import time
from pathlib import Path
from tests.unit.files.test_replacement import write

for taken_ns in range(int(sys.argv[2]), 400, 4):
    write(Path(sys.argv[1]), str(taken_ns), taken_ns=taken_ns, sync=False)
"""


def test_of_writers_at_the_same_time_the_newest_copy_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE, str(tmp_path)]
    writers = [subprocess.Popen([*command, str(first)], cwd=ROOT) for first in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    assert content(tmp_path / NAME) == "399"


def test_who_holds_the_lock_of_the_folder_delays_a_writer_and_does_not_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replacement, "PUBLISH_WAIT_S", 0.0)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        write(tmp_path, "one")
    finally:
        os.close(folder)
    assert content(tmp_path / NAME) == "one"


def test_a_file_that_was_not_forced_to_the_disk_does_not_replace_one_that_was(tmp_path: Path) -> None:
    write(tmp_path, "forced")
    for text in ("one", "two", "three"):
        write(tmp_path, text, sync=False)
    assert content(tmp_path / NAME) == "three"
    assert content(tmp_path / "snapshot.prev.npz") == "forced"


def test_a_damaged_file_does_not_become_the_previous_one(tmp_path: Path) -> None:
    write(tmp_path, "one")
    write(tmp_path, "two")
    (tmp_path / NAME).write_bytes(b"nonsense")
    write(tmp_path, "three")
    assert content(tmp_path / "snapshot.prev.npz") == "one"


def test_what_a_killed_writer_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        temporary = tmp_path / process.stdout.readline().strip()
        write(tmp_path, "one")
        assert temporary.exists()
        process.kill()
    (tmp_path / f"{temporary.name}.new").touch()
    write(tmp_path, "two")
    assert {path.name for path in tmp_path.iterdir()} == {NAME, "snapshot.prev.npz"}


def test_a_folder_in_its_place_and_a_missing_directory_are_named(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(errors.DamagedSnapshot, match=rf"a folder stands at {tmp_path / NAME}"):
        write(tmp_path, "one")
    with pytest.raises(FileNotFoundError) as raised:
        write(tmp_path / "none", "one")
    assert raised.value.filename == str(tmp_path / "none" / NAME)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_full_disk_keeps_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "one")

    def full(_descriptor: int, _pieces: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", full)
        with pytest.raises(errors.NoSpace, match="free some; the one before was kept"):
            write(tmp_path, "two")
    assert {path.name: content(path) for path in tmp_path.iterdir()} == {NAME: "one"}


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    for text in ("one", "two"):
        write(tmp_path, text)
    assert {path.name: content(path) for path in tmp_path.iterdir()} == {NAME: "two", "snapshot.prev.npz": "one"}
