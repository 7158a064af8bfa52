"""The page of analyses over HTTP: what it answers from files of other processes, and what it refuses."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from headway.analysis import (
    FileBasedProgressTracker,
    MLPredictionResult,
    ProgressTracker,
    SharedMemoryProgressTracker,
    SupportResistanceResult,
)
from headway.engine.board import open_board
from headway.upkeep import listing
from tests.integration.served import WAIT_S, Served, serving

IDS = [
    "plain",
    "a/b",
    "//a//b/",
    "../../etc/x",
    "..",
    ".",
    "a b?c#d%2F",
    "<img src=x onerror=alert(1)>",
    "früh 📈",
    "x" * 95,
]


@dataclass(frozen=True)
class Page:
    """A server that runs, and the tracker whose files it reads."""

    server: Served
    tracker: ProgressTracker
    directory: Path

    def get(self, path: str, method: str = "GET", host: str | None = None) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.request(method, path, headers={"Host": host or f"127.0.0.1:{self.server.port}"})
            answer = connection.getresponse()
            body = answer.read()
            kind = answer.headers.get_content_type()
            return answer.status, json.loads(body) if kind == "application/json" else body, dict(answer.headers)

    def progress(self, execution_id: str) -> tuple[int, Any]:
        return self.get(f"/api/analysis/progress/{quote(execution_id, safe='')}")[:2]

    def recent(self, hours: str = "1") -> Any:
        return self.get(f"/api/analysis/recent?hours={hours}")[1]

    def written(self) -> None:
        """All that the tracker knows is in the files from here on."""
        if isinstance(self.tracker, SharedMemoryProgressTracker):
            open_board(self.tracker.name).write_snapshot()


@pytest.fixture(params=["shared", "file"])
def page(request: pytest.FixtureRequest, headway_dir: Path) -> Iterator[Page]:
    shared = request.param == "shared"
    tracker = SharedMemoryProgressTracker() if shared else FileBasedProgressTracker(headway_dir)
    with serving(request.param, headway_dir) as server:
        yield Page(server, tracker, headway_dir)
    if listing.find("analysis") is not None:
        open_board("analysis").remove(files=False)


def test_an_analysis_of_another_process_is_told_as_it_is(page: Page) -> None:
    levels = [{"price": 100.0, "strength": 0.8}]
    for execution_id in IDS:
        status, body = page.progress(execution_id)
        assert (status, set(body)) == (404, {"error"}), execution_id
        page.tracker.start_analysis(f"symbol of {execution_id}", execution_id)
        page.tracker.update_stage(execution_id, "ml_prediction")
        page.tracker.update_support_resistance(execution_id, SupportResistanceResult("success", 1, 0, levels, []))
    page.written()
    for execution_id in IDS:
        progress = page.tracker.get_progress(execution_id)
        assert progress is not None
        assert page.progress(execution_id) == (200, progress.to_dict())
    assert {each["execution_id"] for each in page.recent()["analyses"]} == set(IDS)


def test_a_large_result_comes_back_whole(page: Page) -> None:
    levels = [{"price": float(number), "strength": 0.5} for number in range(2000)]
    page.tracker.start_analysis("BTC", "large")
    page.tracker.update_support_resistance("large", SupportResistanceResult("success", 2000, 0, levels, []))
    page.written()
    status, body = page.progress("large")
    assert status == 200
    assert body["support_resistance"]["supports"] == levels


def test_what_is_no_id_is_not_found(page: Page) -> None:
    for path in ("%00", "x" * 96, "%FF%FE"):
        status, body, _ = page.get(f"/api/analysis/progress/{path}")
        assert status == 404
        assert set(body) == {"error"}


def test_recent_ones_are_the_newest_first_and_no_older_than_asked(page: Page) -> None:
    assert page.recent() == {"analyses": [], "count": 0, "memory_count": 0, "file_count": 0}
    for number in range(5):
        page.tracker.start_analysis(f"symbol {number}", f"id-{number}")
        time.sleep(0.002)
    page.tracker.complete_analysis("id-1", "signal_detected", "well")
    page.tracker.fail_analysis("id-2", "ml_prediction", "too few")
    page.written()
    found = page.recent()
    assert [each["execution_id"] for each in found["analyses"]] == [f"id-{number}" for number in (4, 3, 2, 1, 0)]
    assert found["count"] == 5
    assert [each["overall_status"] for each in found["analyses"]] == [
        "running",
        "running",
        "failed",
        "success",
        "running",
    ]
    assert page.get("/api/analysis/recent")[1] == page.recent("24") == page.recent("0.5") == found
    for hours in ("0", "-1", "-inf"):
        assert page.recent(hours) == {"analyses": [], "count": 0, "memory_count": 0, "file_count": 0}
    counts = (found["memory_count"], found["file_count"])
    assert counts == ((5, 0) if isinstance(page.tracker, SharedMemoryProgressTracker) else (0, 5))
    assert page.recent("1e308")["count"] == 5


def test_hours_that_are_none_are_refused_by_name(page: Page) -> None:
    for hours in ("", "x", "nan", "1;2"):
        status, body, _ = page.get(f"/api/analysis/recent?hours={hours}")
        assert status == 400
        assert body["error"] == f"hours {hours!r} is not a number of hours"


def test_an_analysis_that_was_cut_off_reads_as_before(page: Page) -> None:
    page.tracker.start_analysis("BTC", "one")
    page.tracker.update_ml_prediction("one", MLPredictionResult("success", 7, 0.5))
    page.written()
    page.written()
    before = page.progress("one")
    for path in (
        *page.directory.glob("analysis/snapshot.npz"),
        *page.directory.glob("analysis_progress/progress_*.json"),
    ):
        path.write_bytes(path.read_bytes()[:100])
    assert page.progress("one")[0] == before[0] == 200


def test_nothing_can_be_changed(page: Page) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("/", "/api/analysis/recent", "/api/analysis/progress/x", "/static/page.js"):
            assert page.get(path, method)[0] == 405


def test_a_page_elsewhere_that_points_here_is_refused(page: Page) -> None:
    for path in ("/", "/api/analysis/recent", "/static/page.js"):
        assert page.get(path, host=f"evil.example:{page.server.port}")[0] == 400
        assert page.get(path, host=f"localhost:{page.server.port}")[0] == 200


def test_every_answer_forbids_what_the_page_does_not_need(page: Page) -> None:
    for path in ("/", "/api/analysis/recent", "/api/analysis/progress/x", "/static/page.js", "/nowhere"):
        headers = page.get(path)[2]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_no_file_but_the_page_is_served(page: Page) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2Fapp.py", "/app.py", "/static/etc/passwd"):
        assert page.get(path)[0] == 404


def test_a_tracker_in_memory_tells_nothing_to_another_process(headway_dir: Path) -> None:
    FileBasedProgressTracker(headway_dir).start_analysis("BTC", "one")
    with serving("memory", headway_dir) as server:
        alone = Page(server, FileBasedProgressTracker(headway_dir), headway_dir)
        assert alone.recent() == {"analyses": [], "count": 0, "memory_count": 0, "file_count": 0}
        assert alone.progress("one")[0] == 404
        assert alone.get("/api/analysis/totals")[1] == {"totals": []}


def test_a_total_of_all_workers_is_told(headway_dir: Path) -> None:
    with serving("shared", headway_dir) as server:
        page = Page(server, SharedMemoryProgressTracker(), headway_dir)
        assert page.get("/api/analysis/totals")[1] == {"totals": []}
        board = open_board("totals", capacity=8)
        task = board.task("run", total=240, label="backtests")
        task.update(37)
        board.write_snapshot()
        (total,) = page.get("/api/analysis/totals")[1]["totals"]
        assert total == {"id": "run", "label": "backtests", "state": "running", "count": 37, "total": 240}
        board.remove(files=False)


def test_the_page_touches_no_shared_memory(headway_dir: Path) -> None:
    with serving("shared", headway_dir) as server:
        page = Page(server, SharedMemoryProgressTracker(), headway_dir)
        page.tracker.start_analysis("BTC", "one")
        page.written()
        assert page.recent()["count"] == 1
        board = open_board("analysis")
        uuid = board._segment.uuid
        theirs, ours = (Path(f"/proc/{pid}/maps").read_text() for pid in (server.pid, "self"))
        board.remove(files=False)
        assert uuid in ours
        assert uuid not in theirs
