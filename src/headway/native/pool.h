/* pool.h - the pool of blocks: how one is lent to a task, and how those of tasks that have ended are taken back.
 *
 * Blocks are linked one at a time, under the slot lock. Who is killed on the way leaves to the next one:
 *
 *   linking := block                        a note; of a block of another owner it says nothing, and one is chosen anew
 *   owner := this task, by CAS              a block that is noted, but not linked, and which he goes on with
 *   generation, stripes, next, rank         the same: all of it is written once more
 *   stripes_used: the block                 a block that is linked and has no worker yet
 *
 * A task that has ended keeps its blocks as long as nobody needs them: who counted how much is to be seen in them. If none
 * is free, who wants to link one takes back those of a task that has ended, and that the history has as it is, if anybody
 * writes one. Its slot lock is only tried, so that nobody waits. All of its blocks at once:
 *
 *   the stripes are sealed                  a task whose count is final
 *   folded := the sum of its blocks         the same: nobody reads that place yet
 *   stripes_used: no block, one time more   publishes: the sum counts instead of the blocks, which are free
 *   the list of workers                     a list that is shorter than it could be
 *
 * What was acknowledged is in the sum, and a later count with a handle of such a block is refused by its tag. Who goes on
 * with the task binds anew.
 */
#ifndef HEADWAY_POOL_H
#define HEADWAY_POOL_H

#include "stripes.h"

#define HW_PROBES 4096u /* blocks of the pool that are looked at in one search: the slot lock is held meanwhile */
#define HW_CLAIMS 16    /* tries, where others are quicker */
/* A block is linked again only so long after the last time: its tags recur after 65536 times, more than 20 minutes, while a
 * handle of Python looks once a second whether its task is still there. */
#define HW_BLOCK_REST_NS 20000000ull
#define HW_NO_BLOCK_NS 2000000ull /* who found none keeps others from looking for so long */

/* -------------------------------------------------------------------------------------------------- taken back */

/* May the blocks of this task be taken back? It has some, it has ended, and who counted how much is in the history, if
 * there is one. Sure under the slot lock; without, a hint. */
static int hw_may_take_back(hw_board *board, char *slot) {
    hw_control *control = hw_control_of(slot);
    uint64_t used = hw_load(&control->stripes_used);
    if (!(used >> HW_LINK_SHIFT) || hw_folds_of(used) == HW_FOLDS_MOST) return 0;
    if (!hw_ended(hw_load(&hw_status_of(slot, hw_load(&control->status_seq) & 1)->state))) return 0;
    return !hw_load(&board->header->recorder_wanted) || hw_is_archived(board, slot);
}

/* What the list of workers is to say of who had a stripe. Its number on the board is left out: he may come back, if the
 * task is resumed, and is somebody else then. */
static int hw_folded_worker(hw_board *board, char *slot, const hw_stripe *stripe, uint64_t tag, hw_lost *to) {
    uint64_t worker = hw_load(&stripe->worker), base_of = hw_load(&stripe->base_of);
    int known = !hw_load(&stripe->shared);
    int64_t share = hw_share(hw_load(&stripe->count), (int64_t)hw_load(&stripe->base));
    if (!(worker | base_of) || hw_is_remembered(slot, worker ? worker : base_of)) return 0;
    if (!worker && known && !share) return 0; /* it counted nothing, and left */
    known = known && (!worker || worker == base_of);
    memset(to, 0, sizeof *to);
    to->pid = !worker || worker == base_of ? hw_load(&stripe->pid) & UINT32_MAX : 0;
    if (!worker || !hw_dead(board, worker)) to->pid |= HW_LOST_LEFT;
    to->beat_ns = hw_load(&stripe->beat_ns);
    to->share = known ? share : INT64_MIN;
    if (known && !(to->pid & HW_LOST_LEFT)) hw_remember_item(to, stripe, tag);
    return 1;
}

