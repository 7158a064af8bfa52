"""A snapshot and what has changed since: readers see one moment, never a half, whichever of the two is newer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headway import errors
from headway.files import changes, members, npz, snapshot
from headway.files.changes import CHANGES, FILES
from headway.upkeep import diagnosis
from tests.unit.conftest import NOW, SECOND
from tests.unit.files.test_snapshot import change

if TYPE_CHECKING:
    from collections.abc import Callable

    from headway.views.board_view import Raw
    from tests.unit.conftest import Arrays, MakeRaw

PREVIOUS = FILES[1]


def at(make_raw: MakeRaw, sequence: int, *, results: bool = False) -> Raw:
    """A copy of three tasks in which the first has counted `sequence`, taken so many seconds later."""

    def edit(arrays: Arrays) -> None:
        arrays["tasks"]["count"][0] = sequence

    raw = make_raw(3, edit=edit, sequence=sequence)
    meta = {**raw.meta, "taken_ns": (NOW + sequence) * SECOND}
    return raw._replace(meta=meta) if results else raw._replace(meta=meta, result_index=b"", results=b"")


def count(directory: Path, *, glance: bool = True) -> int:
    view = snapshot.read(directory)
    counts = [task.count for task in view.tasks]
    assert counts[:2] == [22, 21], counts
    assert view.sequence == counts[2]
    assert not glance or snapshot.glance(directory) == (view.counts, view.taken_at)
    return counts[2]


def write(raw: Raw, directory: Path, *, sync: bool = True) -> None:
    snapshot.write(raw, directory, sync=sync, results_apart=True)


def test_a_snapshot_and_its_changes_are_the_later_copy(make_raw: MakeRaw, tmp_path: Path) -> None:
    first = at(make_raw, 1)
    write(first, tmp_path)
    for sequence in (2, 3):
        assert change(tmp_path, first, at(make_raw, sequence))
        assert count(tmp_path) == sequence
    raw, wanted = snapshot.read(tmp_path).raw, at(make_raw, 3)
    assert raw[1:5] == wanted[1:5]
    assert (tmp_path / CHANGES).stat().st_size < 8192
    with np.load(tmp_path / CHANGES, allow_pickle=False) as arrays:
        assert list(arrays["tasks"]["count"]) == [3]
        assert json.loads(bytes(arrays["meta.json"]))["of"] == 1
        assert [tuple(run) for run in arrays["runs"]] == [(0, 1, 1), (1, 2, 0)]


def test_changes_are_those_of_their_own_snapshot_only(make_raw: MakeRaw, tmp_path: Path) -> None:
    """One is written, then the other: between the two a reader has the older of both, or the newer."""
    first, third = at(make_raw, 1), at(make_raw, 3)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 2))
    write(third, tmp_path)
    assert count(tmp_path) == 3
    assert not change(tmp_path, first, at(make_raw, 4)), "the snapshot that they belong to is not there any more"
    assert count(tmp_path) == 3
    assert change(tmp_path, third, at(make_raw, 5))
    assert count(tmp_path) == 5


def test_an_older_copy_does_not_take_the_place_of_a_snapshot_with_later_changes(
    make_raw: MakeRaw, tmp_path: Path
) -> None:
    first = at(make_raw, 1)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 5))
    write(at(make_raw, 3), tmp_path)  # its writer was held up
    assert count(tmp_path) == 5
    write(at(make_raw, 6), tmp_path)
    assert count(tmp_path) == 6
    write(at(make_raw, 7), tmp_path)
    assert count(tmp_path) == 7


def test_damaged_changes_give_way_to_the_ones_before_and_then_to_the_snapshot(
    make_raw: MakeRaw, tmp_path: Path
) -> None:
    first = at(make_raw, 1)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 2), sync=True)
    change(tmp_path, first, at(make_raw, 3))
    content = (tmp_path / CHANGES).read_bytes()
    other = content.replace(b"task-0", b"task-9")  # a glance reads no records
    for damage in (b"", b"nonsense", content[:-1], content[:500], other):
        (tmp_path / CHANGES).write_bytes(damage)
        view = snapshot.read(tmp_path)
        assert (view.sequence, view.from_prev, count(tmp_path, glance=damage != other)) == (2, True, 2), damage[:20]
        (problem,) = [one for one in diagnosis._files(tmp_path) if CHANGES in one.told]
        assert problem.level == "error"
    (tmp_path / PREVIOUS).unlink()
    assert count(tmp_path, glance=False) == 1
    assert snapshot.read(tmp_path).from_prev


def test_after_a_power_cut_what_was_forced_to_the_disk_is_there(make_raw: MakeRaw, tmp_path: Path) -> None:
    """A power cut may take away what was written without that: here all of it."""
    first, fourth = at(make_raw, 1), at(make_raw, 4)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 2), sync=True)
    change(tmp_path, first, at(make_raw, 3))
    write(fourth, tmp_path, sync=False)
    change(tmp_path, fourth, at(make_raw, 5))
    assert count(tmp_path) == 5
    for name in (snapshot.SNAPSHOT, CHANGES):
        (tmp_path / name).write_bytes(b"\0" * 100)
    view = snapshot.read(tmp_path)
    assert (view.sequence, view.from_prev) == (2, True)


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/passwd", path)], ids=["pipe", "folder", "link"]
)
def test_what_is_no_file_in_the_place_of_changes_keeps_nobody_from_the_snapshot(
    make: Callable[[Path], Any], make_raw: MakeRaw, tmp_path: Path
) -> None:
    write(at(make_raw, 1), tmp_path)
    make(tmp_path / CHANGES)
    assert count(tmp_path) == 1


def test_results_that_are_newer_than_their_file_are_read(make_raw: MakeRaw, tmp_path: Path) -> None:
    first = at(make_raw, 1, results=True)
    snapshot.write_results(first, tmp_path)
    write(first, tmp_path)
    later = at(make_raw, 2)
    for results in ({}, {(0, 1): b'{"auc": 0.9}'}):
        change(tmp_path, first, later, results=results)
        found = {task.id: task.result for task in snapshot.read(tmp_path).tasks}
        assert found == {"task-0": {"auc": 0.9 if results else 0.0}, "task-1": None, "task-2": {"auc": 0.1}}
    assert all(task.result is None for task in snapshot.read(tmp_path, results=False).tasks)


def test_a_snapshot_named_by_its_file_is_read_with_its_changes_and_changes_alone_are_refused(
    make_raw: MakeRaw, tmp_path: Path
) -> None:
    first = at(make_raw, 1)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 2))
    assert snapshot.read(tmp_path / snapshot.SNAPSHOT).sequence == 2
    with pytest.raises(errors.DamagedSnapshot, match="only what changed since the snapshot beside it"):
        snapshot.read(tmp_path / CHANGES)


def test_changes_of_a_newer_version_are_refused(
    make_raw: MakeRaw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = at(make_raw, 1)
    write(first, tmp_path)
    with monkeypatch.context() as later:
        later.setattr(changes, "VERSION", 99)
        change(tmp_path, first, at(make_raw, 2))
    with pytest.raises(errors.LayoutMismatch, match=r"changes\.npz was written by a newer version"):
        snapshot.read(tmp_path)


def test_changes_that_do_not_fit_their_snapshot_are_damage(make_raw: MakeRaw, tmp_path: Path) -> None:
    first = at(make_raw, 1)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 2))
    descriptor = os.open(tmp_path / CHANGES, os.O_RDONLY)
    content = npz.unpack(descriptor, changes.MEMBERS)
    os.close(descriptor)
    runs = content["runs.npy"]
    content["runs.npy"] = runs[:-12] + np.array([1, 3, 0], "u4").tobytes()
    (tmp_path / CHANGES).write_bytes(b"".join(npz.pack([(name, [one]) for name, one in content.items()])))
    view = snapshot.read(tmp_path)
    assert (view.sequence, view.from_prev) == (1, True)


@pytest.mark.parametrize("what", ["nonsense", "foreign", "folder"])
def test_a_file_that_is_given_is_read_whatever_lies_beside_it(
    what: str, make_raw: MakeRaw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may put a file of that name into /tmp."""
    write(at(make_raw, 1), tmp_path)
    (tmp_path / "mine.npz").write_bytes((tmp_path / snapshot.SNAPSHOT).read_bytes())
    (tmp_path / CHANGES).write_bytes(b"nonsense") if what != "folder" else (tmp_path / CHANGES).mkdir()
    if what == "foreign":
        opened = members.open_file

        def foreign(path: Path) -> int:
            if path.name == CHANGES:
                raise errors.NotOwner(f"{path} belongs to another user: read your own copy")
            return opened(path)

        monkeypatch.setattr(members, "open_file", foreign)
    for name in ("mine.npz", snapshot.SNAPSHOT):
        view = snapshot.read(tmp_path / name)
        assert (view.sequence, view.from_prev) == (1, False)


