"""A dashboard's server in a process of its own, a client of it that knows docs/http.md, and a board at work."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

WAIT_S = 30.0
AT_WORK = Path(__file__).with_name("board_at_work.py")


class Answer(NamedTuple):
    """An answer to a request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Child:
    """A process that says something in lines, and ends by SIGTERM at the latest."""

    def __init__(self, command: list[str], env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "always", **(env or {})},
            start_new_session=True,
        )
        self.errors = ""

    def line(self) -> str:
        """The next line it says."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], WAIT_S)
        text = self.process.stdout.readline() if ready else ""
        if not text:
            self.end()
            raise AssertionError(f"{self.process.args!r} said nothing; its errors: {self.errors}")
        return text.rstrip("\n")

    def say(self, text: str) -> str:
        """Tell it something; returns its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        return self.line()

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it, and all that it started. Returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(WAIT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.errors += self.process.communicate(timeout=WAIT_S)[1]
        return self.process.returncode


class Client:
    """Asks what is on a port of this machine."""

    port: int
    prefix = ""
    token: str | None = None  # shown with each request that shows no other one

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """Ask for a path; `_` in the names of headers stands for `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.request(method, self.prefix + path, headers=self.shown(headers))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def shown(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request, and the token."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return {"Headway-Token": self.token, **named} if self.token is not None else named

    def board(self, name: str) -> dict[str, Any]:
        """The whole board."""
        answer = self.get(f"/api/boards/{name}")
        assert answer.status == 200, answer
        whole: dict[str, Any] = answer.json
        return whole

    def raw(self, request: bytes, *, timeout_s: float = WAIT_S, limit: int = 1 << 20) -> bytes:
        """Send bytes, and read what comes until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as client:
            with contextlib.suppress(ConnectionError):  # refused before all was sent
                client.sendall(request)
            return drain(client, limit)

    def stream(self, board: str | None = None, last_id: str = "", **headers: str) -> Stream:
        """Listen."""
        return Stream(self, board, last_id, headers)


class Server(Child, Client):
    """`headway serve` on a free port of 127.0.0.1. before: Python code to run first, to shorten its patience, say.

    Requests show the token that it made up, if it did.
    """

    def __init__(self, *arguments: str, before: str = "", env: Mapping[str, str] | None = None) -> None:
        code = f"import sys\n{before}\nfrom headway.cli.main import main\nsys.exit(main())"
        super().__init__([sys.executable, "-c", code, "serve", "--port", "0", "--json", *arguments], env)
        told = json.loads(self.line())
        self.url: str = told["url"]
        self.token = told["token"]
        self.links: list[str] = told["links"]
        self.port = urlsplit(self.links[-1]).port or 80  # its own address; the first one may be that of a proxy

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it. What it says about --no-token is not counted among its errors."""
        status = super().end(number)
        self.errors = re.sub(r"^headway: no token is asked for: .*\n", "", self.errors)
        return status

    def is_well(self) -> bool:
        """Does it still answer?"""
        return self.process.poll() is None and self.get("/healthz").json["status"] == "ok"


def drain(client: socket.socket, limit: int = 1 << 20) -> bytes:
    """What comes until the connection is closed."""
    pieces = b""
    with contextlib.suppress(ConnectionError):
        while len(pieces) < limit and (piece := client.recv(1 << 16)):
            pieces += piece
    return pieces


class Event(NamedTuple):
    """A server-sent event."""

    kind: str
    data: dict[str, Any]
    id: str


class Stream:
    """A listener: iterates over events as they come."""

    def __init__(self, server: Client, board: str | None, last_id: str, headers: Mapping[str, str]) -> None:
        path = f"{server.prefix}/api/events" + (f"?board={quote(board, safe='')}" if board is not None else "")
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
        named = {**headers, **({"Last-Event-ID": last_id} if last_id else {})}
        self._connection.request("GET", path, headers=server.shown(named))
        self.response = self._connection.getresponse()
        self.last_id = last_id

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()
        self._connection.close()

    def __iter__(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        while line := self.response.readline():
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            if name:
                fields[name] = value
                continue
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                yield Event(fields.get("event", "message"), json.loads(fields["data"]), self.last_id)
            fields = {}

    def until(self, mirror: Mirror, done: Callable[[Mirror], bool]) -> Event:
        """Follow the events until the mirror shows something; returns the event that did it."""
        deadline = time.monotonic() + WAIT_S
        for event in self:
            mirror.apply(event)
            if done(mirror):
                return event
            assert time.monotonic() < deadline, f"not seen: {mirror}"
        raise AssertionError(f"the stream ended: {mirror}")


@dataclass
class Mirror:
    """What a page knows, by the rules of docs/http.md and nothing else."""

    boards: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    workers: dict[int, dict[str, Any]] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    rev: int | None = None
    unlisted: dict[str, Any] | None = None
    wholes: int = 0
    patches: int = 0
    removals: int = 0

    @property
    def sequence(self) -> int:
        """Of the snapshot that it shows; 0 for none."""
        return self.summary["sequence"] or 0 if self.summary else 0

    def apply(self, event: Event) -> None:
        data = event.data
        if event.kind == "boards":
            if data["whole"]:
                self.boards = {}
            for name in data["removed"]:
                self.boards.pop(name, None)
            self.boards |= {summary["name"]: summary for summary in data["boards"]}
            self.unlisted = data["error"]
        elif event.kind == "board":
            self._apply_board(data)

    def _apply_board(self, data: dict[str, Any]) -> None:
        if data["whole"]:
            assert data["from"] is None
            self.rows, self.workers = {}, {}
            self.wholes += 1
        else:
            assert data["from"] == self.rev
            self.patches += 1
        self.rev, self.summary = data["rev"], data["summary"]
        for serial in data["removed"]:
            self.removals += self.rows.pop(serial, None) is not None
        self.rows |= {row["serial"]: row for row in data["tasks"]}
        moved = data["moved"]
        columns = zip(moved["serial"], moved["count"], moved["rate"], moved["beat"], strict=True)
        for serial, count, rate, beat in columns:
            self.rows[serial] = {**self.rows[serial], "count": count, "rate": rate, "beat": beat}
        for incarnation in data["workers_removed"]:
            self.workers.pop(incarnation, None)
        self.workers |= {worker["incarnation"]: worker for worker in data["workers"]}

    def shows(self, whole: dict[str, Any]) -> None:
        """Fails unless it is what a request for the whole board gave."""
        assert self.summary == whole["summary"]
        assert [self.rows[serial] for serial in sorted(self.rows)] == whole["tasks"]
        assert sorted(self.workers) == sorted(worker["incarnation"] for worker in whole["workers"])
        assert [self.workers[worker["incarnation"]] for worker in whole["workers"]] == whole["workers"]


class AtWork(Child):
    """A pool of processes at work on a board, whose snapshots are written four times a second; see board_at_work.py."""

    def __init__(self, board: str, **options: float) -> None:
        arguments = [f"--{name.replace('_', '-')}={value:g}" for name, value in options.items()]
        super().__init__([sys.executable, str(AT_WORK), board, *arguments])
        assert self.line() == "working"

    def freeze(self) -> int:
        """Have all workers stop; returns the sequence number of a snapshot that was written after that."""
        return int(self.say("freeze"))

    def go_on(self) -> None:
        assert self.say("go") == "working"

    def kill_one(self) -> int:
        """Kill one worker; returns its pid."""
        return int(self.say("kill"))


def eventually(look: Callable[[], Any], *, within_s: float = WAIT_S) -> Any:
    """What `look` gives as soon as that is true."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {look}"
        time.sleep(0.05)
    return found
