/* bind.h - how a process gets a counter of a task: its own, a free one, that of a dead worker, or a share of another one.
 *
 * Who died on a task keeps its counter, and so is named with its share and its item, as long as the task has HW_KEPT_BLOCKS
 * blocks or less. Then a newcomer looks for a dead one before it links one more: so a task whose workers die and are replaced
 * all day has hardly more counters than workers, and leaves the pool to others.
 *
 *   free, under the slot lock     a new stripe, one that was given back, or one of a block that is linked now
 *   dead, without it              who is dead is asked of the kernel: whoever is found dead stays dead
 *   take over, under it           if the stripe still is the task's, and still names the one who died:
 *     an entry of the list          the dead one is in the list and has its stripe: readers skip the stripe
 *     lost_count                    the same
 *     worker := this process        the dead one is in the list alone; who took over has no base yet: its share is not known
 *     base, base_of                 what it counts from here on is its own
 *
 * The count goes on from where it stood, and its tag stays: what was acknowledged is in the sum at each step, and a child of
 * the dead that counts by its handle still counts for the task, and marks the stripe as shared. Nowhere else: the tag is that
 * of this loan of the block.
 */
#ifndef HEADWAY_BIND_H
#define HEADWAY_BIND_H

#include "clock.h" /* first: it defines _GNU_SOURCE */

#include "pool.h"

#define HW_NO_TAG ((uint64_t)1 << 16) /* of no word: a handle that has it is refused */
#define HW_SHARING_TICK_BITS 26       /* a tick is 2^26 ns, 67 ms */
#define HW_SHARING_TICKS 15u
#define HW_KEPT_BLOCKS 4 /* in which the dead keep their counters */
HW_ASSERT(HW_KEPT_BLOCKS <= HW_BLOCKS);
#define HW_LOOKED_AT 16u /* counters, before one more block is linked: the kernel is asked about each */

/* Before the first count: see the fence of hw_bind. `used`: of the slot, or of a block. */
static inline void hw_use_stripe(uint64_t *used, uint32_t stripe) {
    __atomic_fetch_or(used, (uint64_t)1 << stripe, __ATOMIC_ACQ_REL);
}

/* A counter as a process has it: number as of hw_stripe_at, and the tag of its counts. */
typedef struct hw_mine {
    hw_stripe *stripe; /* NULL = none */
    uint32_t number;
    uint64_t tag;
} hw_mine;

/* The stripe so many of the slot, or of a block. */
static hw_mine hw_mine_of(const hw_board *board, char *slot, hw_block *block, uint32_t at, uint64_t tag) {
    hw_mine mine;
    mine.stripe = (block ? block->stripe : hw_stripes_of(slot)) + at;
    mine.number = block ? HW_STRIPES + (uint32_t)(block - board->pool) * HW_BLOCK_STRIPES + at : at;
    mine.tag = tag;
    return mine;
}

/* The stripe that `it` has just come to. */
static hw_mine hw_mine_at(const hw_counters *it, char *slot, hw_stripe *stripe) {
    return hw_mine_of(it->board, slot, it->block, (uint32_t)(stripe - it->stripes), it->tag);
}

/* Write whose a stripe is. Under the slot lock, so that the slot cannot get a new task meanwhile. */
static void hw_take_stripe(hw_board *board, char *slot, hw_block *block, uint32_t at) {
    hw_stripe *stripe = (block ? block->stripe : hw_stripes_of(slot)) + at;
    uint64_t me = hw_me(board);
    hw_use_stripe(block ? &block->used : &hw_control_of(slot)->stripes_used, at);
    hw_store(&stripe->name, 0); /* of who had it before; a reader that sees it gone looks for whose it was */
    HW_STEP("item cleared");
    hw_store(&stripe->worker, me);
    HW_STEP("stripe");
    hw_store(&stripe->pid, hw_pid(board));
    hw_store(&stripe->base, (uint64_t)hw_count_of(hw_load(&stripe->count)));
    hw_store(&stripe->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
    hw_store(&stripe->base_of, me); /* release: base and pid are ours from here on */
}

/* Take a stripe of the slot that nobody has: a new one, or, with `left`, one that was given back. Under the slot lock. */
static hw_mine hw_take_of_slot(hw_board *board, char *slot, uint64_t generation, int left) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used), me = hw_me(board);
    hw_mine none = {NULL, 0, 0};
    for (int given_back = 0; given_back <= left; given_back++) {
        for (uint32_t i = 0; i < HW_STRIPES; i++) {
            uint32_t at = (uint32_t)((me + i) % HW_STRIPES);
            if (given_back ? hw_load(&stripes[at].worker) : used >> at & 1) continue;
            hw_take_stripe(board, slot, NULL, at);
            return hw_mine_of(board, slot, NULL, at, hw_tag(generation));
        }
    }
    return none;
}

