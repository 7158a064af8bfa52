/* find_order.pml - a search for a task that starts anew in another slot, where stores come late and loads early.
 *
 * Runs: safety -DRESTARTS=5
 *
 * Stores go through late_stores.h. The search makes its loads in any order that their acquires leave open; loads of one
 * word stay in order. What a branch depends on does not hold up loads: machines guess.
 *
 * Step of the model            Line of C
 *   fill, publish              claim.h hw_fill: identity, hash, then the generation: all release
 *   free                       slots.h hw_free_locked: frees, generation, hash: all release
 *   the loads of Finder        find.h hw_find, one round, with hw_next_of and hw_holds: all acquire
 *
 * The task is in one slot of two, and restarts from one to the other: restart n publishes serial n in slot n % 2.
 *
 * Promised, and asserted below
 *   1. The task is found, as there always is one; or `frees` was raised meanwhile, and the search goes on.
 *   2. What is found in a slot is of one task: serial and generation belong together.
 *   3. It was there at some moment of the search: not freed before it began.
 *
 * Left out: kills, and tasks of other ids (slot.pml has them, in the order of the program); the end of the tries.
 */
#ifndef RESTARTS
#define RESTARTS 3
#endif
#define WRITERS 1

#define FREES 0
#define HASH 1 /* of two slots each */
#define GENERATION 3
#define SERIAL 5
#define VARS 7

#include "late_stores.h"

#ifdef MUTANT_PUBLISHED_RELAXED
#define PUBLISH false
#else
#define PUBLISH true
#endif
#ifdef MUTANT_FREED_RELAXED
#define FREE false
#else
#define FREE true
#endif
#ifdef MUTANT_HASH_CLEARED_RELAXED
#define CLEAR false
#else
#define CLEAR true
#endif

/* The generation under which serial n was published. */
#define generation_of(n) (2 * ((n) / 2) + 1)

proctype Writer(byte me) {
    byte n = 1;
    do
    :: n <= RESTARTS ->
        store(SERIAL + n % 2, n, true);
        store(HASH + n % 2, 1, true);
        store(GENERATION + n % 2, generation_of(n), PUBLISH);
        store(FREES, n, true);
        store(GENERATION + 1 - n % 2, generation_of(n - 1) + 1, FREE);
        store(HASH + 1 - n % 2, 0, CLEAR);
        n++
    :: else -> break
    od
}

/* The loads, in the order of the program: frees; of each slot the hash, the generation, the serial, the generation;
 * frees. A load may be made once those before it that acquire have been. */
#ifdef MUTANT_BEGUN_RELAXED
#define RELAXED 1
#endif
#ifdef MUTANT_HASHES_LOADED_RELAXED
#define RELAXED (2 | 32)
#endif
#ifdef MUTANT_GENERATIONS_LOADED_RELAXED
#define RELAXED (4 | 64)
#endif
#ifdef MUTANT_SERIALS_LOADED_RELAXED
#define RELAXED (8 | 128)
#endif
#ifdef MUTANT_LOOKED_AGAIN_RELAXED
#define RELAXED (16 | 256)
#endif
#ifndef RELAXED
#define RELAXED 0
#endif
#define may(bit) (!(made & (bit)) && ((made | RELAXED) & ((bit) - 1)) == (bit) - 1)

proctype Finder() {
    byte frees, again, floor;
    byte hash[2], seen[2], serial[2], still[2];
    short made;
    d_step {
        if
        :: (mem[GENERATION] & 1) && (!(mem[GENERATION + 1] & 1) || mem[SERIAL] < mem[SERIAL + 1]) -> floor = mem[SERIAL]
        :: else -> floor = mem[SERIAL + 1]
        fi
    };
    do
    :: atomic { may(1) -> frees = mem[FREES]; made = made | 1 }
    :: atomic { may(2) -> hash[0] = mem[HASH]; made = made | 2 }
    :: atomic { may(4) -> seen[0] = mem[GENERATION]; made = made | 4 }
    :: atomic { may(8) -> serial[0] = mem[SERIAL]; made = made | 8 }
    :: atomic { may(16) && (made & 4) -> still[0] = mem[GENERATION]; made = made | 16 }
    :: atomic { may(32) -> hash[1] = mem[HASH + 1]; made = made | 32 }
    :: atomic { may(64) -> seen[1] = mem[GENERATION + 1]; made = made | 64 }
    :: atomic { may(128) -> serial[1] = mem[SERIAL + 1]; made = made | 128 }
    :: atomic { may(256) && (made & 64) -> still[1] = mem[GENERATION + 1]; made = made | 256 }
    :: atomic { may(512) && (made & 1) -> again = mem[FREES]; made = made | 512 }
    :: made == 1023 -> break
    od;
#define found(i) (hash[i] && (seen[i] & 1) && still[i] == seen[i])
#define right(i) (!found(i) || seen[i] == generation_of(serial[i]))
    assert(right(0) && right(1));
    assert(found(0) || found(1) || again != frees);
    assert(!(found(0) || found(1)) || (found(0) && serial[0] >= floor) || (found(1) && serial[1] >= floor))
}

init {
    atomic {
        mem[HASH] = 1;
        mem[GENERATION] = 1;
        run Buffer(0);
        run Writer(0);
        run Finder()
    }
}
