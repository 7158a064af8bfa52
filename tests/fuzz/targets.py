"""What is fuzzed in Python: each target takes one input of bytes, and raises for whatever is not as promised.

A target is made in a folder of its own. Inputs begin with a byte that says how the rest is meant: as the whole of a
file, or as changes to a sound one, so that what lies behind checksums is reached, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from headway import errors
from headway.analysis import FileBasedProgressTracker
from headway.cli import main as cli
from headway.dashboard import create_app
from headway.engine import restore, segments
from headway.engine.board import open_board
from headway.files import changes, history, npz, snapshot
from headway.files.members import VERSION
from headway.native import core
from headway.native.changes import Base
from headway.native.records import RECORD_BYTES

__all__ = ["TARGETS", "Target"]

Target = Callable[[bytes], None]
STORED = Path(__file__).resolve().parents[1] / "data" / "upgrade"
NEWEST = f"snapshot-{VERSION}.npz"


# ------------------------------------------------------------------------------------------------------------ snapshots


def _members(path: Path, names: tuple[str, ...] = snapshot.MEMBERS) -> list[tuple[str, bytearray]]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return [(name, bytearray(content)) for name, content in npz.unpack(descriptor, names).items()]
    finally:
        os.close(descriptor)


def _edited(members: list[tuple[str, bytearray]], edits: bytes) -> None:
    """Changes of 5 bytes: which member, where (two bytes), whether to put, cut or insert, and what."""
    for at in range(0, len(edits) - 4, 5):
        which, high, low, how, what = edits[at : at + 5]
        content = members[which % len(members)][1]
        place = (high << 8 | low) % (len(content) + 1)
        if how % 8 < 6:
            content[place : place + 1] = bytes([what])
        elif how % 8 == 6:
            del content[place : place + 1 + what]
        else:
            content[place:place] = bytes([what]) * (1 + how // 8)


def snapshots(folder: Path) -> Target:
    """snapshot.npz, changes.npz and results.npz: read, used as a view, and restored from, or a typed error."""
    for name in ("", ".prev"):
        (folder / f"snapshot{name}.npz").touch()
    before = tuple(name for name in snapshot.MEMBERS if name != "durations.npy")
    older, newer = _members(STORED / "snapshot-1.npz", before), _members(STORED / NEWEST)
    board = open_board("fuzzed", capacity=8, workers=4, result_bytes=64)
    board.task("a").result = {"b": 1}
    board.task("c")
    raw = board._copy()
    board._write(raw, sync=False, interval_s=0.25)
    snapshot.write_results(raw, board.directory)
    apart = (board.directory / snapshot.SNAPSHOT).read_bytes(), (board.directory / snapshot.RESULTS).read_bytes()
    board.task("d").result = {"e": 2}
    now, on = board._copy(), (snapshot.SNAPSHOT, board._segment.sequence)
    runs, _ = Base(raw.tasks, raw.shares).runs(now.tasks, now.shares)
    changes.write(now, runs, on, changes.results_in(now, runs), board.directory, sync=False)
    changed = _members(board.directory / changes.CHANGES, changes.MEMBERS)
    board.remove(files=True)

    def target(data: bytes) -> None:
        how, rest = data[:1], data[1:]
        (folder / snapshot.PREVIOUS).unlink(missing_ok=True)
        (folder / snapshot.RESULTS).unlink(missing_ok=True)
        (folder / changes.CHANGES).unlink(missing_ok=True)
        content = rest
        if how in (b"\1", b"\2", b"\3"):
            members = [(name, bytearray(one)) for name, one in (older if how == b"\1" else newer)]
            if how == b"\3":
                members[rest[0] % len(members) if rest else 0][1][:] = rest[1:]
            else:
                _edited(members, rest)
            content = b"".join(npz.pack([(name, [bytes(one)]) for name, one in members]))
        elif how == b"\6":
            members = [(name, bytearray(one)) for name, one in changed]
            _edited(members, rest)
            (folder / changes.CHANGES).write_bytes(b"".join(npz.pack([(name, [bytes(one)]) for name, one in members])))
            content = apart[0]
        elif how in (b"\4", b"\5"):
            whole = bytearray(apart[how == b"\5"])
            _edited([("", whole)], rest)
            content = apart[0] if how == b"\5" else bytes(whole)
            (folder / snapshot.RESULTS).write_bytes(bytes(whole) if how == b"\5" else apart[1])
        (folder / snapshot.SNAPSHOT).write_bytes(content)
        try:
            view = snapshot.read(folder)
            str(view.to_dict()), view.array, view.workers, repr(view)
            for task in view.tasks:
                json.dumps(task.to_dict(), default=str)
                str((task, task.result, task.fraction, task.eta, task.stalled))
        except errors.HeadwayError:
            pass
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            segment, directory, _ = segments.open_or_create(
                "restored",
                capacity=4,
                workers=2,
                result_bytes=32,
                fill=lambda segment, _: restore.restore(segment, folder),
            )
        try:
            for index in range(4):
                segment.copy_task(index, 1)
            assert len(segment.copy()[1]) % RECORD_BYTES["tasks"] == 0
        finally:
            segments.unlink(directory, segment)
            segment.close()
            for path in folder.glob("*.damaged-*"):
                path.unlink()

    return target


# ------------------------------------------------------------------------------------------------------------ histories


def histories(folder: Path) -> Target:
    """history.sqlite3: read, checked and written to, or a typed error; what is damaged is moved aside."""
    sound = [gzip.decompress(path.read_bytes()) for path in sorted(STORED.glob("history-*.gz"))]
    view = snapshot.read(STORED / NEWEST)
    ended = [number for number, task in enumerate(view.tasks) if task.final]
    names = [row[1] for row in _rows(folder, sound[-1], "PRAGMA table_info(runs)")]
    count = 0

    def target(data: bytes) -> None:
        nonlocal count
        how, rest = data[:1], data[1:]
        count += 1
        place = folder / f"{count % 4}"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        path = place / history.HISTORY
        content = bytearray(sound[(how or b"\0")[0] % len(sound)])
        if how < b"\x40":
            content[:] = rest
        elif how < b"\xa0":
            _edited([("", content)], rest)
        path.write_bytes(bytes(content))
        if how >= b"\xa0" and len(rest) > 2:
            value: Any = (
                rest[2:].decode("utf-8", "replace"),
                rest[2:],
                int.from_bytes(rest[2:10], "little", signed=True),
            )[rest[1] % 3]
            with contextlib.suppress(sqlite3.Error):
                _rows(folder, bytes(content), f"UPDATE runs SET {names[rest[0] % len(names)]} = ?", (value,), path)
        with contextlib.suppress(errors.HeadwayError):
            for past in history.read(place):
                json.dumps(past.to_dict(), default=str)
        with warnings.catch_warnings(), history.Writer(place) as writer:
            warnings.simplefilter("ignore", RuntimeWarning)
            with contextlib.suppress(errors.HeadwayError):
                writer.check()
                writer.add(view.raw, ended)
        with contextlib.suppress(errors.LayoutMismatch):  # a newer version's is left as it is
            assert history.read(place) is not None  # what a writer has left can be read

    return target


def _rows(
    folder: Path, content: bytes, statement: str, values: tuple[Any, ...] = (), path: Path | None = None
) -> list[Any]:
    path = path or folder / "scratch.sqlite3"
    path.write_bytes(content)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()


# ------------------------------------------------------------------------------------------------------------------ ids


def ids(folder: Path) -> Target:
    """Ids, labels, units, stages and names: taken as they are, or refused; in file names they stay in their folder."""
    board = open_board("ids", capacity=512, workers=2, result_bytes=64)
    tracker = FileBasedProgressTracker(folder)
    around = {path.name for path in folder.parent.iterdir()}

    def target(data: bytes) -> None:
        text = data.decode("utf-8", "surrogatepass") if _is_text(data) else data.decode("latin-1")
        try:
            task = board.task(text, label=text, unit=text)
        except ValueError:
            assert (
                not 0 < len(text.encode("utf-8", "replace")) < 96 or "\0" in text or not _is_text(data) or _lone(text)
            )
        else:
            assert task.id == text
            view = board.get(text)
            assert view is not None
            assert view.id == text
            task.set(stage=text, message=text)
            task.succeed(text)
            found = board.get(text)
            assert found is not None
            assert found.message
            assert len(found.stage.encode()) < 48
            board._segment.free(*task._where, 2**63)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # an empty id is refused, and that is told
            tracker.start_analysis("symbol", text)
            progress = tracker.get_progress(text)
            assert (progress is None) == (not text)
            assert progress is None or _lone(text) or progress.execution_id == text
            tracker.cleanup_old(0)
        assert {path.name for path in folder.parent.iterdir()} == around

    return target


def _is_text(data: bytes) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        data.decode("utf-8", "surrogatepass")
        return True
    return False


def _lone(text: str) -> bool:
    return any(0xD800 <= ord(character) < 0xE000 for character in text)


# ------------------------------------------------------------------------------------------------------------ arguments

WORDS = re.findall(
    r"\S+",
    "ls show history export doctor gc rm report --help --version --json --format json csv npz table --task --state "
    "failed --limit 3 --hours 1 --check --dry-run --force --keep-files --once -o out.json out.npz out.html fuzzed a "
    "other - -- --jsn --limit=-1 --hours=nan --hours=inf 1e999",
)
# They end by themselves, and run nothing of others. Of any other command the options are parsed, nothing else: a word
# may be the name of a file, which `headway run` would run.
TRIED = {"ls", "show", "history", "export", "doctor", "gc", "rm", "report", "completion", ""}


def arguments(folder: Path) -> Target:
    """Command lines: one of the exit statuses that are documented, whatever the words."""
    commands = [*cli.COMMANDS]
    (folder / "here").mkdir()
    os.chdir(folder / "here")

    def target(data: bytes) -> None:
        if not (folder / "boards" / "fuzzed").exists():
            board = open_board("fuzzed", capacity=4, workers=2, result_bytes=64)
            board.task("a").update()
            board.write_snapshot()
            board.close()
        words = []
        for piece in data[1:].split(b"\n"):
            word = (
                WORDS[piece[0] % len(WORDS)] if len(piece) == 1 else piece.decode("utf-8", "replace").replace("\0", "")
            )
            words.append(word if word in WORDS else word.replace("/", "_").replace("..", "_"))
        command = commands[data[0] % len(commands)] if data else ""
        if command not in TRIED:
            words.insert(0, "--help")
        out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status: Any = cli.main([command, *words])
            except SystemExit as end:
                status = end.code
        assert status in (None, 0, 1, 2), f"{command} {words}: {status}"
        assert status or not err.getvalue().startswith("Traceback")
        assert not status or err.getvalue().strip(), f"{command} {words}: {status} without a word"

    return target


# ------------------------------------------------------------------------------------------------------------- requests


def requests(folder: Path) -> Target:
    """Requests to the dashboard: an answer that is no failure of the server, in time."""
    board = open_board("fuzzed", capacity=4, workers=2, result_bytes=64)
    board.task("a/b", total=3).update()
    board.write_snapshot()
    application = create_app(board.directory.parent, token=None, hosts=("fuzz.example.com",))
    loop = asyncio.new_event_loop()
    paths = (
        "/api/boards",
        "/api/boards/fuzzed",
        "/api/boards/fuzzed/tasks/a/b",
        "/api/boards/fuzzed/history",
        "/metrics",
    )
    more = ("/api/events", "/healthz", "/openapi.json", "/", "/api/analysis/recent", "/api/analysis/progress/a")

    def target(data: bytes) -> None:
        pieces = data[2:].split(b"\n")
        path = ((paths + more)[data[0] % 11] if data else "/").encode() + pieces[0]
        raw, _, query = path.partition(b"?")
        headers = [(b"host", b"localhost")] if not data[1:] or data[1] % 4 else []
        for piece in pieces[1:]:
            name, _, value = piece.partition(b":")
            headers.append((name.lower(), value))
        method = ("GET", "GET", "HEAD", "POST", "OPTIONS", "GET\0")[(data[1] if data[1:] else 0) // 4 % 6]
        scope: dict[str, Any] = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(raw.decode("latin-1")), "raw_path": raw, "query_string": query, "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "state": {},
        }  # fmt: skip
        status, body = loop.run_until_complete(asyncio.wait_for(_ask(application, scope), 10))
        assert 200 <= status < 500 or status == 503, f"{method} {path!r}: {status} {body[:200]!r}"
        assert b"Traceback" not in body
        if status == 200 and raw == b"/api/boards":
            json.loads(body or b"{}")

    return target


async def _ask(application: Any, scope: dict[str, Any]) -> tuple[int, bytes]:
    """Status and what came, up to the first pause of a stream that does not end."""
    answered, status, body = asyncio.Event(), 0, b""

    async def receive() -> dict[str, Any]:
        if not asked:
            asked.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body += message.get("body", b"")
            answered.set()

    asked: list[bool] = []
    await application(scope, receive, send)
    return status, body


# ---------------------------------------------------------------------------------------------------------------- all

TARGETS: dict[str, Callable[[Path], Target]] = {
    "snapshots": snapshots,
    "histories": histories,
    "ids": ids,
    "arguments": arguments,
    "requests": requests,
}


@contextlib.contextmanager
def prepared(name: str, folder: Path) -> Iterator[Target]:
    """A target in a folder; its boards go with it."""
    (folder / "work").mkdir()
    os.environ.update(HEADWAY_DIR=str(folder / "boards"), HEADWAY_RECORD="0", NO_COLOR="1")
    os.environ.pop("HEADWAY_BOARD", None)
    core.LOCK_SECONDS = 1.0
    try:
        yield TARGETS[name](folder / "work")
    finally:
        for left in sorted((folder / "boards").glob("*")) if (folder / "boards").is_dir() else []:
            with contextlib.suppress(errors.HeadwayError):
                open_board(left.name).remove(files=True)
