"""Tries every order in which a weak machine may execute a few threads: what ARMv8 allows, and more.

A protocol is a few threads, each a short Python function over `Cpu`: the loads and stores of a C function, with their
memory orders. All executions are enumerated, and each end is judged by the protocol's `wrong`.

The machine. Memory is one for all (ARMv8 is multi-copy atomic: a store is seen by all other threads at once), and
holds a word at each place. A thread may execute its accesses in any order, but for these rules:

  same place         accesses of one place stay in order; a load may take the value of an own store that is under way
  acquire            what comes after an acquire load or read-modify-write stays after its load
  release            what comes before a release store stays before it
  fences             release: what comes before it stays before the stores that come after it; acquire: loads that come
                     before it stay before what comes after it; full: both, and stores before loads
  read-modify-write  a load and a store, between which no other thread stores to the place; acquire orders the load,
                     release the store. So what comes after it may overtake its store, as with load and store exclusive

Dependencies order nothing here, and neither does a release store a later acquire load, though ARMv8 keeps those in
order: so more is tried than the machine does, and nothing rests on what a compiler may take away.

How. A thread is run once for each combination of values that its loads could have, which gives its traces: accesses
and an answer. For each combination of traces of which the answers are wrong, a search looks for an order that respects
the rules and in which each load finds its value. That a branch was taken may thus come out after what follows it was
loaded, as on a machine that speculates.

What a planted relaxation is: each acquire, release and fence of a protocol, weakened alone. Either the search finds a
wrong end then, or `needless` of the protocol says why it need not be there. Both are checked (protocols.py).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

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
        if max(map(len, more.values())) > 16:
            raise ValueError(f"{protocol.name}: a place has ever more values; have counters stop")
        values = more


# ---------------------------------------------------------------------------------------------------------- the orders


@dataclass(frozen=True)
class Part:
    """A load or a store as the machine executes it; a read-modify-write is one of each, a `pair`."""

    stores: bool
    place: Place
    value: Value  # that a load has to find, or that a store leaves
    ordered: bool  # acquire for a load, release for a store
    pair: bool = False


def _parts(trace: tuple[Access, ...]) -> list[Part | str]:
    """What a trace is made of, with the fences among it. A compare and swap that fails is a load."""
    parts: list[Part | str] = []
    for access in trace:
        both = access.kind == "change" and access.put != access.found
        if access.kind == "fence":
            parts.append(access.order)
        if access.kind in ("load", "change"):
            parts.append(Part(False, access.place, access.found, access.order in (ACQUIRE, BOTH, FULL), both))
        if access.kind == "store" or both:
            parts.append(Part(True, access.place, access.put, access.order in (RELEASE, BOTH, FULL), both))
    return parts


def _stay(first: Part, second: Part, fences: list[str]) -> bool:
    """Do two parts of a thread stay in order, with these fences between them?"""
    if first.place == second.place and not (first.stores and not second.stores):
        return True  # a load after a store of its own: see _possible
    if (not first.stores and first.ordered) or (second.stores and second.ordered):
        return True
    return any(
        fence == FULL or (fence in (RELEASE, BOTH) and second.stores) or (fence in (ACQUIRE, BOTH) and not first.stores)
        for fence in fences
    )


def _before(parts: list[Part | str]) -> tuple[list[Part], list[int]]:
    """The loads and stores, and for each the set of those that have to be executed before it, as bits."""
    kept = [i for i, part in enumerate(parts) if isinstance(part, Part)]
    masks = []
    for n, i in enumerate(kept):
        mask = 0
        for m, j in enumerate(kept[:n]):
            fences = [part for part in parts[j + 1 : i] if isinstance(part, str)]
            if _stay(cast(Part, parts[j]), cast(Part, parts[i]), fences):
                mask |= 1 << m
        masks.append(mask)
    return [cast(Part, parts[i]) for i in kept], masks


@cache
def _ordered(trace: tuple[Access, ...]) -> tuple[list[Part], list[int]]:
    return _before(_parts(trace))


def _possible(protocol: Protocol, traces: tuple[tuple[Access, ...], ...]) -> bool:
    """Is there an execution in which every load of these traces finds its value?"""
    ordered = [_ordered(trace) for trace in traces]
    at = {place: i for i, place in enumerate(sorted(protocol.start))}
    ends = tuple((1 << len(parts)) - 1 for parts, _ in ordered)
    stack = [((0,) * len(traces), tuple(protocol.start[place] for place in sorted(protocol.start)))]
    seen = set()
    while stack:
        state = stack.pop()
        if state in seen:
            continue
        seen.add(state)
        done, memory = state
        if done == ends:
            return True
        for t, (parts, before) in enumerate(ordered):
            for i, part in enumerate(parts):
                if done[t] & 1 << i or before[i] & ~done[t]:
                    continue
                after = memory
                if part.stores:
                    if _reserved(ordered, done, t, part.place):
                        continue
                    after = (*memory[: at[part.place]], part.value, *memory[at[part.place] + 1 :])
                elif _seen(parts, done[t], i, memory[at[part.place]]) != part.value:
                    continue
                stack.append(((*done[:t], done[t] | 1 << i, *done[t + 1 :]), after))
    return False


def _seen(parts: list[Part], done: int, i: int, value: Value) -> Value:
    """What a load finds: of own stores that are not in memory yet the last one, else `value`, which is there."""
    for j in range(i - 1, -1, -1):
        if parts[j].stores and parts[j].place == parts[i].place and not done & 1 << j:
            return parts[j].value
    return value


def _reserved(ordered: list[tuple[list[Part], list[int]]], done: tuple[int, ...], mine: int, place: Place) -> bool:
    """Is another thread between the two parts of a read-modify-write of this place?"""
    return any(
        part.pair and not part.stores and part.place == place and done[t] & 1 << i and not done[t] & 1 << (i + 1)
        for t, (parts, _) in enumerate(ordered)
        if t != mine
        for i, part in enumerate(parts)
    )


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
