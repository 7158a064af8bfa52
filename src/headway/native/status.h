/* status.h - the status of a task: read without tearing, and changed by one transition at a time. */
#ifndef HEADWAY_STATUS_H
#define HEADWAY_STATUS_H

#include "bind.h"

#define HW_READ_TRIES 4096

/* Load one copy of a status: its numbers, */
static inline void hw_load_numbers(hw_status *to, const hw_status *from) {
    hw_load_words(to, from, offsetof(hw_status, stage));
    if (to->state >= HW_STATES) to->state = HW_FAILED; /* a damaged state reads as failed */
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

/* and all of it, each text up to its end. */
static inline void hw_load_status(hw_status *to, const hw_status *from) {
    hw_load_numbers(to, from);
    hw_load_text(to->stage, from->stage, HW_STAGE_BYTES);
    hw_load_text(to->message, from->message, HW_MESSAGE_BYTES);
    hw_load_text(to->error, from->error, HW_ERROR_BYTES);
    hw_load_metrics(to->metric_name, to->metric, from);
}

/* Read a status without tearing. HW_OK, or HW_TIMEOUT if writers never paused. */
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

/* The same if writers never pause: under the slot lock, for which the caller has to be registered. */
static int hw_read_status_locked(hw_board *board, char *slot, hw_status *status, uint64_t deadline_ns) {
    if (hw_slot_lock(board, slot, deadline_ns) != HW_OK) return HW_TIMEOUT;
    hw_load_status(status, hw_status_of(slot, 0)); /* at rest both copies are equal */
    hw_slot_unlock(slot);
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
    HW_SET_RESUMED = 256, /* with it: the run continues an earlier one, base := count, error := "" */
    HW_SET_RUNNING = 512, /* a pending task becomes running; a lost one too, and its writer becomes the owner */
    HW_SET_STALL = 1024   /* after how long it is stalled: a word of its identity, read apart from the status */
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
    uint64_t expected_owner; /* 0 = any; otherwise only while that process owns the task */
    uint64_t owner, owner_pid; /* for HW_SET_OWNER: who; 0 = the writer */
    uint64_t stall_after_ns;
    uint32_t metrics;
    uint64_t was; /* out: the state before */
    char stage[HW_STAGE_BYTES];
    char message[HW_MESSAGE_BYTES];
    char error[HW_ERROR_BYTES];
    char metric_name[HW_METRICS][HW_METRIC_BYTES];
    double metric[HW_METRICS];
} hw_change;

/* Store a text with its NUL; the bytes after it are never read. */
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

/* Find the place of each metric: that of the same name, else an unused one. HW_OK or HW_FULL. */
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
    next.base = next.resumed ? hw_total_count(board, slot, generation) : 0;
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
    hw_store(&control->archived, 0); /* before the change: a kill in between then only archives it again */
    if (!hw_ended(change->fields & HW_SET_STATE ? next.state : change->was)) hw_unseal(board, slot);
    if (next.resumed) hw_begin_run(control);
    if (change->fields & HW_SET_STALL) hw_put(&hw_identity_of(slot)->stall_after_ns, change->stall_after_ns);
    hw_latch_flip(&control->status_seq);
    hw_apply(copy0, change, &next, metric_at);
    hw_latch_flip(&control->status_seq);
    hw_apply(copy1, change, &next, metric_at);
    __atomic_store_n(&control->beat_ns, hw_clock_ns(CLOCK_MONOTONIC_COARSE), __ATOMIC_RELAXED); /* as in hw_add */
    hw_slot_unlock(slot);
    return HW_OK;
}

#endif