def test_changes_are_joined_to_a_snapshot_of_that_name_only(make_raw: MakeRaw, tmp_path: Path) -> None:
    first = at(make_raw, 1)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 2))
    (tmp_path / "mine.npz").write_bytes((tmp_path / snapshot.SNAPSHOT).read_bytes())
    assert snapshot.read(tmp_path / "mine.npz").sequence == 1
    assert snapshot.read(tmp_path / snapshot.SNAPSHOT).sequence == 2


def test_an_older_copy_gives_way_to_changes_that_a_killed_recorder_left_as_the_previous_ones(
    make_raw: MakeRaw, tmp_path: Path
) -> None:
    """Without hard links a file is renamed before the next one takes its place."""
    first = at(make_raw, 1)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 5))
    (tmp_path / CHANGES).rename(tmp_path / PREVIOUS)
    write(at(make_raw, 3), tmp_path)
    assert count(tmp_path) == 5


def test_metadata_that_are_nested_as_deep_as_can_be_are_damage_of_the_changes_alone(
    make_raw: MakeRaw, tmp_path: Path
) -> None:
    first = at(make_raw, 1)
    write(first, tmp_path)
    change(tmp_path, first, at(make_raw, 2))
    descriptor = os.open(tmp_path / CHANGES, os.O_RDONLY)
    content = npz.unpack(descriptor, changes.MEMBERS)
    os.close(descriptor)
    for depth in range(800, 1000):
        meta = content["meta.json"][:-1] + b', "deep": ' + b"[" * depth + b"]" * depth + b"}"
        pieces = npz.pack([(name, [meta if name == "meta.json" else one]) for name, one in content.items()])
        (tmp_path / CHANGES).write_bytes(b"".join(pieces))
        assert snapshot.read(tmp_path).sequence in (1, 2)
