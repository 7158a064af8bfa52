/* lists.pml - chains of tasks and the queue of free slots, rewritten by who is killed over it (src/headway/native/lists.h,
 * claim.h and slots.h).
 *
 * Runs: safety -DOPS=5 -DCRASHES=1
 * Runs: safety -DOPS=3 -DCRASHES=2
 * Long runs: safety -DOPS=6 -DCRASHES=2
 *
 * Four slots, three ids, of which two have the same bucket. Who has the structural lock claims a slot for an id, which may
 * have a task already that is started anew, frees a task, as the recorder does, or frees some ahead of need. He may be killed
 * between any two stores, also while he repairs what the one before him left. Only holders of that lock read or write any
 * of this, so one process is enough: the next holder is the same one, who begins with a repair. (Who gets the lock, and that
 * nobody but the dead is robbed: structural_lock.pml. What others see of a slot meanwhile: slot.pml.)
 *
 * Step of the model            Line of C
 *   push, pop, chain, unchain  lists.h hw_push_free, hw_pop_free, hw_chain, hw_unchain
 *   make_lists                 lists.h hw_make_lists
 *   repair                     lock.h hw_repair
 *   find                       claim.h hw_find_locked: of two tasks of one id the older is freed
 *   room                       claim.h hw_take_room: the first of the queue, or one that was never used; a late writer may
 *                              have its slot lock: then it goes to the end of the queue
 *   fill                       claim.h hw_fill
 *   free                       slots.h hw_free_locked
 *   ahead                      slots.h hw_evict_ahead
 *
 * Promised, and asserted below, whenever the lock is free and its last holder let go of it
 *   1. Each slot that was ever used is in one list, once: with a task in the chain of its id's bucket, else in the queue.
 *   2. The queue says how long it is, and where it ends.
 *   3. A claim finds the task that has its id, and a free slot has no task.
 *
 * Left out: how long a slot has rested, and numbers that are damaged.
 */
#ifndef OPS
#define OPS 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define SLOTS 4
#define NONE SLOTS
#define bucket(id) (id / 3) /* ids 1 and 2, and id 3 */

bool live[SLOTS];     /* the generation is odd */
byte hash[SLOTS];     /* 0 = no task; else the id */
byte named[SLOTS];    /* the id in the slot's identity */
byte serial[SLOTS];
byte firsts[2];       /* slot + 1, as below */
byte nexts[SLOTS];
byte first, last;     /* one word */
byte count;
byte fresh;
byte next_serial;
#ifdef MUTANT_A_REPAIR_THAT_WAS_BEGUN_COUNTS_AS_DONE
bool begun;
#endif

/* Killed here? */
#define step if :: true :: crashes < CRASHES -> crashes++; goto dead fi

inline push(slot) {
#ifndef MUTANT_THE_QUEUE_HAS_NO_END
    nexts[slot] = 0; step;
#endif
    if
    :: first && last -> nexts[last - 1] = slot + 1; k = first
    :: else -> k = slot + 1
    fi; step;
    d_step { first = k; last = slot + 1 }; step;
    count++; step
}

/* Take the first one out. */
inline pop(slot) {
    d_step {
        k = nexts[slot];
        if :: k -> first = k :: else -> first = 0; last = 0 fi
    }; step;
    count--; step
}

inline chain(slot, id) {
    nexts[slot] = firsts[bucket(id)]; step;
    firsts[bucket(id)] = slot + 1; step
}

inline unchain(slot, id) {
    d_step {
        k = NONE; /* whose next it is */
        n = firsts[bucket(id)];
        do
        :: n == slot + 1 -> break
        :: else -> assert(n); k = n - 1; n = nexts[k]
        od;
        if
        :: k == NONE -> firsts[bucket(id)] = nexts[slot]
        :: else -> nexts[k] = nexts[slot]
        fi
    }; step
}

inline make_lists() {
#ifndef MUTANT_A_REPAIR_KEEPS_THE_QUEUE
    d_step { first = 0; last = 0 }; step;
    count = 0; step;
#endif
#ifndef MUTANT_A_REPAIR_KEEPS_THE_CHAINS
    firsts[0] = 0; step;
    firsts[1] = 0; step;
#endif
    i = 0;
    do
    :: i == fresh -> break
    :: else ->
        if
        :: hash[i] -> chain(i, hash[i])
        :: else -> push(i)
        fi;
        i++
    od
}

inline repair() {
#ifdef MUTANT_LISTS_ARE_MADE_BEFORE_THE_HASHES_AGREE
    make_lists();
#endif
    i = 0;
    do
    :: i == SLOTS -> break
    :: else ->
        if
        :: !live[i] && hash[i] -> hash[i] = 0; step
        :: live[i] && !hash[i] -> hash[i] = named[i]; step
        :: else
        fi;
        i++
    od;
#ifndef MUTANT_HASHES_ARE_REPAIRED_AND_LISTS_ARE_NOT
#ifndef MUTANT_LISTS_ARE_MADE_BEFORE_THE_HASHES_AGREE
    make_lists()
#endif
#endif
}

