"""What the dashboard's server refuses, and that nothing that a client does or leaves undone brings it down."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.engine.board import open_board
from headway.files import snapshot
from tests.integration.dashboard import WAIT_S, Child, Mirror, Server, drain, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

WEBSOCKET = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
TOKEN = "correct-horse-battery"
IMPATIENT = "from headway.dashboard import server\nserver.REQUEST_S = server.STUCK_S = 1.0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boards")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    made = Server("--dir", str(folder), "--allow-host", "progress.example.com", "--no-token")
    yield made
    made.end()
    assert made.errors == ""


@pytest.fixture(scope="module")
def guarded(folder: Path) -> Iterator[Server]:
    made = Server("--dir", str(folder), env={"HEADWAY_TOKEN": TOKEN})
    yield made
    made.end()
    assert made.errors == ""


@pytest.fixture
def impatient(folder: Path) -> Iterator[Server]:
    made = Server("--dir", str(folder), "--no-token", before=IMPATIENT)
    yield made
    made.end()
    assert made.errors == ""


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident_mib(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def sockets(server: Server) -> int:
    count = 0
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += str(link.readlink()).startswith("socket:")
    return count


# --- who asks


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8765", "10.1.2.3:80", "x.localhost", "progress.example.com"],
)
def test_a_name_of_this_server_is_answered(server: Server, host: str) -> None:
    assert server.get("/api/boards", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example.com",
        "evil.example.com:8765",
        "localhost.evil.com",
        "127.0.0.1.evil.com",
        "localhost@evil.com",
        "evil.com/localhost",
        "[::1",
        "",
        "a b",
        "0x7f.1",
        "progress.example.com.evil.com",
    ],
)
def test_a_foreign_name_is_refused_because_it_may_have_been_rebound(server: Server, host: str) -> None:
    for path in ("/api/boards", "/", "/metrics", "/healthz"):
        answer = server.get(path, Host=host)
        assert answer.status in (400, 403), (path, answer)
        assert answer.json["code"] == "foreign-host"


@pytest.mark.parametrize(
    "origin", ["http://evil.example.com", "null", "http://localhost:1", "file://", "https://127.0.0.1.evil.com", "x"]
)
def test_a_page_of_another_origin_is_refused(server: Server, origin: str) -> None:
    answer = server.get("/api/boards", Origin=origin)
    assert (answer.status, answer.json["code"]) == (403, "foreign-origin")
    assert "access-control-allow-origin" not in answer.headers


def test_the_page_itself_is_no_other_origin(server: Server) -> None:
    assert server.get("/api/boards", Origin=f"http://127.0.0.1:{server.port}").status == 200
    assert server.get("/api/boards", Origin="https://progress.example.com", Host="progress.example.com").status == 200
    assert (
        server.get("/api/boards", Origin="https://progress.example.com", Host=f"127.0.0.1:{server.port}").status == 200
    )


def test_what_the_browser_says_of_the_request_counts(server: Server) -> None:
    for site in ("cross-site", "same-site"):
        assert server.get("/api/boards", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors").status == 403
        assert server.get("/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate").status == 200, "a link from elsewhere"
    assert server.get("/api/boards", Sec_Fetch_Site="same-origin", Sec_Fetch_Mode="cors").status == 200


def test_every_answer_tells_the_browser_to_be_strict(server: Server, guarded: Server) -> None:
    answers = [
        server.get("/"),
        server.get("/api/boards"),
        server.get("/nix"),
        server.get("/api/boards", Host="evil.com"),
        server.get("/", method="POST"),
        guarded.get("/"),
        guarded.get("/api/boards"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 404, 403, 405, 200, 401]
    for answer in answers:
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(server: Server, method: str) -> None:
    answer = server.get("/api/boards", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


def test_head_is_get_without_the_content(server: Server) -> None:
    for path in ("/api/boards", "/", "/metrics", "/api/events"):
        answer = server.get(path, method="HEAD")
        assert (answer.status, answer.body) == (200, b"")


# --- the token


def data_routes() -> list[str]:
    """Every route of the application that is not public, as it may be asked for."""
    from headway.dashboard import app

    guard: Any = app.create_app(None, token=None, hosts=(), max_listeners=1, analysis=None)
    paths = [route.path.replace("{board}", "x").replace("{id:path}", "y") for route in guard.app.routes]
    return [path for path in paths if path not in ("/healthz", "/{path:path}")]


UNKNOWN_PATHS = [
    "/assets/x.js",
    "/static/index.html",
    "//",
    "/.",
    "/healthz/",
    "/healthz/..",
    "/x/../api/boards",
    "/nix",
]


def test_without_the_token_nothing_is_told(guarded: Server) -> None:
    paths = data_routes()
    assert {"/api/boards", "/api/events", "/metrics", "/api/boards/x/history"} <= set(paths)
    for path in (*paths, *UNKNOWN_PATHS):
        for method in ("GET", "HEAD"):
            answer = guarded.get(path, method=method)
            assert answer.status == 401, path
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert "set-cookie" not in answer.headers
        assert guarded.get(path).json["code"] == "token-required", path
    assert guarded.get(f"/api/boards?token={TOKEN}").status == 401, "it would stand in logs and histories"
    assert guarded.get("/healthz").json.keys() == {"now", "status"}
    assert guarded.get("/healthz", Headway_Token=TOKEN).json.keys() == {"now", "status", "boards", "listeners"}


def test_the_page_without_its_data_is_for_everybody(guarded: Server) -> None:
    page = guarded.get("/")
    assert page.status == 200
    for path in re.findall(r'(?:src|href)="\./([^"]+)"', page.body.decode()):
        assert guarded.get(f"/{path}").status == 200, path


@pytest.mark.parametrize(
    "given",
    ["Bearer wrong", f"Bearer {TOKEN}x", "Bearer ", "Basic x", "", f"Bearer {TOKEN.upper()}", "Bearer \xff\xfe", TOKEN],
)
def test_a_wrong_token_is_refused(guarded: Server, given: str) -> None:
    assert guarded.get("/api/boards", Authorization=given).status == 401
    assert guarded.get("/api/boards", Headway_Token=given.removesuffix(TOKEN) or "x").status == 401


def test_a_browser_shows_the_token_to_nobody_by_itself(guarded: Server) -> None:
    """A cookie would go to every port of this machine, also to that of another user."""
    for cookie in (f"headway={TOKEN}", f"Headway-Token={TOKEN}", f"token={TOKEN}"):
        assert guarded.get("/api/boards", Cookie=cookie).status == 401


def test_programs_show_the_token_in_a_header(guarded: Server) -> None:
    assert guarded.get("/api/boards", Authorization=f"Bearer {TOKEN}").status == 200
    assert guarded.get("/api/boards", Authorization=f"bearer  {TOKEN}").status == 200
    assert guarded.get("/api/boards", Headway_Token=TOKEN).status == 200
    assert guarded.get("/api/boards", Headway_Token=TOKEN, Authorization="Basic of-a-proxy").status == 200
    assert guarded.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])
def test_wherever_it_listens_it_asks_for_a_token_that_it_makes_up(folder: Path, host: str) -> None:
    server = Server("--dir", str(folder), "--host", host)
    try:
        assert server.token is not None
        assert len(server.token) >= 40
        answers = [ask(server.port, host, headers) for headers in ({}, {"Authorization": f"Bearer {server.token}"})]
        assert answers == [401, 200]
        assert all(link.endswith(f"/#token={server.token}") for link in server.links)
    finally:
        server.end()
    assert server.errors == ""


def ask(port: int, host: str, headers: dict[str, str]) -> int:
    """The status of an answer from a server that listens on this host."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(near, port, timeout=WAIT_S)
    with contextlib.closing(connection):
        connection.request("GET", "/api/boards", headers=headers)
        return connection.getresponse().status


