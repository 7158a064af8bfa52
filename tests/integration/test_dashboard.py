"""The dashboard's server as a page sees it: a real server, a real pool at work on a real board."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from headway.engine.board import Board, open_board
from headway.files import history, snapshot
from headway.upkeep import removal
from tests.integration.dashboard import AtWork, Mirror, Server, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython


@pytest.fixture
def server(headway_dir: Path) -> Iterator[Server]:
    headway_dir.mkdir()
    made = Server()
    yield made
    made.end()
    assert made.errors == ""


@pytest.fixture
def at_work(headway_dir: Path, board_name: str) -> Iterator[AtWork]:
    made = AtWork(board_name)
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    made.process.stdin = None
    made.process.wait(20)
    made.end()
    assert made.errors == ""


@contextlib.contextmanager
def opened(name: str, capacity: int = 16) -> Iterator[Board]:
    made = open_board(name, capacity=capacity)
    try:
        yield made
    finally:
        made.remove(files=True)


@pytest.fixture
def board(headway_dir: Path, board_name: str) -> Iterator[Board]:
    with opened(board_name) as made:
        yield made


# --- what it tells


def test_a_whole_board_is_what_its_snapshot_holds(
    server: Server, at_work: AtWork, board_name: str, headway_dir: Path
) -> None:
    time.sleep(0.5)
    sequence = at_work.freeze()
    whole = server.board(board_name)
    view = snapshot.read(headway_dir / board_name)
    assert whole["summary"]["sequence"] == view.sequence == sequence
    assert whole["summary"]["counts"] == view.counts.to_dict()
    assert len(whole["tasks"]) == len(view.tasks) > 15
    for row, task in zip(whole["tasks"], view.tasks, strict=True):
        told = task.to_dict()
        for name, value in row.items():
            if name in ("worker_count", "lost_count"):
                assert value == len(told[{"worker_count": "workers", "lost_count": "workers_lost"}[name]])
            elif value is None:
                assert told[name] is None
            elif name in ("created", "started", "ended", "stage_entered", "beat"):
                assert value == pytest.approx(told[name], abs=0.001)
            elif name == "rate":
                assert value == pytest.approx(told[name], rel=0.001)
            else:
                assert value == told[name], name
    workers = {worker.incarnation: worker for worker in view.workers}
    assert {worker["incarnation"] for worker in whole["workers"]} == set(workers)
    for row in whole["workers"]:
        told = workers[row["incarnation"]].to_dict()
        assert row["task_count"] == len(told["tasks"])
        assert [row[name] for name in ("pid", "name", "alive", "tasks")] == [
            told[name] for name in ("pid", "name", "alive", "tasks")
        ]


def test_everything_about_one_task_is_its_view(
    server: Server, at_work: AtWork, board_name: str, headway_dir: Path
) -> None:
    time.sleep(0.5)
    at_work.freeze()
    view = snapshot.read(headway_dir / board_name)
    for task in view.tasks:
        answer = server.get(f"/api/boards/{board_name}/tasks/{quote(task.id, safe='')}")
        told = answer.json["task"]
        assert isinstance(told.pop("series"), list)
        assert isinstance(told.pop("metric_series"), dict)
        assert told == json.loads(json.dumps(task.to_dict()))


@pytest.mark.parametrize(
    "id", ["..", ".", "../../etc/passwd", "a//b", "a/../b", "%2e%2e", "?x=1#y", "😀" * 23, "a b\r\nc", "'\"<b>"]
)
def test_a_task_of_whatever_id_can_be_asked_for(server: Server, board: Board, id: str) -> None:
    board.task(id).update()
    board.write_snapshot()
    answer = server.get(f"/api/boards/{board.name}/tasks?id={quote(id, safe='')}")
    assert answer.json["task"]["id"] == id
    if "\n" not in id:  # which no path has
        answer = server.get(f"/api/boards/{board.name}/tasks/{quote(id, safe='')}")
        assert answer.json["task"]["id"] == id


def test_what_is_not_there_is_told_as_a_problem(server: Server, board: Board) -> None:
    board.write_snapshot()
    for path, code in (
        ("/api/boards/nix", "unknown-board"),
        ("/api/boards/%2e%2e", "unknown-board"),
        (f"/api/boards/{board.name}/tasks/nix", "unknown-task"),
        (f"/api/boards/{board.name}/tasks?id=%00", "unknown-task"),
        ("/nix", "not-found"),
        ("/api/nix", "not-found"),
    ):
        answer = server.get(path)
        assert (answer.status, answer.json["code"]) == (404, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["title"] == "Not Found"
        assert answer.json["detail"]
    assert server.get(f"/api/boards/{board.name}/tasks").status == 422


TRICKS = (
    "/../secret",
    "/assets/../../secret",
    "/assets/%2e%2e/%2e%2e/secret",
    "/assets/..%2f..%2fsecret",
    "//secret",
    "/assets/link",
    "/assets",
    "/assets/",
    "/index.html%00",
)


def page_in(folder: Path) -> str:
    return f"import pathlib\nfrom headway.dashboard import page\npage.FOLDER = pathlib.Path({str(folder)!r})"


def test_without_a_built_page_it_tells_how_to_build_one(headway_dir: Path, tmp_path: Path) -> None:
    headway_dir.mkdir()
    server = Server(before=page_in(tmp_path / "nix"))
    answer = server.get("/")
    server.end()
    assert answer.status == 200
    assert b"ci/web" in answer.body


def test_the_page_is_served_as_it_was_built_and_nothing_beside_it(headway_dir: Path, tmp_path: Path) -> None:
    headway_dir.mkdir()
    built = tmp_path / "static"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html>page")
    (built / "assets" / "x-1a2b.js").write_text("export {};" * 500)
    (tmp_path / "secret").write_text("secret")
    (built / "assets" / "link").symlink_to(tmp_path / "secret")
    server = Server(before=page_in(built))
    try:
        page = server.get("/")
        assert (page.body, page.headers["cache-control"]) == (b"<!doctype html>page", "no-cache")
        script = server.get("/assets/x-1a2b.js", Accept_Encoding="gzip")
        assert script.headers["content-encoding"] == "gzip"
        assert "immutable" in script.headers["cache-control"]
        assert len(server.get("/assets/x-1a2b.js").body) == 5000
        for path in TRICKS:
            answer = server.get(path)
            assert (answer.status, answer.json["code"]) == (404, "not-found"), path
    finally:
        server.end()


# --- events


def test_patches_add_up_to_the_whole_board(server: Server, at_work: AtWork, board_name: str) -> None:
    mirror = Mirror()
    with server.stream(board_name) as stream:
        # Some tasks have ended, and others have made room for new ones.
        stream.until(
            mirror,
            lambda seen: (
                seen.patches >= 12
                and seen.removals > 0
                and seen.boards.get(board_name, {"counts": {"success": 0}})["counts"]["success"] > 0
            ),
        )
        sequence = at_work.freeze()
        stream.until(mirror, lambda seen: seen.sequence == sequence)
    assert mirror.wholes == 1
    whole = server.board(board_name)
    mirror.shows(whole)
    assert mirror.boards == {board_name: whole["summary"]}


def test_a_whole_board_of_many_tasks_comes_in_parts(server: Server, headway_dir: Path, board_name: str) -> None:
    mirror = Mirror()
    with opened(board_name, 3000) as board, server.stream(board_name) as stream:
        tasks = [board.task(f"t{number}") for number in range(2500)]
        board.write_snapshot()
        stream.until(mirror, lambda seen: len(seen.rows) == 2500)
        assert mirror.patches >= 2
        tasks[2400].update(5)
        board.write_snapshot()
        event = stream.until(mirror, lambda seen: seen.rows[tasks_serial(seen, "t2400")]["count"] == 5)
        assert len(event.data["tasks"]) + len(event.data["moved"]["serial"]) == 1
        mirror.shows(server.board(board_name))


def tasks_serial(mirror: Mirror, id: str) -> int:
    return next(serial for serial, row in mirror.rows.items() if row["id"] == id)


def test_who_comes_back_gets_what_it_missed(server: Server, at_work: AtWork, board_name: str) -> None:
    mirror = Mirror()
    with server.stream(board_name) as stream:
        stream.until(mirror, lambda seen: seen.patches >= 2)
        last_id = stream.last_id
    time.sleep(1.0)
    sequence = at_work.freeze()
    with server.stream(board_name, last_id) as stream:
        stream.until(mirror, lambda seen: seen.sequence == sequence)
    assert (mirror.wholes, mirror.patches) == (1, 3), "one patch for all that was missed"
    mirror.shows(server.board(board_name))


def test_an_id_of_another_server_or_board_begins_whole(server: Server, board: Board, headway_dir: Path) -> None:
    board.task("one").update()
    board.write_snapshot()
    with server.stream(board.name) as stream:
        stream.until(Mirror(), lambda seen: seen.wholes == 1)
        last_id = stream.last_id
    other = Server()
    mine, (epoch, tag, *places) = server, last_id.split(".")
    try:
        for asked, claimed in (
            (other, last_id),
            (mine, f"{epoch}.00000000.{places[0]}.{places[1]}"),
            (mine, "x"),
            (mine, f"{epoch}.{tag}.1.99999999999999999999"),
        ):
            mirror = Mirror()
            with asked.stream(board.name, claimed) as stream:
                event = stream.until(mirror, lambda seen: seen.wholes == 1)
            assert event.data["whole"]
            assert len(mirror.rows) == 1
    finally:
        other.end()


def test_boards_come_go_and_begin_anew(server: Server, headway_dir: Path, board_name: str) -> None:
    mirror = Mirror()
    with server.stream(board_name) as stream:
        stream.until(mirror, lambda seen: seen.wholes == 1)
        assert (mirror.summary, mirror.rows, mirror.boards) == (None, {}, {})
        uuids = set()
        for id in ("one", "two"):
            with opened(board_name) as board:
                board.task(id).update(7)
                board.write_snapshot()
                stream.until(mirror, lambda seen, id=id: [row["id"] for row in seen.rows.values()] == [id])  # type: ignore[misc]
                assert mirror.summary is not None
                uuids.add(mirror.summary["uuid"])
            stream.until(mirror, lambda seen: seen.summary is None and not seen.boards)
            assert mirror.rows == {}
        assert len(uuids) == 2


def test_a_board_that_is_run_anew_comes_whole(server: Server, board: Board, headway_dir: Path) -> None:
    board.task("one").update(7)
    board.write_snapshot()
    mirror = Mirror()
    with server.stream(board.name) as stream:
        stream.until(mirror, lambda seen: len(seen.rows) == 1)
        with opened(f"{board.name}-2") as other:
            other.task("two").update(1)
            other.write_snapshot()
            os.replace(headway_dir / other.name / "snapshot.npz", headway_dir / board.name / "snapshot.npz")
            stream.until(mirror, lambda seen: [row["id"] for row in seen.rows.values()] == ["two"])
    assert mirror.wholes >= 2


@pytest.mark.slow
def test_without_news_there_is_a_beat(server: Server, board: Board) -> None:
    board.write_snapshot()
    began = time.monotonic()
    with server.stream() as stream:
        kinds = [event.kind for event, _ in zip(stream, range(2), strict=False)]
    assert kinds == ["boards", "beat"]
    assert time.monotonic() - began > 4


def test_a_killed_worker_is_gone_and_its_tasks_are_lost(server: Server, at_work: AtWork, board_name: str) -> None:
    mirror = Mirror()
    with server.stream(board_name) as stream:
        stream.until(mirror, lambda seen: len(seen.workers) >= 3)
        pid = at_work.kill_one()
        stream.until(
            mirror, lambda seen: any(row["state"] == "lost" and row["owner_pid"] == pid for row in seen.rows.values())
        )
        stream.until(mirror, lambda seen: any(one["pid"] == pid and not one["alive"] for one in seen.workers.values()))
        shared = mirror.rows[tasks_serial(mirror, "all <b>")]
    assert shared["lost_count"] == 1
    assert shared["state"] == "running"
    told = server.get(f"/api/boards/{board_name}/tasks?id={quote('all <b>')}").json["task"]
    assert [share["pid"] for share in told["workers_lost"]] == [pid]


@pytest.mark.slow
def test_the_page_hears_of_it_where_the_kernel_does_not_tell(
    headway_dir: Path, at_work: AtWork, board_name: str
) -> None:
    broken = "import watchfiles\ndef awatch(*_, **__): raise OSError(28, 'no watches left')\nwatchfiles.awatch = awatch"
    server = Server(before=broken)
    mirror = Mirror()
    with server.stream(board_name) as stream:
        stream.until(mirror, lambda seen: seen.patches >= 1)
        first = mirror.sequence
        stream.until(mirror, lambda seen: seen.patches >= 13)
    server.end()
    assert mirror.sequence - first <= 30, "it looks often, not once a second"


def test_a_page_that_comes_late_gets_the_course_of_what_was(server: Server, at_work: AtWork, board_name: str) -> None:
    def course() -> Any:
        whole = server.board(board_name)
        told = server.get(f"/api/boards/{board_name}/tasks?id={quote('all <b>')}").json["task"]
        return (whole, told) if len(whole["throughput"]["at"]) >= 3 and len(told["series"]) >= 3 else None

    whole, told = eventually(course)
    throughput = whole["throughput"]
    assert {len(column) for column in (throughput["at"], throughput["running"], *throughput["rates"].values())} == {
        len(throughput["at"])
    }
    assert [at for at, _ in told["series"]] == sorted(at for at, _ in told["series"])
    assert [count for _, count in told["series"]] == sorted(count for _, count in told["series"])


def test_the_rate_of_a_worker_is_what_it_counts(server: Server, headway_dir: Path, board: Board) -> None:
    task = board.task("one")
    mirror = Mirror()
    with server.stream(board.name) as stream:
        for _ in range(12):
            task.update(100)
            board.write_snapshot()
            time.sleep(0.1)
        stream.until(mirror, lambda seen: any(worker["rate"] for worker in seen.workers.values()))
    (worker,) = mirror.workers.values()
    assert 100 < worker["rate"] < 1200


# --- the past


def test_the_history_is_what_the_recorder_put_down(
    server: Server, headway_dir: Path, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_RECORD")
    with opened(board_name) as board:
        for number in range(6):
            task = board.task(f"t{number}", total=5, unit="row")
            task.set(stage="fit", metrics={"loss": 0.5})
            task.update(number)
            task.result = {"n": number}
            if number % 2:
                task.fail("so it was")
            else:
                task.succeed()

        def told(query: str = "") -> list[dict[str, Any]]:
            answer = server.get(f"/api/boards/{board_name}/history{query}")
            assert answer.status in (200, 404), answer  # no snapshot yet
            found: list[dict[str, Any]] = answer.json["tasks"] if answer.status == 200 else []
            return found

        eventually(lambda: len(told()) == 6)
        expected = [task.to_dict() for task in history.read(headway_dir / board_name)]
        assert told() == json.loads(json.dumps(expected))
        assert {task["result"]["n"] for task in told("?state=failed")} == {1, 3, 5}
        assert len(told("?limit=2")) == 2
        assert told("?hours=0.000001") == []
        for query in (
            "hours=0",
            "hours=nan",
            "hours=x",
            "limit=0",
            "limit=1001",
            "limit=1e9",
            "state=running",
            "state=",
            "state=failed&state=x",
            "before=",
            "before=1,2,3",
            "before=x",
            f"q={1001 * 'x'}",
        ):
            answer = server.get(f"/api/boards/{board_name}/history?{query}")
            assert (answer.status, answer.json["code"]) == (422, "bad-parameter"), query
        assert server.get("/api/boards/nix/history").json["code"] == "unknown-board"
        for path in (headway_dir / board_name).glob("history.sqlite3*"):
            path.unlink()
        (headway_dir / board_name / "history.sqlite3").write_bytes(b"nonsense" * 1000)
        answer = server.get(f"/api/boards/{board_name}/history")
        assert (answer.status, answer.json["code"]) == (503, "damaged-history")


def test_the_history_is_searched_by_the_server_and_read_a_page_at_a_time(
    server: Server, headway_dir: Path, board_name: str
) -> None:
    with opened(board_name, 80) as board, history.Writer(board.directory) as writer:
        for number in range(70):
            task = board.task(f"fold-{number % 10}/part-{number}", label="Ünter 100%" if number == 5 else "")
            task.fail("why") if number % 7 == 0 else task.succeed()
        board.write_snapshot()
        writer.add(board.snapshot().raw, range(70))
        is_searched(server, board)


def is_searched(server: Server, board: Board) -> None:
    def asked(**parameters: str | list[str]) -> dict[str, Any]:
        answer = server.get(f"/api/boards/{board.name}/history?{urlencode(parameters, doseq=True)}")
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    whole = asked()
    ids = [task["id"] for task in whole["tasks"]]
    assert (len(ids), whole["count"], whole["next"]) == (70, 70, None)
    walked: list[str] = []
    page = asked(limit="30")
    assert page["count"] == 70
    while True:
        walked += [task["id"] for task in page["tasks"]]
        if page["next"] is None:
            break
        page = asked(limit="30", before=page["next"])
        assert page["count"] is None
    assert walked == ids
    assert {task["id"] for task in asked(q="FOLD-3/")["tasks"]} == {one for one in ids if one.startswith("fold-3/")}
    assert [task["id"] for task in asked(q="100%")["tasks"]] == ["fold-5/part-5"]
    assert [task["id"] for task in asked(id="fold-1/part-1")["tasks"]] == ["fold-1/part-1"]
    assert asked(id="fold-1")["tasks"] == []
    failed = asked(q="fold", state=["failed", "lost"], limit="3")
    assert (len(failed["tasks"]), failed["count"]) == (3, 10)
    assert asked(uuid=whole["tasks"][0]["uuid"])["count"] == 70
    assert asked(uuid="0" * 32)["count"] == 0


# --- files that are not what they should be


def test_a_damaged_snapshot_is_told_and_the_others_go_on(server: Server, board: Board, headway_dir: Path) -> None:
    board.task("one").update()
    board.write_snapshot()
    other = headway_dir / "other"
    shutil.copytree(headway_dir / board.name, other)
    mirror = Mirror()
    with server.stream(board.name) as stream:
        stream.until(mirror, lambda seen: len(seen.rows) == 1 and len(seen.boards) == 2)
        for path in other.glob("snapshot*.npz"):
            path.write_bytes(b"PK\3\4 nonsense")
        stream.until(mirror, lambda seen: seen.boards["other"]["error"] is not None)
        assert mirror.boards["other"]["error"]["code"] == "damaged-snapshot"
        assert mirror.boards["other"]["counts"] is None
        assert mirror.boards[board.name]["error"] is None
        answer = server.get("/api/boards/other")
        assert (answer.status, answer.json["code"]) == (503, "damaged-snapshot")
        board.write_snapshot()
        shutil.copy(headway_dir / board.name / "snapshot.npz", other / "snapshot.npz")
        stream.until(mirror, lambda seen: seen.boards["other"]["error"] is None)
    assert 'headway_board_up{board="other"} 1.0' in server.get("/metrics").body.decode()


def test_nothing_below_the_directory_can_end_the_watch(server: Server, board: Board, headway_dir: Path) -> None:
    board.task("one").update()
    board.write_snapshot()
    (headway_dir / "file").write_text("no directory")
    (headway_dir / "loop").symlink_to(headway_dir / "loop")
    (headway_dir / "bad name!").mkdir()
    os.mkfifo(headway_dir / "fifo")
    for name, make in (
        ("pipe", os.mkfifo),
        ("folder", os.mkdir),
        ("nowhere", lambda path: os.symlink("/nonexistent", path)),
        ("secret", lambda path: os.symlink("/etc/passwd", path)),
    ):
        (headway_dir / name).mkdir()
        make(headway_dir / name / "snapshot.npz")
    listed = {summary["name"]: summary for summary in server.get("/api/boards").json["boards"]}
    assert listed[board.name]["error"] is None
    assert "bad name!" not in listed
    for name in ("pipe", "nowhere", "secret"):
        assert listed[name]["error"]["code"] == "damaged-snapshot", name
    assert server.is_well()


@pytest.mark.parametrize("text", ['"\\ud800"', "[" * 900 + "]" * 900, '{"a":1e999}'])
def test_a_result_of_whatever_kind_is_told_or_refused_as_a_problem(server: Server, board: Board, text: str) -> None:
    with board.task("one") as task:
        task.result = json.loads(text) if "[" not in text else None
        if "[" in text:
            nested: Any = []
            for _ in range(900):
                nested = [nested]
            task.result = nested
    board.write_snapshot()
    answer = server.get(f"/api/boards/{board.name}/tasks/one")
    assert answer.status in (200, 503)
    assert answer.json
    assert server.is_well()


# --- the recorder


@pytest.mark.slow
def test_a_recorder_that_falls_silent_is_noticed(
    server: Server, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_RECORD")
    mirror = Mirror()
    with opened(board_name) as board, server.stream(board_name) as stream:
        task = board.task("one")
        task.update()
        pid = eventually(lambda: board._segment.recorder_pid)
        stream.until(mirror, lambda seen: seen.boards.get(board_name, {}).get("recorder") == "alive")
        assert mirror.boards[board_name]["silent_since"] is None
        os.kill(pid, signal.SIGSTOP)
        try:
            stream.until(mirror, lambda seen: seen.boards[board_name]["silent_since"] is not None)
            silent_s = time.time() - mirror.boards[board_name]["silent_since"]
            assert 2.9 < silent_s < 14, "by its missing signs of life, not by its missing snapshots"
            os.kill(pid, signal.SIGCONT)
            task.update()
            stream.until(mirror, lambda seen: seen.boards[board_name]["silent_since"] is None)
        finally:
            os.kill(pid, signal.SIGKILL)
        stream.until(mirror, lambda seen: seen.boards[board_name]["recorder"] == "gone")


ABANDONED = """
import os, signal, sys, time
from headway.engine.board import open_board
board = open_board(sys.argv[1], capacity=16)
board.task("one").update()
while not (board.directory / "snapshot.npz").exists():
    time.sleep(0.05)
os.kill(board._segment.recorder_pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_where_everything_was_killed_at_once_its_tasks_are_lost(
    server: Server, board_name: str, run_python: RunPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEADWAY_RECORD")
    mirror = Mirror()
    with server.stream(board_name) as stream:
        run_python(ABANDONED, board_name, check=False)
        stream.until(mirror, lambda seen: len(seen.rows) == 1)
        (row,) = mirror.rows.values()
        assert row["state"] == "running"
        stream.until(mirror, lambda seen: [row["state"] for row in seen.rows.values()] == ["lost"])
        assert mirror.boards[board_name]["silent_since"] is None, "nothing is left to be recorded"
    removal.remove(board_name, force=True)