/* Take back the blocks of a task whose stripes are sealed, under its slot lock. */
static void hw_fold(hw_board *board, char *slot) {
    hw_control *control = hw_control_of(slot);
    uint64_t used, beat = hw_peek(&control->beat_ns), listed = hw_peek(&control->lost_count), count = listed;
    hw_counters it = hw_counters_of(board, slot, hw_peek(&control->generation), 0);
    uint64_t sum = hw_folded(&it, slot), next = it.folds + 1;
    hw_lost list[HW_LOST], one;
    hw_stripe *stripe;
    it.left = 0; /* without those of the slot */
    while ((stripe = hw_next_stripe(&it)) != NULL) {
        uint64_t word = hw_load(&stripe->count), seen = hw_load(&stripe->beat_ns);
        if (hw_counts_for(word, it.tag)) sum += (uint64_t)hw_count_of(word);
        if (seen > beat) beat = seen;
        /* Who is dead is asked for those alone that have room in the list. */
        if (count >= HW_LOST) count += (hw_load(&stripe->worker) | hw_load(&stripe->base_of)) != 0;
        else if (hw_folded_worker(board, slot, stripe, it.tag, &one)) list[count++] = one;
    }
    hw_store(&control->beat_ns, beat);
    hw_store(hw_identity_of(slot)->folded + (next & 1), sum);
    HW_STEP("folded");
    /* A bit is set without the lock by who shares a stripe of the slot: as often as there are bits. Release: who sees that
     * the blocks are gone sees the sum. */
    for (int i = 0;; i++) {
        if (i > HW_STRIPES) return;
        used = hw_peek(&control->stripes_used);
        if (hw_cas(&control->stripes_used, used, (used & HW_ALL_OF_SLOT) | next << HW_FOLDS_SHIFT)) break;
    }
    HW_STEP("taken back");
    for (; listed < count && listed < HW_LOST; listed++)
        hw_store_words(hw_lost_of(slot) + listed, list + listed, sizeof *list);
    hw_store(&control->lost_count, count); /* publishes the entries */
}

/* Take back the blocks of the task of that name, if it is one that has ended and nobody has its slot lock. */
static int hw_take_back(hw_board *board, uint64_t task) {
    uint32_t index = (uint32_t)(task >> HW_TASK_SHIFT);
    char *slot;
    if (index >= board->capacity) return 0;
    slot = hw_slot(board, index);
    if (!hw_may_take_back(board, slot) || hw_slot_try(board, slot) != HW_OK) return 0;
    if (hw_has_blocks(board, task) && hw_may_take_back(board, slot)) {
        hw_seal(board, slot);
        if (hw_may_take_back(board, slot)) hw_fold(board, slot); /* else there were last counts: they are archived first */
    }
    hw_slot_unlock(slot);
    return !hw_has_blocks(board, task);
}

/* --------------------------------------------------------------------------------------------------------- lent */

/* A free block of the pool, its number + 1, with what its owner word says; 0 if none was found. In turn, so that each
 * rests for long; and so that the next search goes on where this one ends. `taking`: also those of tasks that have ended. */
static uint64_t hw_free_block(hw_board *board, int taking, uint64_t *seen) {
    uint32_t most = board->blocks < HW_PROBES ? board->blocks : HW_PROBES;
    uint64_t now = hw_clock_ns(CLOCK_MONOTONIC_COARSE), start = hw_peek(&board->header->block_hint);
    for (uint32_t n = 0; n < most; n++) {
        uint64_t number = (start + n) % board->blocks;
        hw_block *block = board->pool + number;
        if (now - hw_load(&block->linked_ns) < HW_BLOCK_REST_NS) continue; /* a later time is damage, and is no rest */
        *seen = hw_load(&block->owner);
        if (*seen && hw_has_blocks(board, *seen) && !(taking && hw_take_back(board, *seen))) continue;
        __atomic_store_n(&board->header->block_hint, number + 1, __ATOMIC_RELAXED); /* relaxed: a hint */
        return number + 1;
    }
    __atomic_store_n(&board->header->block_hint, start + most, __ATOMIC_RELAXED);
    return 0;
}

