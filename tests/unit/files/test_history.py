"""The history: what goes in comes out, once, in its last state, whoever asks for it and however."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pickle
import sqlite3
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import errors
from headway.files import database, history, tidying
from headway.native.records import RECORD_BYTES
from headway.views.board_view import TaskView
from tests.unit.conftest import FAILED, LOST, NOW, SECOND, SUCCESS, add, build_raw, ended

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from headway.views.board_view import Raw
    from tests.conftest import RunPython
    from tests.unit.conftest import Arrays

FIELDS = [field.name for field in dataclasses.fields(TaskView) if field.name != "stall_after"]
TABLE = "history.sqlite3"


def ids(directory: Path, **asked: Any) -> list[str]:
    return [task.id for task in history.read(directory, **asked)]


# --- what goes in comes out


def same(one: Any, other: Any) -> bool:
    """Equal, where nothing is equal to nothing."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    return bool(one == other)


def text(room: int) -> st.SearchStrategy[bytes]:
    return st.text(max_size=room).map(lambda found: found.replace("\0", "").encode("utf-8", "replace")[: room - 1])


NS = st.just(0) | st.integers(1, 2**63 - 1)
COUNT = st.integers(-(2**47), 2**47)
LONG = st.integers(0, 2**64 - 1)
FLAG = st.integers(0, 1)
SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@st.composite
def copies(draw: st.DrawFn) -> Raw:
    """A copy of a board with tasks that ended, in every way that the records can say."""
    count = draw(st.integers(1, 4))

    def edit(arrays: Arrays) -> None:
        tasks = arrays["tasks"]
        for number, task in enumerate(tasks):
            for name, room in (("label", 96), ("unit", 16), ("stage", 48), ("message", 192), ("error", 192)):
                task[name] = draw(text(room))
            task["id"] = b"a/%d" % number + draw(text(60))
            task["parent_bytes"] = draw(st.sampled_from([0, 1]))
            task["state"] = draw(st.integers(2, 5))
            task["count"], task["total"], task["base"] = draw(COUNT), draw(st.just(-1) | COUNT.map(abs)), draw(COUNT)
            for name in ("created_ns", "started_ns", "ended_ns", "stage_ns", "beat_ns"):
                task[name] = draw(NS)
            task["rate"] = draw(st.floats())
            task["metric_name"] = b""
            for place, name in enumerate(
                draw(st.lists(st.text("abcé", min_size=1, max_size=8), max_size=8, unique=True))
            ):
                task["metric_name"][place], task["metric"][place] = name.encode(), draw(st.floats())
            task["serial"], task["generation"], task["owner"] = draw(LONG), draw(LONG), draw(LONG)
            task["owner_pid"], task["slot"] = draw(st.integers(0, 2**32 - 1)), number
            task["owner_alive"], task["resumed"] = draw(FLAG), draw(FLAG)
            task["stages_left_out"] = task["lost_left_out"] = draw(st.integers(0, 2**32 - 1))
        for share in arrays["shares"]:
            share["worker"], share["pid"], share["count"] = draw(LONG), draw(st.integers(0, 2**32 - 1)), draw(COUNT)
            share["known"], share["alive"], share["beat_ns"] = (
                draw(st.integers(0, 1)),
                draw(st.integers(0, 1)),
                draw(NS),
            )
        for stage in arrays["stages"]:
            stage["stage"], stage["entered_ns"] = draw(text(48)), draw(NS)

    raw = build_raw(count, edit=edit)
    return raw._replace(meta=raw.meta | {"taken_ns": draw(st.integers(0, 2**63 - 1))})


