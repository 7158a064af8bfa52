/* items.h - the item that a worker has in hand.
 *
 * Each counter has a place for one, which its worker writes without a lock: its name beside the count, the rest on a line of
 * its own, which few items need.
 *
 *   a number      one store of `name`, with release. The tag in it says whose it is: what a stale handle writes there is
 *                 no item of the task that has the stripe by now.
 *   a text        `name` says "none"; then `since` and the words of the text, each with release; then `name`, with
 *                 release, and with the hash of what was written.
 *   a reader      `name`, `since` and the text, each with acquire, then `name` once more. Who has loaded a word of a later
 *                 text also sees that `name` has changed.
 *
 * That is enough for one writer. Two threads of a process may write at once, and a process may have been stopped within
 * these stores until the stripe is another task's. The hash tells readers of both: a text that is not whole is none.
 * So is one whose writer was killed over it.
 *
 * Whose it is: the stripe's worker. Who takes a stripe clears `name` before he writes himself down as its worker
 * (hw_take_stripe), and a reader looks at the worker before and after the item (hw_copy_stripe).
 */
#ifndef HEADWAY_ITEMS_H
#define HEADWAY_ITEMS_H

#include <stdlib.h>
#include <string.h>

#include "headway.h"

#define HW_ITEM_TRIES 4

static inline uint64_t hw_item_name(uint64_t tag, uint64_t kind, uint64_t value) {
    return tag << HW_TAG_SHIFT | kind << HW_KIND_SHIFT | (value & HW_VALUE_MASK);
}

static inline uint64_t hw_item_kind_of(uint64_t name) { return name >> HW_KIND_SHIFT & 7; }

/* A time or a duration, with a tag. */
static inline uint64_t hw_since(uint64_t tag, uint64_t ns) {
    return tag << HW_TAG_SHIFT | (ns >> HW_SINCE_SHIFT & HW_COUNT_MASK);
}

static inline uint64_t hw_since_ns(uint64_t since) { return (since & HW_COUNT_MASK) << HW_SINCE_SHIFT; }

/* The hash of a text, with the time that stands beside it. `text` is filled up with NUL. */
static inline uint64_t hw_item_hash(uint64_t since, const char *text) {
    uint64_t hash = since, word;
    for (size_t at = 0; at < HW_ITEM_BYTES; at += 8) {
        memcpy(&word, text + at, 8);
        hash = (hash ^ hash >> 29 ^ word) * 0x9e3779b97f4a7c15ull;
        if (!word) break;
    }
    return (hash ^ hash >> 32) & HW_VALUE_MASK;
}

/* An item in memory of this process: a copy. */
typedef struct hw_in_hand {
    uint64_t name; /* 0 = none */
    uint64_t since;
    char text[HW_ITEM_BYTES];
} hw_in_hand;

/* Nothing is in hand. */
static inline void hw_drop_item(uint64_t *name, uint64_t tag) {
    HW_STEP("item dropped");
    hw_store(name, hw_item_name(tag, HW_ITEM_NONE, 0)); /* release: see the head of this file */
}

/* A number that was taken up at the last count: its name is tag and kind, and the value. */
static inline void hw_put_at_beat(uint64_t *name, uint64_t value) {
    HW_STEP("item");
    hw_store(name, value);
}

/* A number that is taken up now. */
static inline void hw_put_number(hw_stripe *stripe, uint64_t tag, uint64_t kind, int64_t value, uint64_t now_ns) {
    hw_drop_item(&stripe->name, tag);
    HW_STEP("item since");
    hw_store(&stripe->item.since, hw_since(tag, now_ns));
    HW_STEP("item");
    hw_store(&stripe->name, hw_item_name(tag, kind, (uint64_t)value));
}

/* A text, filled up with NUL, beside a time that stands there already. */
static inline void hw_put_words(uint64_t *name, hw_text *item, uint64_t tag, const char *text, uint64_t since) {
    uint64_t word;
    hw_drop_item(name, tag);
    for (size_t at = 0; at < HW_ITEM_BYTES; at += 8) {
        memcpy(&word, text + at, 8);
        HW_STEP("item word");
        hw_store(item->text + at, word);
        if (!word) break; /* readers stop there, too */
    }
    HW_STEP("item");
    hw_store(name, hw_item_name(tag, HW_ITEM_TEXT, hw_item_hash(since, text)));
}

