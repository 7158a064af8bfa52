/* lists.h - which slot has an id, and which slots are free, as lists of slot numbers: what a claim reads does not grow with
 * the board.
 *
 *   chains      slots with a task whose hash falls to one bucket: firsts[hash % capacity], then nexts[slot]
 *   free slots  a queue, in the order in which they were freed, so that the first one has rested longest: `free_ends`, nexts
 *   fresh       slots from this one on were never used, and are in no list: their memory is not touched before they are
 *
 * A number is that of a slot + 1; 0 = none. Only the holder of the structural lock reads or writes any of it, so all loads
 * are relaxed. A kill at any step leaves lists that nobody has read: who takes the lock over from the dead builds them
 * anew from generations and hashes (hw_repair). Numbers may be damaged: each is checked, no walk is longer than the board.
 */
#ifndef HEADWAY_LISTS_H
#define HEADWAY_LISTS_H

#include "board.h"

static inline uint64_t *hw_bucket(hw_board *board, uint64_t hash) { return board->firsts + hash % board->capacity; }

/* The first free slot of the queue, or the capacity. */
static inline uint32_t hw_first_free(hw_board *board) {
    uint32_t first = (uint32_t)hw_peek(&board->header->free_ends);
    return first && first <= board->capacity ? first - 1 : board->capacity;
}

static inline uint32_t hw_fresh(hw_board *board) {
    uint64_t fresh = hw_peek(&board->header->fresh);
    return fresh < board->capacity ? (uint32_t)fresh : board->capacity;
}

/* How many slots have no task. */
static inline uint32_t hw_stock(hw_board *board) {
    uint64_t stock = hw_peek(&board->header->free_count) + board->capacity - hw_fresh(board);
    return stock < board->capacity ? (uint32_t)stock : board->capacity;
}

static void hw_push_free(hw_board *board, uint32_t index) {
    hw_header *header = board->header;
    uint64_t ends = hw_peek(&header->free_ends), first = ends & UINT32_MAX, last = ends >> 32;
    hw_store(&board->nexts[index], 0);
    HW_STEP("to be queued");
    if (first && last && last <= board->capacity) hw_store(&board->nexts[last - 1], (uint64_t)index + 1);
    else first = (uint64_t)index + 1;
    HW_STEP("queued");
    hw_store(&header->free_ends, first | ((uint64_t)index + 1) << 32);
    hw_store(&header->free_count, hw_peek(&header->free_count) + 1);
}

/* Take the first free slot, which there is, out of the queue. */
static void hw_pop_free(hw_board *board, uint32_t index) {
    hw_header *header = board->header;
    uint64_t next = hw_peek(&board->nexts[index]), last = hw_peek(&header->free_ends) >> 32;
    uint64_t count = hw_peek(&header->free_count);
    hw_store(&header->free_ends, next && next <= board->capacity ? next | last << 32 : 0);
    HW_STEP("unqueued");
    hw_store(&header->free_count, count ? count - 1 : 0);
}

static void hw_chain(hw_board *board, uint32_t index, uint64_t hash) {
    uint64_t *bucket = hw_bucket(board, hash);
    hw_store(&board->nexts[index], hw_peek(bucket));
    HW_STEP("to be chained");
    hw_store(bucket, (uint64_t)index + 1);
}

/* Build all lists anew. Of free slots the first ones may have rested less than others then. */
static void hw_make_lists(hw_board *board) {
    hw_header *header = board->header;
    uint32_t fresh = hw_fresh(board);
    hw_store(&header->free_ends, 0);
    hw_store(&header->free_count, 0);
    for (uint32_t i = 0; i < board->capacity; i++) {
        hw_store(&board->firsts[i], 0);
        if (hw_peek(&board->hashes[i]) && i >= fresh) fresh = i + 1;
    }
    hw_store(&header->fresh, fresh);
    for (uint32_t i = 0; i < fresh; i++) {
        uint64_t hash = hw_peek(&board->hashes[i]);
        HW_STEP("listed");
        if (hash) hw_chain(board, i, hash);
        else hw_push_free(board, i);
    }
}

/* Take a slot out of its chain. Returns whether it was there. */
static int hw_unchain(hw_board *board, uint32_t index, uint64_t hash) {
    uint64_t *link = hw_bucket(board, hash);
    for (uint32_t n = 0; n < board->capacity; n++) {
        uint64_t number = hw_peek(link);
        if (!number || number > board->capacity) return 0;
        if (number == (uint64_t)index + 1) {
            hw_store(link, hw_peek(&board->nexts[index]));
            HW_STEP("unchained");
            return 1;
        }
        link = &board->nexts[number - 1];
    }
    return 0;
}

/* A slot is free, which had a task of this hash. */
static inline void hw_list_free(hw_board *board, uint32_t index, uint64_t hash) {
    if (hw_unchain(board, index, hash)) hw_push_free(board, index);
    else hw_make_lists(board); /* damage */
}

#endif
