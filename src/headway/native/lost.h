/* lost.h - is a task lost? The one rule for the states of handles, copies of a board, claims and evictions.
 *
 * A task is open from its creation until a process writes that it succeeded, failed or was cancelled. The state of an
 * open task depends on which processes are alive:
 *
 *   a live process carries it     it reads as written, pending or running; if it is written as lost, as running
 *   no live process does          it reads as lost, whether that is written or not
 *
 * So a written "lost" is only an observation that the recorder or Board.reap made at one moment. It can become wrong: a
 * forked child that counts with its parent's handle is known only by its counts, so if it pauses for longer than
 * HW_SHARED_GRACE_NS the task reads as lost; and a process can begin to count between the observation and the write. A
 * reader that trusted it would start a second run of a task that goes on, or give its slot away.
 */
#ifndef HEADWAY_LOST_H
#define HEADWAY_LOST_H

#include "status.h"

#define HW_SHARED_GRACE_NS 5000000000ull

/* Who is alive, for one pass over many tasks or processes: all zero at first. In one pass a process is either alive or
 * dead, and each is asked about once.
 *
 * The kernel looks through the locks of all processes of the board for each question, so asking about N costs N * N. A
 * pass asks HW_ASKS questions at most, and takes the other answers from board->known, where the last answer about each
 * process stands, if they are not older than HW_KNOWN_TICKS. So with up to HW_ASKS processes every answer is of now, and
 * beside more of them a death is seen a second late by who copies the board, and a process that was taken for dead and is
 * not (its program had closed our descriptor). Nothing is decided by an answer of then: who frees a slot, takes over
 * a lock or writes that a task is lost asks without `asked`, and a copy of one task has fewer questions.
 *
 * A word of `known`: 40 bits of the incarnation, when it was asked, alive. One word, so that threads that copy at the
 * same time need no order. A forked child has its parent's: they are true there, too. */
#define HW_ASKED_PLACES 256
#define HW_ASKS 16
#define HW_TICK_BITS 26 /* a tick is 2^26 ns, 67 ms */
#define HW_KNOWN_TICKS 15u
#define HW_WHEN_MASK 0x7fffffu
typedef struct hw_asked {
    uint64_t incarnation[HW_ASKED_PLACES];
    uint8_t alive[HW_ASKED_PLACES];
    uint32_t asks; /* questions so far */
    uint32_t now;  /* ticks, when the pass began */
    int begun, fd; /* the descriptor was looked at */
} hw_asked;

static int hw_ask(hw_board *board, hw_asked *asked, uint64_t incarnation) {
    uint64_t *known = board->known + incarnation % HW_KNOWN, word = hw_peek(known), name = incarnation << 24;
    int alive;
    if (!asked->begun) {
        asked->begun = 1;
        asked->fd = hw_own_fd(board);
        asked->now = (uint32_t)(hw_clock_ns(CLOCK_MONOTONIC_COARSE) >> HW_TICK_BITS) & HW_WHEN_MASK;
    }
    if (asked->asks >= HW_ASKS && (word ^ name) >> 24 == 0 &&
        ((asked->now - (uint32_t)(word >> 1)) & HW_WHEN_MASK) < HW_KNOWN_TICKS)
        return (int)(word & 1);
    asked->asks++;
    alive = hw_alive_by(board, asked->fd, incarnation);
    /* Relaxed: the word says all. */
    __atomic_store_n(known, name | (uint64_t)asked->now << 1 | (uint64_t)alive, __ATOMIC_RELAXED);
    return alive;
}

/* Is there a process of this incarnation, and is it alive? `asked` may be NULL: then the kernel is asked. */
static int hw_alive(hw_board *board, hw_asked *asked, uint64_t incarnation) {
    uint64_t place = incarnation % HW_ASKED_PLACES;
    if (!incarnation) return 0;
    if (!asked) return !hw_dead(board, incarnation);
    if (asked->incarnation[place] != incarnation) {
        asked->incarnation[place] = incarnation;
        asked->alive[place] = (uint8_t)hw_ask(board, asked, incarnation);
    }
    return asked->alive[place];
}