@given(raw=copies())
@settings(deadline=None, max_examples=60, suppress_health_check=SLOW)
def test_a_task_comes_out_of_the_history_as_it_went_in(raw: Raw, tmp_path: Path) -> None:
    views = [TaskView.from_raw(raw, number) for number in range(len(raw.tasks) // RECORD_BYTES["tasks"])]
    series = {0: ((1.5, 0), (2.25, 7)), 1: ()}
    began = time.time()
    assert add(tmp_path, raw, series=series) == len(views)
    found = {task.slot: task for task in history.read(tmp_path)}
    history.remove(tmp_path)
    assert len(found) == len(views)
    for slot, view in enumerate(views):
        task = found[slot]
        for name in FIELDS:
            assert same(getattr(task, name), getattr(view, name)), name
        assert (task.uuid, task.series) == (raw.meta["uuid"], series.get(slot, ()))
        assert began - 1 <= task.archived <= time.time() + 1
        json.dumps(task.to_dict(), allow_nan=False)
        assert isinstance(task, TaskView)
        assert same(pickle.loads(pickle.dumps(task)).to_dict(), task.to_dict())


# --- once, in its last state


def test_twice_is_once(tmp_path: Path) -> None:
    raw = ended(3)
    assert add(tmp_path, raw) == 3
    before = history.read(tmp_path)
    assert add(tmp_path, raw) == 0
    assert add(tmp_path, raw, [0, 0, 2]) == 0
    assert history.read(tmp_path) == before


def test_another_generation_of_the_slot_is_another_task(tmp_path: Path) -> None:
    add(tmp_path, ended(3))
    assert add(tmp_path, ended(3, generation=3)) == 3
    assert len(history.read(tmp_path)) == 6


def test_of_two_copies_of_a_task_the_one_that_was_added_last_counts(tmp_path: Path) -> None:
    """Whatever version and clock say: who adds it has copied it after all that the history had."""
    lost = ended(1, state=LOST, edit=lambda arrays: arrays["tasks"]["version"].fill(6))
    revived = ended(1, at=NOW + 60, taken=NOW + 61, edit=lambda arrays: arrays["tasks"]["version"].fill(2**40))
    for raw, told in (
        (lost, ("lost", NOW + 0.0, NOW + 0.0)),
        (revived, ("success", NOW + 60.0, NOW + 61.0)),
        (lost, ("lost", NOW + 0.0, NOW + 0.0)),
    ):
        assert add(tmp_path, raw) == 1
        assert [(task.state, task.ended, task.taken_at) for task in history.read(tmp_path)] == [told]


def test_what_may_go_in_is_asked_while_no_other_process_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.01)
    others: list[int] = []

    def begin() -> Iterator[bool]:
        try:
            others.append(add(tmp_path, ended(3, generation=3)))
        except errors.LockTimeout:
            others.append(0)
        yield from (True, False, True)

    with history.Writer(tmp_path) as writer:
        assert writer.add_begun(ended(5), [1, 2, 4], {}, begin) == ([1, 4], 2)
    assert others == [0]
    assert sorted(task.id for task in history.read(tmp_path)) == ["task-1", "task-4"]


def test_what_may_go_in_is_asked_anew_for_the_file_that_took_the_place_of_the_first(tmp_path: Path) -> None:
    asked: list[bool] = []

    def begin() -> Iterator[bool]:
        asked.append(not asked)
        if asked[-1]:
            (tmp_path / history.HISTORY).rename(tmp_path / "away")
        yield from (asked[-1], True)

    with history.Writer(tmp_path) as writer:
        assert writer.add_begun(ended(2), [0, 1], {}, begin) == ([1], 1)
    assert asked == [True, False]
    assert [task.id for task in history.read(tmp_path)] == ["task-1"]


def test_who_raises_while_it_is_asked_what_may_go_in_changes_no_row_and_keeps_nobody_out(tmp_path: Path) -> None:
    def begin() -> Iterator[bool]:
        yield True
        raise ZeroDivisionError

    with history.Writer(tmp_path) as writer:
        with pytest.raises(ZeroDivisionError):
            writer.add_begun(ended(2), [0, 1], {}, begin)
        assert add(tmp_path, ended(3, generation=3)) == 3
    assert {task.generation for task in history.read(tmp_path)} == {3}


def test_a_copy_without_a_series_leaves_the_one_that_is_there(tmp_path: Path) -> None:
    add(tmp_path, ended(1), series={0: [(1.0, 1)]})
    add(tmp_path, ended(1, taken=NOW + 1))
    assert history.read(tmp_path)[0].series == ((1.0, 1),)
    add(tmp_path, ended(1, taken=NOW + 2), series={0: [(1.0, 1), (2.0, 2)]})
    assert history.read(tmp_path)[0].series == ((1.0, 1), (2.0, 2))


def test_a_task_that_was_restored_into_another_segment_is_the_same_task(tmp_path: Path) -> None:
    old = ended(3, state=LOST, edit=lambda arrays: arrays["tasks"]["version"].fill(50))
    add(tmp_path, old, series={0: [(1.0, 1)]})

    def moved(arrays: Arrays) -> None:
        arrays["tasks"]["slot"] = [7, 8, 9]
        arrays["tasks"]["version"] = 2  # a new segment counts from the beginning

    restored = ended(3, taken=NOW + 9, state=FAILED, generation=1, uuid="f" * 32, edit=moved)
    assert add(tmp_path, restored) == 3
    assert add(tmp_path, restored) == 0
    assert add(tmp_path, old) == 0  # a copy of the old segment that comes late
    tasks = history.read(tmp_path)
    assert [(task.uuid[0], task.slot, task.state) for task in tasks] == [("f", n, "failed") for n in (9, 8, 7)]
    assert tasks[2].series == ((1.0, 1),)


RUNS = ((LOST, 0, 0), (FAILED, 60, 3), (SUCCESS, 120, 9))  # the state, when it began, the count at its end


def run_of(state: int, began: int, count: int, *, version: int, uuid: str = "", slot: int = 0) -> Raw:
    """A task that was resumed some times, at the end of one of its runs."""

    def edit(arrays: Arrays) -> None:
        task = arrays["tasks"]
        task["version"], task["slot"], task["count"] = version, slot, count
        task["started_ns"] = (NOW + began) * SECOND
        task["resumed"] = began > 0

    return ended(1, state=state, at=NOW + began + 30, taken=NOW + began + 31, uuid=uuid, edit=edit)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0, 1)])
