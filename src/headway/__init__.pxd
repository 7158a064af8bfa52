# For Cython code that counts without the GIL:
#
#     from headway cimport HW_OK, hw_add, hw_task, native_task
#
#     cdef hw_task *task = native_task(capsule)  # of Task.native().capsule, which has to be kept while this is used
#     with nogil:
#         hw_add(task, 1)
#
# A loop whose iterations take no longer than some hundred nanoseconds counts in batches:
#
#     cdef hw_batch batch = hw_batch(task, 0, 1000)
#     with nogil:
#         for i in range(n):
#             ...
#             hw_batch_add(&batch, 1)
#         hw_flush(&batch)
#
# Compile with headway.get_include() among the include directories.
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, uint64_t


cdef extern from "headway.h" nogil:
    ctypedef struct hw_task:
        pass

    enum:
        HW_OK        # counted
        HW_STALE     # the slot is no longer this task's: nothing was counted
        HW_OVERFLOW  # the count would leave 48 bits: nothing was counted
        HW_UNBOUND   # the handle has no stripe
    enum:
        CLOCK_MONOTONIC_COARSE

    int hw_add(hw_task *task, int64_t n)
    int hw_add_at(hw_task *task, int64_t n, uint64_t now_ns)
    int hw_item(hw_task *task, const char *text)
    int hw_item_number(hw_task *task, int64_t number)
    uint64_t hw_clock_ns(int clock)

    ctypedef struct hw_batch:
        hw_task *task
        int64_t held
        int64_t every

    int hw_batch_add(hw_batch *batch, int64_t n)
    int hw_flush(hw_batch *batch)


cdef inline hw_task *native_task(object capsule) except NULL:
    """The handle in a capsule. Raises ValueError if it is another kind of capsule."""
    return <hw_task *> PyCapsule_GetPointer(capsule, b"headway.hw_task")
