"""A history in which anything may stand: readers get a typed error, writers move it aside and go on."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import sys
import time
import types
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway import errors
from headway.files import database, history
from tests.unit.conftest import add, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import RunPython

ROOT = Path(__file__).parents[3]
TABLE = "history.sqlite3"
IN_ONE_FOLDER = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def run_sql(directory: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(directory / TABLE)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


# --- what may stand there


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_text("in it")


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere.sqlite3"))
    path.symlink_to("elsewhere.sqlite3")


def dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/no/such/file")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def other_database(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE cookies (name)")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut in half": cut,
    "emptied": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no database " * 1000),
    "a folder": folder,
    "a link": link,
    "a dangling link": dangling_link,
    "a pipe": pipe,
    "another database": other_database,
    "a link as its log": lambda path: path.with_name(f"{TABLE}-wal").symlink_to(TABLE),
}
DAMAGED_BY_SQL = {
    "no index": ["DROP INDEX runs_by_end"],
    "another index of that name": ["DROP INDEX runs_by_end", "CREATE INDEX runs_by_end ON runs (ended)"],
    "a trigger": ["CREATE TRIGGER t AFTER INSERT ON runs BEGIN DELETE FROM runs; END"],
    "a view instead of the table": ["ALTER TABLE runs RENAME TO t", "CREATE VIEW runs AS SELECT * FROM t"],
    "nobody's": ["PRAGMA application_id=0"],
    "no version": ["PRAGMA user_version=0"],
    "its version only": ["PRAGMA user_version=5"],
}
for name, statements in DAMAGED_BY_SQL.items():
    DAMAGES[name] = lambda path, statements=statements: run_sql(path.parent, *statements)  # type: ignore[misc]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_history_is_an_error_to_readers_and_moved_aside_by_the_next_writer(
    tmp_path: Path, damage: str
) -> None:
    add(tmp_path, ended(200))
    DAMAGES[damage](tmp_path / TABLE)
    before = (tmp_path / TABLE).lstat()
    with pytest.raises(errors.DamagedHistory, match=r"is not what was written: .*'headway history .* --check' moves"):
        history.read(tmp_path)
    assert os.path.samestat((tmp_path / TABLE).lstat(), before)
    with history.Writer(tmp_path) as writer:
        with pytest.warns(RuntimeWarning, match=r"It is now history\.damaged-\d{8}T\d{6}Z\.sqlite3, and a new one"):
            writer.check()  # of a file cut in half a writer may not notice
        assert writer.add(ended(2, generation=3), range(2)) == 2
        (aside,) = writer.aside
    assert os.path.samestat(aside.lstat(), before)
    assert [task.generation for task in history.read(tmp_path)] == [3, 3]
    run_sql(tmp_path, "PRAGMA quick_check")


@pytest.mark.parametrize("damage", ["emptied", "text", "a folder", "a link", "another database", "nobody's"])
def test_a_writer_that_finds_it_damaged_loses_no_batch(tmp_path: Path, damage: str) -> None:
    add(tmp_path, ended(3))
    with history.Writer(tmp_path) as writer:
        DAMAGES[damage](tmp_path / TABLE)
        with pytest.warns(RuntimeWarning, match="a new one is begun"):
            assert writer.add(ended(2, generation=3), range(2)) == 2
    assert [task.generation for task in history.read(tmp_path)] == [3, 3]


@pytest.mark.parametrize(
    "value",
    [
        "state = 'running'",
        "count = 'many'",
        "ended = -5",
        "ended = 1e300",
        "rate = 9e999",
        "owner_alive = 7",
        "metrics = '[1]'",
        'metrics = \'{"a": "b"}\'',
        "stages = '[[1, 2, 3]]'",
        "stages = '[[\"a\", NaN, null]]'",
        "stages = '{'",
        "workers = '[[1, 2, 3, 4]]'",
        "workers = '[[1e5, 2, 3, 4.0, 1]]'",
        "result = '{' ",
        "series = '[[1.0], [1, 2]]'",
        "series = '[[-1.0], [1]]'",
        "series = '[[1.0], [1.5]]'",
        "label = x'ff'",
        "message = CAST(x'ff' AS TEXT)",
        f"stages = '{'[' * 9000}'",
    ],
)
def test_a_row_that_cannot_be_is_damage_and_found_by_a_check(tmp_path: Path, value: str) -> None:
    add(tmp_path, ended(3))
    run_sql(tmp_path, f"UPDATE runs SET {value} WHERE id = 'task-1'")
    with pytest.raises(errors.DamagedHistory):
        history.read(tmp_path)
    with history.Writer(tmp_path) as writer:
        with pytest.warns(RuntimeWarning, match="a new one is begun"):
            assert not writer.check()
        assert writer.check()
    assert history.read(tmp_path) == []


def test_an_index_that_leads_nowhere_is_found_by_a_check(tmp_path: Path) -> None:
    """SQLite's quick check does not look at what is in an index."""
    add(tmp_path, ended(3))
    hidden = "name = 'runs_by_end'"
    with contextlib.closing(sqlite3.connect(tmp_path / TABLE, isolation_level=None)) as connection:
        (row,) = connection.execute(f"SELECT * FROM sqlite_master WHERE {hidden}")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(f"DELETE FROM sqlite_master WHERE {hidden}")
    run_sql(tmp_path, "DELETE FROM runs WHERE id = 'task-1'")  # with the index out of sight
    with contextlib.closing(sqlite3.connect(tmp_path / TABLE, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
    with history.Writer(tmp_path) as writer, pytest.warns(RuntimeWarning, match="runs_by_end"):
        assert not writer.check()


def test_a_whole_history_passes_the_check_and_stays(tmp_path: Path) -> None:
    add(tmp_path, ended(3))
    run_sql(tmp_path, "CREATE INDEX mine ON runs (label)", "CREATE VIEW failures AS SELECT * FROM runs")
    with history.Writer(tmp_path) as writer:
        assert writer.check()
        writer.add(ended(3, generation=3), range(3))
        assert writer.aside == []
    assert len(history.read(tmp_path)) == 6


def test_a_history_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    add(tmp_path, ended(3))
    run_sql(tmp_path, "DROP INDEX runs_by_id", "ALTER TABLE runs ADD COLUMN mood TEXT", "PRAGMA user_version=5")
    with pytest.raises(errors.LayoutMismatch, match=r"newer version of Headway \(its version is 5, .* up to 4\)"):
        history.read(tmp_path)
    with pytest.raises(errors.LayoutMismatch):
        add(tmp_path, ended(3, generation=3))
    run_sql(tmp_path, "SELECT mood FROM runs")
    assert not list(tmp_path.glob("history.damaged-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="changing owners needs root")
@pytest.mark.parametrize("which", [TABLE, f"{TABLE}-wal"])
def test_a_file_of_another_user_is_not_read_and_moved_aside(tmp_path: Path, which: str) -> None:
    add(tmp_path, ended(3))
    (tmp_path / which).touch()
    os.chown(tmp_path / which, 65534, 65534)
    with pytest.raises(errors.NotOwner, match="belongs to user 65534, not to you"):
        history.read(tmp_path)
    with pytest.warns(RuntimeWarning, match="a new one is begun"):
        add(tmp_path, ended(1, generation=3))
    assert [task.generation for task in history.read(tmp_path)] == [3]


class Late(history.Writer):
    """A writer that finds a history damaged, and is overtaken by another one before it moves it aside."""

    def _move_aside(self, error: errors.HeadwayError) -> None:
        with pytest.warns(RuntimeWarning, match="a new one is begun"):
            add(self.path.parent, ended(2, generation=3))
        super()._move_aside(error)


def test_who_comes_second_to_a_damaged_history_leaves_the_new_one_where_it_is(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_text("nonsense")
    with Late(tmp_path) as writer:
        assert writer.add(ended(2, generation=5), range(2)) == 2
        assert not writer.aside
    assert sorted(task.generation for task in history.read(tmp_path)) == [3, 3, 5, 5]
    assert len(list(tmp_path.glob("history.damaged-*.sqlite3"))) == 1


def test_a_disk_that_damages_one_after_the_other_is_not_filled_with_them(tmp_path: Path) -> None:
    for _ in range(database.ASIDE_MAX):
        (tmp_path / TABLE).write_text("nonsense")
        with pytest.warns(RuntimeWarning, match="a new one is begun"):
            add(tmp_path, ended(1))
    (tmp_path / TABLE).write_text("nonsense")
    with pytest.raises(errors.DamagedHistory, match="8 damaged ones lie beside it already"):
        add(tmp_path, ended(1))
    assert (tmp_path / TABLE).read_text() == "nonsense"
    assert len(list(tmp_path.glob("history.damaged-*.sqlite3"))) == database.ASIDE_MAX


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small history."""
    directory = tmp_path_factory.mktemp("sample")
    for generation in range(1, 40, 2):
        add(directory, ended(2, generation=generation), series={0: [(float(n), n) for n in range(64)]})
    with history.Writer(directory) as writer:
        writer.prune(keep_rows=20)
    return directory / TABLE


def survives(directory: Path, content: bytes) -> None:
    """Readers get tasks or a typed error; a writer that checks it goes on, and what it wrote is read."""
    history.remove(directory)
    (directory / TABLE).write_bytes(content)
    with contextlib.suppress(errors.DamagedHistory, errors.LayoutMismatch):
        for task in history.read(directory):
            json.dumps(task.to_dict(), allow_nan=False)
    with warnings.catch_warnings(), history.Writer(directory) as writer:
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            writer.check()
            assert writer.add(ended(2, generation=99), range(2)) == 2
        except errors.LayoutMismatch:
            return
    assert sum(task.generation == 99 for task in history.read(directory)) == 2


@pytest.mark.slow
def test_a_file_cut_anywhere_is_read_or_refused(tmp_path: Path, sample: Path) -> None:
    whole = sample.read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(whole), 509)]:
        survives(tmp_path, whole[:length])


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 7)), min_size=1, max_size=3))
@IN_ONE_FOLDER
def test_a_file_with_any_bits_flipped_is_read_or_refused(
    tmp_path: Path, sample: Path, flips: list[tuple[int, int]]
) -> None:
    content = bytearray(sample.read_bytes())
    for at, bit in flips:
        content[at % len(content)] ^= 1 << bit
    survives(tmp_path, bytes(content))


@pytest.mark.slow
def test_a_file_whose_header_schema_or_heads_of_pages_are_damaged_is_read_or_refused(
    tmp_path: Path, sample: Path
) -> None:
    pages = range(0, sample.stat().st_size, 4096)
    for at in [*range(100), *(page + byte for page in pages for byte in range(0, 12, 3))]:
        content = bytearray(sample.read_bytes())
        content[at] ^= 1 << at % 8
        survives(tmp_path, bytes(content))
    for at in range(0, 4096, 64):  # the tables of the schema among them
        content = bytearray(sample.read_bytes())
        content[at : at + 64] = b"\xff" * 64
        survives(tmp_path, bytes(content))


@given(at=st.integers(0, 1 << 20), patch=st.binary(min_size=1, max_size=64))
@IN_ONE_FOLDER
def test_a_file_with_any_bytes_overwritten_is_read_or_refused(
    tmp_path: Path, sample: Path, at: int, patch: bytes
) -> None:
    content = sample.read_bytes()
    at %= len(content)
    survives(tmp_path, content[:at] + patch + content[at + len(patch) :])


@given(flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 7)), min_size=1, max_size=3))
@settings(IN_ONE_FOLDER, max_examples=30)
def test_a_damaged_log_is_read_or_refused(tmp_path: Path, flips: list[tuple[int, int]]) -> None:
    for path in history.files(tmp_path):
        path.unlink()
    killed = tmp_path / "killed"
    killed.mkdir(exist_ok=True)
    with history.Writer(tmp_path) as writer:
        for generation in range(1, 10, 2):
            writer.add(ended(2, generation=generation), range(2))
        for path in (tmp_path / TABLE, tmp_path / f"{TABLE}-wal"):
            shutil.copy(path, killed)  # as a kill leaves them
    log = bytearray((killed / f"{TABLE}-wal").read_bytes())
    for at, bit in flips:
        log[at % len(log)] ^= 1 << bit
    (killed / f"{TABLE}-wal").write_bytes(log)
    with contextlib.suppress(errors.DamagedHistory):
        history.read(killed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        add(killed, ended(2, generation=99))
    assert sum(task.generation == 99 for task in history.read(killed)) == 2
    shutil.rmtree(killed)


# --- where it cannot be done


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_S", 0.2)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[None]:
    """Somebody else has a transaction open, in which they write."""
    add(tmp_path, ended(1))
    with contextlib.closing(sqlite3.connect(tmp_path / TABLE)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.rollback()


def test_a_lock_that_is_never_let_go_is_waited_for_only_so_long(tmp_path: Path, impatient: None, locked: None) -> None:
    refused = pytest.raises(errors.LockTimeout, match="end the one that keeps a transaction open")
    with history.Writer(tmp_path) as writer:
        with refused:
            writer.add(ended(1, generation=3), [0])
        with refused:
            writer.prune(keep_rows=0)
    assert [task.id for task in history.read(tmp_path)] == ["task-0"]  # a reader does not wait


SIGNALS = """
import signal, sqlite3, sys
from headway.files import database, history
from tests.unit.conftest import add, ended

directory, what = sys.argv[1:]
add(directory, ended(3))
database.BUSY_S = 30.0
other = sqlite3.connect(f"{directory}/history.sqlite3", isolation_level=None)
other.execute("PRAGMA locking_mode=EXCLUSIVE")
other.execute("BEGIN EXCLUSIVE")

def handler(*_):
    global served
    served += 1
    if served == 15:
        other.close()

served = 0
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)  # as a profiler does
with history.Writer(directory) as writer:
    if what == "add":
        assert writer.add(ended(2, generation=3), [0, 1]) == 2
    elif what == "prune":
        assert writer.prune(keep_rows=1) == 2
    else:
        assert len(history.read(directory)) == 3
signal.setitimer(signal.ITIMER_REAL, 0)
print(served >= 15)
"""


@pytest.mark.parametrize("what", ["add", "prune", "read"])
def test_signals_do_not_cut_the_wait_for_others_short_and_their_handlers_are_called_meanwhile(
    what: str, run_python: RunPython, tmp_path: Path
) -> None:
    """SQLite takes a nap that a signal ended as slept: its own wait of 30 s is over after a tenth of that."""
    assert run_python(SIGNALS, str(tmp_path), what, env={"PYTHONPATH": str(ROOT)}).stdout == "True\n"


def test_who_may_wait_no_longer_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: None) -> None:
    """However long others may be waited for in general."""
    monkeypatch.setattr(database, "BUSY_S", 3600.0)
    with history.Writer(tmp_path) as writer, pytest.raises(errors.LockTimeout):
        writer.add_begun(ended(1, generation=3), [0], {}, lambda: [True], until=time.monotonic() + 0.1)


def test_the_directory_may_be_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        add(tmp_path / "gone", ended(1))


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_directory_that_may_not_be_written_is_an_os_error_and_can_be_read(
    tmp_path: Path, run_python: RunPython
) -> None:
    place = tmp_path / "board"
    place.mkdir()
    add(place, ended(3))
    for path in (*history.files(place), place):
        os.chown(path, 65534, 65534)
    for path in tmp_path.parents:
        if path.stat().st_uid == 0 and not path.stat().st_mode & 1:
            os.chmod(path, 0o755)
    os.chmod(tmp_path, 0o755)
    os.chmod(place, 0o500)
    script = f"""
import os, sqlite3, sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[3])!r})
from pathlib import Path
from headway.files import history
from tests.unit.conftest import ended
place = Path({str(place)!r})
raw = ended(1, generation=3)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print([task.id for task in history.read(place)])
try:
    history.Writer(place).add(raw, [0])
except PermissionError as error:
    print(type(error).__name__)
"""
    assert run_python(script).stdout == "['task-2', 'task-1', 'task-0']\nPermissionError\n"


def test_in_a_signal_handler_that_interrupts_the_import_of_sqlite_a_file_is_refused_by_a_typed_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sqlite3", types.ModuleType("sqlite3"))  # as it is until its own code has run
    with pytest.raises(errors.Unsupported, match="a signal came meanwhile"), database.typed(tmp_path / "history.db"):
        pass
