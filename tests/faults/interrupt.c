/* interrupt.c - has Ctrl-C arrive before a chosen bytecode of what a thread runs. Loaded by interrupts.py. */
#include <Python.h>

static long left, passed;

static int at_event(PyObject *self, PyFrameObject *frame, int event, PyObject *argument) {
    (void)self, (void)argument;
    if (event == PyTrace_CALL) return PyObject_SetAttrString((PyObject *)frame, "f_trace_opcodes", Py_True);
    if (event == PyTrace_OPCODE) {
        passed++;
        if (left && --left == 0) PyErr_SetInterrupt(); /* as the signal does: Python's handler runs when it looks next */
    }
    return 0;
}

/* From the next call on, n bytecodes are passed, and then it arrives; 0 = never. */
void interrupt_arm(long n) {
    left = n;
    passed = 0;
    PyEval_SetTrace(at_event, NULL);
}

/* The bytecodes that were passed. */
long interrupt_disarm(void) {
    PyEval_SetTrace(NULL, NULL);
    left = 0;
    return passed;
}
