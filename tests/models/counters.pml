/* counters.pml - blocks of counters are lent to tasks, and come back (src/headway/native/blocks.h, pool.h and bind.h).
 *
 * Runs: safety -DSLOTS=1 -DROUNDS=0 -DCRASHES=1
 * Runs: safety -DROUNDS=2 -DWORKERS=1 -DBINDS=2
 * Runs: safety -DPOOL=1 -DROUNDS=2 -DWORKERS=1 -DBINDS=2
 * Runs: safety -DPOOL=1 -DROUNDS=1 -DREADS=1 -DWORKERS=1 -DBINDS=2
 * Runs: safety -DROUNDS=1 -DCRASHES=1 -DWORKERS=1 -DBINDS=2
 * Runs: safety -DPOOL=1 -DSLOTS=1 -DROUNDS=0 -DCRASHES=1 -DBINDS=2
 * Runs: safety -DROUNDS=1
 * Long runs: safety -DPOOL=1 -DROUNDS=1 -DBINDS=2
 * Long runs: safety -DPOOL=1 -DROUNDS=2
 * Long runs: safety -DROUNDS=2
 * Long runs: safety -DPOOL=1 -DROUNDS=1 -DREADS=1
 * Long runs: safety -DPOOL=1 -DROUNDS=1 -DCRASHES=1
 * Long runs: safety -DROUNDS=2 -DCRASHES=1 -DWORKERS=1 -DBINDS=2
 * Long runs: safety -DPOOL=1 -DROUNDS=1 -DCRASHES=2 -DWORKERS=1 -DBINDS=2
 * Long runs: safety -DPOOL=1 -DROUNDS=1 -DREADS=1 -DCRASHES=1 -DWORKERS=1 -DBINDS=2
 *
 * Two slots, and a pool of two blocks with a counter each, or of one. Workers begin to count on the task of either slot, again and
 * again, and use the handles that they got at any later moment. Somebody frees the slots and fills them again; before
 * that the counters may be closed for a while, and be opened by who begins to count. A reader adds up the counters of
 * the first slot without a lock. A task may end, and be resumed; who finds no free block takes back those of one that has
 * ended, or, if there is none, the counter of a dead worker of the same task. Workers and the one who frees may be killed
 * between any two stores, and go on as the next ones; a slot lock of a dead one is free at once (see latch.pml).
 *
 * Step of the model            Line of C
 *   bind                       bind.h hw_bind, under the slot lock; find_mine: hw_find_mine, without it
 *   take_back                  pool.h hw_take_back and hw_fold, under that slot's lock, which is only tried
 *   choose, claim, link        pool.h hw_link: note, owner by compare and swap, words, next, head
 *   take_over                  bind.h hw_take_dead: who is dead is asked without the lock, hw_take_over: under it
 *   take_counter               bind.h hw_take_stripe
 *   open_all                   stripes.h hw_open_stripes
 *   add                        headway.h hw_count: one compare and swap of tag and count
 *   seal, free                 stripes.h hw_seal, slots.h hw_free_locked: a block is given back by the generation alone
 *   fill                       claim.h hw_fill
 *   sum                        stripes.h hw_total_count, without a lock
 *
 * Promised, and asserted below
 *   1. A handle counts on the task for which it was made, while that has its slot, or is refused.
 *   2. What was acknowledged is in the sum that is taken when the slot is freed.
 *   3. A reader who finds the generation unchanged has the acknowledged counts, none twice.
 *   4. Who counts by a counter is its worker, and what is told of the counts of a worker is what it counted, or nothing is.
 *   5. No block is lost: in the end each is free, linked to the task that has it, or noted by that task's slot.
 *
 * Left out: the stripes in the slot (slot.pml), more than one counter in a block, the search in a large pool, the mark
 * of counters that were taken. Adds are upwards only.
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef BINDS
#define BINDS 1
#endif
#ifndef ADDS
#define ADDS 1
#endif
#ifndef POOL
#define POOL 2
#endif
#ifndef READS
#define READS 0
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#define NOBODY 0 /* else a worker, 1 to WORKERS, or: */
#define FREER 7

