/* blocks.h - counters beyond those of a slot: blocks of them, lent to tasks from the pool of the segment.
 *
 * A block is that task's which its `owner` names: a slot, and a generation of it. Once the slot has another generation,
 * the block is free, though nobody wrote to it. So nothing is given back, and no kill can lose a block.
 *
 * The blocks of a task are a list, from the upper bits of the slot's `stripes_used` by `next`, the last one first. They
 * are linked one at a time, under the slot lock, and never unlinked. Who is killed on the way leaves to the next one:
 *
 *   linking := block                        a note; of a block of another owner it says nothing, and one is chosen anew
 *   owner := this task, by CAS              a block that is noted, but not linked, and which he goes on with
 *   generation, stripes, next, rank         the same: all of it is written once more
 *   stripes_used: the block                 a block that is linked and has no worker yet
 *
 * The stripes have the tag of the block's own generation. With that of the slot, a handle on a task that is gone could
 * count for another one: two slots may have the same generation. When the task loses its slot the stripes are sealed
 * (stripes.h), and the next tag, which they then have, is that of the next task to which the block is lent.
 *
 * A reader without a lock follows the list as long as it meets blocks of the task that it is after; where it meets
 * another one, the task is gone. It has to look at the slot's generation afterwards, as for all that it reads: a block is
 * lent to another task only by who has seen that the slot had another generation.
 */
#ifndef HEADWAY_BLOCKS_H
#define HEADWAY_BLOCKS_H

#include "lock.h"

#define HW_ALL_OF_SLOT (((uint64_t)1 << HW_STRIPES) - 1)
#define HW_ALL_OF_BLOCK (((uint64_t)1 << HW_BLOCK_STRIPES) - 1)
#define HW_LINK_SHIFT 32
#define HW_PROBES 256u /* blocks of the pool that are looked at for a free one: the slot lock is held meanwhile */

HW_ASSERT(HW_STRIPES < HW_LINK_SHIFT);

/* For what only tasks with blocks need: apart from the code that all others run through. */
#define HW_APART __attribute__((noinline, cold))

/* A task, in one word that is never 0: slot and generation. */
#define HW_TASK_SHIFT 44
static inline uint64_t hw_task_name(uint32_t index, uint64_t generation) {
    return (uint64_t)index << HW_TASK_SHIFT | (generation & (((uint64_t)1 << HW_TASK_SHIFT) - 1));
}

static inline uint32_t hw_index_of(const hw_board *board, const char *slot) {
    return (uint32_t)((uint64_t)(slot - board->slots) / board->slot_bytes);
}

/* Does this task have its slot? Acquire: who finds that it has not, writes to its blocks after that. */
static inline int hw_has_slot(const hw_board *board, uint64_t task) {
    uint64_t index = task >> HW_TASK_SHIFT;
    return index < board->capacity &&
           hw_task_name((uint32_t)index, hw_load(&hw_control_of(hw_slot(board, (uint32_t)index))->generation)) == task;
}

/* The block of this number, + 1, if it is the task's; else NULL, and for 0. */
static inline hw_block *hw_linked(const hw_board *board, uint64_t link, uint64_t task) {
    if (!link || link > board->blocks || hw_load(&board->pool[link - 1].owner) != task) return NULL;
    return board->pool + (link - 1);
}

/* The tag of words that are sealed. */
static inline uint64_t hw_tag_after(uint64_t tag) { return (tag + 1) & 0xffff; }

/* Is this word a count of the task of that tag, sealed or not? Then look at the generation once more afterwards. */
static inline int hw_counts_for(uint64_t word, uint64_t tag) {
    return word >> HW_TAG_SHIFT == tag || word >> HW_TAG_SHIFT == hw_tag_after(tag);
}

/* ------------------------------------------------------------------------------------------------- one by one
 * The stripes of a task: those of the slot, then those of each block. `block`: where the one at hand stands, NULL = in
 * the slot; `tag` is the tag that counts of it have. */
typedef struct hw_counters {
    hw_board *board;
    hw_stripe *stripes;
    hw_block *block;
    uint64_t tag;
    uint64_t left; /* bits: those of these stripes that are to come */
    uint64_t task, link;
    int all, steps;
} hw_counters;

/* `generation`: of the task; `all`: also stripes that nobody has taken yet. */
static inline hw_counters hw_counters_of(hw_board *board, char *slot, uint64_t generation, int all) {
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used);
    hw_counters it;
    it.board = board;
    it.stripes = hw_stripes_of(slot);
    it.block = NULL;
    it.tag = hw_tag(generation);
    it.left = all ? HW_ALL_OF_SLOT : used & HW_ALL_OF_SLOT;
    it.link = used >> HW_LINK_SHIFT;
    it.task = it.link ? hw_task_name(hw_index_of(board, slot), generation) : 0;
    it.all = all;
    it.steps = 0;
    return it;
}

