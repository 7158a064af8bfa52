"""Tries every order in which a weak machine may execute a few threads: what ARMv8 allows, and more.

A protocol is a few threads, each a short Python function over `Cpu`: the loads and stores of a C function, with their
memory orders. All executions are enumerated, and each end is judged by the protocol's `wrong`.

The machine. Memory is one for all (ARMv8 is multi-copy atomic: a store is seen by all other threads at once), and holds a
word at each place. A thread may execute its accesses in any order, but for these rules:

  same place        accesses of one place stay in order; a load may take the value of an own store that is still under way
  acquire           what comes after an acquire load or read-modify-write stays after its load
  release           what comes before a release store stays before it
  fences            release: what comes before it stays before stores that come after it; acquire: loads that come before it
                    stay before what comes after it; full: both, and stores before loads
  read-modify-write is one access of memory; with release its store, with acquire its load is ordered as above. A later
                    store may not overtake an acquire one, but may overtake one with release alone

Dependencies order nothing here, and neither does a release store a later acquire load, though ARMv8 keeps those in order:
so more is tried than the machine does, and nothing rests on what a compiler may take away. Values are never guessed:
a load has the value that memory has when it is executed.

How. A thread is run once for each combination of values that its loads could have, which gives its traces: accesses and
an answer. For each combination of traces of which the answers are wrong, a search looks for an order that respects the
rules and in which each load finds its value. That a branch was taken may thus come out after what follows it was loaded,
as on a machine that speculates.

What a planted relaxation is: each acquire, release and fence of a protocol, weakened alone. Either the search finds a
wrong end then, or `needless` of the protocol says why it need not be there. Both are checked (ci/models --weak).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

PLAIN, ACQUIRE, RELEASE, BOTH, FULL = "relaxed", "acquire", "release", "acq_rel", "seq_cst"
Place = str
Value = Any


@dataclass(frozen=True)
class Access:
    """One access of a trace. kind: load, store, change (read-modify-write) or fence."""

    kind: str
    place: Place
    order: str
    found: Value = None  # what a load or a change has to find
    put: Value = None  # what a store or a change leaves


class _NeedValue(Exception):
    """The trace has come to a load whose value is not chosen yet."""


class Cpu:
    """What a thread of a protocol calls. `weakened` is the one access, by its name, whose order is relaxed."""

    def __init__(self, chosen: tuple[Value, ...], weakened: str) -> None:
        self.trace: list[Access] = []
        self.names: dict[str, str] = {}
        self._chosen = list(chosen)
        self._weakened = weakened

    def _order(self, name: str, order: str) -> str:
        if order != PLAIN:
            self.names[name] = order
        if not self._weakened.startswith(f"{name}:"):
            return order
        return self._weakened.rpartition(":")[2]

    def _next(self, place: Place) -> Value:
        if not self._chosen:
            raise _NeedValue(place)
        return self._chosen.pop(0)

    def load(self, place: Place, order: str = ACQUIRE, name: str = "") -> Value:
        """hw_load; with PLAIN hw_peek."""
        order = self._order(name or f"load {place}", order)
        value = self._next(place)
        self.trace.append(Access("load", place, order, found=value))
        return value

    def store(self, place: Place, value: Value, order: str = RELEASE, name: str = "") -> None:
        """hw_store."""
        self.trace.append(Access("store", place, self._order(name or f"store {place}", order), put=value))

    def change(self, place: Place, change: Callable[[Value], Value], order: str = BOTH, name: str = "") -> Value:
        """An atomic read-modify-write, which leaves change(value); a compare and swap that fails leaves the value."""
        order = self._order(name or f"change {place}", order)
        value = self._next(place)
        self.trace.append(Access("change", place, order, found=value, put=change(value)))
        return value

    def fence(self, order: str, name: str = "fence") -> None:
        self.trace.append(Access("fence", "", self._order(name, order)))


Thread = Callable[[Cpu], Value]


@dataclass(frozen=True)
class Protocol:
    """`wrong` judges the answers of the threads, in their order. `needless`: an order that may be relaxed, and why."""

    name: str
    code: str  # the C functions that it stands for
    start: dict[Place, Value]
    threads: tuple[Thread, ...]
    wrong: Callable[..., bool]
    needless: dict[str, str] = field(default_factory=dict)


def _weaker(order: str) -> list[str]:
    """The orders that an access of this order is weakened to."""
    return {ACQUIRE: [PLAIN], RELEASE: [PLAIN], BOTH: [ACQUIRE, RELEASE], FULL: [BOTH]}[order]


# ---------------------------------------------------------------------------------------------------------- the traces

Trace = tuple[tuple[Access, ...], Value]


def _traces_of(thread: Thread, values: dict[Place, set[Value]], weakened: str, names: dict[str, str]) -> list[Trace]:
    """Every trace of a thread whose loads find values that the places may have."""
    found: list[Trace] = []
    open_: list[tuple[Value, ...]] = [()]
    while open_:
        chosen = open_.pop()
        cpu = Cpu(chosen, weakened)
        try:
            answer = thread(cpu)
        except _NeedValue as need:
            open_.extend((*chosen, value) for value in values[str(need)])
            continue
        finally:
            names.update(cpu.names)
        found.append((tuple(cpu.trace), answer))
    return found


def _all_traces(protocol: Protocol, weakened: str, names: dict[str, str]) -> list[list[Trace]]:
    """The traces of all threads. Which values a place may have follows from the traces, and these from the values."""
    values = {place: {value} for place, value in protocol.start.items()}
    while True:
        traces = [_traces_of(thread, values, weakened, names) for thread in protocol.threads]
        more = {place: set(known) for place, known in values.items()}
        for trace, _ in itertools.chain(*traces):
            for access in trace:
                if access.kind in ("store", "change"):
                    more[access.place].add(access.put)
        if more == values:
            return traces
        values = more


# ---------------------------------------------------------------------------------------------------------- the orders


def _loads(access: Access) -> bool:
    return access.kind in ("load", "change")


def _stores(access: Access) -> bool:
    return access.kind in ("store", "change")


def _stay(first: Access, second: Access, between: tuple[Access, ...]) -> bool:
    """Do two accesses of a thread stay in order?"""
    if first.place == second.place and not (first.kind == "store" and second.kind == "load"):
        return True  # a load after a store of its own: see _executions
    if first.order in (ACQUIRE, BOTH, FULL) and _loads(first):
        return True
    if second.order in (RELEASE, BOTH, FULL) and second.kind == "store":
        return True
    if second.order in (RELEASE, BOTH, FULL) and second.kind == "change":
        return True
    for fence in between:
        if fence.kind == "fence" and (
            fence.order == FULL
            or (fence.order in (RELEASE, BOTH) and _stores(second))
            or (fence.order in (ACQUIRE, BOTH) and _loads(first))
        ):
            return True
    return False


def _before(trace: tuple[Access, ...]) -> list[int]:
    """For each access of a trace, fences left out, the set of those that have to be executed before it, as bits."""
    kept = [i for i, access in enumerate(trace) if access.kind != "fence"]
    masks = []
    for n, i in enumerate(kept):
        mask = 0
        for m, j in enumerate(kept[:n]):
            if _stay(trace[j], trace[i], trace[j + 1 : i]):
                mask |= 1 << m
        masks.append(mask)
    return masks


def _possible(protocol: Protocol, traces: tuple[tuple[Access, ...], ...]) -> bool:
    """Is there an execution in which every load of these traces finds its value?"""
    accesses = [[access for access in trace if access.kind != "fence"] for trace in traces]
    before = [_before(trace) for trace in traces]
    places = sorted(protocol.start)
    at = {place: i for i, place in enumerate(places)}
    seen = set()
    first = ((0,) * len(traces), tuple(protocol.start[place] for place in places))
    stack = [first]
    ends = tuple((1 << len(one)) - 1 for one in accesses)
    while stack:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        done, memory = state
        if done == ends:
            return True
        for t, one in enumerate(accesses):
            for i, access in enumerate(one):
                bit = 1 << i
                if done[t] & bit or before[t][i] & ~done[t]:
                    continue
                value = memory[at[access.place]]
                if access.kind == "load":  # of an own store that is not in memory yet, the last one counts
                    for j in range(i - 1, -1, -1):
                        if one[j].place == access.place and one[j].kind == "store" and not done[t] & 1 << j:
                            value = one[j].put
                            break
                if _loads(access) and value != access.found:
                    continue
                after = memory
                if _stores(access):
                    after = (*memory[: at[access.place]], access.put, *memory[at[access.place] + 1 :])
                stack.append(((*done[:t], done[t] | bit, *done[t + 1 :]), after))
    return False


def wrong_end(protocol: Protocol, weakened: str = "") -> tuple[Value, ...] | None:
    """The answers of an execution that ends wrong; None: there is none."""
    traces = _all_traces(protocol, weakened, {})
    for chosen in itertools.product(*traces):
        answers = tuple(answer for _, answer in chosen)
        if protocol.wrong(*answers) and _possible(protocol, tuple(trace for trace, _ in chosen)):
            return answers
    return None


def relaxations(protocol: Protocol) -> Iterator[str]:
    """Each access that could be weakened, and to what: "name:order"."""
    names: dict[str, str] = {}
    _all_traces(protocol, "", names)
    for name, order in names.items():
        for weaker in _weaker(order):
            yield f"{name}:{weaker}"
