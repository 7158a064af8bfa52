/* compat.h - what headers and C libraries older than this code lack. HW_OLD (a switch of setup.py) is for tests: it builds
 * what such a library would have built. */
#ifndef HEADWAY_COMPAT_H
#define HEADWAY_COMPAT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

/* The kernel's numbers, the same on every architecture that has 64 bits: an old header does not mean an old kernel. */
#ifndef MADV_WIPEONFORK /* Linux 4.14, glibc 2.26 */
#define MADV_WIPEONFORK 18
#endif
#ifndef F_OFD_GETLK /* Linux 3.15, glibc 2.20 */
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#define F_OFD_SETLKW 38
#endif

/* sem_clockwait is in glibc from 2.30 on, and not in musl. */
#if defined(__GLIBC__) && !defined(HW_OLD)
#if __GLIBC_PREREQ(2, 30)
#define HW_CLOCKWAIT
#endif
#endif

static inline void hw_nap(uint64_t ns) {
    struct timespec t;
    t.tv_sec = (time_t)(ns / 1000000000u);
    t.tv_nsec = (long)(ns % 1000000000u);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Wait for a token of a semaphore until a moment of the monotonic clock. Whoever posts it also changes the word that the
 * caller looks at next, so coming back early, without a token, is always allowed. Not sem_timedwait: that goes by the
 * wall clock, and if it were set back by an hour, 20 ms would last an hour. */
static inline void hw_wait_for_token(sem_t *semaphore, uint64_t until_ns) {
#ifdef HW_CLOCKWAIT
    struct timespec t;
    t.tv_sec = (time_t)(until_ns / 1000000000u);
    t.tv_nsec = (long)(until_ns % 1000000000u);
    if (sem_clockwait(semaphore, CLOCK_MONOTONIC, &t) != 0 && errno == EINVAL) hw_nap(1000000);
#else
    (void)until_ns; /* a millisecond is far below every bound */
    if (sem_trywait(semaphore) != 0) hw_nap(1000000);
#endif
}

#endif
