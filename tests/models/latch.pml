/* latch.pml - the status of a task: two copies, a sequence number and a log of stages, under the slot lock.
 *
 * Runs: safety -DWRITERS=2 -DWRITES=2 -DCRASHES=1
 * Runs: safety -DWRITERS=2 -DWRITES=1 -DCRASHES=2
 * Runs: safety -DWRITERS=1 -DWRITES=3 -DCRASHES=3
 *
 * Writers, each of which may be killed between any two stores and start again as a new incarnation, and a reader that
 * takes no lock. A record is WORDS words that all hold the number of its version; entry n of the log is the number n.
 *
 * Step of the model            Line of C
 *   take                       lock.h hw_slot_try: look, hw_dead and hw_cas, here in one (structural_lock.pml has them
 *                              apart, and the rule is the same)
 *   mend                       lock.h hw_mend, headway.h hw_latch_mend: a step for each word, then hw_latch_flip
 *   note                       status.h hw_write: the entry of the stage log, before the first flip
 *   flip, put                  hw_latch_flip; hw_apply, a step for each word; twice
 *   leave                      lock.h hw_slot_unlock
 *   begin, words, log, whole   copy.h hw_copy_status: hw_latch_begin, hw_load_status, the log, hw_latch_whole
 *
 * Promised, and asserted below
 *   1. At rest (a writer has the lock and mended what a dead one left) both copies are whole, equal and the newest.
 *   2. A reader never returns a mixed record, nor one older than what it could have seen when it began.
 *   3. Of PLACES places of the log, the last PLACES - 1 entries that the record announces are all there.
 *   4. Nobody stays blocked: who was killed with the lock is followed by another.
 *
 * Left out: the order of memory. Here every store is seen at once and in order; in C the same follows from storing with
 * release and loading with acquire every word of a record (head of headway.h). Also left out: the generation that a
 * writer checks under the lock (slot.pml), bounded tries and the reader that takes the lock after them, and the latch
 * of the result (hw_write_result), which flips and writes in the same order.
 */
#ifndef WRITERS
#define WRITERS 2
#define WRITES 2 /* of each writer; those of killed incarnations come on top */
#define CRASHES 1
#endif
#define READS 1
#define WORDS 2
#define PLACES 3
#define PEOPLE (WRITERS + CRASHES + 1)

byte lock;            /* control.lock: an incarnation, 0 = free */
byte seq;             /* control.status_seq */
byte copy0[WORDS];
byte copy1[WORDS];
byte log[PLACES];
byte next = 1;
bool alive[PEOPLE];

/* Nothing in the code knows these. */
byte published;       /* the newest version that readers are sent to */
bool running[WRITERS];
bool killed[WRITERS];
byte crashes;

#define at_rest (copy0[0] == published && copy0[1] == published && copy1[0] == published && copy1[1] == published)
#define flip() seq++

inline take() {
    atomic {
#ifdef MUTANT_LOCK_ROBBED
        true ->
#else
        lock == 0 || !alive[lock] ->
#endif
        from = lock;
        lock = me
    }
}

inline mend() {
    if
    :: from == 0
#ifndef MUTANT_NO_MEND
    :: from != 0 ->
        if
#ifdef MUTANT_MENDED_BACKWARDS
        :: !(seq & 1) ->
#else
        :: seq & 1 ->
#endif
            copy0[0] = copy1[0];
            copy0[1] = copy1[1];
            if
            :: seq & 1 -> flip()
            :: else
            fi
        :: else ->
            copy1[0] = copy0[0];
            copy1[1] = copy0[1];
            if
            :: seq & 1 -> flip()
            :: else
            fi
        fi
#else
    :: from != 0
#endif
    fi
}

inline note() { log[(version - 1) % PLACES] = version }

inline write() {
    d_step { assert(at_rest && !(seq & 1)); version = copy0[0] + 1 };
#ifndef MUTANT_LOG_WRITTEN_LATE
    note();
#endif
#ifndef MUTANT_FLIPPED_LATE
    flip();
#endif
    copy0[0] = version;
    copy0[1] = version;
#ifdef MUTANT_FLIPPED_LATE
    flip();
#endif
    d_step { flip(); published = version };
#ifdef MUTANT_LOG_WRITTEN_LATE
    note();
#endif
    copy1[0] = version;
#ifndef MUTANT_SECOND_COPY_FORGOTTEN
    copy1[1] = version;
#endif
    lock = 0
}

proctype Writer(byte number) {
    byte me, from, version, writes;
start:
    {
        d_step { me = next; next++; alive[me] = true };
        do
        :: writes < WRITES -> take(); mend(); write(); d_step { writes++; from = 0; version = 0 }
        :: else -> break
        od;
        running[number] = false
    } unless {
        atomic { killed[number] -> from = 0; version = 0 };
        d_step { alive[me] = false; me = 0; killed[number] = false };
        goto start
    };
    d_step { alive[me] = false; me = 0; writes = 0 }
}

active proctype Reader() {
    byte seen, a, b, floor, reads;
    byte seen_log[PLACES];
    do
    :: reads < READS ->
        d_step { seen = seq; floor = published };
        a = (seen & 1 -> copy1[0] : copy0[0]);
        b = (seen & 1 -> copy1[1] : copy0[1]);
        seen_log[0] = log[0];
        seen_log[1] = log[1];
        seen_log[2] = log[2];
        d_step {
            if
#ifdef MUTANT_READER_TRUSTS
            :: true ->
#else
            :: seq == seen ->
#endif
                reads++;
                assert(a == b);
                assert(a >= floor && a <= published);
                assert(a < 1 || seen_log[(a - 1) % PLACES] == a);
                assert(a < 2 || seen_log[(a - 2) % PLACES] == a - 1);
#ifdef MUTANT_WHOLE_LOG_READ
                assert(a < 3 || seen_log[(a - 3) % PLACES] == a - 2)
#endif
            :: else
            fi;
            seen = 0; a = 0; b = 0; floor = 0; seen_log[0] = 0; seen_log[1] = 0; seen_log[2] = 0
        }
    :: else -> break
    od
}

/* Kills whom it likes, when it likes, or nobody. */
active proctype Killer() {
    byte victim;
end:
    do
    :: atomic {
        crashes < CRASHES ->
        select(victim : 0 .. WRITERS - 1);
        if
        :: running[victim] && !killed[victim] -> killed[victim] = true; crashes++
        :: else
        fi;
        victim = 0
    }
    od
}

init {
    byte number;
    atomic {
        for (number : 0 .. WRITERS - 1) {
            running[number] = true;
            run Writer(number)
        }
    }
}
