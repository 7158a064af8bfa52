/* headway.h - counting on a task of a Headway board, from C, C++ and Cython. The only header to include.
 *
 * C11 and C++17, GCC or Clang, 64-bit Linux. headway_layout.h, beside this file, has the layout of a board's shared
 * memory; this file has the functions that read and write its words: loads and stores, the latch, and hw_add.
 */
#ifndef HEADWAY_H
#define HEADWAY_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "headway_layout.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HW_LIKELY(x) __builtin_expect(!!(x), 1)
#define HW_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A test build can end the process at any of these steps; in other builds they are empty. */
#ifdef HW_HOOKS
void hw_step(const char *where);
#define HW_STEP(where) hw_step(where)
#else
#define HW_STEP(where) ((void)0)
#endif

/* ------------------------------------------------------------------------------------- words of shared memory */

/* A word of a record may be part of a text or a float, so its type may alias them. */
typedef uint64_t __attribute__((may_alias)) hw_word;

static inline uint64_t hw_load(const void *word) { return __atomic_load_n((const hw_word *)word, __ATOMIC_ACQUIRE); }
static inline uint64_t hw_peek(const void *word) { return __atomic_load_n((const hw_word *)word, __ATOMIC_RELAXED); }
static inline void hw_store(void *word, uint64_t value) { __atomic_store_n((hw_word *)word, value, __ATOMIC_RELEASE); }