/* A text that is taken up at this time, which has its tag. */
static inline void hw_put_text_item(hw_stripe *stripe, uint64_t tag, const char *text, uint64_t since) {
    hw_drop_item(&stripe->name, tag);
    HW_STEP("item since");
    hw_store(&stripe->item.since, since);
    hw_put_words(&stripe->name, &stripe->item, tag, text, since);
}

/* Copy the item of this tag: it is whole, or there is none. A number that was taken up at the last count is its name. */
static inline void hw_load_item(hw_in_hand *to, const uint64_t *at, const hw_text *from, uint64_t tag) {
    for (int i = 0; i < HW_ITEM_TRIES; i++) {
        uint64_t name = hw_load(at), kind = hw_item_kind_of(name);
        if (name >> HW_TAG_SHIFT != tag || kind < HW_ITEM_NUMBER || kind > HW_ITEM_TEXT) break; /* none, or damage */
        to->name = name;
        to->since = 0;
        if (kind & HW_ITEM_AT_BEAT) return;
        to->since = hw_load(&from->since);
        if (kind == HW_ITEM_TEXT) hw_load_text(to->text, from->text, HW_ITEM_BYTES);
        if (hw_load(at) != name || to->since >> HW_TAG_SHIFT != tag) continue;
        if (kind != HW_ITEM_TEXT || hw_item_hash(to->since, to->text) == (name & HW_VALUE_MASK)) return;
    }
    to->name = 0;
}

/* When an item was taken up: `to` of hw_load_item, from a stripe with this beat. */
static inline uint64_t hw_taken_up(const hw_in_hand *item, uint64_t beat_ns) {
    return hw_item_kind_of(item->name) & HW_ITEM_AT_BEAT ? beat_ns : hw_since_ns(item->since);
}

/* An item as a text: what people read. `item`: a copy; "" if it is none. */
static inline void hw_tell_item(char *to, const hw_in_hand *item) {
    uint64_t kind = hw_item_kind_of(item->name) & ~(uint64_t)HW_ITEM_AT_BEAT;
    int64_t value = (int64_t)(item->name << (64 - HW_KIND_SHIFT)) >> (64 - HW_KIND_SHIFT);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char digits[24];
    int n = sizeof digits;
    memset(to, 0, HW_ITEM_BYTES);
    if (kind == HW_ITEM_TEXT) memcpy(to, item->text, HW_ITEM_BYTES);
    if (kind != HW_ITEM_NUMBER && kind != HW_ITEM_ORDINAL) return;
    do digits[--n] = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0) digits[--n] = '-';
    if (kind == HW_ITEM_ORDINAL) digits[--n] = '#';
    memcpy(to, digits + n, sizeof digits - (size_t)n);
}

/* A copy of an item that can be put back when what is taken up within it is done: it knows when it was taken up itself. */
static inline void hw_keep_item(hw_in_hand *to, const hw_stripe *stripe, uint64_t tag) {
    hw_load_item(to, &stripe->name, &stripe->item, tag);
    if (!to->name || !(hw_item_kind_of(to->name) & HW_ITEM_AT_BEAT)) return;
    to->since = hw_since(tag, hw_peek(&stripe->beat_ns)); /* relaxed: for people */
    to->name &= ~((uint64_t)HW_ITEM_AT_BEAT << HW_KIND_SHIFT);
}

static inline void hw_put_back(hw_stripe *stripe, const hw_in_hand *kept, uint64_t tag) {
    uint64_t kind = hw_item_kind_of(kept->name);
    if (!kept->name || kept->name >> HW_TAG_SHIFT != tag) hw_drop_item(&stripe->name, tag);
    else if (kind == HW_ITEM_TEXT) hw_put_text_item(stripe, tag, kept->text, kept->since);
    else hw_put_number(stripe, tag, kind, (int64_t)kept->name, hw_since_ns(kept->since));
}

/* Is this item in hand, by its name? When it was taken up does not matter. */
static inline int hw_is_named(const hw_stripe *stripe, uint64_t name) {
    return ((hw_peek(&stripe->name) ^ name) & ~((uint64_t)HW_ITEM_AT_BEAT << HW_KIND_SHIFT)) == 0; /* of this process */
}