/* The task that has a slot, as owners name it: with how often its blocks were taken back. */
#define task_of(slot) (slot * 32 + generation[slot] * 4 + folds[slot])
#define slot_of(task) (task / 32)
#define lives(task) (task != 0 && task_of(slot_of(task)) == task)

byte generation[2] = 1;
byte locked[2];       /* who has the slot lock */
byte head[2];         /* the block that was linked last, + 1 */
byte note[2];         /* the block that is being linked, + 1 */
byte sealed[2];       /* 0 no, 1 begun, 2 done */
bool ended[2];        /* and the history has it */
byte folds[2];        /* one word with `head` */
byte folded[4];       /* of each slot the count of blocks that were taken back, in two places */
#define folded_of(s) folded[s * 2 + folds[s] % 2]

byte owner[2];        /* of each block: the task */
byte own[2];          /* its generation; the tag of closed counters is that of the next one */
byte next[2];
byte worker[2];       /* incarnations: 1 and 2; of who goes on after a kill the number after next */
byte base[2];         /* where the count stood when the worker of `base_of` took it */
byte base_of[2];
byte tag[2];          /* tag and count are one word */
byte count[2];

/* Nothing in the code knows these. */
byte acknowledged[2]; /* of the task that has the slot */
byte counted[2];      /* by the worker of each block */
byte alive[3];        /* who each worker is; the kernel knows */
#define dead(w) (w != NOBODY && w != alive[1] && w != alive[2])
byte done;            /* workers that take no further step */
byte killed;          /* who takes no further step */

inline choose_slot() {
    if
    :: s = 0
#if SLOTS > 1
    :: s = 1
#endif
    fi
}
inline take(slot, me) { atomic { locked[slot] == NOBODY -> locked[slot] = me } }
inline give(slot) { locked[slot] = NOBODY }

#ifdef MUTANT_TAG_OF_THE_SLOT
#define tag_for(block, slot) ((generation[slot] + 1) / 2)
#else
#define tag_for(block, slot) own[block]
#endif
#define closed(tag) (tag + 1)

/* Find a block that nobody has: c, or 2 for none. `seen` is what stood there. */
inline choose() {
    c = 0;
    do
    :: c == POOL -> c = 2; break
    :: c < POOL ->
        seen = owner[c];
#ifndef MUTANT_TAKES_A_BLOCK_IN_USE
        if
        :: !lives(seen) -> break
        :: d_step { lives(seen) -> c++; seen = 0 }
        fi
#else
        break
#endif
    od
}

inline write_words() {
    own[c]++;
    d_step { worker[c] = NOBODY; base_of[c] = NOBODY; base[c] = 0; counted[c] = 0 };
    d_step { tag[c] = tag_for(c, s); count[c] = 0 }
}

inline close(x) {
    sealed[x] = 1;
    c = head[x];
#ifndef MUTANT_CLOSES_THE_SLOT_ALONE
    do
    :: c == 0 -> break
    :: d_step {
        c != 0 ->
        if :: tag[c - 1] == tag_for(c - 1, x) -> tag[c - 1] = closed(tag_for(c - 1, x)) :: else fi;
#ifdef MUTANT_CLOSES_ONE_BLOCK
        c = 0
#else
        c = next[c - 1]
#endif
       }
    od;
#endif
    sealed[x] = 2
}

inline add_up(x) {
    d_step {
        sum = (folds[x] -> folded_of(x) : 0);
        c = head[x];
        do
        :: c == 0 -> break
        :: else -> sum = sum + count[c - 1]; c = next[c - 1]
        od
    }
}

