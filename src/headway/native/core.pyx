"""Segments and slots of a board in shared memory. Mechanism only: the rules of a task's life are in tasks/ and engine/.

It is one extension module, because its native state may exist only once in a process; its parts are included below. A
lock is taken and released within one call without the GIL (waiting.pxi): no process waits for the GIL, or runs Python,
while it holds a lock.
"""
cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AsString, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_CheckSignals, PyErr_Clear, PyErr_ExceptionMatches, PyErr_Occurred
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EIO, ENOENT, errno
from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcpy, memset, strlen
from posix.fcntl cimport O_RDWR
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close

import operator
import os

from headway import errors
from headway.native.records import STATES as _STATES

cdef extern from "Python.h":
    """
    /* The next item; NULL at the end or for an exception. PyIter_Next would check which of the two it is. */
    static inline PyObject *hw_next_item(PyObject *iterator) { return Py_TYPE(iterator)->tp_iternext(iterator); }

    /* The value of an int of one digit, which nearly all counts are; returns 0 for longer ints. */
    static inline int hw_small(PyObject *number, int64_t *value) {
    #if PY_VERSION_HEX >= 0x030C0000
        if (!PyUnstable_Long_IsCompact((PyLongObject *)number)) return 0;
        *value = PyUnstable_Long_CompactValue((PyLongObject *)number);
    #else
        if (Py_SIZE(number) < -1 || Py_SIZE(number) > 1) return 0;
        *value = Py_SIZE(number) * (int64_t)((PyLongObject *)number)->ob_digit[0];
    #endif
        return 1;
    }

    /* Report the exception that is already set. */
    static inline int hw_raised(void) { return -1; }
    """
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    str PyUnicode_FromObject(object text)
    PyObject *hw_next_item(object iterator)
    bint hw_small(object number, int64_t *value)
    int hw_raised() except -1

ID_BYTES = HW_ID_BYTES - 1
LAYOUT_VERSION = HW_LAYOUT_VERSION
CAPACITY_MAX = HW_CAPACITY_MAX
WORKERS_MAX = HW_WORKERS_MAX
RESULT_BYTES_MAX = HW_RESULT_BYTES_MAX
LOCK_SECONDS = 5.0
SILENT_SECONDS = 2.0  # after so long without a beat (there are several a second), check whether the recorder is alive
START_SECONDS = 5.0  # how long a process that sees to a recorder has before another one may try

cdef tuple STATES = _STATES
cdef dict _STATE_NUMBERS = {name: number for number, name in enumerate(STATES)}
cdef uint64_t SECOND = 1_000_000_000
cdef uint64_t SLICE = 50_000_000  # how long a call without the GIL waits at most before signals are served
cdef uint64_t BIND_TRY = 1_000_000  # how long it waits with the GIL
cdef uint64_t BIND_WAIT = 50_000_000  # how long counting waits at most for a stripe of its own
cdef uint64_t _nobody = 0  # what `identity` of a handle without a stripe points to
cdef bint _warned_stale = False
cdef bint _warned_retired = False

hw_use_kernel_clock()

include "refusals.pxi"
include "texts.pxi"
include "waiting.pxi"
include "mapped_segment.pxi"
include "presence.pxi"
include "recorded.pxi"
include "task_table.pxi"
include "segment.pxi"
include "process.pxi"
include "place.pxi"
include "counter.pxi"
include "status.pxi"
include "slot.pxi"
include "native_task.pxi"
include "tracker.pxi"
