/* hooks.h - a test build (HOOKS=1) can end, or stop, the process at the n-th step of the code that follows.
 * Tests call these functions through ctypes: the module itself exports nothing for tests. */
#ifndef HEADWAY_HOOKS_H
#define HEADWAY_HOOKS_H
#ifdef HW_HOOKS

#include <signal.h>
#include <unistd.h>

static long hw_hook_left, hw_hook_passed;
static int hw_hook_signal;
static const char *hw_hook_where = "";

void hw_step(const char *where) {
    hw_hook_passed++;
    hw_hook_where = where;
    if (hw_hook_left > 0 && --hw_hook_left == 0) kill(getpid(), hw_hook_signal);
}

/* From now on send `signal` to this process at step number `left`. 0 = never. */
__attribute__((visibility("default"))) void hw_hook_arm(long left, int signal) {
    hw_hook_passed = 0;
    hw_hook_signal = signal;
    hw_hook_left = left;
}

/* Steps passed since hw_hook_arm, and the name of the last. */
__attribute__((visibility("default"))) long hw_hook_steps(void) { return hw_hook_passed; }
__attribute__((visibility("default"))) const char *hw_hook_last(void) { return hw_hook_where; }

#endif
#endif
