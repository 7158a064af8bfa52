"""Files that are replaced as a whole: one of the two loads at every instant, and nothing is left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headway import errors
from headway.files import npz, replacement

NAME = "snapshot.npz"
HOLD = """
import os, sys
from headway.files import replacement
folder = os.open(sys.argv[1], os.O_RDONLY)
name, descriptor = replacement._create(folder)
print(name, flush=True)
sys.stdin.read()
"""


def write(directory: Path, text: str, *, sync: bool = True) -> None:
    meta = f'{{"text": "{text}", "synced": {str(sync).lower()}}}'
    replacement.replace(directory, NAME, npz.pack([(replacement.META, [meta.encode()])]), sync=sync)


def content(path: Path) -> str:
    return path.read_bytes().partition(b'"text": "')[2].partition(b'"')[0].decode()


def test_the_present_file_becomes_the_previous_one(tmp_path: Path) -> None:
    for text in ("one", "two", "three"):
        write(tmp_path, text)
    assert {path.name: content(path) for path in tmp_path.iterdir()} == {NAME: "three", "snapshot.prev.npz": "two"}


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
