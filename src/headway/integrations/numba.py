"""Count from functions that numba compiles, without the GIL, also in the threads of `prange`.

    from headway.integrations.numba import add, item

    @njit(nogil=True, parallel=True)
    def smooth(values, out, handle):
        for block in prange(values.size // 1000):
            item(handle, block)
            for i in range(1000 * block, 1000 * (block + 1)):
                ...
            add(handle, 1000)

    smooth(values, out, task.native())

All threads of a process add to one counter, whose cache line moves from core to core with every add. So count a block
of iterations at a time, large enough to take some microseconds. They have one place for the item in hand, too, which is
that of the thread that wrote last.
"""

from __future__ import annotations

import sys
from typing import Any

from headway import errors
from headway.native import core
from headway.standin import nobody

try:
    import llvmlite.ir as ir
    from numba.core import cgutils, types
    from numba.core import errors as numba_errors
    from numba.extending import NativeValue, intrinsic, models, register_model, typeof_impl, unbox
except ImportError as error:
    raise errors.MissingExtra(
        f"counting from numba needs the package {error.name}: install it with pip install 'headway[numba]'"
    ) from error

__all__ = ["add", "item"]

# Copied from headway.h. Tests check that they are equal, and that the code generated here returns what hw_add returns.
HW_OK, HW_STALE, HW_OVERFLOW, HW_UNBOUND = 0, 1, 2, 3
TAG_SHIFT = 48
COUNT_LIMIT = 1 << (TAG_SHIFT - 1)
CLOCK_MONOTONIC_COARSE = 6
TASK = {"stripe": 0, "identity": 8, "worker": 16, "tag": 24, "clock": 32, "calls": 40}  # offsets of hw_task
CALLS = {"tick": 0, "number": 16}  # offsets of hw_calls
STRIPE = {"count": 0, "beat_ns": 8, "shared": 48}  # offsets of hw_stripe

WORD, ANSWER, FLAG = ir.IntType(64), ir.IntType(32), ir.IntType(1)
RELAXED = "monotonic"  # LLVM's name for C's relaxed order; headway.h says at hw_count why it is enough


class HandleType(types.Opaque):
    """The numba type of what Task.native() returns: a pointer to a hw_task."""

    def __init__(self) -> None:
        super().__init__("headway.hw_task")


HANDLE = HandleType()
register_model(HandleType)(models.OpaqueModel)
for kind in (core.NativeTask, nobody.StandinNative):
    typeof_impl.register(kind)(lambda _value, _context: HANDLE)


@unbox(HandleType)
def _unbox(_type: Any, handle: Any, c: Any) -> Any:
    """Unbox to the address. The object is an argument of the call, so it stays alive until the call returns."""
    address = c.pyapi.object_getattr_string(handle, "address")
    pointer = cgutils.alloca_once_value(c.builder, ir.Constant(cgutils.voidptr_t, None))
    with cgutils.if_likely(c.builder, cgutils.is_not_null(c.builder, address)):
        c.builder.store(c.pyapi.long_as_voidptr(address), pointer)
        c.pyapi.decref(address)
    return NativeValue(c.builder.load(pointer), is_error=c.pyapi.c_api_error())


def _call(function: str, handle: Any, what: str, number: Any, name: str, write: Any) -> tuple[Any, Any]:
    """What numba wants of an intrinsic `function(handle, what)` that calls a function of this module."""
    call = f"{function}(handle, {what})"
    if not isinstance(handle, HandleType | types.Integer):
        raise numba_errors.TypingError(f"{call}: handle is {handle}, not what Task.native() returns")
    if not isinstance(number, types.Integer):
        raise numba_errors.TypingError(f"{call}: {what} is {number}, not an integer")

    def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, value = arguments
        if isinstance(signature.args[0], HandleType):
            pointer = builder.ptrtoint(pointer, WORD)
        return builder.call(_function(builder.module, name, write), [pointer, value])

    address = handle if isinstance(handle, HandleType) else types.uintp
    return types.int32(address, types.int64), generate


def _add(_context: Any, handle: Any, n: Any) -> Any:
    """Count `n` more items done from code that numba compiles, as hw_add of headway.h does.

    handle: what Task.native() returns, or its address as an integer; n: an integer, negative to subtract. Returns 0 if
    the items were counted. Otherwise nothing was counted: 1 means that the task's slot was given to another task, 2
    that the count would leave 48 bits, 3 that the task is a stand-in.
    """
    return _call("add", handle, "n", n, "headway_add", _write)


add = intrinsic(_add)


def _item(_context: Any, handle: Any, number: Any) -> Any:
    """Say which item is in hand, by its number, from code that numba compiles, as hw_item_number of headway.h does.

    handle: what Task.native() returns, or its address as an integer; number: an integer. Returns 0 if it was written, 1
    if the task's slot was given to another task, 2 if the number needs more than 45 bits, 3 if the task is a stand-in.
    """
    return _call("item", handle, "number", number, "headway_item", _write_item)


item = intrinsic(_item)


