"""Segments and slots of a board, over shared memory. No policy: what a task's life means stands in task.py.

Every native call that may wait runs without the GIL in slices, so that Ctrl-C and other threads get their turn. It stands
between hw_go_in and hw_come_out, for which whoever leaves or closes the board waits. A lock is taken and let go within
one such call: who has one waits neither for the GIL nor for Python.
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
from posix.fcntl cimport O_CLOEXEC, O_RDWR, open
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close

import operator
import os
import warnings

from headway import errors

cdef extern from "Python.h":
    """
    /* The next item, or NULL: at the end, or because of an exception. PyIter_Next would look which of the two it was. */
    static inline PyObject *hw_next_item(PyObject *iterator) { return Py_TYPE(iterator)->tp_iternext(iterator); }

    /* Go on with the exception that is set. */
    static inline int hw_raised(void) { return -1; }
    """
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    PyObject *hw_next_item(object iterator)
    int hw_raised() except -1

STATES = ("pending", "running", "success", "failed", "cancelled", "lost")
FINAL_STATES = frozenset(STATES[2:])
ID_BYTES = HW_ID_BYTES - 1
LAYOUT_VERSION = HW_LAYOUT_VERSION
CAPACITY_MAX = HW_CAPACITY_MAX
WORKERS_MAX = HW_WORKERS_MAX
RESULT_BYTES_MAX = HW_RESULT_BYTES_MAX
LOCK_BASE = HW_LOCK_BASE
RECORDER_OFFSET = HW_RECORDER_OFFSET
LOCK_SECONDS = 5.0
SILENT_SECONDS = 2.0  # a recorder beats several times a second
START_SECONDS = 5.0  # whoever starts a recorder has so long to bring it to life

cdef dict _STATE_NUMBERS = {name: number for number, name in enumerate(STATES)}
cdef uint64_t SECOND = 1_000_000_000
cdef uint64_t SLICE = 50_000_000
cdef uint64_t BIND_WAIT = 1_000_000
cdef uint64_t _nobody = 0  # the identity that an unbound handle compares itself with
cdef bint _warned_stale = False
cdef bint _warned_retired = False

hw_use_kernel_clock()

include "texts.pxi"
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
