"""The dashboard in another application, behind nginx, as a command, and measured by its own description."""

from __future__ import annotations

import json
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from headway.engine.board import Board, open_board
from tests.integration.dashboard import Child, Client, Mirror, Server, eventually
from tests.proxies import MISSING, NAME, Proxy, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunPython

TOKEN = "correct-horse-battery"


@pytest.fixture
def board(headway_dir: Path, board_name: str) -> Iterator[Board]:
    made = open_board(board_name, capacity=16)
    made.task("a/b", total=10).update(3)
    made.write_snapshot()
    yield made
    made.remove(files=True)


def follows(client: Client, board: Board, **headers: str) -> None:
    """The client hears of what happens on the board."""
    mirror = Mirror()
    with client.stream(board.name, **headers) as stream:
        stream.until(mirror, lambda seen: len(seen.rows) == 1)
        board.attach("a/b").update(4)
        board.write_snapshot()
        stream.until(mirror, lambda seen: [row["count"] for row in seen.rows.values()] == [7])


# --- in another application

MOUNTED = """
import socket, uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from headway.dashboard import create_app

async def hello(request):
    return PlainTextResponse("hello")

app = Starlette(routes=[Route("/hello", hello), Mount("/deep/progress", create_app(token={token!r}))])
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listening])
"""


class Mounted(Child, Client):
    """The dashboard below a path of another application, in uvicorn as it comes."""

    def __init__(self, token: str | None = None) -> None:
        super().__init__([sys.executable, "-c", MOUNTED.format(token=token)])
        self.port = int(self.line())
        self.prefix = "/deep/progress"


def test_another_application_can_mount_it(board: Board) -> None:
    outer = Mounted()
    try:
        assert outer.get("/").status == 200
        assert [summary["name"] for summary in outer.get("/api/boards").json["boards"]] == [board.name]
        assert outer.get(f"/api/boards/{board.name}/tasks/a%2Fb").json["task"]["count"] == 3
        assert outer.get("/nix").json["code"] == "not-found"
        assert outer.get("/api/boards", Host="evil.com").status == 403
        follows(outer, board)
    finally:
        outer.end()
    assert outer.errors == ""


def test_a_mounted_one_asks_for_its_token_below_its_path(board: Board) -> None:
    outer = Mounted(TOKEN)
    try:
        assert outer.get("/api/boards").status == 401
        assert outer.get("/healthz").status == outer.get("/").status == 200
        assert outer.get("/api/boards", Headway_Token=TOKEN).status == 200
        follows(outer, board, Authorization=f"Bearer {TOKEN}")
    finally:
        outer.end()


SERVED_TWICE = """
import asyncio, json
from headway.dashboard import create_app

app = create_app(token=None)

async def ask(path):
    sent = []
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    gone = asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if sum(b"event: " in one.get("body", b"") for one in sent) >= 1:
            gone.set()

    await asyncio.wait_for(app(scope, receive, send), 20)
    return b"".join(one.get("body", b"") for one in sent)

async def serve():
    paths = 3 * ["/api/events", "/api/boards", "/api/analysis/recent"]
    return await asyncio.gather(*map(ask, paths))

for _ in range(2):
    answers = asyncio.run(serve())
    print(sum(b"event: boards" in one for one in answers), json.loads(answers[1])["boards"][0]["name"])
"""


def test_it_can_be_served_again_in_another_event_loop(board: Board, run_python: RunPython) -> None:
    ended = run_python(SERVED_TWICE)
    assert ended.stdout.splitlines() == 2 * [f"3 {board.name}"]
    assert ended.stderr == ""


# --- behind a proxy


class Through(Client):
    """Asks through a proxy."""

    prefix = "/headway"

    def __init__(self, port: int) -> None:
        self.port = port


