"""All peers in one run: what an update costs, and a job; who sees it, how soon; what is left after a kill, and an end.

The two that are times of the writer go in rounds, every peer in its turn in each, in an order that moves on. A peer
that does not answer in time is killed with all that it started, and the table says so; it is not asked that again.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contest import turns
from benchmarks.peers import PEERS, Cannot, Peer
from benchmarks.peers.host import Host, versions
from benchmarks.peers.stores import name_of
from benchmarks.peers.workers import Killed, Late
from benchmarks.work import calibrate

__all__ = ["ITEM_S", "Found", "Peers", "compare", "load", "outlived", "save"]

COST_ROUNDS, JOB_ROUNDS, SAMPLES, KILLS = 9, 7, 20, 5
QUICK_ROUNDS, QUICK_SAMPLES, QUICK_KILLS = 2, 5, 2
ITEM_S, ITEMS = 1e-4, 500  # of the job
LIMIT_S = 300.0  # after that no further round is begun
END_S = 15.0
SETTLE_S = 1.0  # what outlives a program may need a moment to notice that it is over
AT_ONCE = 6


@dataclass
class Found:
    """What was measured of one peer; what was not is None or empty, and `why` says why: of cost, job, late, kill, ends,
    killed."""

    title: str
    how: str
    versions: str = ""
    cost: list[float] = field(default_factory=list)  # seconds of one update, a round each
    job: list[float] = field(default_factory=list)  # more CPU, of each worker in each round
    late: Late | None = None
    kill: Killed | None = None
    ends: int | None = None  # updates that can be read after the program ended, of UPDATES
    killed: int | None = None  # after it was killed
    why: dict[str, str] = field(default_factory=dict)


@dataclass
class Peers:
    """All of them, and on what they were measured."""

    machine: str
    taken: str
    seconds: float
    peers: list[Found]


def compare(machine: str, say: Callable[[str], None], *, quick: bool = False, only: Sequence[str] = ()) -> Peers:
    """Measure all peers, or those that are named; quick: in fewer rounds."""
    began = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix="headway-peers-", dir=os.environ.get("HEADWAY_BENCH_DIR")))
    found = {title: Found(title, PEERS[title].how) for title in only or PEERS}
    times = max(1, round(calibrate() * ITEM_S / 1e-3))
    with contextlib.ExitStack() as stack:
        stack.callback(_clear, base)
        hosts = {}
        for number, one in enumerate(found.values()):
            place = base / str(number)
            place.mkdir()
            try:
                one.versions = versions(PEERS[one.title])
                stack.enter_context(PEERS[one.title].service(place))
            except Cannot as why:
                one.why = dict.fromkeys(("cost", "job", "late", "kill", "ends", "killed"), f"cannot: {why}")
                continue
            hosts[one.title] = Host(PEERS[one.title], place)
            stack.callback(hosts[one.title].end)

        def ask(title: str, measure: str, *args: object) -> Any:
            one = found[title]
            if measure in one.why:
                return None
            answer, why = hosts[title].ask(measure, *args)
            if why:
                one.why[measure] = why
                say(f"{title}: {measure}: {why}")
            return answer

        say("what an update costs")
        for title in _bounded(turns(list(hosts), QUICK_ROUNDS if quick else COST_ROUNDS), began):
            if (seconds := ask(title, "cost")) is not None:
                found[title].cost.append(float(seconds))
        say("what a job costs")
        for title in _bounded(turns(list(hosts), QUICK_ROUNDS if quick else JOB_ROUNDS), began):
            found[title].job += ask(title, "job", times, ITEMS) or []
        say("who sees an update, and how soon")
        for title in hosts:
            found[title].late = ask(title, "late", QUICK_SAMPLES if quick else SAMPLES)
        say("what is left when a writer is killed")
        for title in hosts:
            found[title].kill = ask(title, "kill", QUICK_KILLS if quick else KILLS)
            hosts[title].end()
        say("what is left when its program ends, or is killed")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            cases = [(title, killed) for title in hosts for killed in (False, True)]
            left = pool.map(lambda case: outlived(PEERS[case[0]], base, killed=case[1]), cases)
            for (title, killed), (count, reason) in zip(cases, left, strict=True):
                one, name = found[title], "killed" if killed else "ends"
                setattr(one, name, count)
                if reason:
                    one.why[name] = reason
    return Peers(machine, time.strftime("%Y-%m-%d"), time.monotonic() - began, list(found.values()))


def _bounded(titles: Iterator[str], began: float) -> Iterator[str]:
    for title in titles:
        if time.monotonic() - began > LIMIT_S:
            return
        yield title


def outlived(peer: type[Peer], base: Path, *, killed: bool) -> tuple[int | None, str]:
    """The updates that another process reads after the program of a peer has ended or was killed; else why none."""
    place = Path(tempfile.mkdtemp(prefix="", dir=base))
    command = [sys.executable, "-m", "benchmarks.peers.program", peer.title, str(place)]
    with peer.service(place):
        program = subprocess.Popen(
            [*command, "run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            ready, _, _ = select.select([program.stdout], [], [], 2 * END_S)
            said = program.stdout.readline().strip() if ready else "hung: it did not count to its end"
            if said != "done":
                return None, said or "failed: its program died of it"
            if killed:
                program.kill()
            else:
                program.stdin.close()
            try:
                program.wait(END_S)
            except subprocess.TimeoutExpired:
                return None, f"hung: its program did not end in {END_S:g} s"
            time.sleep(SETTLE_S)
            return _read(command)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.stdout.close()
            with contextlib.suppress(OSError):
                program.stdin.close()
            program.wait()


def _read(command: list[str]) -> tuple[int | None, str]:
    try:
        read = subprocess.run(
            [*command, "read"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=END_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None, f"hung: nothing was read in {END_S:g} s"
    if read.returncode:
        return 0, f"nothing: {(read.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    said = read.stdout.strip()
    return (int(said), "") if said.isdigit() else (None, said)


def _clear(base: Path) -> None:
    """Remove the directories of all, and what a killed program left in shared memory under their names."""
    for left in Path("/dev/shm").glob(f"*{name_of(base)}*"):
        left.unlink(missing_ok=True)
    shutil.rmtree(base, ignore_errors=True)  # a recorder may be about to leave it


# ----------------------------------------------------------------------------------------------------------- results


def save(found: Peers, path: Path) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found), indent=1))


def load(path: Path) -> Peers:
    """What save() wrote. Raises OSError, ValueError for what is none."""
    try:
        values: dict[str, Any] = json.loads(path.read_text())
        return Peers(**{**values, "peers": [_found(**one) for one in values["peers"]]})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} holds no comparison of peers ({error!r}): run ci/bench --peers") from None


def _found(late: dict[str, Any] | None, kill: dict[str, Any] | None, **values: Any) -> Found:
    return Found(late=Late(**late) if late else None, kill=Killed(**kill) if kill else None, **values)
