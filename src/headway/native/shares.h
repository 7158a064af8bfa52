/* shares.h - who counted how much on a task: its stripes, copied one by one, and the records that are made of them. */
#ifndef HEADWAY_SHARES_H
#define HEADWAY_SHARES_H

#include "copying.h" /* first: it defines _GNU_SOURCE */

#include "record.h"
#include "stall.h"

/* A fast hash, not a secure one: it has to differ between two copies if anything changed between them. The value comes
 * in after a multiplication, so that small numbers such as a generation and a slot cannot cancel each other. */
static inline uint64_t hw_mix(uint64_t hash, uint64_t value) {
    const uint64_t odd = 0x9e3779b97f4a7c15ull;
    return ((hash ^ hash >> 29) * odd ^ value) * odd;
}

/* The part of an item that is on a line of its own. */
static HW_APART void hw_take_item(hw_stripe *to, const hw_in_hand *item) {
    to->item.since = item->since;
    memcpy(to->item.text, item->text, sizeof to->item.text);
}

/* The item of a copied stripe. */
static inline void hw_item_of(hw_in_hand *to, const hw_stripe *stripe) {
    to->name = stripe->name;
    to->since = stripe->item.since;
    memcpy(to->text, stripe->item.text, sizeof to->text);
}

/* Copy one stripe of this tag. The count is read last, so that it is not below the base; if the worker did not change
 * meanwhile, all counts are its own, and so is the item. If the worker of the stripe keeps changing, the share is unknown. */
static void hw_copy_stripe(hw_stripe *to, const hw_stripe *from, uint64_t tag) {
    for (int i = 0; i < 4; i++) {
        hw_in_hand item;
        hw_load_words(to, from, offsetof(hw_stripe, name));
        hw_load_item(&item, &from->name, &from->item, tag);
        to->name = item.name;
        if (hw_item_kind_of(item.name) & HW_ITEM_AT_BEAT) to->beat_ns = hw_load(&from->beat_ns); /* not an older one's */
        if (HW_UNLIKELY(item.name && !(hw_item_kind_of(item.name) & HW_ITEM_AT_BEAT))) hw_take_item(to, &item);
        to->count = hw_load(&from->count);
        if (hw_load(&from->worker) == to->worker) return;
    }
    to->shared = 1;
}

/* Mix in what may have changed on a stripe. `since` and text are in the name of an item. */
static inline uint64_t hw_mix_stripe(uint64_t mix, const hw_stripe *stripe) {
    return hw_mix(mix, stripe->count ^ stripe->beat_ns ^ stripe->worker << 1 ^ stripe->name << 3);
}

/* Copy the stripes that the task has in blocks to copy->linked, and add them, and what stands there of blocks that were
 * taken back, to what was found in the slot. */
static HW_APART void hw_copy_linked(hw_copy *copy, char *slot, uint64_t generation, int64_t *count, uint64_t *beat,
                           uint64_t *mix) {
    hw_counters it = hw_counters_of(copy->board, slot, generation, 0);
    const hw_stripe *stripe;
    it.left = 0; /* without those of the slot */
    *count = (int64_t)((uint64_t)*count + hw_folded(&it, slot));
    while ((stripe = hw_next_stripe(&it)) != NULL) {
        hw_stripe *to = (hw_stripe *)hw_sink_add(copy, &copy->linked, sizeof *to);
        if (!to) return;
        hw_copy_stripe(to, stripe, it.tag);
        if (hw_counts_for(to->count, it.tag)) *count = (int64_t)((uint64_t)*count + (uint64_t)hw_count_of(to->count));
        if (to->beat_ns > *beat) *beat = to->beat_ns;
        *mix = hw_mix_stripe(*mix, to);
    }
}

