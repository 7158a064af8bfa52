"""Files that outlive a release, stored as each version wrote them: see docs/upgrade.md, tests/data/upgrade/make.py."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import shutil
import sqlite3
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from headway import errors
from headway.engine.board import open_board
from headway.files import history, query, schema, snapshot, tidying
from headway.files.members import VERSION
from headway.files.query import Query
from headway.native import core
from headway.system import machine
from headway.upkeep import removal

if TYPE_CHECKING:
    from collections.abc import Iterator

STORED = Path(__file__).resolve().parents[1] / "data" / "upgrade"
NAME = "stored"  # of the board whose files these are
LAYOUT, UUID, TIME_NAMESPACE, CHECKSUM, DIRECTORY, HEADER_BYTES = 12, 72, 112, 248, 1024, 4096


def versions(pattern: str) -> list[int]:
    return sorted(int(path.name.partition("-")[2].partition(".")[0]) for path in STORED.glob(pattern))


def stored(name: str) -> bytes:
    return gzip.decompress((STORED / f"{name}.gz").read_bytes())


def checksum(header: bytes | bytearray) -> int:
    value = 0
    for part in (header[:CHECKSUM], header[DIRECTORY:HEADER_BYTES]):
        value ^= 0xCBF29CE484222325
        for byte in part:
            value = (value ^ byte) * 0x100000001B3 & (2**64 - 1)
    return value


def with_snapshot(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(STORED / f"snapshot-{number}.npz", folder / snapshot.SNAPSHOT)
    return folder


def with_history(folder: Path, number: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / history.HISTORY).write_bytes(stored(f"history-{number}.sqlite3"))
    return folder


@pytest.fixture
def in_memory(headway_dir: Path) -> Iterator[Any]:
    """Puts a stored segment where a program would find it, and takes it away."""
    placed: list[Path] = []

    def place(number: int) -> Path:
        image = bytearray(stored(f"segment-{number}"))
        struct.pack_into("<Q", image, TIME_NAMESPACE, machine.namespace("time"))
        struct.pack_into("<Q", image, CHECKSUM, checksum(image))
        uuid = image[UUID : UUID + 16].hex()
        path = Path("/dev/shm", f"headway-{os.geteuid()}-{NAME}-{uuid}")
        placed.append(path)
        path.write_bytes(image)
        path.chmod(0o600)
        directory = headway_dir / NAME
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        (directory / "segment").write_text(f"{uuid}\n")
        return path

    yield place
    for path in placed:
        path.unlink(missing_ok=True)
        path.with_name(f"sem.{path.name}").unlink(missing_ok=True)


def test_files_of_this_version_are_stored() -> None:
    """A number that was raised needs its files: tests/data/upgrade/make.py."""
    assert versions("segment-*.gz")[-1] == core.LAYOUT_VERSION
    assert versions("snapshot-*.npz")[-1] == VERSION
    assert versions("history-*.gz")[-1] == schema.SCHEMA_VERSION


@pytest.mark.parametrize("number", versions("snapshot-*.npz"))
def test_a_snapshot_of_any_version_is_read(number: int, tmp_path: Path) -> None:
    view = snapshot.read(with_snapshot(tmp_path, number))
    assert (view.name, len(view.tasks), view.meta["shared_counters"]) == (NAME, 3, 0)
    load, failed, train = (view.get(id) for id in ("load", "load/é", "train"))
    assert load is not None
    assert failed is not None
    assert train is not None
    assert (load.state, load.count, load.total, load.unit, load.label) == ("success", 3, 3, "bar", "Load prices")
    assert (load.metrics, load.result, load.message) == ({"loss": 0.5}, {"auc": 0.91}, "of c")
    assert [stage.name for stage in load.stages] == ["read a", "read b", "read c"]
    assert (failed.state, failed.count, failed.error) == ("failed", 2, "ValueError: no prices")
    assert (train.count, train.total) == (40, 100)
    assert [share.count for share in load.workers] == [3]
    assert (load.durations is None) == (number < 3)  # "none", not "all were quick"
    assert (load.stall_after, train.stall_after) == (10.0, 30.0 if number >= 4 else 10.0)
    assert len(view.array) == 3
    assert view.to_dict()["tasks"][0]["id"] == "load"


@pytest.mark.parametrize("number", versions("snapshot-*.npz"))
def test_a_snapshot_of_any_version_is_written_again_as_this_one(number: int, tmp_path: Path) -> None:
    view = snapshot.read(with_snapshot(tmp_path / "old", number))
    (tmp_path / "new").mkdir()
    path = snapshot.write(view, tmp_path / "new")
    again = snapshot.read(path)
    assert [task.to_dict() for task in again.tasks] == [task.to_dict() for task in view.tasks]
    with np.load(path, allow_pickle=False) as members:
        assert members["tasks"].dtype == view.array.dtype


@pytest.mark.parametrize("number", versions("snapshot-*.npz"))
def test_a_board_goes_on_from_a_snapshot_of_any_version(number: int, headway_dir: Path) -> None:
    with_snapshot(headway_dir / NAME, number)
    with_history(headway_dir / NAME, versions("history-*.gz")[0])
    board = open_board(NAME, capacity=8, workers=4, result_bytes=64)
    try:
        assert {task.id: task.state for task in board.tasks()} == {
            "load": "success",
            "load/é": "failed",
            "train": "lost",
        }
        task = board.task("train", resume=True)
        assert task.resumed_from == 40
        task.succeed()
        assert {past.id for past in board.history(hours=None)} >= {"load", "load/é"}
    finally:
        board.remove(files=True)


@pytest.mark.parametrize("number", [number for number in versions("segment-*.gz") if number < core.LAYOUT_VERSION])
def test_a_segment_of_an_older_layout_is_refused_with_what_to_do(
    number: int, headway_dir: Path, in_memory: Any
) -> None:
    path = in_memory(number)
    before = path.read_bytes()
    with pytest.raises(
        errors.LayoutMismatch, match=rf"layout is number {number}, .*{core.LAYOUT_VERSION}\); .*'headway gc'"
    ):
        open_board(NAME)
    assert path.read_bytes() == before
    with_snapshot(headway_dir / NAME, versions("snapshot-*.npz")[0])
    os.utime(path, (0, time.time() - 2 * removal.GRACE_S))
    (removed,) = [one for one in removal.gc([NAME]) if one.kind == "segment"]  # what the message says
    assert removed.name.endswith(path.name)
    assert not path.exists()
    board = open_board(NAME, capacity=8, workers=4, result_bytes=64)
    try:
        assert len(board.tasks()) == 3  # the snapshot was left, and is where it goes on
    finally:
        board.remove(files=True)


def test_a_segment_of_this_layout_is_attached_to_and_reads_as_it_was_written(in_memory: Any) -> None:
    """Whoever changes the layout without a new number finds out here."""
    in_memory(core.LAYOUT_VERSION)
    board = open_board(NAME)
    try:
        view = board.get("load")
        assert view is not None
        assert (view.state, view.count, view.total, view.unit, view.label) == ("success", 3, 3, "bar", "Load prices")
        assert (view.stage, view.message, view.metrics, view.result) == ("read c", "of c", {"loss": 0.5}, {"auc": 0.91})
        assert [stage.name for stage in view.stages] == ["read a", "read b", "read c"]
        failed, train = board.get("load/é"), board.get("train")
        assert failed is not None
        assert train is not None
        assert (failed.state, failed.count, failed.error) == ("failed", 2, "ValueError: no prices")
        assert (train.state, train.count) == ("lost", 40)
        board.attach("load").update()
        assert board.attach("load").count == 4
        again = board.task("load/é")  # the list of ids has it: there are not two of that id now
        assert (again.state, again.count) == ("pending", 0)
        assert sorted(task.id for task in board.tasks()) == ["load", "load/é", "train"]
        assert board.task("train", resume=True).resumed_from == 40
    finally:
        board.remove(files=True)


LISTS = 216  # offset of lists_offset in hw_header


def test_a_segment_of_this_number_that_was_made_before_it_had_lists_is_refused(in_memory: Any) -> None:
    path = in_memory(core.LAYOUT_VERSION)
    image = bytearray(path.read_bytes())
    assert struct.unpack_from("<Q", image, LISTS)[0] > 0
    struct.pack_into("<Q", image, LISTS, 0)
    struct.pack_into("<Q", image, CHECKSUM, checksum(image))
    path.write_bytes(image)
    with pytest.raises(errors.LayoutMismatch):
        open_board(NAME)


@pytest.mark.parametrize("number", versions("history-*.gz"))
def test_a_history_of_any_version_is_read(number: int, tmp_path: Path) -> None:
    before = with_history(tmp_path, number).joinpath(history.HISTORY).read_bytes()
    load, failed = sorted(history.read(tmp_path), key=lambda past: past.id)
    assert (load.id, load.state, load.count, load.result) == ("load", "success", 3, {"auc": 0.91})
    assert load.series == ((1.0, 0), (2.0, 3))
    assert [stage.name for stage in load.stages] == ["read a", "read b", "read c"]
    assert (failed.id, failed.state, failed.error) == ("load/é", "failed", "ValueError: no prices")
    assert (tmp_path / history.HISTORY).read_bytes() == before  # reading changes nothing


@pytest.mark.parametrize("number", versions("history-*.gz"))
def test_the_next_writer_makes_a_history_of_any_version_one_of_this(number: int, tmp_path: Path) -> None:
    with_history(tmp_path, number)
    view = snapshot.read(with_snapshot(tmp_path / "snapshot", VERSION))
    before = history.read(tmp_path)
    with history.Writer(tmp_path) as writer:
        assert writer.check()
        assert history.read(tmp_path) == before
        ended = [place for place, task in enumerate(view.tasks) if task.final]
        writer.add(view.raw, ended)
        writer.add(view.raw, ended)  # twice is once
        assert writer.aside == []
    found = history.read(tmp_path)
    again = 0 if {past.uuid for past in before} == {view.uuid} else len(ended)  # of one board, stored at one moment
    assert len(found) == len(before) + again
    with contextlib.closing(sqlite3.connect(writer.path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (schema.SCHEMA_VERSION,)


@pytest.mark.parametrize("number", [number for number in versions("history-*.gz") if number < 3])
def test_rows_of_an_older_history_move_step_by_step_and_are_read_all_the_time(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidying, "STEP_ROWS", 1)
    with_history(tmp_path, number)
    before = history.read(tmp_path)
    with history.Writer(tmp_path) as writer:
        steps = writer.round(keep_hours=math.inf)
        seen = []
        while writer.tidy(steps):
            with contextlib.closing(sqlite3.connect(writer.path)) as database:
                seen.append(sorted(schema.tables(database)))
            assert history.read(tmp_path) == before
            assert list(query.stream(tmp_path, Query())) == before
            pages = [query.page(tmp_path, Query(), limit=1)]
            pages.append(query.page(tmp_path, Query(), limit=1, before=pages[0].next))
            assert [task for page in pages for task in page.tasks] == before
            assert query.count(tmp_path, Query(states=("failed",))) == 1
    assert seen == [["runs", "tasks"], ["runs", "tasks"], ["runs"]]
    assert history.read(tmp_path) == before


@pytest.mark.parametrize("number", [number for number in versions("history-*.gz") if number < schema.SCHEMA_VERSION])
def test_a_later_copy_of_a_run_in_an_older_history_takes_its_place(number: int, tmp_path: Path) -> None:
    """The row may still be in the older table, in which nothing is written any more."""
    with_history(tmp_path, number)
    view = snapshot.read(with_snapshot(tmp_path / "snapshot", VERSION))
    raw = view.raw._replace(meta=view.raw.meta | {"taken_ns": view.raw.meta["taken_ns"] + 10**9})
    table = schema.OLDER if number < 3 else schema.RUNS
    run_at = {task.id: (task.created, task.started) for task in view.tasks}
    with contextlib.closing(sqlite3.connect(tmp_path / history.HISTORY)) as database:  # of another moment
        for id, (created, started) in run_at.items():
            database.execute(f"UPDATE {table} SET created = ?, started = ? WHERE id = ?", (created, started, id))
        database.commit()
    ended = [place for place, task in enumerate(view.tasks) if task.final]
    with history.Writer(tmp_path) as writer:
        writer.add(raw, ended)
        writer.add(raw, ended)
    found = history.read(tmp_path)
    assert sorted(task.id for task in found) == ["load", "load/é"]
    assert {task.uuid for task in found} == {view.uuid}
    assert {task.taken_at for task in found} == {raw.meta["taken_ns"] / 1e9}


def test_a_snapshot_of_a_newer_version_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = snapshot.read(with_snapshot(tmp_path, VERSION))
    monkeypatch.setattr(snapshot, "VERSION", VERSION + 1)
    path = snapshot.write(view, tmp_path)
    monkeypatch.undo()
    with pytest.raises(errors.LayoutMismatch, match=f"newer version .*{VERSION + 1}.*read it with that version"):
        snapshot.read(path)
