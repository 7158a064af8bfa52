/* slots.h - the life of a slot: find, claim, free, bind to a stripe, write a status, write a result.
 *
 * Invariants
 *  1. `generation` is odd while the slot holds a task; claim and free publish by one store of it.
 *  2. Whoever changes `generation`, a status or a result holds the slot lock. So a writer that holds it and has seen its
 *     own generation cannot write into a foreign task.
 *  3. Ids are unique among live slots but for one moment: a task that starts anew is published before the ended one of
 *     the same id is freed, so that a kill between leaves the new state, not none. The larger serial counts; the next
 *     claim of the id frees the other.
 *  4. The stripes carry the tag of the generation for which they were zeroed.
 */
#ifndef HEADWAY_SLOTS_H
#define HEADWAY_SLOTS_H

#include "clock.h" /* first: it asks the C library for what is Linux's own */

#include "lock.h"

#define HW_READ_TRIES 4096
#define HW_EVICT_MAX 64
#define HW_SHARED_GRACE_NS 5000000000ull
#define HW_LATE_NS 100000000u
#define HW_BUSY_NS 50000u /* a slot lock is held for less: then it is tried again */

static inline int hw_final(uint64_t state) { return state != HW_PENDING && state != HW_RUNNING; }

/* One copy of a status: its numbers, */
static inline void hw_load_numbers(hw_status *to, const hw_status *from) {
    hw_load_words(to, from, offsetof(hw_status, stage));
    if (to->state >= HW_STATES) to->state = HW_FAILED; /* damage reads as a failure */
}

/* its metrics, */
static inline void hw_load_metrics(char names[][HW_METRIC_BYTES], double *metrics, const hw_status *from) {
    int i = 0;
    for (; i < HW_METRICS; i++) { /* places are filled in order and never given back */
        hw_load_text(names[i], from->metric_name[i], HW_METRIC_BYTES);
        if (!names[i][0]) break;
        hw_load_words(metrics + i, &from->metric[i], 8);
    }
    memset(names[i], 0, (size_t)(HW_METRICS - i) * sizeof *names);
    memset(metrics + i, 0, (size_t)(HW_METRICS - i) * sizeof *metrics);
}

/* and all of it, as far as it is used. */
static inline void hw_load_status(hw_status *to, const hw_status *from) {
    hw_load_numbers(to, from);
    hw_load_text(to->stage, from->stage, HW_STAGE_BYTES);
    hw_load_text(to->message, from->message, HW_MESSAGE_BYTES);
    hw_load_text(to->error, from->error, HW_ERROR_BYTES);
    hw_load_metrics(to->metric_name, to->metric, from);
}

/* A status without tearing. HW_OK, or HW_TIMEOUT where writers never paused. */
static int hw_read_status(char *slot, hw_status *status) {
    const uint64_t *seq = &hw_control_of(slot)->status_seq;
    for (int i = 0; i < HW_READ_TRIES; i++) {
        uint64_t seen = hw_latch_begin(seq);
        hw_load_status(status, hw_status_of(slot, seen & 1));
        if (hw_latch_whole(seq, seen)) return HW_OK;
        if (i > 16) hw_pause();
    }
    return HW_TIMEOUT;
}

/* The same where writers never pause: under the slot lock, which the caller can hold, being somebody on this board. */
static int hw_read_status_locked(hw_board *board, char *slot, hw_status *status, uint64_t deadline_ns) {
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    hw_load_status(status, hw_status_of(slot, 0)); /* at rest both copies are equal */
    hw_slot_unlock(slot);
    return HW_OK;
}

/* Does a live process other than this one count on the task? */
static int hw_others(hw_board *board, char *slot) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t me = hw_me(board);
    for (int i = 0; i < HW_STRIPES; i++) {
        uint64_t worker = hw_load(&stripes[i].worker);
        if (worker && worker != me && !hw_dead(board, worker)) return 1;
    }
    return 0;
}

/* Is a stripe that several processes share still counted on? Who they are is not known, so neither is their death: for
 * this long after the last add they are taken for alive. */
static inline int hw_shared_alive(const hw_stripe *stripe, uint64_t now_ns) {
    uint64_t beat = hw_load(&stripe->beat_ns);
    return hw_load(&stripe->shared) == 1 && beat && now_ns < beat + HW_SHARED_GRACE_NS;
}

