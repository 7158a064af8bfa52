/* process.h - when this process started, as the kernel reports it. For people only: locks tell who is alive
 * (identity.h). */
#ifndef HEADWAY_PROCESS_H
#define HEADWAY_PROCESS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descriptor.h"
#include "headway.h"

/* Ticks from the boot to the start of the process: field 22 of /proc/self/stat (proc_pid_stat(5)). Field 2, the name of
 * the process, is in brackets and may itself contain blanks and brackets. 0 if the text is not as expected. */
static uint64_t hw_start_ticks(const char *stat) {
    const char *at = strrchr(stat, ')');
    for (int field = 3; at && field <= 22; field++) at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

/* Nanoseconds since 1970; the present time if the kernel does not say (no /proc, no free descriptor). */
static int64_t hw_started_ns(void) {
    char stat[1024];
    int64_t now = (int64_t)hw_clock_ns(CLOCK_REALTIME);
    long hertz = sysconf(_SC_CLK_TCK);
    int fd = hw_open("/proc/self/stat", O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, stat, sizeof stat - 1);
    uint64_t ticks;
    if (fd >= 0) close(fd);
    if (size <= 0 || hertz <= 0) return now;
    stat[size] = 0;
    ticks = hw_start_ticks(stat);
    if (!ticks) return now;
    return now - (int64_t)hw_clock_ns(CLOCK_BOOTTIME) + (int64_t)(ticks / (uint64_t)hertz * 1000000000u) +
           (int64_t)(ticks % (uint64_t)hertz * 1000000000u / (uint64_t)hertz);
}

#endif
