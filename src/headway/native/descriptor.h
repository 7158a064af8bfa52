/* descriptor.h - descriptors of files, never one of 0, 1 and 2.
 *
 * A program may have closed its standard streams, as daemons do. A file of ours would get such a number, and whatever is
 * printed would be written into it. In Python, `headway.system.descriptors` does the same.
 */
#ifndef HEADWAY_DESCRIPTOR_H
#define HEADWAY_DESCRIPTOR_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Open a file with a number of 3 or more. -1 with errno. It makes only calls that are safe in a forked child. */
static int hw_open(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC), moved = fd, reason;
    if (fd >= 0 && fd < 3) {
        moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        reason = errno;
        close(fd);
        errno = reason;
    }
    return moved;
}

/* Open once more what a descriptor refers to, as a description of its own. -1 with errno. */
static int hw_open_anew(int fd, int flags) {
    char path[32], digits[12];
    int n = 0, at = 14;
    for (int i = 0; i < at; i++) path[i] = "/proc/self/fd/"[i];
    do digits[n++] = (char)('0' + fd % 10);
    while (fd /= 10);
    while (n) path[at++] = digits[--n];
    path[at] = 0;
    return hw_open(path, flags);
}

/* sem_open has no flag for it. While these numbers are covered, a file that the C library opens gets a higher one. */
static void hw_cover(int covered[3]) {
    for (int i = 0; i < 3; i++) {
        covered[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (covered[i] >= 3) {
            close(covered[i]);
            covered[i] = -1;
        }
        if (covered[i] >= 0) continue;
        while (++i < 3) covered[i] = -1; /* none of them was free */
    }
}

static void hw_uncover(const int covered[3]) {
    int reason = errno;
    for (int i = 0; i < 3; i++)
        if (covered[i] >= 0) close(covered[i]);
    errno = reason;
}

#endif