/* Does anyone alive carry this task on: its owner, or a process that counts on it? */
static int hw_carried(hw_board *board, char *slot, const hw_status *status) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t me = hw_me(board);
    if (status->owner && !hw_dead(board, status->owner)) return 1;
    for (int i = 0; me && i < HW_STRIPES; i++)
        if (hw_load(&stripes[i].worker) == me) return 1;
    if (hw_others(board, slot)) return 1;
    for (int i = 0; i < HW_STRIPES; i++)
        if (hw_shared_alive(stripes + i, hw_clock_ns(CLOCK_MONOTONIC_COARSE))) return 1;
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- find */

/* Does this live slot hold the id? Its generation, or 0. */
static uint64_t hw_holds(hw_board *board, uint32_t index, const hw_identity *want, uint64_t *serial) {
    char *slot = hw_slot(board, index);
    const uint64_t *generation = &hw_control_of(slot)->generation;
    uint64_t seen = hw_load(generation), number;
    char id[HW_ID_BYTES];
    if (!(seen & 1)) return 0;
    hw_load_text(id, hw_identity_of(slot)->id, HW_ID_BYTES);
    number = hw_load(&hw_identity_of(slot)->serial);
    if (hw_peek(generation) != seen) return 0; /* relaxed: the words before were loaded with acquire */
    if (strncmp(id, want->id, HW_ID_BYTES) != 0) return 0;
    *serial = number;
    return seen;
}

/* The first slot from `i` on that has this hash, else `capacity`. Acquire: before `frees` is read again. Four at a time,
 * since a search is little else: one branch for four loads. A test build looks at each by itself, as a step of its own. */
static inline uint32_t hw_next_of(const uint64_t *hashes, uint32_t capacity, uint32_t i, uint64_t hash) {
#ifndef HW_HOOKS
    for (; i + 4 <= capacity; i += 4)
        if (HW_UNLIKELY((hw_load(hashes + i) == hash) | (hw_load(hashes + i + 1) == hash) |
                        (hw_load(hashes + i + 2) == hash) | (hw_load(hashes + i + 3) == hash)))
            break;
#endif
    for (; i < capacity; i++) {
        HW_STEP("looked");
        if (hw_load(hashes + i) == hash) break;
    }
    return i;
}

/* Find a task by id, without a lock. HW_OK with slot and generation, or HW_ABSENT. */
static int hw_find(hw_board *board, const hw_identity *want, uint64_t hash, uint32_t *index, uint64_t *generation) {
    for (int tries = 0; tries < 8; tries++) {
        uint64_t frees = hw_load(&board->header->frees), best = 0;
        int found = 0;
        for (uint32_t i = 0; (i = hw_next_of(board->hashes, board->capacity, i, hash)) < board->capacity; i++) {
            uint64_t serial, seen = hw_holds(board, i, want, &serial);
            if (!seen || (found && serial < best)) continue;
            best = serial;
            *index = i;
            *generation = seen;
            found = 1;
        }
        if (found) return HW_OK;
        /* A task that started anew may have moved behind our back: it was published before `frees` was raised, and that
         * before the old one was freed. */
        if (hw_load(&board->header->frees) == frees) return HW_ABSENT;
    }
    return HW_ABSENT;
}

/* ------------------------------------------------------------------------------------------------------- bind */

/* Is this dead worker remembered already? Who did so may have been killed before it took the stripe. */
static int hw_is_remembered(char *slot, uint64_t worker) {
    uint64_t n = hw_load(&hw_control_of(slot)->lost_count);
    for (uint64_t i = 0; i < n && i < HW_LOST; i++)
        if (hw_load(&hw_lost_of(slot)[i].worker) == worker) return 1;
    return 0;
}

/* What a worker counted on a stripe. Wraps around on damage, as hostile words shall not be undefined behaviour. */
static inline int64_t hw_share(uint64_t count, int64_t base) {
    return (int64_t)((uint64_t)hw_count_of(count) - (uint64_t)base);
}

/* A dead worker gives up its stripe: remember it. Called under the slot lock. */
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

/* Take a stripe that nobody has, or that a dead worker left. Under the slot lock: the slot cannot be filled anew
 * meanwhile. NULL where others have all of them. */
static hw_stripe *hw_take_stripe(hw_board *board, char *slot) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t me = hw_me(board);
    enum { NEW, LEFT, DEAD }; /* one that was left still tells who had it: it is taken when no new one is there */
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

/* Give this process a stripe of a task: its own, a free one, a dead one's, or else a shared one, as where the slot lock
 * stays with somebody until the deadline: counting hardly waits. */
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

