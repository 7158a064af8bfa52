/* memory.c - has the n-th allocation of a program fail. Preloaded by memory.py, with PYTHONMALLOC=malloc, so that Python's
 * own come by here, too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

static long left, passed;
static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);

/* Before dlsym has found the real ones it asks for some memory itself. */
static char early[16384] __attribute__((aligned(16)));
static size_t early_used;

__attribute__((constructor)) static void begin(void) {
    real_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
    real_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    real_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
}

/* The n-th allocation from here on fails; 0 = none. For programs without threads. */
void memory_arm(long n) {
    passed = 0;
    left = n;
}

/* The allocations that were asked for since. */
long memory_disarm(void) {
    left = 0;
    return passed;
}

static int fails(void) {
    passed++;
    if (!left || --left) return 0;
    errno = ENOMEM;
    return 1;
}

static void *take_early(size_t bytes) {
    void *found = early + early_used;
    bytes = (bytes + 15) & ~(size_t)15;
    if (early_used + bytes > sizeof early) return NULL;
    early_used += bytes;
    return found;
}

void *malloc(size_t bytes) { return !real_malloc ? take_early(bytes) : fails() ? NULL : real_malloc(bytes); }
void *calloc(size_t n, size_t bytes) {
    return !real_calloc ? take_early(n * bytes) : fails() ? NULL : real_calloc(n, bytes);
}
void *realloc(void *old, size_t bytes) {
    if ((char *)old >= early && (char *)old < early + sizeof early) {
        void *found = malloc(bytes);
        if (found) memcpy(found, old, bytes);
        return found;
    }
    return fails() ? NULL : real_realloc(old, bytes);
}
void free(void *old) {
    static void (*real_free)(void *);
    if ((char *)old >= early && (char *)old < early + sizeof early) return;
    if (!real_free) real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
    real_free(old);
}
