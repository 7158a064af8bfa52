/* clock.h - the kernel's clock_gettime, which it maps into every process (the vDSO). The C library's function calls it,
 * but takes half as long again, which would matter: an add takes hardly longer than reading the clock. */
#ifndef HEADWAY_CLOCK_H
#define HEADWAY_CLOCK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <string.h>
#include <time.h>

#include "headway.h"

/* The C library's function, until hw_use_kernel_clock has found the kernel's. */
static hw_clock_function hw_clock = clock_gettime;

/* Call this when the library is loaded, before any handle is made: dlopen takes locks that a forked child may find
 * held. It loads nothing: the vDSO is mapped already. Under Valgrind, and on other systems, there is none. */
static void hw_use_kernel_clock(void) {
    static const char *const names[] = {"__vdso_clock_gettime", "__kernel_clock_gettime"}; /* x86, aarch64 */
    void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    for (size_t i = 0; vdso && i < sizeof names / sizeof *names; i++) {
        void *found = dlsym(vdso, names[i]);
        hw_clock_function clock;
        struct timespec t;
        memcpy(&clock, &found, sizeof clock); /* C has no conversion from void * to a function, POSIX allows this */
        if (found && clock(CLOCK_MONOTONIC_COARSE, &t) == 0) hw_clock = clock;
    }
    if (vdso) dlclose(vdso);
}

#endif