/* ----------------------------------------------------------------------------------------------- status writes */

enum hw_field {
    HW_SET_STATE = 1,
    HW_SET_OWNER = 2,
    HW_SET_TOTAL = 4,
    HW_SET_STAGE = 8,
    HW_SET_MESSAGE = 16,
    HW_SET_ERROR = 32,
    HW_SET_ENDED = 64,
    HW_SET_STARTED = 128, /* a run begins: started_ns := now */
    HW_SET_RESUMED = 256, /* with it: the run goes on where an earlier one ended, base := count, error := "" */
    HW_SET_RUNNING = 512  /* a pending task becomes running; a lost one too, and its writer becomes the owner */
};

#define HW_ANY_STATE ((1u << HW_STATES) - 1)
#define HW_OPEN_STATES (1u << HW_PENDING | 1u << HW_RUNNING | 1u << HW_LOST_STATE)

/* One transition, seen whole or not at all. Texts are cut and zero-filled by the caller. */
typedef struct hw_change {
    uint32_t fields;
    uint32_t allowed; /* bit set of the states in which it may happen */
    uint64_t state;
    int64_t total;
    int64_t now_ns; /* wall clock */
    uint64_t expected_owner; /* 0 = any: else only while that one owns the task */
    uint64_t owner, owner_pid; /* for HW_SET_OWNER: who; 0 = the writer */
    uint32_t metrics;
    uint64_t was; /* out: the state before */
    char stage[HW_STAGE_BYTES];
    char message[HW_MESSAGE_BYTES];
    char error[HW_ERROR_BYTES];
    char metric_name[HW_METRICS][HW_METRIC_BYTES];
    double metric[HW_METRICS];
} hw_change;

/* Store a text, with its end; what stands behind the end is never read. */
static inline void hw_put_text(char *to, const char *from, size_t room) {
    size_t words = strnlen(from, room - 1) / 8 + 1;
    hw_store_words(to, from, words * 8);
}

static inline void hw_put(void *to, uint64_t value) {
    HW_STEP("word");
    hw_store(to, value);
}

/* Write the change into one copy. `metric_at` says which metric goes to which place. */
static void hw_apply(hw_status *to, const hw_change *change, const hw_status *next, const int *metric_at) {
    uint32_t fields = change->fields;
    if (fields & HW_SET_STATE) hw_put(&to->state, next->state);
    if (fields & HW_SET_OWNER) {
        hw_put(&to->owner, next->owner);
        hw_put(&to->owner_pid, next->owner_pid);
    }
    if (fields & HW_SET_TOTAL) hw_put(&to->total, (uint64_t)next->total);
    if (fields & HW_SET_STARTED) {
        hw_put(&to->started_ns, (uint64_t)next->started_ns);
        hw_put(&to->base, (uint64_t)next->base);
        hw_put(&to->resumed, next->resumed);
    }
    if (fields & HW_SET_ENDED) hw_put(&to->ended_ns, (uint64_t)next->ended_ns);
    if (fields & HW_SET_STAGE) {
        hw_put(&to->stage_ns, (uint64_t)next->stage_ns);
        hw_put(&to->stage_count, next->stage_count);
        hw_put_text(to->stage, change->stage, HW_STAGE_BYTES);
    }
    if (fields & HW_SET_MESSAGE) hw_put_text(to->message, change->message, HW_MESSAGE_BYTES);
    if (fields & HW_SET_ERROR) hw_put_text(to->error, change->error, HW_ERROR_BYTES);
    for (uint32_t i = 0; i < change->metrics; i++) {
        uint64_t bits;
        memcpy(&bits, &change->metric[i], 8);
        hw_put_text(to->metric_name[metric_at[i]], change->metric_name[i], HW_METRIC_BYTES);
        hw_put(&to->metric[metric_at[i]], bits);
    }
}

static int64_t hw_total_count(char *slot, uint64_t tag) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used);
    int64_t sum = 0;
    for (int i = 0; i < HW_STRIPES; i++) {
        uint64_t word = used >> i & 1 ? hw_load(&stripes[i].count) : 0;
        if (word >> HW_TAG_SHIFT == tag) sum += hw_count_of(word);
    }
    return sum;
}

