/* clock.h - the kernel's clock_gettime, which it maps into every process (the vDSO). The C library's function leads there by
 * a detour that takes half as long again as the reading itself, and an add is not much more than one reading. */
#ifndef HEADWAY_CLOCK_H
#define HEADWAY_CLOCK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <string.h>
#include <time.h>

#include "headway.h"

/* The C library's, until hw_use_kernel_clock has found the other one. */
static hw_clock_function hw_clock = clock_gettime;

/* To be called before any handle is made, as the library is loaded: dlopen takes locks that a forked child may find held.
 * Nothing is loaded: what the kernel has mapped is on the list already. Valgrind hides it, and other systems have none. */
static void hw_use_kernel_clock(void) {
    static const char *const names[] = {"__vdso_clock_gettime", "__kernel_clock_gettime"}; /* x86, aarch64 */
    void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
    for (size_t i = 0; vdso && i < sizeof names / sizeof *names; i++) {
        void *found = dlsym(vdso, names[i]);
        hw_clock_function clock;
        struct timespec t;
        memcpy(&clock, &found, sizeof clock); /* C has no conversion for it, POSIX asks for this */
        if (found && clock(CLOCK_MONOTONIC_COARSE, &t) == 0) hw_clock = clock;
    }
    if (vdso) dlclose(vdso);
}

#endif
