/* durations.h - how long the counts of a task take: a histogram of powers of two, and the slowest one with its item.
 *
 * A duration is the time between two counts of one counter, or since the item in hand was taken up, if that was later. The
 * clock is the coarse one, with a tick of 1 to 10 ms. A count in the tick of the count before pays a comparison, and no
 * more. What took less than 2^24 ns (17 ms) cannot be told from nothing at ten milliseconds a tick, and is not noted:
 * readers know how many items there are in all.
 *
 * There is one histogram for all workers of a task: each of them adds once in a tick at most. Its words are tag and count,
 * as those of stripes, so that a stale handle cannot add to the task that has the slot now. Bit i of `timed` in the control
 * words is set with the first duration of kind i; a stale handle may set one, which then leads to a word that says 0.
 *
 * A task that is resumed goes on with its durations; how long it was at rest is none. So the time at which a run begins
 * stands in `timed`, too, to the next 2^24 ns below, and no duration begins before it, whoever's counter it is.
 *
 *   the slowest     `since` has how long it took, and only grows, by compare and swap. Who made it grow writes the name, as
 *                   that of any item, with `naming` taken. The hash of a name holds for the time beside it alone: so
 *                   between two slowest there is a time without a name, never with another one's. Who has taken
 *                   `naming` and is killed or stopped has it for a second.
 */
#ifndef HEADWAY_DURATIONS_H
#define HEADWAY_DURATIONS_H

#include "items.h"

#define HW_NAMING_TRIES 64
#define HW_NAMING_NS 1000000000u

#define HW_COLD __attribute__((noinline, cold))

static inline hw_durations *hw_durations_of(char *slot) { return (hw_durations *)(slot + HW_DURATIONS_OFFSET); }

/* The control words of the slot that has these durations. */
static inline hw_control *hw_control_beside(hw_durations *durations) {
    return (hw_control *)((char *)durations - HW_DURATIONS_OFFSET + HW_CONTROL_OFFSET);
}

#define HW_RUN_SHIFT HW_DURATIONS
#define HW_RUN_MASK ((((uint64_t)1 << 40) - 1) << HW_RUN_SHIFT) /* of `timed`, between the kinds and HW_UNTIMED */

/* When the task was resumed, by the monotonic clock; 0 = never. */
static inline uint64_t hw_run_began(uint64_t timed) { return (timed & HW_RUN_MASK) >> HW_RUN_SHIFT << HW_DURATION_SHIFT; }

/* The task is resumed now. Under the slot lock; workers set bits meanwhile. */
static inline void hw_begin_run(hw_control *control) {
    uint64_t now = hw_clock_ns(CLOCK_MONOTONIC_COARSE) >> HW_DURATION_SHIFT << HW_RUN_SHIFT & HW_RUN_MASK, seen;
    do seen = hw_peek(&control->timed);
    while (!hw_cas(&control->timed, seen, (seen & ~HW_RUN_MASK) | now));
}

/* The kind of a duration: its place in the histogram; -1 = too quick to be told. */
static inline int hw_duration_kind(uint64_t ns) {
    int kind;
    if (ns >> HW_DURATION_SHIFT == 0) return -1;
    kind = 63 - __builtin_clzll(ns) - HW_DURATION_SHIFT;
    return kind < HW_DURATIONS ? kind : HW_DURATIONS - 1;
}

/* As a handle has them: Linux gives no process addresses of more than 47 bits that does not ask for them. */
static inline uint64_t hw_durations_in(char *slot, uint64_t tag) {
    return tag << HW_TAG_SHIFT | (uint64_t)(uintptr_t)hw_durations_of(slot);
}

/* Begin the durations of a new task. Under the slot lock, before the task is published. */
static void hw_begin_durations(char *slot, uint64_t tag) {
    hw_durations *durations = hw_durations_of(slot);
    for (int i = 0; i < HW_DURATIONS; i++) hw_store(&durations->count[i], tag << HW_TAG_SHIFT);
    hw_store(&durations->items, tag << HW_TAG_SHIFT);
    hw_store(&durations->naming, tag << HW_TAG_SHIFT);
    hw_store(&durations->slowest.since, tag << HW_TAG_SHIFT);
    hw_store(&durations->slowest.name, 0);
    hw_store(&hw_control_beside(durations)->timed, 0);
}