/* Does a live process other than this one count on the task, according to its stripes? */
static int hw_others(hw_board *board, char *slot) {
    hw_counters it = hw_counters_of(board, slot, hw_load(&hw_control_of(slot)->generation), 0);
    uint64_t me = hw_me(board);
    hw_stripe *stripe;
    while ((stripe = hw_next_stripe(&it)) != NULL) {
        uint64_t worker = hw_load(&stripe->worker);
        if (worker != me && hw_alive(board, NULL, worker)) return 1;
    }
    return 0;
}

/* Is a stripe that several processes share still in use? It does not tell which processes these are, so they count as
 * alive until HW_SHARED_GRACE_NS after the last add. */
static inline int hw_shared_alive(const hw_stripe *stripe, uint64_t now_ns) {
    uint64_t beat = hw_load(&stripe->beat_ns);
    return hw_load(&stripe->shared) == 1 && beat && now_ns < beat + HW_SHARED_GRACE_NS;
}

/* Does somebody who is alive count on this stripe? */
static inline int hw_is_counted_on(hw_board *board, hw_asked *asked, const hw_stripe *stripe, uint64_t now_ns) {
    return hw_alive(board, asked, hw_load(&stripe->worker)) || hw_shared_alive(stripe, now_ns);
}

/* Does a live process carry the task: its owner, or one that counts on it? By copies of its stripes: those of the slot, bit
 * i of `used`: stripe i was taken at some time; and so many that are linked. */
static int hw_carried(hw_board *board, hw_asked *asked, uint64_t owner, const hw_stripe *stripes, uint64_t used,
                      const hw_stripe *linked, size_t linked_count, uint64_t now_ns) {
    if (hw_alive(board, asked, owner)) return 1;
    for (int i = 0; i < HW_STRIPES; i++)
        if (used >> i & 1 && hw_is_counted_on(board, asked, stripes + i, now_ns)) return 1;
    for (size_t i = 0; i < linked_count; i++)
        if (hw_is_counted_on(board, asked, linked + i, now_ns)) return 1;
    return 0;
}

/* The same for a slot, by its stripes at this moment. */
static int hw_slot_carried(hw_board *board, hw_asked *asked, char *slot, uint64_t owner, uint64_t now_ns) {
    hw_counters it;
    hw_stripe *stripe;
    if (hw_alive(board, asked, owner)) return 1;
    it = hw_counters_of(board, slot, hw_load(&hw_control_of(slot)->generation), 0);
    while ((stripe = hw_next_stripe(&it)) != NULL)
        if (hw_is_counted_on(board, asked, stripe, now_ns)) return 1;
    return !hw_kept_blocks(&it, slot); /* else it has ended meanwhile: that it is lost would be an answer of neither moment */
}

/* The state as it reads, by the rule at the head of this file. `carried` matters for open tasks only. */
static inline uint64_t hw_state_read(const hw_status *status, int carried) {
    if (hw_ended(status->state)) return status->state;
    if (!carried) return HW_LOST_STATE;
    return status->state == HW_LOST_STATE ? HW_RUNNING : status->state;
}

/* The same for a slot. */
static inline uint64_t hw_state_at(hw_board *board, hw_asked *asked, char *slot, const hw_status *status,
                                   uint64_t now_ns) {
    if (hw_ended(status->state)) return status->state;
    return hw_state_read(status, hw_slot_carried(board, asked, slot, status->owner, now_ns));
}

/* The same at this moment. */
static inline uint64_t hw_state_of(hw_board *board, hw_asked *asked, char *slot, const hw_status *status) {
    if (hw_ended(status->state)) return status->state; /* without reading the clock */
    return hw_state_at(board, asked, slot, status, hw_clock_ns(CLOCK_MONOTONIC_COARSE));
}

#endif