def test_each_run_of_a_task_that_was_resumed_has_a_row(tmp_path: Path, order: tuple[int, ...]) -> None:
    for number in order:
        state, began, count = RUNS[number]
        add(tmp_path, run_of(state, began, count, version=10 * number))
        add(tmp_path, run_of(state, began, count, version=10 * number))
    found = [(task.state, task.started, task.count) for task in history.read(tmp_path, id="task-0")]
    assert found == [("success", NOW + 120.0, 9), ("failed", NOW + 60.0, 3), ("lost", NOW + 0.0, 0)]


def test_runs_before_and_after_a_restore_are_told_apart(tmp_path: Path) -> None:
    """The last run of the old segment is in the new one, too, and is resumed there."""
    other = "f" * 32
    add(tmp_path, run_of(*RUNS[0], version=50))
    add(tmp_path, run_of(*RUNS[1], version=60))
    restored = run_of(*RUNS[1], version=2, uuid=other, slot=7)
    add(tmp_path, restored._replace(meta=restored.meta | {"taken_ns": (NOW + 100) * SECOND}))
    add(tmp_path, run_of(*RUNS[2], version=4, uuid=other, slot=7))
    found = [(task.state, task.uuid == other) for task in history.read(tmp_path, id="task-0")]
    assert found == [("success", True), ("failed", True), ("lost", False)]


def test_an_id_that_was_started_anew_in_another_segment_is_another_task(tmp_path: Path) -> None:
    add(tmp_path, ended(1))
    later = ended(1, taken=NOW + 9, uuid="f" * 32, edit=lambda arrays: arrays["tasks"]["created_ns"].fill(NOW * SECOND))
    add(tmp_path, later)
    assert len(history.read(tmp_path)) == 2


def test_a_batch_goes_in_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="task 'task-1' is running: only tasks that have ended"):
        add(tmp_path, ended(3, edit=lambda arrays: arrays["tasks"]["state"].__setitem__(1, 1)))
    with pytest.raises(ValueError, match="holds"):
        add(tmp_path, ended(3), series={2: [(math.inf, 1)]})
    with pytest.raises(errors.CorruptBoard, match="its state is unknown"):
        add(tmp_path, ended(3, edit=lambda arrays: arrays["tasks"]["state"].__setitem__(1, 77)))
    with pytest.raises(IndexError):
        add(tmp_path, ended(3), [0, 3])
    assert ids(tmp_path) == []


# --- asking


def test_the_newest_come_first_and_can_be_chosen(tmp_path: Path) -> None:
    now = time.time()
    add(tmp_path, ended(3, at=now - 7200))
    add(tmp_path, ended(2, at=now, generation=3, state=FAILED))
    assert ids(tmp_path) == ["task-1", "task-0", "task-2", "task-1", "task-0"]
    assert ids(tmp_path, hours=1) == ["task-1", "task-0"]
    assert ids(tmp_path, hours=0) == []
    assert ids(tmp_path, state="success") == ["task-2", "task-1", "task-0"]
    assert ids(tmp_path, id="task-2") == ["task-2"]
    assert [task.state for task in history.read(tmp_path, id="task-1")] == ["failed", "success"]
    assert ids(tmp_path, id="task-1", state="success", hours=3, limit=5) == ["task-1"]
    assert ids(tmp_path, id="' OR 1 --") == []
    assert ids(tmp_path, limit=2) == ["task-1", "task-0"]
    assert ids(tmp_path, limit=0) == []