/* Places for the named metrics: the one of the same name, else an unused one. HW_OK or HW_FULL. */
static int hw_metric_places(const hw_status *now, const hw_change *change, int *metric_at) {
    unsigned taken = 0;
    for (uint32_t m = 0; m < change->metrics; m++) {
        int place = -1;
        for (int i = 0; i < HW_METRICS && place < 0; i++)
            if (!strncmp(now->metric_name[i], change->metric_name[m], HW_METRIC_BYTES)) place = i;
        for (int i = 0; i < HW_METRICS && place < 0; i++)
            if (!now->metric_name[i][0] && !(taken & 1u << i)) place = i;
        if (place < 0) return HW_FULL;
        taken |= 1u << place;
        metric_at[m] = place;
    }
    return HW_OK;
}

/* Make one transition of a task. Under the slot lock, through the latch. `was` tells the state before.
 * HW_OK, HW_STALE, HW_ENDED (the state does not allow it), HW_FULL (no room for another metric), HW_TIMEOUT. */
static int hw_write(hw_board *board, uint32_t index, uint64_t generation, hw_change *change, uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    hw_status *copy0 = hw_status_of(slot, 0), *copy1 = hw_status_of(slot, 1), next;
    int metric_at[HW_METRICS];
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    if (hw_load(&control->generation) != generation) {
        hw_slot_unlock(slot);
        return HW_STALE;
    }
    /* At rest both copies are equal and only the lock's holder writes: plain words of copy 0 are safe to read. */
    change->was = hw_peek(&copy0->state);
    if (change->was >= HW_STATES) change->was = HW_FAILED;
    if (!(change->allowed >> change->was & 1) ||
        (change->expected_owner && hw_peek(&copy0->owner) != change->expected_owner)) {
        hw_slot_unlock(slot);
        return HW_ENDED;
    }
    if (change->metrics && hw_metric_places(copy0, change, metric_at) != HW_OK) {
        hw_slot_unlock(slot);
        return HW_FULL;
    }
    next.state = change->state;
    next.total = change->total;
    if (change->fields & HW_SET_RUNNING && change->was != HW_RUNNING) {
        change->fields |= HW_SET_STATE;
        next.state = HW_RUNNING;
        if (change->was == HW_PENDING) change->fields |= HW_SET_STARTED;
        if (change->was == HW_LOST_STATE) change->fields |= HW_SET_OWNER | HW_SET_ENDED;
    }
    next.ended_ns = change->fields & HW_SET_STATE && hw_final(next.state) ? change->now_ns : 0;
    if (change->fields & HW_SET_OWNER) {
        next.owner = change->owner ? change->owner : hw_me(board);
        next.owner_pid = change->owner ? change->owner_pid : hw_pid(board);
        if (next.owner == hw_peek(&copy0->owner)) change->fields &= ~(uint32_t)HW_SET_OWNER; /* it is already */
    }
    next.resumed = (change->fields & HW_SET_RESUMED) != 0;
    next.base = next.resumed ? hw_total_count(slot, hw_tag(generation)) : 0;
    next.started_ns = change->now_ns;
    if (next.resumed) {
        change->fields |= HW_SET_STARTED | HW_SET_ENDED | HW_SET_ERROR;
        memset(change->error, 0, sizeof change->error);
    }
    if (change->fields & HW_SET_STAGE) {
        uint64_t n = hw_peek(&copy0->stage_count);
        if (n && !strncmp(copy0->stage, change->stage, HW_STAGE_BYTES)) {
            change->fields &= ~(uint32_t)HW_SET_STAGE; /* it is in that stage already */
        } else {
            hw_stage entry;
            memset(&entry, 0, sizeof entry);
            entry.entered_ns = change->now_ns;
            memcpy(entry.stage, change->stage, sizeof entry.stage);
            hw_store_words(hw_stages_of(slot) + n % HW_STAGES, &entry, sizeof entry);
            next.stage_ns = change->now_ns;
            next.stage_count = n + 1;
        }
    }
    hw_store(&control->archived, 0); /* before the change: a kill between has it archived once more, not never */
    hw_latch_flip(&control->status_seq);
    hw_apply(copy0, change, &next, metric_at);
    hw_latch_flip(&control->status_seq);
    hw_apply(copy1, change, &next, metric_at);
    __atomic_store_n(&control->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE), __ATOMIC_RELAXED); /* as in hw_add */
    hw_slot_unlock(slot);
    return HW_OK;
}

/* ---------------------------------------------------------------------------------------------------- results */