/* Take a stripe that nobody has: a new one; else one that was given back, which still names its last worker; else the
 * first of one more block, unless the task has `most`. Under the slot lock, which is held for some stores: who is alive is not
 * asked here. None if the task has as many as it may have, or the pool is used up. */
static hw_mine hw_take_free(hw_board *board, char *slot, uint64_t generation, uint64_t most) {
    hw_stripe *stripe;
    hw_counters it = hw_counters_of(board, slot, generation, 0);
    hw_mine mine;
    hw_block *block = hw_linked(board, it.link, it.task); /* when it was linked, the others had no new ones left */
    uint64_t used_there = block ? hw_load(&block->used) & HW_ALL_OF_BLOCK : HW_ALL_OF_BLOCK;
    mine = hw_take_of_slot(board, slot, generation, used_there == HW_ALL_OF_BLOCK);
    if (mine.stripe) return mine;
    it.left = 0;
    while (used_there == HW_ALL_OF_BLOCK && (stripe = hw_next_stripe(&it)) != NULL) {
        if (hw_load(&stripe->worker)) continue;
        hw_take_stripe(board, slot, it.block, (uint32_t)(stripe - it.stripes));
        return hw_mine_at(&it, slot, stripe);
    }
    if (used_there == HW_ALL_OF_BLOCK) {
        block = hw_link(board, slot, generation, most);
        used_there = 0;
    }
    if (!block) return mine;
    mine = hw_mine_of(board, slot, block, (uint32_t)__builtin_ctzll(~used_there), hw_tag(hw_peek(&block->generation)));
    hw_take_stripe(board, slot, block, (uint32_t)(mine.stripe - block->stripe));
    return mine;
}

/* Has the task ended, and were its counters closed, or is somebody about to? Sure under the slot lock. */
static int hw_is_closed(char *slot) {
    const hw_control *control = hw_control_of(slot);
    return hw_load(&control->sealed) - hw_load(&control->generation) <= 1 &&
           hw_ended(hw_load(&hw_status_of(slot, hw_load(&control->status_seq) & 1)->state));
}

/* ------------------------------------------------------------------------------------------------ of dead workers */

/* The stripe of a dead worker, as it was found without a lock. */
typedef struct hw_former {
    hw_counters at; /* has just come to it */
    hw_stripe *stripe;
    uint64_t worker;
} hw_former;

/* Of every so manieth stripe of the task, from the one of this number on, the one whose worker is dead and has been silent
 * for longest; rather one that nobody shared, as the share of the next worker would not be known either. */
static int hw_longest_dead(hw_board *board, char *slot, uint64_t generation, uint32_t every, uint32_t from, hw_former *found) {
    hw_counters it = hw_counters_of(board, slot, generation, 0);
    hw_stripe *stripe;
    uint64_t best = UINT64_MAX;
    for (uint32_t i = 0; (stripe = hw_next_stripe(&it)) != NULL; i++) {
        uint64_t worker, age;
        if (i % every != from) continue;
        worker = hw_load(&stripe->worker);
        age = hw_load(&stripe->beat_ns) >> 1 | hw_load(&stripe->shared) << 63;
        if (age >= best || !hw_dead(board, worker)) continue;
        best = age;
        found->at = it;
        found->stripe = stripe;
        found->worker = worker;
    }
    return best != UINT64_MAX;
}

/* Take that stripe over. HW_OK; HW_STALE if somebody was quicker, or it is the task's no more; HW_TIMEOUT. */
static int hw_take_over(hw_board *board, char *slot, uint64_t generation, const hw_former *found, uint64_t deadline_ns) {
    hw_stripe *stripe = found->stripe;
    int is_ours;
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    /* Under the lock the task keeps its blocks. The tag of a block is that of before: it has not been lent since. */
    is_ours = hw_load(&hw_control_of(slot)->generation) == generation && hw_kept_blocks(&found->at, slot) &&
              hw_load(&stripe->worker) == found->worker;
    if (is_ours) {
        if (!hw_is_closed(slot)) hw_unseal(board, slot); /* it was lost meanwhile */
        hw_remember_lost(slot, stripe, found->worker, found->at.tag);
        hw_take_stripe(board, slot, found->at.block, (uint32_t)(stripe - found->at.stripes));
    }
    hw_slot_unlock(slot);
    return is_ours ? HW_OK : HW_STALE;
}

