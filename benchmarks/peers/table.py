"""What was found of the peers, as a table of text: for the terminal, and for docs/peers.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import quantiles

from benchmarks import pages
from benchmarks.peers.program import UPDATES
from benchmarks.peers.side_by_side import ITEM_S, Found, Peers

__all__ = ["notes", "record", "table"]

HEADS = (
    "",
    "one update",
    "25 to 75 %",
    f"CPU of a job, {round(ITEM_S * 1e6)} µs an item",
    "25 to 75 %",
    "seen by",
    "after",
    "25 to 75 %",
    "writer killed: lost",
    "others stuck",
    "program ended",
    "program killed",
)

TimeOf = Callable[[float], str]


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return low, middle, high


def _why(one: Found, measure: str) -> str:
    """One word in place of a figure; the reason stands in the notes."""
    return one.why.get(measure, "not measured").partition(":")[0]


def _left(one: Found, measure: str, count: int | None) -> str:
    if count is None or measure in one.why:
        return "gone" if one.why.get(measure, "").startswith(("cannot: only", "nothing")) else _why(one, measure)
    return "all there" if count == UPDATES else f"{count} of {UPDATES}"


def _cells(one: Found, time_of: TimeOf) -> list[str]:
    cells = [one.title]
    if one.cost:
        low, middle, high = _quartiles(one.cost)
        cells += [time_of(middle), f"{time_of(low)} to {time_of(high)}"]
    else:
        cells += [_why(one, "cost"), ""]
    if one.job:
        low, middle, high = _quartiles(one.job)
        cells += [f"{middle:+.1%}", f"{low:+.1%} to {high:+.1%}"]
    else:
        cells += [_why(one, "job"), ""]
    cells += _seen(one, time_of)
    if one.kill is None:
        cells += [_why(one, "kill"), ""]
    else:
        share = one.kill.lost / max(1, one.kill.acknowledged)
        cells += ["nothing" if not one.kill.lost else f"{share:.0%}", f"{one.kill.blocked} of {one.kill.kills}"]
    return [*cells, _left(one, "ends", one.ends), _left(one, "killed", one.killed)]


def _seen(one: Found, time_of: TimeOf) -> list[str]:
    if one.late is None:
        return [_why(one, "late"), "", ""]
    if not one.late.seconds:
        return ["nobody else", "never", ""]
    low, middle, high = _quartiles(one.late.seconds)
    samples = len(one.late.seconds) + one.late.never
    missed = f", {one.late.never} of {samples} not within 0.5 s" if one.late.never else ""
    return [one.late.by, f"{time_of(middle)}{missed}", f"{time_of(low)} to {time_of(high)}"]


def table(found: Peers, time_of: TimeOf) -> list[list[str]]:
    """One line a peer. time_of: how seconds are written."""
    return [list(HEADS), *(_cells(one, time_of) for one in found.peers)]


def notes(found: Peers) -> list[str]:
    """What is used of each, and why there is no figure."""
    lines = []
    for one in found.peers:
        version = f" ({one.versions})" if one.versions else ""
        reasons = dict.fromkeys(why for why in one.why.values() if not why.startswith(("cannot: only", "nothing")))
        lines.append(f"{one.title}{version}: `{one.how}`" + "".join(f"; {why}" for why in reasons))
    return lines


def record(found: Peers, page: Path, time_of: TimeOf) -> None:
    """Write the table into a page. Raises ValueError if it has no place for it."""
    told = f"{found.machine}; {found.taken}; {found.seconds:.0f} s in all."
    lines = [told, "", *pages.markdown(table(found, time_of)), "", *(f"- {note}" for note in notes(found))]
    pages.write(page, "ci/bench --peers --record", lines)
