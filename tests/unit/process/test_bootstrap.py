"""A helper process runs this very package, whatever else its search path holds."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import headway
from headway.process import launch

TELL = """
import json, os, resource, sys
sys.path.insert(0, sys.argv[1])
import bootstrap
bootstrap.make_importable(sys.argv[2])
bootstrap.undo_inherited_limits()
import headway, headway.errors
print(json.dumps([
    headway.__file__,
    len(os.sched_getaffinity(0)),
    resource.getrlimit(resource.RLIMIT_NOFILE),
    sys.path[-1],
]))
"""


def test_the_package_is_this_one_and_inherited_limits_are_undone(tmp_path: Path) -> None:
    other = tmp_path / "headway"
    other.mkdir()
    (other / "__init__.py").write_text("raise RuntimeError('another headway was imported')")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def restrict() -> None:
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))

    done = subprocess.run(
        [sys.executable, "-c", TELL, str(launch.BOOTSTRAP.parent), launch.FOLDER_OF_POSIX_IPC],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=restrict,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    file, cores, limits, last = json.loads(done.stdout)
    assert file == headway.__file__
    assert cores == len(os.sched_getaffinity(0))
    assert limits == [hard, hard]
    assert last == launch.FOLDER_OF_POSIX_IPC