/* Take back the blocks of the task in the other slot. */
inline take_back(me) {
    if
#ifdef MUTANT_TAKES_BACK_WITHOUT_THE_LOCK
    :: true ->
#else
    :: atomic { locked[1 - s] == NOBODY -> locked[1 - s] = me };
#endif
        if
        :: generation[1 - s] % 2 && ended[1 - s] && head[1 - s] && folds[1 - s] < 3 ->
#ifndef MUTANT_TAKES_BACK_BEFORE_IT_CLOSES
            if :: sealed[1 - s] != 2 -> close(1 - s) :: else fi;
#endif
            add_up(1 - s);
#ifdef MUTANT_TAKES_BACK_BEFORE_THE_SUM_IS_WRITTEN
            d_step { head[1 - s] = 0; folds[1 - s]++ };
            folded_of(1 - s) = sum;
#else
#ifdef MUTANT_ONE_PLACE_FOR_THE_SUM
            folded_of(1 - s) = sum;
            d_step { folded[(1 - s) * 2 + (folds[1 - s] + 1) % 2] = sum; head[1 - s] = 0; folds[1 - s]++ };
#else
            folded[(1 - s) * 2 + (folds[1 - s] + 1) % 2] = sum;
#ifdef MUTANT_THE_NAME_STAYS
            d_step { head[1 - s] = 0; owner[0] = (slot_of(owner[0]) == 1 - s -> 0 : owner[0]) };
#else
            d_step { head[1 - s] = 0; folds[1 - s]++ };
#endif
#endif
#endif
            sum = 0
        :: else
        fi;
#ifndef MUTANT_TAKES_BACK_WITHOUT_THE_LOCK
        give(1 - s)
#endif
    :: locked[1 - s] != NOBODY
    fi
}

/* Link a block to the task; c: the block, or 2. */
inline link(me) {
    c = note[s];
    if
#ifdef MUTANT_NOTE_IS_BELIEVED
    :: c != 0 && c != head[s] -> c--
#else
    :: c != 0 && c != head[s] && owner[c - 1] == mine -> c-- /* a linker was killed: go on where it was */
#endif
    :: else ->
        choose();
        if
        :: c == 2 -> take_back(me); choose()
        :: else
        fi;
        if
        :: c < 2 ->
#ifndef MUTANT_NO_NOTE
#ifndef MUTANT_NOTE_AFTER_THE_CLAIM
            note[s] = c + 1;
#endif
#endif
#ifdef MUTANT_CLAIMS_BY_A_STORE
            owner[c] = mine;
#else
            atomic { if :: owner[c] == seen -> owner[c] = mine :: else -> c = 2 fi };
#endif
#ifdef MUTANT_NOTE_AFTER_THE_CLAIM
            if :: c < 2 -> note[s] = c + 1 :: else fi;
#endif
        :: else
        fi
    fi;
    if
    :: c < 2 ->
#ifdef MUTANT_LINKS_BEFORE_THE_WORDS_ARE_WRITTEN
        next[c] = head[s];
        head[s] = c + 1;
        write_words()
#else
        write_words();
#ifdef MUTANT_LINKS_BEFORE_THE_NEXT_ONE_IS_WRITTEN
        seen = head[s];
        head[s] = c + 1;
        next[c] = seen
#else
        next[c] = head[s];
        head[s] = c + 1
#endif
#endif
    :: else
    fi;
    seen = 0
}

inline open_all() {
    sealed[s] = 1;
    c = head[s];
    do
    :: c == 0 -> break
    :: d_step {
        c != 0 ->
        if :: tag[c - 1] == closed(tag_for(c - 1, s)) -> tag[c - 1] = tag_for(c - 1, s) :: else fi;
        c = next[c - 1]
       }
    od;
    sealed[s] = 0
}

/* The counter that it has already, by another handle: found without the lock. */
inline find_mine(me) {
    c = head[s];
    if
    :: c != 0 && owner[c - 1] == mine ->
        with = own[c - 1];
        if
        :: worker[c - 1] == me ->
#ifndef MUTANT_FINDS_ITS_COUNTER_WITHOUT_A_SECOND_LOOK
            if
            :: d_step { lives(mine) -> at = c - 1; for_ = mine; bound = true }
            :: !lives(mine) -> bound = false
            fi
#else
            d_step { at = c - 1; for_ = mine; bound = true }
#endif
        :: else -> bound = false
        fi
    :: else -> bound = false
    fi
}

/* Write whose a counter is. */
inline take_counter(me) {
    d_step { worker[c] = me; counted[c] = 0 };
#ifndef MUTANT_WHO_TAKES_OVER_COUNTS_FROM_ZERO
    base[c] = count[c];
#endif
    base_of[c] = me
}