def _function(module: Any, name: str, write: Any) -> Any:
    """A function of two words in this LLVM module: defined once, to be inlined."""
    function = cgutils.get_or_insert_function(module, ir.FunctionType(ANSWER, [WORD, WORD]), name)
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        function.attributes.add("alwaysinline")
        write(function)
    return function


def _at(builder: Any, base: Any, offset: int) -> Any:
    return builder.inttoptr(builder.add(base, WORD(offset)), WORD.as_pointer())


def _write_item(function: Any) -> None:
    """Emit the instructions of hw_item_number."""
    builder = ir.IRBuilder(function.append_basic_block("begin"))
    task, number = function.args
    if sys.platform != "linux":
        builder.ret(ANSWER(HW_UNBOUND))
        return
    clock, calls = (builder.load(_at(builder, task, TASK[name])) for name in ("clock", "calls"))
    with builder.if_then(builder.icmp_unsigned("==", clock, WORD(0)), likely=False):
        builder.ret(ANSWER(HW_UNBOUND))
    call = builder.load(_at(builder, calls, CALLS["number"]))
    kind = ir.FunctionType(ANSWER, [WORD, WORD]).as_pointer()
    builder.ret(builder.call(builder.inttoptr(call, kind), [task, number]))


def _write(function: Any) -> None:
    """Emit the instructions of hw_add. One difference: the clock is read after the add, in C before it."""
    builder = ir.IRBuilder(function.append_basic_block("begin"))
    task, n = function.args
    if sys.platform != "linux":  # there are no boards, only stand-ins
        builder.ret(ANSWER(HW_UNBOUND))
        return
    timespec = builder.alloca(ir.ArrayType(WORD, 2))

    def at(base: Any, offset: int) -> Any:
        return _at(builder, base, offset)

    def refuse_if(condition: Any, answer: int) -> None:
        with builder.if_then(condition, likely=False):
            builder.ret(ANSWER(answer))

    stripe, identity, worker, tag, clock, calls = (builder.load(at(task, TASK[name])) for name in TASK)
    refuse_if(builder.icmp_unsigned("==", clock, WORD(0)), HW_UNBOUND)
    me = builder.load_atomic(at(identity, 0), RELAXED, 8)
    with builder.if_then(builder.icmp_unsigned("!=", me, worker), likely=False):
        refuse_if(builder.icmp_unsigned("==", stripe, WORD(0)), HW_UNBOUND)
        there = builder.lshr(builder.load_atomic(at(stripe, STRIPE["count"]), RELAXED, 8), WORD(TAG_SHIFT))
        with builder.if_then(builder.icmp_unsigned("==", there, tag)):  # else the stripe is another task's by now
            builder.store_atomic(WORD(1), at(stripe, STRIPE["shared"]), RELAXED, 8)
    refuse_if(builder.icmp_signed(">=", n, WORD(COUNT_LIMIT)), HW_OVERFLOW)
    refuse_if(builder.icmp_signed("<=", n, WORD(-COUNT_LIMIT)), HW_OVERFLOW)

    count = at(stripe, STRIPE["count"])
    first, before = builder.load_atomic(count, RELAXED, 8), builder.block
    again = builder.append_basic_block("again")
    builder.branch(again)
    builder.position_at_end(again)
    old = builder.phi(WORD)
    old.add_incoming(first, before)
    refuse_if(builder.icmp_unsigned("!=", builder.lshr(old, WORD(TAG_SHIFT)), tag), HW_STALE)
    low = WORD(64 - TAG_SHIFT)
    summed = builder.sadd_with_overflow(builder.shl(old, low), builder.shl(n, low))
    refuse_if(builder.extract_value(summed, 1), HW_OVERFLOW)
    new = builder.or_(builder.shl(tag, WORD(TAG_SHIFT)), builder.lshr(builder.extract_value(summed, 0), low))
    swapped = builder.cmpxchg(count, old, new, RELAXED, RELAXED)
    old.add_incoming(builder.extract_value(swapped, 0), builder.block)
    counted = builder.append_basic_block("counted")
    builder.cbranch(builder.extract_value(swapped, 1), counted, again)

    builder.position_at_end(counted)
    clock_type = ir.FunctionType(ANSWER, [ANSWER, timespec.type])
    builder.call(builder.inttoptr(clock, clock_type.as_pointer()), [ANSWER(CLOCK_MONOTONIC_COARSE), timespec])
    seconds, nanoseconds = (builder.extract_value(builder.load(timespec), place) for place in (0, 1))
    now = builder.add(builder.mul(seconds, WORD(1_000_000_000)), nanoseconds)
    beat = builder.load_atomic(at(stripe, STRIPE["beat_ns"]), RELAXED, 8)
    with builder.if_then(builder.icmp_unsigned("!=", beat, now), likely=False):
        tick = ir.FunctionType(ir.VoidType(), [WORD, WORD, WORD]).as_pointer()
        builder.call(builder.inttoptr(builder.load(at(calls, CALLS["tick"])), tick), [task, n, now])
    builder.ret(ANSWER(HW_OK))