inline fill(slot, id) {
    named[slot] = id;
    d_step { next_serial++; serial[slot] = next_serial };
    hash[slot] = id; step;
#ifndef MUTANT_A_TASK_IS_NOT_CHAINED
    chain(slot, id);
#endif
    live[slot] = true; step
}

inline free(slot) {
    x = hash[slot];
    live[slot] = false; step;
    hash[slot] = 0; step;
#ifdef MUTANT_QUEUED_BEFORE_IT_LEFT_ITS_CHAIN
    push(slot);
    unchain(slot, x)
#else
#ifndef MUTANT_A_FREE_SLOT_STAYS_IN_ITS_CHAIN
    unchain(slot, x);
#endif
    push(slot)
#endif
}

/* The task of this id: old, or NONE. */
inline find(id) {
    old = NONE;
    i = firsts[bucket(id)];
    do
    :: i == 0 -> break
    :: else ->
        other = NONE;
        at = i - 1;
        i = nexts[at]; /* before it is freed */
        if
        :: hash[at] == id && live[at] && old == NONE -> old = at
        :: hash[at] == id && live[at] && old != NONE ->
            d_step {
                if
                :: serial[at] > serial[old] -> other = old; old = at
                :: else -> other = at
                fi
            };
            free(other)
        :: else
        fi
    od
}

/* A slot without a task: at, or NONE. */
inline room() {
    late = true;
    do
    :: first == 0 && fresh == SLOTS -> at = NONE; break
    :: first == 0 && fresh < SLOTS -> at = fresh; fresh++; step; break
    :: first != 0 ->
        at = first - 1;
        pop(at);
        if
        :: break
        :: late -> late = false; /* a late writer has its slot lock */
#ifndef MUTANT_A_LOCKED_SLOT_IS_NOT_QUEUED_AGAIN
            push(at)
#else
            skip
#endif
        fi
    :: first != 0 && fresh < SLOTS -> at = fresh; fresh++; step; break /* the first one has not rested yet */
    od
}

inline ahead() {
    do
    :: live[0] && old != 0 -> free(0)
    :: live[2] && old != 2 -> free(2)
    :: break
    od
}

/* When the lock is free. */
inline audit() {
    d_step {
        found[0] = 0; found[1] = 0; found[2] = 0; found[3] = 0;
        x = 0;
        do
        :: x == 2 -> break
        :: else ->
            n = firsts[x];
            do
            :: n == 0 -> break
            :: else ->
                found[n - 1]++;
                assert(found[n - 1] == 1 && live[n - 1] && hash[n - 1] == named[n - 1] && bucket(hash[n - 1]) == x);
                n = nexts[n - 1]
            od;
            x++
        od;
        n = first;
        k = 0;
        at = 0;
        do
        :: n == 0 -> break
        :: else ->
            found[n - 1]++;
            assert(found[n - 1] == 1 && !live[n - 1] && hash[n - 1] == 0);
            at = n;
            k++;
            n = nexts[n - 1]
        od;
        assert(k == count && at == last);
        x = 0;
        do
        :: x == SLOTS -> break
        :: else -> assert(found[x] == (x < fresh -> 1 : 0)); x++
        od;
        x = 0; n = 0; k = 0; at = 0; i = 0; old = 0; other = 0; id = 0; late = false;
        found[0] = 0; found[1] = 0; found[2] = 0; found[3] = 0
    }
}

active proctype Holder() {
    byte i, k, n, x, at, old, other, id, ops, crashes, found[SLOTS];
    bool late;
again:
    do
    :: ops < OPS ->
        ops++;
        if
        :: id = 1
        :: id = 2
        :: id = 3
        fi;
        if
        :: true -> /* claim */
            find(id);
            assert(old != NONE || !((live[0] && named[0] == id) || (live[1] && named[1] == id) ||
                                    (live[2] && named[2] == id) || (live[3] && named[3] == id)));
            room();
            if
            :: at != NONE ->
                assert(!live[at]);
                other = at;
                fill(other, id);
                if
                :: old != NONE -> free(old)
                :: else
                fi;
                old = other;
                ahead()
            :: else -> /* it makes room, and comes again */
                free(1)
            fi
        :: live[0] -> old = NONE; free(0)
        :: live[1] -> old = NONE; free(1)
        fi;
        audit()
    :: ops == OPS -> break
    od;
    goto over;
dead:
    x = 0; n = 0; k = 0; at = 0; i = 0; old = 0; other = 0; id = 0; late = false;
#ifdef MUTANT_A_REPAIR_THAT_WAS_BEGUN_COUNTS_AS_DONE
    if
    :: begun -> begun = false
    :: else -> begun = true; repair(); begun = false
    fi;
#else
    repair();
#endif
    audit();
    goto again;
over:
    skip
}
