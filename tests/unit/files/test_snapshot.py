"""Snapshot files: what is written is read, the one before stays, and damage is a typed error."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headway import errors
from headway.files import changes, snapshot
from headway.files.changes import CHANGES
from headway.native.changes import Base
from headway.views.numbers import Counts

if TYPE_CHECKING:
    from headway.views.board_view import Raw
    from tests.unit.conftest import Arrays, MakeRaw


def change(directory: Path, base: Raw, raw: Raw, *, sync: bool = False, results: changes.Results | None = None) -> bool:
    """Write what of a copy differs from the snapshot that is there."""
    runs, _ = Base(base.tasks, base.shares).runs(raw.tasks, raw.shares)
    on = (snapshot.SNAPSHOT, base.meta["sequence"])
    return changes.write(raw, runs, on, results or {}, directory, sync=sync) is not None


def test_what_is_written_is_read(make_raw: MakeRaw, tmp_path: Path) -> None:
    raw = make_raw(3)
    path = snapshot.write(raw, tmp_path)
    assert path == tmp_path / snapshot.SNAPSHOT
    for where in (tmp_path, path):
        view = snapshot.read(where)
        assert (view.name, view.path, view.from_prev) == ("nightly", path, False)
        assert [task.id for task in view.tasks] == ["task-2", "task-1", "task-0"]
        assert view.tasks[0].result == {"auc": 0.1}
        assert [share.pid for share in view.tasks[0].workers] == [700]
    with np.load(path, allow_pickle=False) as arrays:
        assert sorted(arrays["tasks"]["count"]) == [20, 21, 22]
        assert json.loads(bytes(arrays["meta.json"]))["name"] == "nightly"


def test_the_one_before_stays_and_is_read_where_the_last_one_is_damaged(make_raw: MakeRaw, tmp_path: Path) -> None:
    snapshot.write(make_raw(1, sequence=1), tmp_path)
    snapshot.write(make_raw(2, sequence=2), tmp_path)
    assert snapshot.read(tmp_path).sequence == 2
    (tmp_path / snapshot.SNAPSHOT).write_bytes(b"nonsense")
    view = snapshot.read(tmp_path)
    assert (view.sequence, view.from_prev) == (1, True)
    (tmp_path / snapshot.PREVIOUS).unlink()
    with pytest.raises(errors.DamagedSnapshot, match=r"snapshot\.npz"):
        snapshot.read(tmp_path)


def test_results_in_a_file_of_their_own_are_read_with_the_tasks_that_they_belong_to(
    make_raw: MakeRaw, tmp_path: Path
) -> None:
    raw = make_raw(3)
    snapshot.write_results(raw, tmp_path)
    snapshot.write(raw, tmp_path, results_apart=True)
    assert {task.id: task.result for task in snapshot.read(tmp_path).tasks} == {
        "task-0": {"auc": 0.0},
        "task-1": None,
        "task-2": {"auc": 0.1},
    }
    assert all(task.result is None for task in snapshot.read(tmp_path, results=False).tasks)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to nowhere"])
def test_what_is_no_snapshot_is_a_typed_error(kind: str, tmp_path: Path) -> None:
    path = tmp_path / snapshot.SNAPSHOT
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(errors.HeadwayError, match=str(tmp_path)):
        snapshot.read(tmp_path)


def test_nothing_there_is_an_unknown_board(tmp_path: Path) -> None:
    with pytest.raises(errors.UnknownBoard, match=f"no snapshot is in {tmp_path}"):
        snapshot.read(tmp_path)
    with pytest.raises(errors.UnknownBoard, match=r"there is no file .*none\.npz"):
        snapshot.read(tmp_path / "none.npz")


def test_a_removal_takes_all_files_and_nothing_else(make_raw: MakeRaw, tmp_path: Path) -> None:
    for sequence in (1, 2):
        snapshot.write_results(make_raw(1), tmp_path)
        snapshot.write(make_raw(1, sequence=sequence), tmp_path, results_apart=True)
        change(tmp_path, make_raw(1, sequence=sequence), make_raw(1, sequence=9), sync=True)
        (tmp_path / CHANGES).rename(tmp_path / "kept")
        change(tmp_path, make_raw(1, sequence=sequence), make_raw(1, sequence=9), sync=True)
        (tmp_path / "kept").rename(tmp_path / changes.FILES[1])
    assert {path.name for path in tmp_path.iterdir()} == set(snapshot.FILES)
    (tmp_path / "notes.txt").write_text("mine")
    snapshot.remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    shutil.rmtree(tmp_path)
    snapshot.remove(tmp_path)


def test_a_file_that_is_no_snapshot_is_not_to_be_deleted(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0\n")
    with pytest.raises(errors.DamagedSnapshot, match="is not a snapshot of Headway") as refused:
        snapshot.read(path)
    assert "elete" not in str(refused.value)


def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each call of os.pread gives from now on."""
    given: list[int] = []
    pread = os.pread

    def counted(descriptor: int, count: int, offset: int) -> bytes:
        content = pread(descriptor, count, offset)
        given.append(len(content))
        return content

    monkeypatch.setattr(os, "pread", counted)
    return given


def test_a_glance_has_the_counts_of_the_whole_file_and_reads_its_head(
    tmp_path: Path, make_raw: MakeRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(arrays: Arrays) -> None:
        arrays["tasks"]["state"][:7] = [0, 1, 2, 3, 4, 5, 2]

    raw = make_raw(2000, edit=edit)
    raw = raw._replace(meta={**raw.meta, "gone": {"success": 40, "failed": 2}})
    path = snapshot.write(raw, tmp_path)
    view = snapshot.read(tmp_path)
    assert "standing" not in view.meta
    given = read_bytes(monkeypatch)
    assert snapshot.glance(tmp_path) == (view.counts, view.taken_at)
    assert view.counts.success == 42
    assert sum(given) < 8192 < path.stat().st_size / 100


def test_a_glance_at_a_board_that_was_left_has_its_open_tasks_lost(tmp_path: Path, make_raw: MakeRaw) -> None:
    raw = make_raw(5)
    snapshot.write(raw._replace(meta={**raw.meta, "interval_s": 0.25}), tmp_path)
    counts, _ = snapshot.glance(tmp_path)
    assert counts == snapshot.read(tmp_path).counts == Counts(lost=5)


def test_a_glance_at_a_file_without_such_numbers_reads_it_whole(
    tmp_path: Path, make_raw: MakeRaw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "counts_in", lambda _: None)
    snapshot.write(make_raw(5), tmp_path)
    assert snapshot.glance(tmp_path)[0] == snapshot.read(tmp_path).counts


def test_a_glance_notices_a_file_that_was_cut_short(tmp_path: Path, make_raw: MakeRaw) -> None:
    path = snapshot.write(make_raw(5), tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(errors.DamagedSnapshot, match="is not what was written"):
        snapshot.glance(tmp_path)
    with pytest.raises(errors.UnknownBoard):
        snapshot.glance(tmp_path / "none")