@pytest.mark.skipif("nginx" in MISSING, reason=MISSING.get("nginx", ""))
def test_nginx_serves_it_below_a_path_as_documented(board: Board, tmp_path: Path) -> None:
    server = Server("--allow-host", NAME, env={"HEADWAY_TOKEN": TOKEN})
    try:
        with Proxy("nginx", tmp_path / "nginx", free_port(), server.port) as proxy:
            nginx = Through(proxy.plain_port)
            authority = f"{NAME}:{nginx.port}"
            outside = {"Host": authority, "Origin": f"http://{authority}"}
            assert nginx.get("/api/boards", **outside).status == 401
            assert nginx.get("/", **outside).status == 200
            known = {**outside, "Headway-Token": TOKEN}
            assert [summary["name"] for summary in nginx.get("/api/boards", **known).json["boards"]] == [board.name]
            assert nginx.get(f"/api/boards/{board.name}/tasks?id=a%2Fb", **known).json["task"]["count"] == 3
            assert nginx.get("/api/boards", **{**known, "Host": "evil.com"}).status == 403
            assert nginx.get("/api/boards", **{**known, "Origin": "http://evil.com"}).status == 403
            follows(nginx, board, **known)
    finally:
        server.end()
    assert server.errors == ""


# --- as a command


def test_the_command_says_where_it_is(headway_dir: Path) -> None:
    headway_dir.mkdir()
    server = Child([sys.executable, "-m", "headway", "serve", "--port", "0"])
    line = server.line()
    assert line.startswith("Headway shows its boards on http://127.0.0.1:")
    assert server.end(signal.SIGINT) in (130, -2)
    assert server.errors == ""


def test_a_browser_is_opened_with_the_token_and_kept_waiting_by_nobody(headway_dir: Path, tmp_path: Path) -> None:
    headway_dir.mkdir()
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\necho "$1" > {tmp_path}/part && mv {tmp_path}/part {tmp_path}/opened\nexec sleep 60\n'
    )
    browser.chmod(0o700)
    server = Server("--open", env={"BROWSER": str(browser), "HEADWAY_TOKEN": TOKEN})
    try:
        assert server.is_well()
        assert eventually((tmp_path / "opened").exists)
        opened = Path(unquote(urlsplit((tmp_path / "opened").read_text().strip()).path))
        assert opened.stat().st_mode & 0o777 == 0o600, "other users see the arguments of a browser"
        assert f'content="0; url={server.url}#token={TOKEN}"' in opened.read_text()
    finally:
        server.end()
    assert not opened.exists()


def test_a_port_that_is_taken_is_told_with_the_remedy(headway_dir: Path, run_python: RunPython) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_python(serve("--port", str(port)), check=False)
    assert ended.returncode == 1
    assert f"port {port}" in ended.stderr
    assert "--port 0" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--dir", "/nonexistent"], "/nonexistent"),
        (["--host", "256.1.1.1", "--port", "0"], "256.1.1.1"),
        (["--port", "70000"], "70000"),
    ],
)
def test_what_it_cannot_do_is_told_by_name(
    headway_dir: Path, run_python: RunPython, arguments: list[str], said: str
) -> None:
    ended = run_python(serve(*arguments), check=False)
    assert ended.returncode in (1, 2)
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("short", 0o600, "at least 16"),
        ("with a space in the middle", 0o600, "without spaces"),
        ("", 0o600, "is empty"),
        ("\n", 0o400, "is empty"),
        (f"{TOKEN}\n", 0o644, "chmod 600"),
        (f"{TOKEN}\n", 0o602, "chmod 600"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_file_of_a_token_that_cannot_be_used_is_told_by_name(
    headway_dir: Path, tmp_path: Path, run_python: RunPython, text: str | None, mode: int, said: str
) -> None:
    file = tmp_path / "the token"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    ended = run_python(serve("--port", "0", "--token-file", str(file)), check=False)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert str(file) in ended.stderr
    assert TOKEN not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640])
def test_a_token_in_a_file_is_asked_for_and_printed_nowhere(headway_dir: Path, tmp_path: Path, mode: int) -> None:
    headway_dir.mkdir()
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(mode)
    server = Child([sys.executable, "-m", "headway", "serve", "--port", "0", "--token-file", str(file)])
    said = server.line()
    port = urlsplit(next(word for word in said.split() if word.startswith("http"))).port
    try:
        client = Client()
        client.port = port or 0
        assert client.get("/api/boards").status == 401
        assert client.get("/api/boards", Headway_Token=TOKEN).status == 200
    finally:
        server.end()
    assert TOKEN not in said + server.errors
    assert str(file) in said


