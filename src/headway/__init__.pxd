"""For `from headway cimport hw_task, hw_add`. The C compiler finds headway.h by `-I` and headway.get_include()."""
from libc.stdint cimport int64_t

cdef extern from "headway.h" nogil:
    enum:
        HW_OK
        HW_STALE
        HW_OVERFLOW
        HW_UNBOUND
    ctypedef struct hw_task:
        pass
    int hw_add(hw_task *task, int64_t n)
