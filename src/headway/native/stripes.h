/* stripes.h - the counters of a task: which process has which, the counts of dead workers, and the sum of all. */
#ifndef HEADWAY_STRIPES_H
#define HEADWAY_STRIPES_H

#include "clock.h" /* first: it defines _GNU_SOURCE */

#include "lock.h"

/* Is this dead worker noted already? The process that noted it may have been killed before it took the stripe. */
static int hw_is_remembered(char *slot, uint64_t worker) {
    uint64_t n = hw_load(&hw_control_of(slot)->lost_count);
    for (uint64_t i = 0; i < n && i < HW_LOST; i++)
        if (hw_load(&hw_lost_of(slot)[i].worker) == worker) return 1;
    return 0;
}

/* What a worker counted on a stripe. Unsigned, so that damaged words wrap around without undefined behaviour. */
static inline int64_t hw_share(uint64_t count, int64_t base) {
    return (int64_t)((uint64_t)hw_count_of(count) - (uint64_t)base);
}

/* Note the dead worker of a stripe that is about to be taken over. Called under the slot lock. */
static void hw_remember_lost(char *slot, hw_stripe *stripe, uint64_t worker) {
    hw_control *control = hw_control_of(slot);
    uint64_t n = hw_peek(&control->lost_count);
    hw_lost lost;
    if (hw_is_remembered(slot, worker)) return;
    if (n < HW_LOST) {
        int known = hw_load(&stripe->base_of) == worker && !hw_load(&stripe->shared);
        lost.worker = worker;
        lost.pid = hw_load(&stripe->base_of) == worker ? hw_load(&stripe->pid) : 0;
        lost.beat_ns = hw_load(&stripe->beat_ns);
        lost.share = known ? hw_share(hw_load(&stripe->count), (int64_t)hw_load(&stripe->base)) : INT64_MIN;
        hw_store_words(hw_lost_of(slot) + n, &lost, sizeof lost);
    }
    HW_STEP("lost");
    hw_store(&control->lost_count, n + 1); /* publishes the entry */
    HW_STEP("remembered");
}

/* Release: readers that see a count there see the bit, because it was set before. */
static inline void hw_use_stripe(hw_control *control, ptrdiff_t stripe) {
    __atomic_fetch_or(&control->stripes_used, (uint64_t)1 << stripe, __ATOMIC_ACQ_REL);
}

/* Take a stripe that is free, or whose worker is dead. Under the slot lock, so that the slot cannot get a new task
 * meanwhile. NULL if live processes have all of them. */
static hw_stripe *hw_take_stripe(hw_board *board, char *slot) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t me = hw_me(board);
    enum { NEW, LEFT, DEAD }; /* LEFT still names its last worker, so it is taken only if there is no NEW one */
    for (int kind = NEW; kind <= DEAD; kind++) {
        for (int i = 0; i < HW_STRIPES; i++) {
            hw_stripe *stripe = stripes + (me + (uint64_t)i) % HW_STRIPES;
            uint64_t worker = hw_load(&stripe->worker);
            if (kind == DEAD ? !hw_dead(board, worker) : worker != 0) continue;
            if (kind == NEW && hw_load(&stripe->base_of)) continue;
            if (worker) hw_remember_lost(slot, stripe, worker);
            hw_use_stripe(hw_control_of(slot), stripe - stripes);
            hw_store(&stripe->worker, me);
            HW_STEP("stripe");
            hw_store(&stripe->pid, hw_pid(board));
            hw_store(&stripe->base, (uint64_t)hw_count_of(hw_load(&stripe->count)));
            hw_store(&stripe->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
            hw_store(&stripe->base_of, me); /* release: base and pid are ours from here on */
            return stripe;
        }
    }
    return NULL;
}

/* Give this process a stripe of a task: its own, a free one, or a dead worker's. Otherwise, and if the slot lock
 * cannot be had before the deadline, a shared one: counting must hardly wait. */
static int hw_bind(hw_board *board, hw_task *task, uint32_t index, uint64_t generation, uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    hw_stripe *stripes = hw_stripes_of(slot), *mine = NULL;
    uint64_t me = hw_me(board);
    if (!me) return HW_UNBOUND;
    if (hw_load(&control->generation) != generation) return HW_STALE;
    for (int i = 0; i < HW_STRIPES && !mine; i++)
        if (hw_load(&stripes[i].worker) == me) mine = stripes + i;
    if (!mine && hw_slot_lock(board, slot, deadline_ns) == HW_OK) {
        int stale = hw_load(&control->generation) != generation;
        if (!stale) mine = hw_take_stripe(board, slot);
        hw_slot_unlock(slot);
        if (stale) return HW_STALE;
        if (mine) hw_hold(board, index, (uint32_t)(mine - stripes), generation);
    }
    if (!mine) {
        mine = stripes + me % HW_STRIPES;
        hw_use_stripe(control, mine - stripes);
        hw_store(&mine->shared, 1);
    }
    task->stripe = mine;
    task->identity = board->page;
    task->worker = me;
    task->tag = hw_tag(generation);
    task->clock = hw_clock;
    return HW_OK;
}

/* The count of a task: the sum of its stripes. */
static int64_t hw_total_count(char *slot, uint64_t tag) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used) & (((uint64_t)1 << HW_STRIPES) - 1);
    int64_t sum = 0;
    for (; used; used &= used - 1) { /* the lowest bit first */
        uint64_t word = hw_load(&stripes[__builtin_ctzll(used)].count);
        if (word >> HW_TAG_SHIFT == tag) sum += hw_count_of(word);
    }
    return sum;
}

/* Was the task counted on at this time (coarse monotonic) or later? */
static int hw_counted_since(char *slot, uint64_t since_ns) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used);
    for (int i = 0; i < HW_STRIPES; i++)
        if (used >> i & 1 && hw_load(&stripes[i].beat_ns) >= since_ns) return 1;
    return 0;
}

#endif