/* Copy the result out: bytes into `json` (room for result_bytes), its length, the sequence it was read at. */
static int hw_read_result(hw_board *board, char *slot, char *json, uint32_t *bytes, uint64_t *seq) {
    const uint64_t *word = &hw_control_of(slot)->result_seq;
    for (int i = 0; i < HW_READ_TRIES; i++) {
        uint64_t seen = hw_latch_begin(word);
        char *from = hw_result_of(board, slot, seen & 1);
        uint64_t n = hw_load(from);
        if (n > board->result_bytes) n = 0; /* damage, or a copy being written: then it is read again */
        hw_load_words(json, from + 8, hw_align(n, 8));
        if (hw_latch_whole(word, seen)) {
            *bytes = (uint32_t)n;
            *seq = seen;
            return HW_OK;
        }
        if (i > 16) hw_pause();
    }
    return HW_TIMEOUT;
}

/* The same where writers never pause: under the slot lock, which the caller can hold. */
static int hw_read_result_locked(hw_board *board, char *slot, char *json, uint32_t *bytes, uint64_t *seq,
                                 uint64_t deadline_ns) {
    int answer = hw_slot_lock(board, slot, deadline_ns);
    if (answer == HW_OK) {
        answer = hw_read_result(board, slot, json, bytes, seq);
        hw_slot_unlock(slot);
    }
    return answer;
}

/* Put a result in place; `json` is readable up to a multiple of eight bytes. With `expected`, only if the sequence
 * is still that one (then HW_EXISTS says that somebody else wrote): Python merges outside of every lock. */
static int hw_write_result(hw_board *board, uint32_t index, uint64_t generation, const char *json, uint32_t bytes,
                           const uint64_t *expected, uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    if (bytes > board->result_bytes) return HW_TOO_LARGE;
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    int answer = hw_load(&control->generation) != generation ? HW_STALE
                 : expected && hw_peek(&control->result_seq) != *expected ? HW_EXISTS
                                                                           : HW_OK;
    if (answer == HW_OK) {
        hw_store(&control->archived, 0); /* as in hw_write */
        hw_store(&control->has_result, 1);
        for (int copy = 0; copy < 2; copy++) {
            char *to = hw_result_of(board, slot, copy);
            hw_latch_flip(&control->result_seq);
            hw_put(to, bytes);
            hw_store_words(to + 8, json, hw_align(bytes, 8));
        }
        __atomic_store_n(&control->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE), __ATOMIC_RELAXED);
    }
    hw_slot_unlock(slot);
    return answer;
}

/* ---------------------------------------------------------------------------------------- claim and free (locked) */

/* The part of a status that decides about the task's life, as it stands under the slot lock: nobody changes it. */
static void hw_load_life(char *slot, hw_status *status) {
    hw_load_words(status, hw_status_of(slot, 0), offsetof(hw_status, stage));
    if (status->state >= HW_STATES) status->state = HW_FAILED;
}

/* Count a task that is about to lose its slot, by the state in which it goes: what was replaced while somebody was at it
 * was cancelled, and what nobody was at was lost. So the totals of a run do not depend on which tasks still have a slot.
 * Before the slot is free, so that a total never falls; who is killed in between has the task counted once more. */
static void hw_count_gone(hw_board *board, char *slot) {
    hw_status status;
    uint64_t *gone;
    hw_load_life(slot, &status);
    if (!hw_final(status.state)) status.state = hw_carried(board, slot, &status) ? HW_CANCELLED : HW_LOST_STATE;
    gone = &board->header->gone[status.state];
    hw_store(gone, hw_peek(gone) + 1);
}

/* Give a slot back, under the structural lock and the slot's own, which is let go. */
static void hw_free_locked(hw_board *board, uint32_t index) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    hw_store(&control->reuse_ns, hw_clock_ns(CLOCK_MONOTONIC) + HW_REST_NS);
    HW_STEP("free");
    hw_count_gone(board, slot);
    /* Before the slot is free: a search that passed the task's new slot too early and this one too late has to see it. */
    hw_store(&board->header->frees, hw_peek(&board->header->frees) + 1);
    HW_STEP("frees");
    hw_store(&control->generation, hw_peek(&control->generation) + 1); /* publishes: free */
    HW_STEP("freed");
    hw_store(&board->hashes[index], 0);
    hw_slot_unlock(slot);
}

/* Give a slot back whatever the task is at. Under the structural lock; the slot lock is only tried. */
static int hw_free(hw_board *board, uint32_t index) {
    if (hw_slot_try(board, hw_slot(board, index)) != HW_OK) return HW_TIMEOUT;
    hw_free_locked(board, index);
    return HW_OK;
}

