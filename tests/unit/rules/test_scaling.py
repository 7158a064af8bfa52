"""What docs/scaling.md says of many cores: the lines are those of the layout, and the simulator keeps its rules."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchmarks.scaling.coherence import Line, Machine

ROOT = Path(__file__).resolve().parents[3]
NATIVE = ROOT / "src" / "headway" / "native"
LAYOUT = ROOT / "src" / "headway" / "include" / "headway_layout.h"
ANEW = "run: python -m benchmarks.scaling.cores"
LIKE = 1e-6  # the same sums on another machine's libraries


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def chiplets() -> Machine:
    from benchmarks.scaling.cores import MACHINES

    return MACHINES[0]


# --------------------------------------------------------------------------------------------------------- the lines


@pytest.mark.parametrize("workers", [1, 8, 64, 512])
def test_the_lines_on_the_page_are_those_that_the_native_code_touches(workers: int) -> None:
    from benchmarks.scaling import cores, lines

    assert lines.counted(workers) == cores.load().touched[str(workers)], ANEW


def test_an_update_touches_one_line_of_the_segment() -> None:
    from benchmarks.scaling import lines

    for workers in (8, 9, 64):
        for operation in ("hw_add", "update"):
            found = lines.counted(workers)[operation]
            assert found.get("all write", 0) == 0
            assert found.get("own", 0) == 3, "the counter, the handle, the page of the identity"
            assert not any(found.get(kind, 0) for kind in ("read", "others write", "asks"))


def test_a_reader_touches_one_line_of_each_counter_and_writes_none() -> None:
    from benchmarks.scaling import lines

    for workers in (1, 3, 8, 9, 64):
        found = lines.counted(workers)
        assert [found[name].get("others write", 0) for name in ("count", "copy")] == [workers, workers]
        assert found["count"].get("read", 0) == 1 + lines.linked(workers)
        assert not any(found[name].get("all write", 0) for name in ("count", "copy"))


def test_the_numbers_of_the_model_are_those_of_the_code() -> None:
    from benchmarks.scaling import cores, lines

    sizes = dict(re.findall(r"#define (HW_\w+) (\d+)\b", LAYOUT.read_text()))
    assert cores.STRIPES == lines.INLINE == int(sizes["HW_STRIPES"])
    assert int(sizes["HW_BLOCK_STRIPES"]) == lines.BLOCK
    assert lines.INLINE + lines.BLOCK * int(sizes["HW_BLOCKS"]) >= lines.MOST_WORKERS
    assert int(sizes["HW_LINE"]) // 64 == lines.LINES_A_STRIPE
    (waits,) = re.findall(r"BIND_WAIT = ([\d_]+)", (NATIVE / "core.pyx").read_text())
    assert int(waits) == cores.BIND_WAIT_NS


# ----------------------------------------------------------------------------------------------------- the simulator


@pytest.mark.parametrize(("workers", "work_ns"), [(16, 100.0), (64, 1_000.0), (192, 10.0)])
def test_what_is_simulated_is_the_same_each_time_and_on_the_page(workers: int, work_ns: float) -> None:
    from benchmarks.scaling import cores, pair
    from benchmarks.scaling.coherence import Costs

    kept = cores.load()
    found = cores.crowded(chiplets(), workers, work_ns, Costs(pair.update_ns(kept.places)))
    (there,) = (
        one
        for one in kept.crowds
        if (one.machine, one.workers, one.work_ns) == (found.machine, found.workers, found.work_ns)
    )
    for side in ("shared", "own"):
        assert asdict(getattr(found, side)) == pytest.approx(asdict(getattr(there, side)), rel=LIKE), ANEW


def test_only_one_core_at_a_time_can_write_a_line_and_no_count_is_lost() -> None:
    from benchmarks.scaling.coherence import Costs, Line, Simulation

    arrivals = 0

    class Watched(Simulation):
        def _arrived(self, line: Line, core: int) -> None:
            nonlocal arrivals
            arrivals += 1
            super()._arrived(line, core)
            assert line.owner < 0 or line.has == 1 << line.owner, "others can read what one may write"
            assert not (line.owner >= 0 and line.owner != core), "another one got it"

    for once in (True, False):
        shared = [Line() for _ in range(3)]
        Watched(chiplets(), Costs(4.0, once=once)).run([shared[core % 3] for core in range(24)], 50.0, 3_000)
        counted = sum(line.version for line in shared)
        assert 3_000 <= counted <= 3_000 + 24, "an update is done, or is the last one of its worker"
    assert arrivals > 1_000


def test_a_counter_each_costs_what_it_costs_alone() -> None:
    from benchmarks.scaling.coherence import Costs, crowd

    found = crowd(chiplets(), Costs(4.0), 192, 512, 10.0, 10_000)
    assert found.update_ns == pytest.approx(4.0)
    assert found.transfers == 0


def test_no_worker_starves() -> None:
    """Else the mean of the updates that were done would say nothing of those that wait."""
    from benchmarks.scaling.coherence import Costs, crowd

    for workers, work_ns in ((2, 0.0), (16, 10.0), (64, 100.0)):
        found = crowd(chiplets(), Costs(4.0), workers, 1, work_ns, 20_000)
        assert found.rate == pytest.approx(workers * 1e9 / (found.update_ns + work_ns), rel=0.05)


def test_a_reader_takes_each_line_once_and_its_worker_takes_it_back() -> None:
    from benchmarks.scaling.coherence import Costs, Line, Reader, Simulation

    def transfers(times: list[float]) -> int:
        counters = [Line() for _ in range(32)]
        reader = Reader(32, counters, times)
        Simulation(chiplets(), Costs(4.0)).run(counters, 1_000.0, 6_400, readers=[reader] if times else [], warm=0.1)
        assert len(reader.took) == len(times)
        assert all(took >= chiplets().far_ns for took in reader.took)
        return sum(line.transfers for line in counters)

    passes = [50_000.0, 100_000.0, 150_000.0]
    assert transfers(passes) - transfers([]) == 2 * 32 * len(passes)


# ------------------------------------------------------------------------------------------------------- the measured


def test_a_case_in_which_a_core_was_moved_is_dropped() -> None:
    from benchmarks.scaling import pair

    def output(*pings: int) -> str:
        case = "shared 0 4.0 20.0 21.0 22.0 15\n"
        return case.join(f"ping 0 0.0 {ping} {ping} {ping} 15\n" for ping in pings)

    assert [(one.name, len(one.used)) for one in pair.regroup(output(27, 28, 107))] == [("one cluster", 1)]
    assert [one.message_ns for one in pair.regroup(output(107, 106))] == [106.0]
    assert pair.regroup(output(27, 107)) == []


def test_both_programs_of_the_measurements_compile() -> None:
    from benchmarks.scaling import lines

    assert all(lines.build(name).is_file() for name in ("pair", "touched"))


def test_the_page_has_what_was_found() -> None:
    from benchmarks.scaling import core_tables, cores

    page = (ROOT / "docs" / "scaling.md").read_text()
    assert "\n".join(core_tables.text(cores.load())) in page, ANEW
    assert f"<!-- what `{core_tables.COMMAND}` wrote -->" in page


def test_a_question_costs_more_the_later_a_process_came() -> None:
    from benchmarks.scaling import cores

    asks_s = {"8": 1e-6, "64": 2e-6, "512": 4e-6}
    assert [cores.ask_ns(asks_s, number) for number in (1, 8, 36, 64, 512)] == pytest.approx(
        [1_000.0, 1_000.0, 1_500.0, 2_000.0, 4_000.0]
    )
    with pytest.raises(ValueError, match="beyond 512"):
        cores.ask_ns(asks_s, 513)


def test_who_comes_when_the_lock_was_held_for_longer_than_it_waits_is_late() -> None:
    from benchmarks.scaling import cores

    slow = cores.binds({"8": 1e-2, "512": 1e-2}, chiplets())
    for one in slow:
        assert one.all_ns >= one.longest_ns
        if one.way == cores.SHARED:
            assert one.late == one.workers - 9, "the ninth asks for 80 ms; all after it wait"
