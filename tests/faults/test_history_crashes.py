"""Histories under faults: a writer killed at each system call, a disk that is full, one that may not be written.

The scenarios of the kills stand in crash_history.py, which runs as a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import RunPython

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("scenario", ["begin", "add", "after_a_kill", "replace", "prune", "move_aside"])
def test_a_kill_at_any_system_call_leaves_each_task_once_or_not_and_the_history_whole(
    scenario: str, run_python: RunPython, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    place = tmp_path / "board"
    done = run_python(HERE / "crash_history.py", scenario, str(place), env={"PYTHONPATH": str(ROOT)}, timeout_s=450)
    record_property("kills", int(done.stdout))
    assert int(done.stdout) > 100


FULL = """
import os, sys
from pathlib import Path
from headway import errors
from headway.files import history
from tests.unit.conftest import ended

place = Path(sys.argv[1])
series = {n: [(float(t), t) for t in range(64)] for n in range(64)}
raws = {generation: ended(64, generation=generation) for generation in range(1, 2000, 2)}

def there():
    return {generation: sum(task.generation == generation for task in tasks)
            for tasks in [history.read(place)] for generation in {task.generation for task in tasks}}

writer = history.Writer(place)
acknowledged = {}
try:
    for generation, raw in raws.items():
        acknowledged[generation] = writer.add(raw, range(64), series)
except errors.NoSpace as error:
    print(type(error).__name__, error.errno, error.filename == str(place / "history.sqlite3"))
assert len(acknowledged) > 3
assert there() == acknowledged == dict.fromkeys(acknowledged, 64)
for _ in range(3):
    try:
        writer.add(raws[generation], range(64), series)
    except errors.NoSpace:
        continue
    raise SystemExit("a full disk took more")
assert there() == acknowledged
(place / "ballast").unlink()
assert writer.add(raws[generation], range(64), series) == 64
acknowledged[generation] = 64
assert there() == acknowledged
assert writer.check() and not writer.aside
writer.close()
assert there() == acknowledged
print("resumed")
"""


def on_a_tmpfs(run: str, tmp_path: Path, size: str = "4m") -> str:
    """What a script says that is given a directory where a small file system of its own is mounted."""
    place, script = tmp_path / "board", tmp_path / "script.py"
    place.mkdir()
    script.write_text(run)
    mount = f'mount -t tmpfs -o size={size} tmpfs "{place}" && exec "$0" "$@"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, sys.executable, str(script), str(place)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_root
def test_a_full_disk_costs_no_task_that_was_acknowledged_and_archiving_resumes(tmp_path: Path) -> None:
    ballast = 'import sys; open(sys.argv[1] + "/ballast", "wb").write(bytes(1 << 20))\n'
    assert on_a_tmpfs(ballast + FULL, tmp_path) == "NoSpace 28 True\nresumed\n"


@needs_root
def test_a_disk_that_is_full_before_the_first_task_is_no_space_and_leaves_nothing_half(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from headway import errors
from headway.files import history
from tests.unit.conftest import ended

place = Path(sys.argv[1])
size = 1 << 20
with open(place / "ballast", "wb", buffering=0) as file:
    while size:
        try:
            file.write(bytes(size))
        except OSError:
            size //= 2
for room in range(0, 300_000, 8192):
    os.truncate(place / "ballast", max(0, (place / "ballast").stat().st_size - 8192))
    try:
        with history.Writer(place) as writer:
            writer.add(ended(64), range(64))
        break
    except errors.NoSpace:
        assert not list(place.glob('.history*'))
        try:
            assert history.read(place) == []
        except errors.NoSpace:  # not even the locks of readers find room
            continue
assert len(history.read(place)) == 64
print(room > 8192, [path.name for path in place.glob("history.damaged*")])
"""
    assert on_a_tmpfs(script, tmp_path, "512k") == "True []\n"


@needs_root
def test_a_file_system_that_became_read_only_is_an_os_error_and_what_is_in_it_is_read(tmp_path: Path) -> None:
    script = """
import os, subprocess, sys
from pathlib import Path
from headway import errors
from headway.files import history
from tests.unit.conftest import ended

place = Path(sys.argv[1])
def remount(mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(place)], check=True)

with history.Writer(place) as writer:
    writer.add(ended(3), range(3))
remount("ro")
print(len(history.read(place)))
try:
    writer.add(ended(3, generation=3), range(3))
except OSError as error:
    print(type(error).__name__, error.errno)
remount("rw")
writer.add(ended(3, generation=3), range(3))
writer.close()
pid = os.fork()
if pid == 0:  # a writer that is killed leaves its log
    history.Writer(place).add(ended(3, generation=5), range(3))
    os._exit(0)
os.waitpid(pid, 0)
print((place / "history.sqlite3-wal").stat().st_size > 0)
remount("ro")
print(len(history.read(place)))
"""
    assert on_a_tmpfs(script, tmp_path) == "3\nOSError 30\nTrue\n9\n"