def test_a_task_whose_end_is_not_known_stands_where_it_was_archived(tmp_path: Path) -> None:
    add(tmp_path, ended(1, state=LOST, edit=lambda arrays: arrays["tasks"]["ended_ns"].fill(0)))
    assert history.read(tmp_path)[0].ended is None
    assert ids(tmp_path, hours=1) == ["task-0"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"hours": -1}, "hours -1"),
        ({"hours": math.nan}, "hours nan"),
        ({"limit": -1}, "limit -1"),
        ({"state": "running"}, "choose one of success, failed, cancelled, lost"),
    ],
)
def test_what_cannot_be_asked_is_a_value_error(tmp_path: Path, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        history.read(tmp_path, **asked)


def test_where_nothing_was_archived_there_is_nothing_and_nothing_is_made(tmp_path: Path) -> None:
    assert history.read(tmp_path) == []
    assert history.read(tmp_path / "no" / "such") == []
    with history.Writer(tmp_path) as writer:
        assert writer.add(ended(3), []) == 0
        assert writer.prune(keep_hours=1) == 0
        assert writer.check()
    assert not os.listdir(tmp_path)


def test_reading_leaves_the_database_as_it_is(tmp_path: Path) -> None:
    add(tmp_path, ended(3))
    before = (tmp_path / TABLE).read_bytes()
    assert len(history.read(tmp_path)) == 3
    assert (tmp_path / TABLE).read_bytes() == before
    (tmp_path / TABLE).unlink()
    assert history.read(tmp_path) == []
    assert not (tmp_path / TABLE).exists()


# --- the files


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o377])
def test_the_files_are_the_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with history.Writer(tmp_path) as writer:
            writer.add(ended(3), range(3))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in history.files(tmp_path)}
    finally:
        os.umask(before)
    assert modes.keys() == {TABLE, f"{TABLE}-wal", f"{TABLE}-shm", "history.lock"}
    assert {mode for name, mode in modes.items() if name != "history.lock"} == {0o600}
    assert not modes["history.lock"] & 0o077


def test_people_find_it_readable(tmp_path: Path) -> None:
    add(tmp_path, ended(1, edit=lambda arrays: arrays["tasks"]["message"].fill("größer".encode())))
    with contextlib.closing(sqlite3.connect(tmp_path / TABLE)) as connection:
        (row,) = connection.execute(
            "SELECT id, state, count, ended - started, message, json_extract(metrics, '$.loss'), "
            "json_extract(stages, '$[0][0]'), json_extract(result, '$.auc'), json_extract(workers, '$[1][0]') "
            "FROM runs"
        )
    assert row == ("task-0", "success", 20, 10.0, "größer", 0.5, "load", 0.0, 701)


def test_nothing_loads_sqlite_before_it_is_used(run_python: RunPython) -> None:
    script = "import sys, headway.engine.board, headway.files.history, headway.errors; print('sqlite3' in sys.modules)"
    assert run_python(script).stdout == "False\n"


def test_a_child_that_was_forked_beside_an_open_connection_does_without_and_its_parent_goes_on(tmp_path: Path) -> None:
    with history.Writer(tmp_path) as writer:
        writer.add(ended(1), [0])
        pid = os.fork()
        if pid == 0:
            good = False
            try:
                with pytest.raises(errors.Unsupported):
                    history.read(tmp_path)
                good = True
            finally:
                os._exit(0 if good else 1)
        assert os.waitpid(pid, 0)[1] == 0
        writer.add(ended(1, generation=5), [0])
    assert [task.generation for task in history.read(tmp_path)] == [5, 1]


def test_what_was_moved_away_or_removed_under_a_writer_is_begun_anew_with_the_batch(tmp_path: Path) -> None:
    with history.Writer(tmp_path) as writer:
        writer.add(ended(1), [0])
        for path in list(history.files(tmp_path)):
            path.rename(path.with_name(f"{path.name}.mine"))
        assert writer.add(ended(1, generation=3), [0]) == 1
        assert [task.generation for task in history.read(tmp_path)] == [3]
        history.remove(tmp_path)
        writer.add(ended(1, generation=5), [0])
        assert [task.generation for task in history.read(tmp_path)] == [5]
    assert not writer.aside


def test_a_log_without_its_database_does_not_get_into_the_next_one(tmp_path: Path) -> None:
    """SQLite would replay it: a log is known by its name alone."""
    with history.Writer(tmp_path) as writer:
        writer.add(ended(3), range(3))
        log = (tmp_path / f"{TABLE}-wal").read_bytes()
        assert log
    history.remove(tmp_path)
    (tmp_path / f"{TABLE}-wal").write_bytes(log)
    assert history.read(tmp_path) == []
    add(tmp_path, ended(1, generation=3))
    assert [task.generation for task in history.read(tmp_path)] == [3]
    assert [path.read_bytes() for path in tmp_path.glob("history.damaged-*-wal")] == [log]