/* What is told of the counts of a worker is what it counted. */
#define told(c) (base_of[c] != worker[c] || count[c] - base[c] == counted[c])

/* The counter of a dead worker: who is dead is asked without the lock. */
inline take_over(me) {
    c = head[s];
    do
    :: c == 0 || owner[c - 1] != mine -> c = 2; break
    :: c != 0 && owner[c - 1] == mine ->
        c--;
        with = own[c];
        seen = worker[c];
        if
        :: dead(seen) -> break
        :: else -> c = next[c]
        fi
    od;
    if
    :: c < 2 ->
#ifndef MUTANT_TAKES_OVER_WITHOUT_THE_LOCK
        take(s, me);
#endif
        if
#ifdef MUTANT_TAKES_OVER_WITHOUT_A_SECOND_LOOK
        :: lives(mine) ->
#else
        :: lives(mine) && worker[c] == seen ->
#endif
            take_counter(me);
            assert(told(c));
            d_step { at = c; for_ = mine; bound = true }
        :: else
        fi;
#ifndef MUTANT_TAKES_OVER_WITHOUT_THE_LOCK
        give(s)
#endif
    :: else
    fi;
    seen = 0
}

inline bind(me) {
    d_step { mine = task_of(s); bound = false };
    if
    :: (mine / 4) % 2 ->
        find_mine(me)
    :: else
    fi;
    if
    :: (mine / 4) % 2 && !bound ->
#ifndef MUTANT_LINKS_WITHOUT_THE_LOCK
        take(s, me);
#endif
        if
        :: lives(mine) ->
            if
            :: sealed[s] && !ended[s] -> open_all() /* it is lost */
            :: else
            fi;
            c = head[s];
            if
#ifndef MUTANT_BORROWS_FOR_A_CLOSED_TASK
            :: sealed[s] -> c = 2 /* refused */
            :: !sealed[s] && c != 0 && worker[c - 1] == NOBODY -> c--
            :: !sealed[s] && !(c != 0 && worker[c - 1] == NOBODY) -> link(me)
#else
            :: c != 0 && worker[c - 1] == NOBODY -> c--
            :: else -> link(me)
#endif
            fi;
            if
            :: c < 2 ->
                take_counter(me);
                /* the handle */
                d_step { at = c; with = tag_for(c, s); for_ = mine; bound = true }
            :: else
            fi
        :: else
        fi;
#ifndef MUTANT_LINKS_WITHOUT_THE_LOCK
        give(s);
#endif
#if CRASHES
        if
        :: !bound && lives(mine) && !sealed[s] -> take_over(me)
        :: else
        fi
#else
        skip
#endif
    :: else
    fi;
    d_step { c = 0; mine = 0 }
}

inline add() {
    if
    :: tag[at] == with ->
        assert(lives(for_) && owner[at] == for_ && worker[at] == me);
        d_step { count[at]++; counted[at]++ };
        acknowledged[slot_of(for_)]++
    :: else
    fi
}

proctype Worker(byte who) {
    byte me = who;
    byte s, c, seen, mine, at, with, for_, binds, adds, sum;
    bool bound;
start:
    {
        do
        :: atomic { binds < BINDS -> choose_slot(); binds++ }; bind(me)
        :: atomic { bound && adds < ADDS -> adds++; add() }
        :: true -> break
        od
    } unless { killed == who };
    if
    :: atomic { killed != who -> done++ }
    :: atomic {
            killed == who ->
            if :: locked[0] == me -> give(0) :: else fi;
            if :: locked[1] == me -> give(1) :: else fi;
            me = me + 2;
            alive[who] = me;
            s = 0; c = 0; seen = 0; mine = 0; sum = 0; at = 0; with = 0; for_ = 0; bound = false; killed = NOBODY;
            goto start
       }
    fi
}