/* Give a slot back, if its task was not written to since `before_ns` (coarse monotonic). Under the structural lock; the
 * slot lock is only tried. HW_OK, HW_TIMEOUT, HW_STALE, HW_EXISTS. */
static int hw_free_idle(hw_board *board, uint32_t index, uint64_t generation, uint64_t before_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    if (hw_slot_try(board, slot) != HW_OK) return HW_TIMEOUT;
    if (hw_load(&control->generation) != generation) {
        hw_slot_unlock(slot);
        return HW_STALE;
    }
    if (hw_peek(&control->beat_ns) >= before_ns) { /* relaxed: written under the slot lock */
        hw_slot_unlock(slot);
        return HW_EXISTS;
    }
    hw_free_locked(board, index);
    return HW_OK;
}

/* Was the task counted on at this time (coarse monotonic) or later? */
static int hw_counted_since(char *slot, uint64_t since_ns) {
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t used = hw_load(&hw_control_of(slot)->stripes_used);
    for (int i = 0; i < HW_STRIPES; i++)
        if (used >> i & 1 && hw_load(&stripes[i].beat_ns) >= since_ns) return 1;
    return 0;
}

/* Does the history hold the task as it is? Also the counts of stragglers, who come after the end; but for those of the
 * last moment, so that nobody waits for a slot as long as somebody counts on the task that had it. */
static int hw_is_archived(char *slot) {
    hw_control *control = hw_control_of(slot);
    uint64_t marked_ns, now;
    if (hw_load(&control->archived) != hw_load(&control->generation)) return 0;
    marked_ns = hw_load(&control->marked_ns); /* not the time of the copy: the disk may take longer than a moment */
    now = hw_clock_ns(CLOCK_MONOTONIC_COARSE);
    if (marked_ns <= now && now < marked_ns + HW_LATE_NS) return 1;
    return !hw_counted_since(slot, hw_load(&control->archived_ns));
}

/* Remember that the history holds the task as it was at this version, copied at this time (coarse monotonic) or later.
 * HW_OK, HW_STALE if it is another by now. */
static int hw_mark_archived(hw_board *board, uint32_t index, uint64_t generation, uint64_t version, uint64_t copied_ns,
                            uint64_t deadline_ns) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    int answer = HW_STALE;
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    /* Both numbers only grow, so their sum is the same only if both are. */
    if (hw_load(&control->generation) == generation &&
        hw_peek(&control->status_seq) + hw_peek(&control->result_seq) == version) {
        hw_store(&control->archived_ns, copied_ns);
        hw_store(&control->marked_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
        hw_store(&control->archived, generation);
        answer = HW_OK;
    }
    hw_slot_unlock(slot);
    return answer;
}

/* May this task give up its slot? One that has ended, and that the history holds; with `drop` also one that it does not
 * hold, or that was lost without anybody having said so. */
static int hw_may_go(hw_board *board, char *slot, const hw_status *status, int drop) {
    if (!drop && !hw_is_archived(slot)) return 0;
    return hw_final(status->state) || (drop && !hw_carried(board, slot, status));
}

/* Free a task that has ended and that the history holds. Under the structural lock. */
static int hw_free_archived(hw_board *board, uint32_t index, uint64_t generation) {
    char *slot = hw_slot(board, index);
    hw_status status;
    if (hw_load(&hw_control_of(slot)->generation) != generation || hw_slot_try(board, slot) != HW_OK) return HW_STALE;
    hw_load_life(slot, &status);
    if (!hw_may_go(board, slot, &status, 0)) {
        hw_slot_unlock(slot);
        return HW_STALE;
    }
    hw_free_locked(board, index);
    return HW_OK;
}

/* Make room: free the tasks that ended longest ago and may go, a batch at a time so that they rest together. HW_OK,
 * HW_FULL where there is none, HW_TIMEOUT where others had all of them locked or resumed them meanwhile. */