/* May this handle write an item? Its stripe is looked at as a count does; in a forked child it is the parent's, and one that
 * is shared has the item of its worker alone. */
static inline int hw_may_take(const hw_task *task) {
    if (hw_peek(task->identity) != task->worker) return HW_UNBOUND;
    if (hw_peek(&task->stripe->worker) != task->worker) return HW_UNBOUND;
    return hw_peek(&task->stripe->count) >> HW_TAG_SHIFT == task->tag ? HW_OK : HW_STALE;
}

/* hw_item of headway.h. */
static int hw_take_named(const hw_task *task, const char *text) {
    char words[HW_ITEM_BYTES];
    size_t n;
    int answer = hw_may_take(task);
    if (answer != HW_OK) return answer;
    if (!text) {
        hw_drop_item(&task->stripe->name, task->tag);
        return HW_OK;
    }
    n = strnlen(text, HW_ITEM_BYTES);
    if (n == HW_ITEM_BYTES)
        for (n--; n && ((unsigned char)text[n] & 0xc0) == 0x80; n--); /* cut at a character */
    memcpy(words, text, n);
    memset(words + n, 0, sizeof words - n);
    hw_put_text_item(task->stripe, task->tag, words, hw_since(task->tag, hw_now(task)));
    return HW_OK;
}

/* hw_item_number of headway.h. */
static int hw_take_numbered(const hw_task *task, int64_t number) {
    int answer = hw_may_take(task);
    if (answer != HW_OK) return answer;
    if (number >= HW_VALUE_LIMIT || number <= -HW_VALUE_LIMIT) return HW_OVERFLOW;
    hw_put_number(task->stripe, task->tag, HW_ITEM_NUMBER, number, hw_now(task));
    return HW_OK;
}

/* ------------------------------------------------------------------------------------------------ one within another
 * A block or loop within another one puts back what was in hand before it. Others may be left meanwhile, in any order, by
 * threads and coroutines: what was theirs is not put back. Of one handle, under the GIL. The handle has the last one that
 * is open; each has those before it, as long as they are open. */
typedef struct hw_nested {
    int is_open, refs;
    hw_in_hand outer; /* what was in hand before */
    struct hw_nested *before;
} hw_nested;

static inline void hw_let_go(hw_nested *one) {
    while (one && !--one->refs) {
        hw_nested *before = one->before;
        free(one);
        one = before;
    }
}

/* Those before it that are closed are no more. */
static inline void hw_skip_closed(hw_nested *one) {
    while (one->before && !one->before->is_open) {
        hw_nested *closed = one->before;
        one->outer = closed->outer;
        one->before = closed->before;
        if (one->before) one->before->refs++;
        hw_let_go(closed);
    }
}

/* Open one, which the caller lets go of by hw_close_item. NULL: there is no memory, and nothing will be put back. */
static inline hw_nested *hw_open_item(hw_nested **last, const hw_stripe *stripe, uint64_t tag) {
    hw_nested *one = (hw_nested *)malloc(sizeof *one), *closed;
    if (!one) return NULL;
    while ((closed = *last) != NULL && !closed->is_open) { /* it was dropped without being left */
        *last = closed->before;
        if (*last) (*last)->refs++;
        hw_let_go(closed);
    }
    one->is_open = 1;
    one->refs = 2; /* the caller's, and the handle's */
    hw_keep_item(&one->outer, stripe, tag);
    one->before = *last; /* with the handle's reference */
    if (one->before) hw_skip_closed(one->before);
    *last = one;
    return one;
}

/* Close one. *outer: what is in hand after it, if it was the last one. Returns whether it was. */
static inline int hw_close_item(hw_nested **last, hw_nested *one, hw_in_hand *outer) {
    int was_last = *last == one;
    one->is_open = 0;
    while (*last && !(*last)->is_open) {
        hw_nested *closed = *last;
        *outer = closed->outer;
        *last = closed->before;
        if (*last) (*last)->refs++;
        hw_let_go(closed);
    }
    hw_let_go(one);
    return was_last;
}

#endif