/* As hw_free_block. Who finds the pool used up saves others the search for a moment. */
static uint64_t hw_find_block(hw_board *board, uint64_t *seen) {
    uint64_t *none = &board->header->no_block_ns, link;
    if (hw_clock_ns(CLOCK_MONOTONIC) - hw_peek(none) < HW_NO_BLOCK_NS) return 0;
    link = hw_free_block(board, 0, seen);
    if (!link) link = hw_free_block(board, 1, seen);
    if (!link) __atomic_store_n(none, hw_clock_ns(CLOCK_MONOTONIC), __ATOMIC_RELAXED); /* relaxed: a hint */
    return link;
}

/* Make a block this task's: that of the note if somebody was killed over it, else a free one. Its number + 1, or 0. */
static uint64_t hw_claim_block(hw_board *board, hw_control *control, uint64_t task) {
    uint64_t link = hw_peek(&control->linking), seen;
    if (link != hw_peek(&control->stripes_used) >> HW_LINK_SHIFT && hw_linked(board, link, task)) return link;
    for (int i = 0; i < HW_CLAIMS && (link = hw_find_block(board, &seen)) != 0; i++) {
        hw_store(&control->linking, link); /* before the claim, and so that it is seen with it */
        HW_STEP("block noted");
        if (!hw_cas(&board->pool[link - 1].owner, seen, task)) continue; /* somebody was quicker, in another slot */
        HW_STEP("block claimed");
        return link;
    }
    return 0;
}

/* Write what a block is to its next task. Nobody looks at it yet. */
static void hw_fill_block(hw_block *block, const hw_control *control, uint64_t rank) {
    uint64_t generation = (hw_peek(&block->generation) + 2) | 1, tag = hw_tag(generation);
    hw_store(&block->generation, generation);
    hw_store(&block->used, 0);
    hw_store(&block->rank, rank);
    hw_store(&block->linked_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
    hw_store(&block->next, hw_peek(&control->stripes_used) >> HW_LINK_SHIFT);
    for (int i = 0; i < HW_BLOCK_STRIPES; i++) {
        hw_stripe *stripe = block->stripe + i;
        hw_store(&stripe->worker, 0);
        hw_store(&stripe->base_of, 0);
        hw_store(&stripe->shared, 0);
        hw_store(&stripe->beat_ns, 0);
        HW_STEP("block stripe");
        hw_store(&stripe->count, tag << HW_TAG_SHIFT);
    }
}

/* Link one more block to the task of a slot, whose stripes are open. Under the slot lock. NULL: it has `most` already, or
 * none was found. */
static hw_block *hw_link(hw_board *board, char *slot, uint64_t generation, uint64_t most) {
    hw_control *control = hw_control_of(slot);
    uint64_t used = hw_load(&control->stripes_used), link, rank = 1;
    uint64_t task = hw_task_name(hw_index_of(board, slot), generation, hw_folds_of(used));
    hw_block *last = hw_linked(board, used >> HW_LINK_SHIFT, task);
    if (last) rank = hw_peek(&last->rank) + 1;
    else if (used >> HW_LINK_SHIFT) return NULL; /* damage */
    if (rank < 1 || rank > most) return NULL;
    link = hw_claim_block(board, control, task);
    if (!link) return NULL;
    hw_fill_block(board->pool + link - 1, control, rank);
    HW_STEP("block filled");
    /* Who shares a stripe of the slot sets a bit without the lock, as often as there are bits. Release: who sees the link
     * sees the block whole. If it is not linked, it is noted. */
    for (int i = 0; i <= HW_STRIPES; i++) {
        used = hw_peek(&control->stripes_used);
        if (!hw_cas(&control->stripes_used, used, (used & ~HW_LINK_MASK) | link << HW_LINK_SHIFT)) continue;
        HW_STEP("block linked");
        return board->pool + link - 1;
    }
    return NULL;
}

#endif