static int hw_evict(hw_board *board, int drop) {
    struct {
        int64_t ended_ns;
        uint32_t index;
    } oldest[HW_EVICT_MAX];
    uint32_t most = board->capacity / 8 ? board->capacity / 8 : 1, n = 0, freed = 0, dropped = 0;
    if (most > HW_EVICT_MAX) most = HW_EVICT_MAX;
    for (uint32_t i = 0; i < board->capacity; i++) {
        char *slot = hw_slot(board, i);
        hw_status status;
        int64_t ended;
        uint32_t at;
        if (!(hw_load(&hw_control_of(slot)->generation) & 1) || hw_read_status(slot, &status) != HW_OK) continue;
        if (!hw_may_go(board, slot, &status, drop)) continue;
        ended = hw_final(status.state) ? status.ended_ns : status.started_ns;
        if (n == most && ended >= oldest[n - 1].ended_ns) continue;
        if (n < most) n++;
        for (at = n - 1; at > 0 && oldest[at - 1].ended_ns > ended; at--) oldest[at] = oldest[at - 1];
        oldest[at].ended_ns = ended;
        oldest[at].index = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        char *slot = hw_slot(board, oldest[i].index);
        hw_status status;
        if (hw_slot_try(board, slot) != HW_OK) continue;
        hw_load_life(slot, &status);
        if (!hw_may_go(board, slot, &status, drop)) { /* resumed since */
            hw_slot_unlock(slot);
            continue;
        }
        dropped += !hw_is_archived(slot);
        hw_free_locked(board, oldest[i].index);
        freed++;
    }
    hw_store(&board->header->dropped, hw_peek(&board->header->dropped) + dropped);
    return freed ? HW_OK : n ? HW_TIMEOUT : HW_FULL;
}

/* Who stands in the way, or where the task is. */
typedef struct hw_found {
    uint32_t slot;
    uint64_t generation;
    uint64_t pid;      /* HW_EXISTS: of the live owner, else of a live worker; HW_RESTING: who writes the old task */
    int owner_alive;
    uint64_t state; /* HW_ENDED: as it stands there, and the owner of that state */
    uint64_t owner;
    uint64_t wait_ns;  /* HW_RESTING */
} hw_found;

/* The live task of this id, under the structural lock. An older one of the same id is freed (invariant 3). */
static int hw_find_locked(hw_board *board, const hw_identity *want, uint64_t hash, hw_found *found) {
    uint64_t best = 0;
    int answer = HW_ABSENT;
    for (uint32_t i = 0; i < board->capacity; i++) {
        uint64_t serial, generation;
        if (HW_LIKELY(hw_peek(&board->hashes[i]) != hash)) continue; /* relaxed: only lock holders write hashes */
        generation = hw_holds(board, i, want, &serial);
        if (!generation) continue;
        if (answer == HW_OK && serial < best) {
            hw_free(board, i); /* where somebody has it locked, at the next claim */
            continue;
        }
        if (answer == HW_OK) hw_free(board, found->slot);
        best = serial;
        found->slot = i;
        found->generation = generation;
        answer = HW_OK;
    }
    return answer;
}