@pytest.mark.parametrize("package", ["starlette", "sse_starlette", "uvicorn", "watchfiles", "prometheus_client"])
def test_a_missing_package_is_told_with_the_extra_that_brings_it(
    headway_dir: Path, run_python: RunPython, package: str
) -> None:
    script = f"import sys\nsys.modules[{package!r}] = None\n{serve('--port', '0')}"
    ended = run_python(script, check=False)
    assert ended.returncode == 1
    assert "pip install 'headway[dashboard]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def serve(*arguments: str) -> str:
    return f"import sys\nfrom headway.cli.main import main\nsys.exit(main(['serve', *{list(arguments)!r}]))"


def test_the_dashboard_never_opens_shared_memory(board: Board, headway_dir: Path) -> None:
    server = Server()
    try:
        server.board(board.name)
        assert server.get(f"/api/boards/{board.name}/tasks/a%2Fb").status == 200
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "/dev/shm/headway-" not in maps
    finally:
        server.end()


# --- Prometheus


def test_the_exporter_and_the_dashboard_tell_the_same(board: Board, run_python: RunPython) -> None:
    script = """
from prometheus_client import CollectorRegistry, generate_latest
from headway.exporters.prometheus import BoardCollector
registry = CollectorRegistry(auto_describe=True)
registry.register(BoardCollector())
print(generate_latest(registry).decode())
"""
    server = Server()
    try:
        told = server.get("/metrics")
    finally:
        server.end()
    assert told.headers["content-type"].startswith("text/plain")

    def numbers(text: str) -> dict[str, float]:
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    from_files, in_program = numbers(told.body.decode()), numbers(run_python(script).stdout)
    assert from_files.keys() == in_program.keys()
    for name, value in from_files.items():
        if "timestamp" not in name and "per_second" not in name:
            assert in_program[name] == value, name
    assert from_files[f'headway_tasks{{board="{board.name}",state="running"}}'] == 1
    assert len(from_files) <= 30


# --- the analysis API

ANALYSES = """
import sys
from headway.engine.board import open_board
from headway.analysis import MLPredictionResult, SharedMemoryProgressTracker
tracker = SharedMemoryProgressTracker()
tracker.start_analysis("BTC", "run/1 é")
tracker.start_analysis("ETH", "run-2")
tracker.update_stage("run-2", "ml_prediction")
tracker.update_ml_prediction("run-2", MLPredictionResult("success", predictions_count=3, confidence=0.75))
tracker.start_analysis("SOL", "run-3")
tracker.fail_analysis("run-3", "data_fetch", "no <data>")
open_board(tracker.name).write_snapshot()
print("ready", flush=True)
sys.stdin.readline()
tracker.complete_analysis("run-2", "signal_detected", "well done")
open_board(tracker.name).write_snapshot()
print("done", flush=True)
sys.stdin.readline()
open_board(tracker.name).remove(files=True)
print("gone", flush=True)
"""


NO_ANALYSES = {"analyses": [], "count": 0, "memory_count": 0, "file_count": 0}