/* Compare and swap. Acquire on success: what the last holder wrote is seen; release: what was written before is. */
static inline int hw_cas(uint64_t *word, uint64_t seen, uint64_t value) {
    return __atomic_compare_exchange_n(word, &seen, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* The next number of a counter. Relaxed: no other data depends on it. */
static inline uint64_t hw_next(uint64_t *word) { return __atomic_add_fetch(word, 1, __ATOMIC_RELAXED); }

/* Copy out of shared memory. Acquire: see the head of headway_layout.h. */
static inline void hw_load_words(void *to, const void *from, size_t bytes) {
    hw_word *out = (hw_word *)to;
    const hw_word *in = (const hw_word *)from;
    for (size_t i = 0; i < bytes / 8; i++) out[i] = hw_load(in + i);
}

/* Copy a text out of shared memory, up to its NUL; the rest of `to`, of `room` bytes, is filled with NUL. The bytes
 * after the end are not read: most texts are short, and every line read is a cache miss. A text without a NUL gets
 * one. It works with both byte orders. */
static inline void hw_load_text(char *to, const char *from, size_t room) {
    const hw_word *in = (const hw_word *)(const void *)from;
    size_t at = 0;
    while (at < room) {
        union {
            uint64_t word;
            char text[8];
        } eight;
        uint64_t ended;
        eight.word = hw_load(in + at / 8);
        ended = (eight.word - 0x0101010101010101u) & ~eight.word & 0x8080808080808080u; /* a byte of it is NUL */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        /* The lowest bit set is the highest bit of the first NUL byte: keep only the bytes below it. */
        if (ended) eight.word &= ((ended & (~ended + 1)) - 1) >> 7;
#else
        if (ended)
            for (int i = 0, over = 0; i < 8; i++)
                if (over |= !eight.text[i]) eight.text[i] = 0;
#endif
        for (int i = 0; i < 8; i++) to[at + (size_t)i] = eight.text[i];
        at += 8;
        if (ended) break;
    }
    for (; at < room; at++) to[at] = 0;
    to[room - 1] = 0;
}

/* Copy into shared memory. Release: see the head of headway_layout.h. */
static inline void hw_store_words(void *to, const void *from, size_t bytes) {
    hw_word *out = (hw_word *)to;
    const hw_word *in = (const hw_word *)from;
    for (size_t i = 0; i < bytes / 8; i++) {
        HW_STEP("word");
        hw_store(out + i, in[i]);
    }
}

/* A strict -std=c11 hides POSIX's clocks; their numbers and the function are part of Linux's ABI. */
#ifndef CLOCK_MONOTONIC_COARSE
extern int clock_gettime(int clock, struct timespec *time);
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_MONOTONIC_COARSE 6
#endif

static inline uint64_t hw_clock_ns(int clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------------------------------------------ latch
 * Two copies and a sequence number. At rest it is even and both copies are equal.
 *
 *   writer (holds the slot lock)          readers meanwhile use
 *     seq := odd                            copy 1, the old record
 *     write copy 0
 *     seq := even                           copy 0, the new record
 *     write copy 1
 *
 * A writer that dies at any step leaves the copy in use whole. The next holder of the lock makes the other copy equal
 * (hw_latch_mend) before it writes: seq odd: 1 -> 0, then seq := even; seq even: 0 -> 1.
 */
static inline uint64_t hw_latch_begin(const uint64_t *seq) {
    return hw_load(seq); /* acquire: the words are read after it */
}

/* Was the copy (seen & 1) left alone since hw_latch_begin? Every word of it was loaded before, with acquire; acquire here,
 * so that what is read afterwards is not older than the copy. */
static inline int hw_latch_whole(const uint64_t *seq, uint64_t seen) { return hw_load(seq) == seen; }

/* Send readers to the other copy. Release: the copy they are sent to was written before. */
static inline void hw_latch_flip(uint64_t *seq) {
    HW_STEP("flip");
    hw_store(seq, hw_peek(seq) + 1);
}

static inline void hw_latch_mend(uint64_t *seq, void *copy0, void *copy1, size_t bytes) {
    if (hw_peek(seq) & 1) {
        hw_store_words(copy0, copy1, bytes);
        hw_latch_flip(seq);
    } else {
        hw_store_words(copy1, copy0, bytes);
    }
}

/* -------------------------------------------------------------------------------------------------- counting */

/* What the native functions return. */
enum hw_answer {
    HW_OK = 0,
    HW_STALE = 1,    /* the slot is no longer this task's: nothing was counted or written */
    HW_OVERFLOW = 2, /* the count would leave 48 bits: nothing was counted */
    HW_UNBOUND = 3,  /* the handle has no stripe yet */
    HW_ENDED = 4,    /* the task has ended: nothing was written */
    HW_TIMEOUT = 5,  /* a lock stayed with a live holder until the deadline */
    HW_EXISTS = 6,   /* the id runs, and its owner or a worker on it is alive */
    HW_FULL = 7,     /* every slot holds a task that has not ended */
    HW_RESTING = 8,  /* slots are free, but rest for a moment longer */
    HW_ABSENT = 9,   /* no such task */
    HW_TOO_LARGE = 10,
    HW_RETIRED = 11, /* the board was removed */
    HW_SYSTEM = 12,  /* a system call failed, errno tells */
    HW_DAMAGED = 13, /* the segment is corrupt */
    HW_UNARCHIVED = 14 /* finished tasks could make room, but the history does not have them yet */
};

/* As clock_gettime. */
typedef int (*hw_clock_function)(int clock, struct timespec *time);

struct hw_task;

/* What is done now and then: functions of Headway, in this process. */
typedef struct hw_calls {
    void (*tick)(const struct hw_task *task, int64_t n, uint64_t now_ns); /* the first count in this tick of the clock */
    int (*item)(const struct hw_task *task, const char *text);
    int (*number)(const struct hw_task *task, int64_t number);
} hw_calls;

/* A task as one process counts on it. Comes from Task.native() and belongs to the process that asked. */
typedef struct hw_task {
    hw_stripe *stripe;
    const uint64_t *identity; /* this process on the board; reads 0 in a forked child and after close */
    uint64_t worker;          /* the value of *identity when the stripe was taken */
    uint64_t tag;             /* hw_tag(generation), of the slot, or of the block that has the stripe */
    hw_clock_function clock;  /* see hw_now; NULL: there is no stripe */
    const hw_calls *calls;
    uint64_t durations;       /* hw_tag(generation) of the slot, 16 bits | the address of the task's hw_durations */
} hw_task;

/* Live generations are odd, so their lowest bit tells nothing. */
static inline uint64_t hw_tag(uint64_t generation) { return generation >> 1 & 0xffff; }

static inline int64_t hw_count_of(uint64_t word) { return (int64_t)(word << 16) >> 16; }

/* Add to one stripe by one compare-and-swap. It is relaxed: no other data depends on a count. The tag makes it
 * impossible to count on a later task in the same slot. The sum is computed in the upper 48 bits of a word, so that it
 * overflows exactly when the count leaves its 48 bits. */
static inline int hw_count(hw_stripe *stripe, uint64_t tag, int64_t n) {
    uint64_t old = hw_peek(&stripe->count);
    int64_t sum;
    if (HW_UNLIKELY(n >= HW_COUNT_LIMIT || n <= -HW_COUNT_LIMIT)) return HW_OVERFLOW;
    do {
        if (HW_UNLIKELY(old >> HW_TAG_SHIFT != tag)) return HW_STALE;
        if (HW_UNLIKELY(__builtin_add_overflow((int64_t)(old << 16), (int64_t)((uint64_t)n << 16), &sum)))
            return HW_OVERFLOW;
    } while (!__atomic_compare_exchange_n(&stripe->count, &old, tag << HW_TAG_SHIFT | (uint64_t)sum >> 16, 1,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return HW_OK;
}

/* Is this the first count in a tick of the coarse clock? Then `tick` notes the time, and how long it took. The others
 * would only write down what stands there. Relaxed: a beat that is seen a moment early or late does no harm. */
static inline int hw_is_tick(const hw_stripe *stripe, uint64_t now_ns) { return hw_peek(&stripe->beat_ns) != now_ns; }

/* As hw_add, for callers that already have the coarse monotonic time, in nanoseconds. */
static inline int hw_add_at(hw_task *task, int64_t n, uint64_t now_ns) {
    if (HW_UNLIKELY(hw_peek(task->identity) != task->worker)) {
        if (!task->stripe) return HW_UNBOUND;
        /* Unless the stripe is another task's by now. Relaxed: for people, read after the count. */
        if (hw_peek(&task->stripe->count) >> HW_TAG_SHIFT == task->tag)
            __atomic_store_n(&task->stripe->shared, 1, __ATOMIC_RELAXED);
    }
    int answer = hw_count(task->stripe, task->tag, n);
    if (HW_UNLIKELY(hw_is_tick(task->stripe, now_ns)) && answer == HW_OK) task->calls->tick(task, n, now_ns);
    return answer;
}

/* The coarse monotonic time; the handle must have a stripe. If possible, its `clock` is the kernel's function in this
 * process: the call through the C library takes half as long again. */
static inline uint64_t hw_now(const hw_task *task) {
    struct timespec t;
    task->clock(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Count n items done, from any thread, without a lock or a system call; every process sees the count at once. In a
 * forked child the handle is the parent's: the count is right, but the two shares can no longer be told apart. */
static inline int hw_add(hw_task *task, int64_t n) {
    if (HW_UNLIKELY(!task->clock)) return HW_UNBOUND;
    return hw_add_at(task, n, hw_now(task));
}

/* What this process works on from now on, for people: up to 47 bytes of UTF-8, a longer text is cut. NULL: nothing. The
 * threads of a process have one place: it tells the last one. Costs some ten nanoseconds. Returns HW_OK; HW_STALE: the
 * slot is another task's by now; HW_UNBOUND: there is no stripe, or it is that of a forked child's parent. */
static inline int hw_item(hw_task *task, const char *text) {
    return HW_UNLIKELY(!task->clock) ? HW_UNBOUND : task->calls->item(task, text);
}

/* The same for an item that is a number: nothing is formatted before somebody looks. */
static inline int hw_item_number(hw_task *task, int64_t number) {
    return HW_UNLIKELY(!task->clock) ? HW_UNBOUND : task->calls->number(task, number);
}

/* For loops whose iterations take at most some hundred nanoseconds: a thread's own count, which is added to the task as
 * soon as `every` items are held. Each thread has one on its stack, where the compiler keeps it in registers. Held
 * items are not visible to others: a thread that is killed loses at most every - 1 of them. So choose `every` such that
 * a block takes microseconds, and call hw_flush after the loop.
 *
 *     hw_batch batch = {task, 0, 1000};
 *     for (...) { work(); hw_batch_add(&batch, 1); }
 *     hw_flush(&batch);
 */
typedef struct hw_batch {
    hw_task *task;
    int64_t held;  /* items done, not yet counted on the task */
    int64_t every; /* 1 or less: each at once */
} hw_batch;

/* Count what is held. Returns what hw_add returns; items that the task does not take are dropped, as by hw_add. */
static inline int hw_flush(hw_batch *batch) {
    int64_t n = batch->held;
    batch->held = 0;
    return n ? hw_add(batch->task, n) : HW_OK;
}

/* As hw_add, for fast loops. The sum wraps around, without undefined behaviour; hw_add then returns HW_OVERFLOW. */
static inline int hw_batch_add(hw_batch *batch, int64_t n) {
    batch->held = (int64_t)((uint64_t)batch->held + (uint64_t)n);
    if (HW_LIKELY(batch->held >= 0 && batch->held < batch->every)) return HW_OK;
    return hw_flush(batch);
}

#ifdef __cplusplus
}
#endif
#endif