/* The next block, with all that is known of it. A list that is damaged may be a circle. */
static HW_APART int hw_next_block(hw_counters *it) {
    hw_block *block = it->steps++ < HW_BLOCKS ? hw_linked(it->board, it->link, it->task) : NULL;
    if (!block) return 0;
    it->block = block;
    it->stripes = block->stripe;
    it->tag = hw_tag(hw_load(&block->generation));
    it->left = it->all ? HW_ALL_OF_BLOCK : hw_load(&block->used) & HW_ALL_OF_BLOCK;
    it->link = hw_load(&block->next);
    return 1;
}

/* The next stripe, or NULL. */
static inline hw_stripe *hw_next_stripe(hw_counters *it) {
    int bit;
    while (!it->left)
        if (!hw_next_block(it)) return NULL;
    bit = __builtin_ctzll(it->left);
    it->left &= it->left - 1;
    return it->stripes + bit;
}

/* --------------------------------------------------------------------------------------------------- lending */

/* A free block of the pool, its number + 1, with what its owner word says; 0 if none was found. */
static uint64_t hw_free_block(hw_board *board, uint32_t index, uint64_t *seen) {
    uint32_t most = board->blocks < HW_PROBES ? board->blocks : HW_PROBES;
    uint64_t start = (uint64_t)index * HW_BLOCKS ^ hw_me(board); /* so that not all begin at the same place */
    for (uint32_t n = 0; n < most; n++) {
        uint64_t number = (start + n) % board->blocks;
        *seen = hw_load(&board->pool[number].owner);
        if (!*seen || !hw_has_slot(board, *seen)) return number + 1;
    }
    return 0;
}

/* Make a block this task's: that of the note if somebody was killed over it, else a free one. Its number + 1, or 0. */
static uint64_t hw_claim_block(hw_board *board, hw_control *control, uint32_t index, uint64_t task) {
    uint64_t link = hw_peek(&control->linking), seen;
    if (link != hw_peek(&control->stripes_used) >> HW_LINK_SHIFT && hw_linked(board, link, task)) return link;
    do {
        link = hw_free_block(board, index, &seen);
        if (!link) return 0;
        hw_store(&control->linking, link); /* before the claim, and so that it is seen with it */
        HW_STEP("block noted");
    } while (!hw_cas(&board->pool[link - 1].owner, seen, task)); /* else somebody was quicker, in another slot */
    HW_STEP("block claimed");
    return link;
}

/* Write what a block is to its next task. Nobody looks at it yet. A task whose stripes are sealed, or are being sealed,
 * gets sealed ones: its sum is final. */
static void hw_fill_block(hw_block *block, const hw_control *control, uint64_t rank) {
    uint64_t generation = (hw_peek(&block->generation) + 2) | 1, tag = hw_tag(generation);
    if (hw_peek(&control->sealed) - hw_peek(&control->generation) <= 1) tag = hw_tag_after(tag);
    hw_store(&block->generation, generation);
    hw_store(&block->used, 0);
    hw_store(&block->rank, rank);
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

/* Link one more block to the task of a slot. Under the slot lock. NULL: it has all that it can have, or none was found. */
static hw_block *hw_link(hw_board *board, char *slot, uint64_t generation) {
    hw_control *control = hw_control_of(slot);
    uint32_t index = hw_index_of(board, slot);
    uint64_t task = hw_task_name(index, generation), used = hw_load(&control->stripes_used), link, rank = 1;
    hw_block *last = hw_linked(board, used >> HW_LINK_SHIFT, task);
    if (last) rank = hw_peek(&last->rank) + 1;
    else if (used >> HW_LINK_SHIFT) return NULL; /* damage */
    if (rank < 1 || rank > HW_BLOCKS) return NULL;
    link = hw_claim_block(board, control, index, task);
    if (!link) return NULL;
    hw_fill_block(board->pool + link - 1, control, rank);
    HW_STEP("block filled");
    /* Who shares a stripe of the slot sets a bit without the lock. Release: who sees the link sees the block whole. */
    do used = hw_peek(&control->stripes_used);
    while (!hw_cas(&control->stripes_used, used, (used & HW_ALL_OF_SLOT) | link << HW_LINK_SHIFT));
    HW_STEP("block linked");
    return board->pool + link - 1;
}

#endif