def test_who_listens_everywhere_is_told_the_name_and_addresses_of_this_machine(folder: Path) -> None:
    server = Server("--dir", str(folder), "--host", "0.0.0.0")
    server.end()
    hosts = [urlsplit(link).hostname for link in server.links]
    assert hosts[0] == socket.gethostname().lower()
    assert not {"localhost", "127.0.0.1", "0.0.0.0"} & {*hosts}


def test_what_no_token_means_is_said(folder: Path) -> None:
    for host, who in (("127.0.0.1", "every user of this machine"), ("0.0.0.0", "everybody who can reach this machine")):
        server = Child([*SERVE, "--dir", str(folder), "--port", "0", "--host", host, "--no-token"])
        link = server.line()
        server.end()
        assert "token=" not in link
        assert who in server.errors


SERVE = [sys.executable, "-m", "headway", "serve"]
LOOK = """
import encodings.idna, http.client, os, pathlib, sys  # before its folder is closed
os.setgroups([]), os.setgid(54321), os.setuid(54321)
port, *paths = sys.argv[1:]
for path in paths:
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
    connection.request("GET", path)
    print(path, connection.getresponse().status)
seen = b""
for process in pathlib.Path("/proc").iterdir():
    for file in ("cmdline", "environ") if process.name.isdecimal() else ():
        try:
            seen += (process / file).read_bytes()
        except OSError:
            continue
for file in pathlib.Path("/tmp").glob("headway-*.html"):
    try:
        seen += file.read_bytes()
    except OSError:
        continue
print("token" if os.environ["SECRET"][::-1].encode() in seen else "nothing")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize("given", ["made up", "in the environment", "in a file"])
def test_another_user_of_this_machine_sees_no_board_and_no_token(folder: Path, tmp_path: Path, given: str) -> None:
    browser, file = tmp_path / "browser", tmp_path / "token"
    browser.write_text(f"#!/bin/sh\ntouch {tmp_path}/runs\nsleep 60\n")
    browser.chmod(0o700)
    file.touch(0o600)
    file.write_text(TOKEN)
    more = {"in the environment": {"HEADWAY_TOKEN": TOKEN}}.get(given, {})
    arguments = ("--token-file", str(file)) if given == "in a file" else ()
    server = Server("--dir", str(folder), "--open", *arguments, env={"BROWSER": str(browser), **more})
    try:
        eventually((tmp_path / "runs").exists)
        secret = server.token or TOKEN
        looked = subprocess.run(
            [sys.executable, "-I", "-c", LOOK, str(server.port), *data_routes()],
            env={"SECRET": secret[::-1]},
            capture_output=True,
            text=True,
            check=False,
            timeout=WAIT_S,
        )
    finally:
        server.end()
    assert looked.returncode == 0, looked.stderr
    assert looked.stdout.splitlines() == [*(f"{path} 401" for path in data_routes()), "nothing"]


# --- how it is asked


def test_a_url_of_a_megabyte_is_refused(server: Server) -> None:
    for path in (b"/" + b"a" * (1 << 20), b"/?token=" + b"a" * (1 << 20), b"/api/boards/" + b"%2e" * 5000):
        answer = server.raw(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert re.match(rb"HTTP/1.1 4(00|14|31) ", answer) or answer == b"", answer[:100]
    answer = server.raw(b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"url-too-long" in answer
    assert server.is_well()


def test_headers_of_a_megabyte_are_refused(server: Server) -> None:
    for head in (b"X: " + b"a" * (1 << 20) + b"\r\n", b"X: y\r\n" * 50_000, b"Cookie: " + b"a=b; " * 100_000 + b"\r\n"):
        answer = server.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + head + b"\r\n")
        assert re.match(rb"HTTP/1.1 4(00|31) ", answer) or answer == b"", answer[:100]
    assert server.get("/api/boards", X="a" * 20_000).json["code"] == "headers-too-large"
    assert server.is_well()


def test_a_body_is_refused_before_it_is_read(server: Server) -> None:
    head = b"GET /api/boards HTTP/1.1\r\nHost: localhost\r\n"
    for more in (b"Content-Length: 1000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n"):
        answer = server.raw(head + more)
        assert answer.startswith(b"HTTP/1.1 413 "), answer
        assert b"body-refused" in answer


def test_what_is_no_request_is_refused(server: Server) -> None:
    for request in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n\r\n",
        b"GET http://evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n" + WEBSOCKET,
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n",
    ):
        answer = server.raw(request + b"\r\n", timeout_s=15)
        assert re.match(rb"HTTP/1\.[01] (200|400|403|404|405|505)", answer) or answer == b"", (request, answer[:80])
        assert b"Traceback" not in answer
    assert server.is_well()


PARTS = st.sampled_from(
    [
        b"GET ",
        b"HEAD ",
        b"/",
        b"/api/boards",
        b"/api/events",
        b"?board=",
        b"%",
        b"%00",
        b"..",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b"Host: localhost",
        b"Host: ",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b": ",
        b"\0",
        b'Cookie: a="b',
        b"Last-Event-ID: ",
        b"Connection: close",
        b"Expect: 100-continue",
        b"Range: bytes=0-",
        b"\xc3\x28",
    ]
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PARTS | st.binary(max_size=20), max_size=20), whole=st.booleans())
def test_bytes_of_whatever_kind_leave_the_server_well(server: Server, pieces: list[bytes], whole: bool) -> None:
    head = b"GET /api/boards HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" if whole else b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(head + b"".join(pieces) + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        client.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            answer = client.recv(1 << 16)
            assert answer == b"" or answer.startswith(b"HTTP/1."), answer
            assert b"Traceback" not in answer
            assert not answer.startswith(b"HTTP/1.1 500"), answer
    assert server.is_well()


# --- clients that take their time


def test_who_says_nothing_or_half_a_request_is_cut_off(impatient: Server) -> None:
    for beginning in (b"", b"GET / HTTP/1.1\r\nHost: loc"):
        with socket.create_connection(("127.0.0.1", impatient.port), timeout=WAIT_S) as client:
            client.sendall(beginning)
            assert drain(client) == b""


def test_who_sends_a_byte_now_and_then_is_cut_off_too(impatient: Server) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=10) as client:

        def is_cut_off() -> bool:
            try:
                client.sendall(b"G")
            except ConnectionError:
                return True
            return False

        eventually(is_cut_off)
    assert impatient.is_well()


def test_a_second_request_has_to_be_whole_in_time_too(impatient: Server) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), timeout=WAIT_S) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: lo")
        drain(client)  # TimeoutError where nobody cuts it off


def sleepy(server: Server, path: str) -> socket.socket:
    """A client that asks, and takes as good as nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(15)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