/* Take the stripe of a dead worker, if there is one among those that are looked at: HW_LOOKED_AT of them, from all over the
 * task, or `all`, so many at a time. Each process begins elsewhere: newcomers at one moment hardly meet, and who died last
 * keeps its counter for longest. */
static hw_mine hw_take_dead(hw_board *board, char *slot, uint64_t generation, int all, uint64_t deadline_ns) {
    hw_counters it = hw_counters_of(board, slot, generation, 0);
    hw_mine none = {NULL, 0, 0};
    hw_former found;
    uint32_t n = 0, every, tries = 0;
    while (hw_next_stripe(&it) != NULL) n++;
    every = (n + HW_LOOKED_AT - 1) / HW_LOOKED_AT;
    for (uint32_t turn = 0; turn < (all ? every : every > 0);) {
        int answer = HW_ABSENT;
        if (tries < HW_LOOKED_AT && hw_longest_dead(board, slot, generation, every, (uint32_t)((hw_me(board) + turn) % every), &found))
            answer = hw_take_over(board, slot, generation, &found, deadline_ns);
        if (answer == HW_OK) return hw_mine_at(&found.at, slot, found.stripe);
        if (answer == HW_TIMEOUT) break;
        if (answer == HW_STALE) tries++; /* somebody was quicker: another one of these may be dead, too */
        else turn++, tries = 0;
    }
    return none;
}

/* The stripe that this process has already, by another handle. A block that has another task by now is not looked into:
 * there, too, this process may have a stripe. */
static hw_mine hw_find_mine(hw_board *board, char *slot, uint64_t generation) {
    hw_counters it = hw_counters_of(board, slot, generation, 0);
    uint64_t me = hw_me(board);
    hw_stripe *stripe;
    hw_mine none = {NULL, 0, 0};
    while ((stripe = hw_next_stripe(&it)) != NULL)
        if (hw_load(&stripe->worker) == me) {
            /* A block that was lent anew meanwhile has that loan's tag: who sees it sees that it is not ours any more. */
            hw_mine mine = hw_mine_at(&it, slot, stripe);
            int is_ours = hw_load(&hw_control_of(slot)->generation) == generation && hw_kept_blocks(&it, slot);
            return is_ours ? mine : none;
        }
    return none;
}

/* This process shares a counter of the task, as it found no other one a moment ago: 40 bits of the task's name and of the
 * process, so that a forked child looks for itself, and when that was. */
static uint64_t hw_sharing_name(hw_board *board, uint32_t index, uint64_t generation) {
    return ((hw_task_name(index, generation, 0) ^ hw_me(board) * 0x9e3779b97f4a7c15ull) * 0xff51afd7ed558ccdull) >> 24;
}

static inline uint64_t hw_sharing_tick(void) { return hw_clock_ns(CLOCK_MONOTONIC_COARSE) >> HW_SHARING_TICK_BITS & 0xffffff; }

/* For a second, other handles on the task share at once: they neither wait for its slot lock nor search. */
static int hw_shares_already(hw_board *board, uint64_t name) {
    uint64_t word = hw_peek(board->sharing + name % HW_SHARING);
    return word >> 24 == name && ((hw_sharing_tick() - word) & 0xffffff) < HW_SHARING_TICKS;
}

static void hw_note_sharing(hw_board *board, uint64_t name) {
    /* Relaxed: the word says all. */
    __atomic_store_n(board->sharing + name % HW_SHARING, name << 24 | hw_sharing_tick(), __ATOMIC_RELAXED);
}

/* How often the blocks of the task in a slot were taken back. */
static inline uint64_t hw_folds_at(const hw_board *board, uint32_t index) {
    return hw_folds_of(hw_load(&hw_control_of(hw_slot(board, index))->stripes_used));
}

/* Is the counter of a handle still this task's, which has its slot? `folds`: of before it was bound. The tag does not tell
 * it for ever: it recurs when a block was lent 65536 times more. */
static inline int hw_keeps_counter(const hw_board *board, uint32_t index, const hw_task *task, uint64_t folds) {
    return (const char *)task->stripe < (const char *)board->pool || hw_folds_at(board, index) == folds;
}