def test_the_analysis_api_answers_as_existing_programs_expect(headway_dir: Path) -> None:
    headway_dir.mkdir()
    server = Server()
    program = Child([sys.executable, "-c", ANALYSES])
    try:
        assert server.get("/api/analysis/recent").json == NO_ANALYSES
        assert program.line() == "ready"
        recent = server.get("/api/analysis/recent?hours=1").json
        assert recent["count"] == 3
        assert [one["execution_id"] for one in recent["analyses"]] == ["run-3", "run-2", "run/1 é"]
        assert server.get("/api/analysis/recent?hours=0.0000001").json == NO_ANALYSES
        told = server.get("/api/analysis/progress/run-2").json
        assert told == recent["analyses"][1]
        assert (told["symbol"], told["current_stage"], told["overall_status"]) == ("ETH", "ml_prediction", "running")
        assert told["ml_prediction"]["confidence"] == 0.75
        assert told["support_resistance"]["status"] == "pending"
        assert server.get("/api/analysis/progress/run%2F1%20%C3%A9").json["symbol"] == "BTC"
        failed = server.get("/api/analysis/progress/run-3").json
        assert (failed["failure_stage"], failed["final_message"]) == ("data_fetch", "no <data>")
        for id in ("nix", "x" * 96, "%00", "..%2f..%2fx"):
            answer = server.get(f"/api/analysis/progress/{id}")
            assert answer.status == 404, id
            assert "error" in answer.json
        for hours in ("0", "-1", "-inf", "1e-9"):
            assert server.get(f"/api/analysis/recent?hours={hours}").json == NO_ANALYSES
        assert server.get("/api/analysis/recent?hours=1e300").json["memory_count"] == 3
        answer = server.get("/api/analysis/recent?hours=x")
        assert answer.status == 422
        assert "hours" in answer.json["error"]
        assert program.say("") == "done"
        ended = server.get("/api/analysis/progress/run-2").json
        assert (ended["overall_status"], ended["final_signal"]) == ("success", "signal_detected")
        program.say("")
        assert server.get("/api/analysis/recent").json == NO_ANALYSES
    finally:
        program.end()
        server.end()
    assert program.errors == server.errors == ""


# --- by its own description


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_every_answer_is_as_the_openapi_document_says(board: Board, mode: schemathesis.GenerationMode) -> None:
    server = Server("--no-token")
    try:
        schema = schemathesis.openapi.from_url(f"{server.url}openapi.json").exclude(path="/api/events")  # it has no end
        refused = schema.config.checks.negative_data_rejection
        refused.expected_statuses = [*refused.expected_statuses, "414"]  # what is wrong may be too long, too
        found: list[Any] = list(schema.get_all_operations())
        operations = [one.ok() for one in found]
        assert len(operations) == len(json.loads(server.get("/openapi.json").body)["paths"]) - 1
        if mode is schemathesis.GenerationMode.NEGATIVE:  # what has no parameter cannot be asked for in a wrong way
            operations = [operation for operation in operations if list(operation.iter_parameters())]
        statuses = {answers(operation, mode, board) for operation in operations}
        assert server.is_well()
    finally:
        server.end()
    assert server.errors == ""
    expected = {200} if mode is schemathesis.GenerationMode.POSITIVE else {404, 422}
    assert statuses & expected, statuses


def answers(operation: Any, mode: schemathesis.GenerationMode, board: Board) -> int:
    """Ask for it in many ways. Every answer has to be of a kind that the document knows."""
    last = 0

    @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        nonlocal last
        if mode is schemathesis.GenerationMode.POSITIVE and "board" in case.path_parameters:
            case.path_parameters["board"] = board.name
            for parameters in (case.path_parameters, case.query):
                if "id" in parameters:
                    parameters["id"] = "a/b"
        last = case.call_and_validate(timeout=10).status_code

    ask()
    return last


def test_the_analyses_of_a_file_tracker_are_told_as_well(tmp_path: Path, headway_dir: Path) -> None:
    from headway.analysis import FileBasedProgressTracker, SharedMemoryProgressTracker

    headway_dir.mkdir()
    files, shared = FileBasedProgressTracker(tmp_path), SharedMemoryProgressTracker()
    files.start_analysis("BTC", "in files")
    files.start_analysis("BTC", "in both")
    shared.start_analysis("ETH", "in both")
    shared.start_analysis("ETH", "in memory")
    board = open_board("analysis")
    board.write_snapshot()
    for place in (tmp_path, files.progress_dir):
        server = Server("--analysis", str(place))
        try:
            recent = server.get("/api/analysis/recent").json
            assert [(one["execution_id"], one["symbol"]) for one in recent["analyses"]] == [
                ("in memory", "ETH"),
                ("in both", "ETH"),
                ("in files", "BTC"),
            ]
            assert (recent["count"], recent["memory_count"], recent["file_count"]) == (3, 2, 1)
            assert server.get("/api/analysis/progress/in%20files").json["symbol"] == "BTC"
            assert server.get("/api/analysis/progress/in%20both").json["symbol"] == "ETH"
            assert server.get("/api/analysis/progress/nowhere").status == 404
        finally:
            server.end()
    board.remove(files=True)