def test_what_killed_creators_left_is_removed_by_the_next(tmp_path: Path) -> None:
    for name in (".history.0123456789abcdef.tmp", ".history.0123456789abcdef.tmp-journal"):
        (tmp_path / name).write_bytes(b"half")
    assert len(history.remove_abandoned(tmp_path, dry_run=True)) == 2
    add(tmp_path, ended(1))
    assert not list(tmp_path.glob(".history*"))
    assert ids(tmp_path) == ["task-0"]


def test_remove_leaves_nothing_but_what_is_not_ours(tmp_path: Path) -> None:
    add(tmp_path, ended(3))
    history.read(tmp_path)
    aside = "history.damaged-20260101T000000Z.sqlite3"
    for name in (aside, f"{aside}-wal", "mine.sqlite3"):
        (tmp_path / name).write_bytes(b"x")
    found = history.files(tmp_path)
    assert found[tmp_path / TABLE] == (tmp_path / TABLE).stat().st_size
    history.remove(tmp_path)
    assert os.listdir(tmp_path) == ["mine.sqlite3"]
    history.remove(tmp_path)
    history.remove(tmp_path / "nowhere")


# --- retention


def test_what_is_too_old_or_too_much_is_deleted(tmp_path: Path) -> None:
    now = time.time()
    for hours in range(10):
        add(tmp_path, ended(2, at=now - 3600 * hours, generation=2 * hours + 1))
    with history.Writer(tmp_path) as writer:
        assert writer.prune() == 0
        assert writer.prune(keep_hours=math.inf) == 0
        assert writer.prune(keep_hours=7.5) == 4
        assert writer.prune(keep_rows=7) == 9
        assert [task.generation for task in history.read(tmp_path)] == [1, 1, 3, 3, 5, 5, 7]
        assert writer.prune(keep_hours=0.5, keep_rows=100) == 5
        assert writer.prune(keep_rows=0) == 2
    assert history.read(tmp_path) == []
    for wrong in ({"keep_hours": -1.0}, {"keep_hours": math.nan}, {"keep_rows": -1}):
        with pytest.raises(ValueError, match="keep_"):
            writer.prune(**wrong)


def test_the_files_shrink_when_most_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "FREE_PAGES_MIN", 16)
    with history.Writer(tmp_path) as writer:
        for batch in range(20):
            writer.add(ended(64, generation=2 * batch + 1), range(64))
        writer.close()
        full = (tmp_path / TABLE).stat().st_size
        assert writer.prune(keep_rows=50) == 20 * 64 - 50
    assert len(history.read(tmp_path)) == 50
    assert (tmp_path / TABLE).stat().st_size < full / 2


def test_room_that_was_given_up_is_used_again(tmp_path: Path) -> None:
    sizes = []
    with history.Writer(tmp_path) as writer:
        for batch in range(40):
            writer.add(ended(64, at=NOW + batch, generation=2 * batch + 1), range(64))
            writer.prune(keep_rows=256)
            sizes.append(sum(history.files(tmp_path).values()))
    assert len(history.read(tmp_path)) == 256
    assert max(sizes[20:]) <= 1.5 * max(sizes[:20])


def test_a_reader_that_never_ends_is_waited_for_once_each_time_the_log_doubles_and_the_log_shrinks_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 1 << 16
    monkeypatch.setattr(history, "LOG_BYTES_MAX", most)
    log, waits = tmp_path / f"{TABLE}-wal", []
    add(tmp_path, ended(64))
    with history.Writer(tmp_path) as writer, contextlib.closing(sqlite3.connect(tmp_path / TABLE)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM runs").fetchone() == (64,)
        writer.add(ended(64, generation=3), range(64))
        assert writer._connection is not None
        writer._connection.set_trace_callback(lambda text: waits.append(text) if "checkpoint(" in text else None)
        for batch in range(2, 20):
            writer.add(ended(64, generation=2 * batch + 1), range(64))
        grown = log.stat().st_size
        assert grown > 8 * most
        assert 0 < len(waits) <= math.log2(grown / most), "each wait is of TRY_S at most"
        reader.execute("COMMIT")
        for batch in range(20, 60):
            writer.add(ended(64, generation=2 * batch + 1), range(64))
            if log.stat().st_size < grown / 4:  # at least what one call writes stays
                break
        else:
            pytest.fail("the log did not shrink after the reader had gone")