/* Write the name of what took longest, unless something took longer meanwhile. Acquire and release: the name of who had
 * `naming` before is complete, or its writer was stopped, and the hash tells. */
static void hw_name_slowest(hw_durations *durations, uint64_t tag, const hw_in_hand *item, uint64_t took, uint64_t now_ns) {
    uint64_t mine = hw_since(tag, now_ns), seen;
    char text[HW_ITEM_BYTES];
    for (int i = 0; i < HW_NAMING_TRIES; i++) {
        seen = hw_peek(&durations->naming);
        if (seen >> HW_TAG_SHIFT != tag || hw_load(&durations->slowest.since) != took) return;
        if (seen & HW_COUNT_MASK && hw_since_ns(mine) - hw_since_ns(seen) < HW_NAMING_NS) continue; /* as it is now */
        if (!hw_cas(&durations->naming, seen, mine)) continue;
        HW_STEP("naming");
        hw_tell_item(text, item);
        if (hw_load(&durations->slowest.since) == took) 
            hw_put_words(&durations->slowest.name, &durations->slowest, tag, text, took);
        hw_cas(&durations->naming, mine, tag << HW_TAG_SHIFT);
        return;
    }
}

/* Add to one word of the durations. Relaxed, as a count. 0 if it is another task's by now. */
static int hw_add_timed(uint64_t *word, uint64_t tag, uint64_t n) {
    uint64_t old = hw_peek(word);
    do {
        if (old >> HW_TAG_SHIFT != tag) return 0;
    } while (!__atomic_compare_exchange_n(word, &old, tag << HW_TAG_SHIFT | ((old + n) & HW_COUNT_MASK), 1,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return 1;
}

/* Note that n items took so long, with the item that was in hand. */
static void hw_note_duration(const hw_task *task, int64_t n, uint64_t ns, const hw_in_hand *item, uint64_t now_ns) {
    hw_durations *durations = (hw_durations *)(uintptr_t)(task->durations & HW_COUNT_MASK);
    uint64_t tag = task->durations >> HW_TAG_SHIFT, took = hw_since(tag, ns), old;
    hw_control *control = hw_control_beside(durations);
    int kind = hw_duration_kind(ns);
    if (kind < 0) return;
    if (!hw_add_timed(&durations->count[kind], tag, 1)) return;
    HW_STEP("timed");
    hw_add_timed(&durations->items, tag, (uint64_t)n);
    /* Release: who sees the bit sees the words. */
    if (!(hw_peek(&control->timed) >> kind & 1)) __atomic_fetch_or(&control->timed, (uint64_t)1 << kind, __ATOMIC_RELEASE);
    old = hw_peek(&durations->slowest.since);
    do {
        if (old >> HW_TAG_SHIFT != tag || old >= took) return;
    } while (!__atomic_compare_exchange_n(&durations->slowest.since, &old, took, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    HW_STEP("slowest");
    if (item->name) hw_name_slowest(durations, tag, item, took, now_ns);
}

/* The first count of a stripe in this tick of the clock: note the time, and how long it took. Relaxed: for people. */
static HW_COLD void hw_tick(const hw_task *task, int64_t n, uint64_t now_ns) {
    hw_stripe *stripe = task->stripe;
    uint64_t begun = hw_peek(&stripe->beat_ns), taken, run;
    hw_in_hand item;
    if (now_ns < begun && begun - now_ns < HW_NAMING_NS) return; /* another thread was here since we read the clock */
    __atomic_store_n(&stripe->beat_ns, now_ns, __ATOMIC_RELAXED);
    if (n <= 0 || !begun || now_ns <= begun || hw_duration_kind(now_ns - begun) < 0) return;
    run = hw_run_began(hw_peek(&hw_control_beside((hw_durations *)(uintptr_t)(task->durations & HW_COUNT_MASK))->timed));
    if (run > begun) begun = run;
    item.name = 0;
    if (hw_peek(&stripe->worker) == task->worker) /* else the item is another worker's */
        hw_load_item(&item, &stripe->name, &stripe->item, task->tag);
    taken = item.name ? hw_taken_up(&item, begun) : begun;
    if (taken > begun) begun = taken;
    if (now_ns > begun) hw_note_duration(task, n, now_ns - begun, &item, now_ns);
}

static const hw_calls hw_own_calls = {hw_tick, hw_take_named, hw_take_numbered};

#endif