@pytest.mark.slow
def test_who_takes_no_byte_of_an_answer_is_cut_off(
    impatient: Server, folder: Path, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_DIR", str(folder))
    board = open_board(board_name, capacity=3000)
    for number in range(3000):
        board.task(f"t{number}", label="x" * 90)
    board.write_snapshot()
    before = sockets(impatient)
    clients = [
        sleepy(impatient, path)
        for path in (f"/api/boards/{board_name}", f"/api/events?board={board_name}")
        for _ in range(5)
    ]
    try:
        eventually(lambda: sockets(impatient) >= before + 10)
        eventually(lambda: sockets(impatient) <= before)
        assert impatient.is_well()
    finally:
        for client in clients:
            client.close()
        board.remove(files=True)


@pytest.mark.slow
def test_a_slow_listener_gets_fewer_and_larger_patches(
    server: Server, folder: Path, board_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADWAY_DIR", str(folder))
    board = open_board(board_name, capacity=1500)
    tasks = [board.task(f"t{number}") for number in range(1500)]
    for task in tasks:
        task.update()
    board.write_snapshot()
    quick, sequence = Mirror(), 0
    slow = sleepy(server, f"/api/events?board={board_name}")
    try:
        with server.stream(board_name) as stream:
            stream.until(quick, lambda seen: len(seen.rows) == 1500)
            for _ in range(12):
                for task in tasks:
                    task.message = f"{time.monotonic()} {'x' * 100}"
                sequence = snapshot.read(board.write_snapshot()).sequence
                while quick.sequence < sequence:
                    stream.until(quick, lambda seen: seen.patches > 0)
        assert quick.patches >= 10
        text = b""
        while b'"sequence":%d,' % sequence not in text[-(1 << 20) :] or not text.endswith(b"\n\n\r\n"):
            text += slow.recv(1 << 16)
        assert text.count(b"event: board\n") < quick.patches
    finally:
        slow.close()
        board.remove(files=True)


# --- many clients


@pytest.mark.slow
def test_of_a_thousand_connections_that_say_nothing_none_keeps_others_out(
    server: Server, many_descriptors: None
) -> None:
    clients = []
    try:
        for _ in range(1000):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
            clients.append(client)
        assert server.get("/api/boards").status == 200
        assert sockets(server) < 600
        with server.stream() as stream:
            assert next(iter(stream)).kind == "boards"
    finally:
        for client in clients:
            client.close()
    assert server.is_well()


@pytest.mark.slow
def test_of_a_thousand_listeners_as_many_as_allowed_are_served(folder: Path, many_descriptors: None) -> None:
    server = Server("--dir", str(folder), "--no-token")
    clients, statuses = [], []
    try:
        before = resident_mib(server)
        for _ in range(1000):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            client.sendall(LISTEN)
            clients.append(client)
            if len(clients) % 50 == 0:  # the answers of the last ones, so that all were really served
                statuses += [answer_of(one) for one in clients[-50:]]
        assert statuses.count(200) == 200
        assert set(statuses) <= {200, 503, 0}
        assert server.get("/healthz").json["listeners"] == 200
        assert resident_mib(server) - before < 100
    finally:
        for client in clients:
            client.close()
        eventually(lambda: server.get("/healthz").json["listeners"] == 0)
        server.end()


def test_of_listeners_who_come_at_once_as_many_as_allowed_are_served(folder: Path) -> None:
    server = Server("--dir", str(folder), "--no-token")
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(300)]
    try:
        for client in clients:
            client.sendall(LISTEN)
        statuses = [answer_of(client) for client in clients]
        assert (statuses.count(200), statuses.count(503)) == (200, 100)
        assert server.get("/healthz").json["listeners"] == 200
        for client in clients:
            client.close()
        eventually(lambda: server.get("/healthz").json["listeners"] == 0)
    finally:
        for client in clients:
            client.close()
        server.end()


LISTEN = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"


def answer_of(client: socket.socket) -> int:
    """The status of an answer; 0 if the connection was closed."""
    with contextlib.suppress(ConnectionError):
        head = client.recv(1024)
        return int(head.split(b" ")[1]) if head else 0
    return 0


def test_too_many_listeners_are_told_when_to_come_back(folder: Path) -> None:
    few = (
        "import headway.dashboard as d\nmake = d.create_app\n"
        "d.create_app = lambda *a, **k: make(*a, **{**k, 'max_listeners': 2})"
    )
    server = Server("--dir", str(folder), before=few)
    try:
        with server.stream() as one, server.stream() as two:
            next(iter(one)), next(iter(two))
            answer = server.get("/api/events")
            assert (answer.status, answer.json["code"]) == (503, "too-many-listeners")
            assert int(answer.headers["retry-after"]) > 0
        eventually(lambda: server.get("/healthz").json["listeners"] < 2)
        with server.stream() as three:
            assert next(iter(three)).kind == "boards"
    finally:
        server.end()


def test_a_broken_stream_leaves_nothing_behind(server: Server) -> None:
    before = sockets(server)
    for _ in range(30):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/api/events?board=nix")
        connection.getresponse().read1(100)
        connection.close()
    eventually(lambda: server.get("/healthz").json["listeners"] == 0)
    eventually(lambda: sockets(server) <= before)


def test_it_ends_though_listeners_are_connected(folder: Path) -> None:
    server = Server("--dir", str(folder))
    with server.stream() as stream:
        next(iter(stream))
        status: Any = server.end()  # waits for it, but not for ever
    assert status == -15
    assert server.errors == ""