/* The share of who has a stripe, or had it last. `stripe`: a copy. */
static void hw_copy_share(hw_copy *copy, uint32_t number, char *slot, const hw_stripe *stripe) {
    /* A stripe that was given back still names its last worker. */
    uint64_t worker = stripe->worker ? stripe->worker : stripe->base_of;
    hw_share_record *to;
    /* A process was killed after it noted this dead worker and before it took the stripe: skip the duplicate. */
    if (!worker || hw_is_remembered(slot, worker)) return;
    if (!stripe->worker && !stripe->shared && !hw_share(stripe->count, stripe->base)) return; /* no count */
    to = (hw_share_record *)hw_sink_add(copy, &copy->shares, sizeof *to);
    if (!to) return;
    memset(to, 0, sizeof *to);
    to->task = number;
    to->worker = worker;
    if (stripe->base_of == worker) {
        to->pid = (uint32_t)stripe->pid;
        to->known = !stripe->shared;
        to->count = to->known ? hw_share(stripe->count, stripe->base) : 0;
    }
    to->beat_ns = hw_wall(copy, stripe->beat_ns);
    if (stripe->worker && to->known && stripe->name) { /* else it left, or the item may be another process's */
        hw_in_hand item;
        hw_item_of(&item, stripe);
        to->item_ns = hw_wall(copy, hw_taken_up(&item, stripe->beat_ns));
        hw_tell_item(to->item, &item);
    }
    to->alive = stripe->worker ? (uint8_t)hw_copy_alive(copy, worker) : HW_SHARE_LEFT;
}

static void hw_copy_shares(hw_copy *copy, uint32_t number, char *slot, const hw_stripe *stripes, uint32_t *left_out) {
    uint64_t lost = hw_load(&hw_control_of(slot)->lost_count);
    *left_out = lost > HW_LOST ? (uint32_t)(lost - HW_LOST) : 0;
    for (uint64_t i = 0; i < HW_LOST && i < lost; i++) {
        hw_lost one;
        hw_share_record *to = (hw_share_record *)hw_sink_add(copy, &copy->shares, sizeof *to);
        if (!to) return;
        hw_load_words(&one, hw_lost_of(slot) + i, sizeof one);
        memset(to, 0, sizeof *to);
        to->task = number;
        to->pid = (uint32_t)one.pid;
        to->worker = one.worker;
        to->alive = one.pid & HW_LOST_LEFT ? HW_SHARE_LEFT : 0;
        to->known = one.share != INT64_MIN;
        to->count = to->known ? one.share : 0;
        to->beat_ns = hw_wall(copy, one.beat_ns);
        to->item_ns = hw_wall(copy, one.item_ns);
        hw_take_text(to->item, one.item, sizeof to->item);
    }
    for (int i = 0; i < HW_STRIPES; i++)
        if (stripes[i].worker | stripes[i].base_of) hw_copy_share(copy, number, slot, stripes + i);
    for (size_t i = 0; i < copy->linked.bytes / sizeof(hw_stripe); i++)
        hw_copy_share(copy, number, slot, (hw_stripe *)copy->linked.data + i);
}

/* The durations of a task, of which it has some. A word of another task is 0 here: its generation is looked at afterwards.
 * Returns how long the slowest took. */
static HW_APART uint64_t hw_copy_durations(hw_copy *copy, uint32_t number, char *slot, uint64_t generation, uint64_t timed) {
    hw_durations *from = hw_durations_of(slot);
    hw_duration_record *to = (hw_duration_record *)hw_sink_add(copy, &copy->durations, sizeof *to);
    uint64_t tag = hw_tag(generation), word;
    hw_in_hand slowest;
    if (!to) return 0;
    memset(to, 0, sizeof *to);
    to->task = number;
    for (int i = 0; i < HW_DURATIONS; i++) {
        if (!(timed >> i & 1)) continue;
        word = hw_load(&from->count[i]);
        if (word >> HW_TAG_SHIFT == tag) to->count[i] = word & HW_COUNT_MASK;
    }
    word = hw_load(&from->items);
    if (word >> HW_TAG_SHIFT == tag) to->items = word & HW_COUNT_MASK;
    to->untimed = (timed & HW_UNTIMED) != 0;
    word = hw_load(&from->slowest.since);
    if (word >> HW_TAG_SHIFT == tag) to->slowest_ns = hw_since_ns(word);
    hw_load_item(&slowest, &from->slowest.name, &from->slowest, tag);
    if (slowest.name && slowest.since == word) hw_tell_item(to->slowest, &slowest);
    return to->slowest_ns;
}

#endif
