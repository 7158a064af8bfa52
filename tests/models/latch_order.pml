/* latch_order.pml - the latch of latch.pml on a machine whose stores come late and whose loads come early.
 *
 * Runs: safety -DWRITERS=1 -DWRITES=6
 * Runs: safety -DWRITERS=2 -DWRITES=2
 *
 * Stores go through late_stores.h. A reader makes its loads in any order that their acquires and the address of the copy
 * leave open; the acquire of hw_latch_begin is not weakened, as that address orders the same.
 *
 * Step of the model            Line of C
 *   take, unlock               lock.h hw_slot_try (a compare and swap, acquire) and hw_slot_unlock (release)
 *   note, flip, put            status.h hw_write: the entry of the stage log; hw_latch_flip; hw_store_words: all release
 *   the loads of Reader        copy.h hw_copy_status: hw_latch_begin, hw_load_words, the log, hw_latch_whole: all acquire
 *
 * Promised, and asserted below
 *   1. Who has the lock sees both copies whole, equal and newest.
 *   2. A reader whose latch is whole has the record of one version, which is not older than what was there when it began.
 *   3. Of PLACES places of the log, the last PLACES - 1 entries that the record announces are there.
 *
 * Left out: kills and repairs (latch.pml has them, in the order of the program); speculation beyond the loads of one try.
 * protocols.py executes the same latch in every order that ARMv8 allows, with fewer writes.
 */
#ifndef WRITERS
#define WRITERS 2
#define WRITES 1
#endif
#define PLACES 2

#define LOCK 0
#define SEQ 1
#define COPY0 2 /* of two words each */
#define COPY1 4
#define LOG 6
#define VARS 8

#include "late_stores.h"

#ifdef MUTANT_WORDS_STORED_RELAXED
#define WORD false
#else
#define WORD true
#endif
#ifdef MUTANT_FLIPPED_RELAXED
#define FLIP false
#else
#define FLIP true
#endif
#ifdef MUTANT_UNLOCKED_RELAXED
#define UNLOCK false
#else
#define UNLOCK true
#endif

proctype Writer(byte me) {
    byte version, writes;
    do
    :: writes < WRITES ->
        /* Its own stores are behind it: what it would read of its own buffer is what it wrote. */
        atomic { mem[LOCK] == 0 && many[me] == 0 -> mem[LOCK] = 1 };
        d_step {
            version = mem[COPY0] + 1;
            assert(mem[COPY0 + 1] == mem[COPY0] && mem[COPY1] == mem[COPY0] && mem[COPY1 + 1] == mem[COPY0]);
            assert(mem[SEQ] == 2 * mem[COPY0])
        };
        store(LOG + (version - 1) % PLACES, version, true);
        store(SEQ, 2 * version - 1, FLIP);
        store(COPY0, version, WORD);
        store(COPY0 + 1, version, WORD);
        store(SEQ, 2 * version, FLIP);
        store(COPY1, version, WORD);
        store(COPY1 + 1, version, WORD);
        store(LOCK, 0, UNLOCK);
        d_step { writes++; version = 0 }
    :: else -> break
    od
}

#ifdef MUTANT_WORDS_LOADED_RELAXED
#define words (made & 1)
#define words_or_early true
#else
#define words ((made & 7) == 7)
#define words_or_early words
#endif
#ifdef MUTANT_LOG_LOADED_RELAXED
#define logged true
#else
#define logged ((made & 24) == 24)
#endif

active proctype Reader() {
    byte seen, a, b, floor, first, second, last, made;
    floor = mem[SEQ] / 2;
    do
    :: atomic { !(made & 1) -> seen = mem[SEQ]; made = made | 1 }
    :: atomic { !(made & 2) && (made & 1) -> a = mem[(seen & 1 -> COPY1 : COPY0)]; made = made | 2 }
    :: atomic { !(made & 4) && (made & 1) -> b = mem[(seen & 1 -> COPY1 + 1 : COPY0 + 1)]; made = made | 4 }
    :: atomic { !(made & 8) && words_or_early -> first = mem[LOG]; made = made | 8 }
    :: atomic { !(made & 16) && words_or_early -> second = mem[LOG + 1]; made = made | 16 }
    :: atomic { !(made & 32) && words && logged -> last = mem[SEQ]; made = made | 32 }
    :: made == 63 -> break
    od;
    if
    :: last == seen ->
        assert(a == b && a == seen / 2);
        assert(a >= floor);
        assert(a == 0 || (a % 2 -> first : second) == a)
    :: else
    fi
}

init {
    byte number;
    atomic {
        for (number : 0 .. WRITERS - 1) {
            run Buffer(number);
            run Writer(number)
        }
    }
}