/* Write a new task into a slot whose lock we hold, and publish it. */
static void hw_fill(hw_board *board, uint32_t index, hw_identity *identity, const hw_status *status, uint64_t hash) {
    char *slot = hw_slot(board, index);
    hw_control *control = hw_control_of(slot);
    hw_stripe *stripes = hw_stripes_of(slot);
    uint64_t generation = hw_peek(&control->generation) + 1;
    uint64_t serial = hw_peek(&board->header->next_serial) + 1;
    hw_store(&board->header->next_serial, serial);
    for (int i = 0; i < HW_STRIPES; i++) {
        hw_store(&stripes[i].worker, 0);
        hw_store(&stripes[i].base_of, 0);
        hw_store(&stripes[i].shared, 0);
        hw_store(&stripes[i].beat_ns, 0);
        HW_STEP("stripe zeroed");
        hw_store(&stripes[i].count, hw_tag(generation) << HW_TAG_SHIFT);
    }
    identity->serial = serial;
    hw_store_words(hw_identity_of(slot), identity, sizeof *identity);
    hw_store_words(hw_status_of(slot, 0), status, sizeof *status);
    hw_store_words(hw_status_of(slot, 1), status, sizeof *status);
    hw_put(hw_result_of(board, slot, 0), 0);
    hw_put(hw_result_of(board, slot, 1), 0);
    hw_store(&control->lost_count, 0);
    hw_store(&control->stripes_used, 0);
    hw_store(&control->has_result, 0);
    hw_store(&control->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
    HW_STEP("filled");
    hw_store(&board->hashes[index], hash);
    HW_STEP("hashed");
    hw_store(&control->generation, generation); /* publishes: live */
    HW_STEP("published");
}

/* What the task that has the id means for who claims it: HW_EXISTS, HW_ENDED, or HW_OK: it may be replaced. */
static int hw_standing(hw_board *board, char *slot, const hw_status *status, uint32_t resumable, hw_found *found) {
    found->state = status->state;
    found->owner = status->owner;
    if (!hw_final(status->state) && hw_carried(board, slot, status)) {
        found->pid = status->owner_pid;
        found->owner_alive = !hw_dead(board, status->owner);
        for (int i = 0; !found->owner_alive && i < HW_STRIPES; i++) {
            hw_stripe *stripe = hw_stripes_of(slot) + i;
            uint64_t worker = hw_load(&stripe->worker);
            if (worker && !hw_dead(board, worker)) found->pid = hw_load(&stripe->pid);
        }
        return HW_EXISTS;
    }
    return resumable >> (hw_final(status->state) ? status->state : (uint64_t)HW_LOST_STATE) & 1 ? HW_ENDED : HW_OK;
}

/* Claim a slot for a task, under the structural lock. `resumable` is a bit set of the states in which an existing
 * task is handed back (HW_ENDED with its place) instead of replaced. `drop`: finished tasks may go though the history
 * does not hold them. A task that is replaced is locked from the last look at its state until it is freed: else somebody
 * could resume it in between, and lose it. `anew`: it is replaced even while it runs, by whoever that is.
 * HW_OK with the new place, HW_ENDED, HW_EXISTS, HW_RESTING with the time to wait outside of the lock, HW_FULL;
 * HW_UNARCHIVED: archive the task found (generation 0: the oldest ones) outside of the lock, and come again;
 * HW_TIMEOUT where a slot lock is in the way, with the pid of its holder: to be tried again. */
static int hw_claim(hw_board *board, hw_identity *identity, const hw_status *first, uint32_t resumable, int anew,
                    int drop, hw_found *found) {
    uint64_t hash = hw_hash(identity->id, strlen(identity->id)), now = hw_clock_ns(CLOCK_MONOTONIC);
    uint64_t resting_until = 0;
    uint32_t resting = 0;
    uint32_t hint = (uint32_t)(hw_peek(&board->header->free_hint) % board->capacity), old;
    char *replaced = NULL;
    int answer;
    memset(found, 0, sizeof *found);
    if (hw_find_locked(board, identity, hash, found) == HW_OK) {
        char *slot = hw_slot(board, found->slot);
        hw_status status;
        found->pid = hw_peek(&hw_control_of(slot)->lock_pid);
        if (hw_read_status(slot, &status) != HW_OK) return HW_TIMEOUT;
        answer = anew ? HW_OK : hw_standing(board, slot, &status, resumable, found);
        if (answer != HW_OK) return answer;
        if (hw_slot_try(board, slot) != HW_OK) return HW_TIMEOUT;
        hw_load_life(slot, &status);
        answer = anew ? HW_OK : hw_standing(board, slot, &status, resumable, found);
        if (answer != HW_OK) {
            hw_slot_unlock(slot);
            return answer;
        }
        if (!drop && (!anew || hw_final(status.state)) && !hw_is_archived(slot)) {
            hw_slot_unlock(slot);
            return HW_UNARCHIVED;
        }
        replaced = slot;
    }
    old = found->slot;
    for (uint32_t n = 0; n < board->capacity; n++) {
        uint32_t i = (hint + n) % board->capacity;
        char *slot;
        hw_control *control;
        uint64_t until;
        if (hw_peek(&board->hashes[i])) continue;
        slot = hw_slot(board, i);
        control = hw_control_of(slot);
        if (hw_load(&control->generation) & 1) continue;
        until = hw_load(&control->reuse_ns);
        if (until > now && until <= now + HW_REST_NS) { /* a later time is damage */
            if (!resting_until || until < resting_until) resting_until = until;
            resting++;
            continue;
        }
        if (hw_slot_try(board, slot) != HW_OK) continue; /* a late writer looks in */
        hw_fill(board, i, identity, first, hash);
        found->slot = i;
        found->generation = hw_load(&control->generation);
        hw_slot_unlock(slot);
        hw_store(&board->header->free_hint, i + 1);
        if (replaced) hw_free_locked(board, old);
        return HW_OK;
    }
    if (replaced) hw_slot_unlock(replaced); /* it may be the one that makes room */
    /* At most half of the board rests at a time: more would only empty it. */
    if (resting < (board->capacity + 1) / 2) {
        answer = hw_evict(board, drop);
        if (answer == HW_OK && !resting_until) resting_until = now + HW_REST_NS;
        if (!resting_until) {
            found->generation = found->pid = 0;
            return answer == HW_FULL && !drop ? HW_UNARCHIVED : answer;
        }
    }
    found->wait_ns = resting_until - now;
    return HW_RESTING;
}

#endif
