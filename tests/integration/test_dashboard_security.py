"""What the dashboard's server refuses, and that nothing that a client does or leaves undone brings it down."""

from __future__ import annotations

import contextlib
import http.client
import re
import resource
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headway.engine.board import open_board
from headway.files import snapshot
from tests.integration.dashboard import WAIT_S, Mirror, Server, drain, eventually

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
    made = Server("--dir", str(folder), "--allow-host", "progress.example.com")
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
    made = Server("--dir", str(folder), before=IMPATIENT)
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
    assert [answer.status for answer in answers] == [200, 200, 404, 403, 405, 401, 401]
    for answer in answers:
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
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


def test_without_the_token_nothing_is_told(guarded: Server) -> None:
    for path in (
        "/api/boards",
        "/api/events",
        "/metrics",
        "/openapi.json",
        "/assets/x.js",
        "/api/boards/x/tasks/y",
        "//",
        "/.",
        "/healthz/",
    ):
        answer = guarded.get(path)
        assert (answer.status, answer.json["code"]) == (401, "token-required"), path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert guarded.get(f"/api/boards?token={TOKEN}").status == 401, "it would stand in logs and histories"
    assert guarded.get("/healthz").json.keys() == {"now", "status", "boards", "listeners"}


@pytest.mark.parametrize(
    "given",
    ["Bearer wrong", f"Bearer {TOKEN}x", "Bearer ", "Basic x", "", f"Bearer {TOKEN.upper()}", "Bearer \xff\xfe"],
)
def test_a_wrong_token_is_refused(guarded: Server, given: str) -> None:
    assert guarded.get("/api/boards", Authorization=given).status == 401
    assert guarded.get("/api/boards", Cookie=f"headway-00000000={TOKEN}; x").status == 401


def test_programs_show_the_token_in_a_header(guarded: Server) -> None:
    assert guarded.get("/api/boards", Authorization=f"Bearer {TOKEN}").status == 200
    assert guarded.get("/api/boards", Authorization=f"bearer  {TOKEN}").status == 200


def test_people_open_an_address_with_the_token_once(guarded: Server) -> None:
    answer = guarded.get(f"/?token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, "./")
    cookie = answer.headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict"} <= parts
    assert not any(part.startswith(("path", "domain")) for part in parts), "the folder it came from, prefix and all"
    assert TOKEN not in cookie
    for path in ("/", "/api/boards", "/metrics"):
        assert guarded.get(path, Cookie=cookie.split(";")[0]).status == 200
    assert "secure" not in parts
    behind_tls = guarded.get(f"/?token={TOKEN}", X_Forwarded_Proto="https")
    assert "secure" in behind_tls.headers["set-cookie"].lower()


def test_the_question_for_the_token_repeats_nothing_that_was_sent(guarded: Server) -> None:
    for query in ("", "?token=%3Cscript%3Ealert(1)%3C/script%3E", f"?token={TOKEN}&token={TOKEN}", "?token="):
        answer = guarded.get(f"/{query}")
        assert answer.status == 401
        assert b"<form" in answer.body
        assert b"script" not in answer.body
        assert "set-cookie" not in answer.headers


def test_reached_from_elsewhere_it_makes_up_a_token_of_its_own(folder: Path) -> None:
    server = Server("--dir", str(folder), "--host", "0.0.0.0")
    try:
        assert server.token is not None
        assert len(server.token) >= 40
        assert server.get("/api/boards").status == 401
        assert server.get("/api/boards", Authorization=f"Bearer {server.token}").status == 200
    finally:
        server.end()


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
    server = Server("--dir", str(folder))
    request = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
    clients, statuses = [], []
    try:
        before = resident_mib(server)
        for _ in range(1000):
            client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
            client.sendall(request)
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