static void hw_give_handle(hw_board *board, hw_task *task, char *slot, uint64_t generation, hw_mine mine) {
    /* Who sees a count of this process, sees that the stripe is its own, and its bit. The counts to come are relaxed, and
     * the store of one could overtake the stores above, releases though they are. Partners: hw_seal, whose sum has to be
     * complete, and hw_copy_stripe, which would give the count to who had the stripe before. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    task->stripe = mine.stripe;
    task->identity = board->page;
    task->worker = hw_me(board);
    task->tag = mine.tag;
    task->calls = &hw_own_calls;
    task->durations = hw_durations_in(slot, hw_tag(generation));
    task->clock = hw_clock;
}

/* A stripe that nobody has, of a task with at most so many blocks; or one whose counts are refused, as those of a task that is
 * closed are: no block is lent for them. HW_OK, without a stripe if there is none; HW_STALE; HW_TIMEOUT. */
static int hw_bind_free(hw_board *board, char *slot, uint64_t generation, uint64_t most, uint64_t deadline_ns, hw_mine *mine) {
    int answer = HW_OK;
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    if (hw_load(&hw_control_of(slot)->generation) != generation) {
        answer = HW_STALE;
    } else if (hw_is_closed(slot)) {
        /* One of the slot, if there is one: should the task be resumed, the handle counts. */
        *mine = hw_take_of_slot(board, slot, generation, 1);
        if (!mine->stripe) *mine = hw_mine_of(board, slot, NULL, 0, HW_NO_TAG);
    } else {
        hw_unseal(board, slot);
        *mine = hw_take_free(board, slot, generation, most);
    }
    hw_slot_unlock(slot);
    return answer;
}

/* A counter that this process has alone, or one whose counts are refused. HW_OK; HW_STALE; HW_ABSENT if there is none;
 * HW_TIMEOUT if the slot lock was not to be had. */
static int hw_bind_alone(hw_board *board, char *slot, uint32_t index, uint64_t generation, uint64_t deadline_ns, hw_mine *mine) {
    *mine = hw_find_mine(board, slot, generation);
    if (mine->stripe) return HW_OK;
    for (int all = 0; all <= 1 && !mine->stripe; all++) {
        int answer = hw_bind_free(board, slot, generation, all ? HW_BLOCKS : HW_KEPT_BLOCKS, deadline_ns, mine);
        if (answer != HW_OK) return answer;
        if (!mine->stripe) *mine = hw_take_dead(board, slot, generation, all, deadline_ns);
    }
    if (!mine->stripe) return HW_ABSENT;
    if (mine->tag != HW_NO_TAG) hw_hold(board, index, mine->number, generation);
    return HW_OK;
}

/* Give this process a stripe of a task: its own, a free one, or a dead worker's; else a shared one. If the slot lock cannot
 * be had before the deadline, it shares one, too, as counting must hardly wait; unless it `may_come_back`: then HW_TIMEOUT. */
static int hw_try_bind(hw_board *board, hw_task *task, uint32_t index, uint64_t generation, uint64_t deadline_ns,
                       int may_come_back) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    uint64_t me = hw_me(board), name = hw_sharing_name(board, index, generation);
    hw_mine mine;
    int answer = HW_ABSENT;
    if (!me) return HW_UNBOUND;
    if (hw_load(&control->generation) != generation) return HW_STALE;
    if (!hw_shares_already(board, name)) {
        answer = hw_bind_alone(board, slot, index, generation, deadline_ns, &mine);
        if (answer == HW_TIMEOUT && may_come_back) return HW_TIMEOUT;
        if (answer == HW_STALE) return HW_STALE;
        if (answer != HW_OK) hw_note_sharing(board, name);
    }
    if (answer != HW_OK) {
        if (hw_load(&control->generation) != generation) return HW_STALE; /* mark no stripe of another task */
        mine = hw_mine_of(board, slot, NULL, (uint32_t)(me % HW_STRIPES), hw_tag(generation));
        hw_use_stripe(&control->stripes_used, mine.number);
        hw_store(&mine.stripe->shared, 1);
        hw_next(&board->header->shared_counters);
    }
    hw_give_handle(board, task, slot, generation, mine);
    return HW_OK;
}

/* Wait until a slot lock seems to be free, or its holder is dead, without taking it. */
static void hw_wait_for_slot(hw_board *board, char *slot, uint64_t deadline_ns) {
    for (uint64_t nap = 20000; hw_clock_ns(CLOCK_MONOTONIC) < deadline_ns; nap += nap < 1000000 ? nap : 0) {
        uint64_t holder = hw_peek(&hw_control_of(slot)->lock);
        if (!holder || hw_dead(board, holder)) return;
        hw_nap(nap);
    }
}

static int hw_bind(hw_board *board, hw_task *task, uint32_t index, uint64_t generation, uint64_t deadline_ns) {
    return hw_try_bind(board, task, index, generation, deadline_ns, 0);
}

#endif