proctype Freer() {
    byte s, c, sum, rounds;
start:
    {
        do
        :: atomic { rounds < ROUNDS -> choose_slot(); rounds++ };
            take(s, FREER);
            if
            :: generation[s] % 2 && !ended[s] -> ended[s] = true
            :: generation[s] % 2 && ended[s] -> /* it is resumed */
                if :: sealed[s] -> open_all() :: else fi;
                ended[s] = false
            :: generation[s] % 2 ->
#ifdef MUTANT_GIVES_BACK_BEFORE_IT_CLOSES
                if :: head[s] -> owner[head[s] - 1] = 0 :: else fi;
#endif
                if :: sealed[s] != 2 -> close(s) :: else fi;
                add_up(s);
                assert(sum == acknowledged[s]);
                if
                :: generation[s]++
                :: true /* the history does not have it yet */
                fi
            :: else
            fi;
            if
            :: generation[s] % 2 == 0 ->
                acknowledged[s] = 0;
#ifndef MUTANT_NEW_TASK_KEEPS_THE_BLOCKS
                d_step { head[s] = 0; folds[s] = 0 };
#endif
                ended[s] = false;
                note[s] = 0;
                sealed[s] = 0;
                generation[s]++
            :: generation[s] % 2 == 0 -> skip /* it stays free for a while */
            :: else
            fi;
            d_step { give(s); c = 0; sum = 0; s = 0 }
        :: rounds == ROUNDS -> break
        od
    } unless { killed == FREER };
    if
    :: atomic { killed != FREER -> done++ }
    :: atomic {
            killed == FREER ->
            if :: locked[0] == FREER -> give(0) :: else fi;
            if :: locked[1] == FREER -> give(1) :: else fi;
            c = 0; sum = 0; s = 0; killed = NOBODY;
            goto start
       }
    fi
}

proctype Reader() {
    byte sum, c, t, before, seen, mine, steps;
    atomic { seen = generation[0]; before = acknowledged[0] };
again:
    if
    :: seen % 2 ->
        d_step { c = head[0]; mine = task_of(0); steps = 0 }; /* one word; of a later generation it does not matter */
        sum = (mine % 4 -> folded[mine % 2] : 0);
        do
        :: c == 0 || steps == 2 -> break
        :: else ->
            if
            :: owner[c - 1] != mine -> break
            :: else
            fi;
            t = tag_for(c - 1, 0);
            d_step {
                if
                :: tag[c - 1] == t || tag[c - 1] == closed(t) -> sum = sum + count[c - 1]
                :: else
                fi
            };
            c = next[c - 1];
            steps++
        od;
#ifndef MUTANT_READER_DOES_NOT_LOOK_WHETHER_BLOCKS_WERE_TAKEN_BACK
        if
        :: generation[0] == seen && folds[0] != mine % 4 -> goto again
        :: else
        fi;
#endif
#ifdef MUTANT_READER_TRUSTS_WHAT_IT_READ
        assert(before <= sum)
#else
        assert(generation[0] != seen || (before <= sum && sum <= acknowledged[0]))
#endif
    :: else
    fi
}

/* A process of its own: an escape that can be taken always is, so a kill must come at any time, not at once. */
proctype Killer() {
    byte kills;
    do
    :: atomic { kills < CRASHES && killed == NOBODY -> if :: killed = 1 :: killed = FREER fi; kills++ }
    :: break
    od
}

#define linked(b) (head[slot_of(owner[b])] == b + 1 || \
                   (head[slot_of(owner[b])] && next[head[slot_of(owner[b])] - 1] == b + 1))
#define found_again(b) (!lives(owner[b]) || linked(b) || note[slot_of(owner[b])] == b + 1)

proctype Auditor() {
    atomic {
        done == WORKERS + 1 && locked[0] == NOBODY && locked[1] == NOBODY ->
        assert(found_again(0) && found_again(1))
    }
}

init {
    atomic {
        alive[1] = 1;
        alive[2] = 2;
        run Worker(1);
#if WORKERS > 1
        run Worker(2);
#endif
#if WORKERS > 2
        run Worker(3);
#endif
        run Freer();
#if READS
        run Reader();
#endif
        run Auditor();
#if CRASHES
        run Killer()
#endif
    }
}
