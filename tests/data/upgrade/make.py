"""Makes the stored files of one version, with the version of Headway that is on the path; run once a version, and kept.

    unshare --uts sh -c 'hostname here; HEADWAY_DIR=/tmp/stored python tests/data/upgrade/make.py 2'

segment-N.gz, snapshot-N.npz and history-N.sqlite3.gz appear beside this file: keep those whose number was raised, the
three are counted apart. Those of number 1 were made by commit
f59fd07, before the first release, when records were shorter and a history did not know versions of tasks.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

from headway.engine.board import open_board
from headway.files import history, snapshot

HERE = Path(__file__).resolve().parent


def main(number: int) -> None:
    board = open_board("stored", capacity=8, workers=4, result_bytes=64)
    try:
        with board.task("load", total=3, unit="bar", label="Load prices") as task:
            for item in task.track(["a", "b", "c"]):
                task.set(stage=f"read {item}", message=f"of {item}", metrics={"loss": 0.5})
            task.result = {"auc": 0.91}
        failed = board.task("load/é", total=5)
        failed.update(2)
        failed.fail("ValueError: no prices")
        board.task("train", total=100, stall_after=30).update(40)
        view = board.snapshot()
        ended = [place for place, one in enumerate(view.tasks) if one.id != "train"]
        path = snapshot.write(view, board.directory)
        (HERE / f"snapshot-{number}.npz").write_bytes(path.read_bytes())
        (segment,) = Path("/dev/shm").glob(f"headway-*-stored-{view.uuid}")
        (HERE / f"segment-{number}.gz").write_bytes(gzip.compress(segment.read_bytes(), mtime=0))
        with history.Writer(board.directory) as writer:
            writer.add(view.raw, ended, {ended[0]: [(1.0, 0), (2.0, 3)]})
        database = (board.directory / history.HISTORY).read_bytes()
        (HERE / f"history-{number}.sqlite3.gz").write_bytes(gzip.compress(database, mtime=0))
    finally:
        board.remove(files=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
