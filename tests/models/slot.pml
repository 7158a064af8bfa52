/* slot.pml - a slot changes hands while others find, count and write (src/headway/native/slots.h, claim.h).
 *
 * Runs: safety -DRESTARTS=3 -DCRASHES=1
 * Runs: safety -DRESTARTS=2 -DCRASHES=2
 *
 * Two slots and one id, which at every moment some task on the board has. The restarter starts it anew again and again,
 * from slot to slot, and may be killed between any two stores; its next incarnation repairs and goes on. Meanwhile the
 * others hold on to the first task: one finds the id, one counts with a handle, one resumes the task (it had ended).
 *
 * Step of the model            Line of C
 *   repair                     lock.h hw_repair
 *   settle                     hw_find_locked: of two live tasks with the id the older is freed
 *   fill                       hw_fill: the stripe's word, state, serial, hash, generation; under the new slot's lock
 *   free                       hw_free_locked: frees, generation, hash; under the old slot's lock, which hw_claim takes
 *                              before it looks at the state for the last time
 *   scan                       hw_find and hw_holds
 *   add                        headway.h hw_count: load, compare tags, compare and swap
 *   resume                     hw_write with expected_owner: slot lock, generation, state, owner
 *
 * Promised, and asserted below
 *   1. Who looks for an id that is always on the board finds it.
 *   2. A count with a handle of one task never counts for another (the tag).
 *   3. A write never reaches another task (the generation, looked at under the slot lock).
 *   4. A task that a living process has resumed is not taken away by who had seen it ended. (A kill between publishing
 *      the new task and freeing the old one leaves both. Who resumes the old one then has come too late: it is freed by
 *      the next claim, and the handle becomes stale.)
 *
 * Two of the mutants are orders that look harmless. MUTANT_FREES_AFTER_GENERATION: a search that passes the new slot
 * too early and the old one too late sees no change of `frees` in between. MUTANT_OLD_TASK_NOT_LOCKED: between looking
 * at the state of the old task and freeing it somebody resumes it.
 *
 * Left out: the structural lock (there is one restarter, see structural_lock.pml), how a dead holder's slot lock is
 * taken over (at once here, see latch.pml), the rest of 100 ms, tags that recur after 65536 claims, more stripes and
 * more slots, the bound on the tries of hw_find.
 */
#ifndef RESTARTS
#define RESTARTS 3
#define CRASHES 1
#endif
#define ADDS 2
#define ENDED 0
#define RUNNING 1

#define newest (!(generation[1] & 1) || serial[1] < serial[0])
#define tag_of(generation) (generation >> 1)

byte generation[2];   /* control.generation, odd = live */
byte lock[2];         /* control.lock: 1 the restarter, 2 the one that resumes */
bool hash[2];
byte serial[2];
byte state[2];
byte tag[2];          /* stripe.count: one word */
byte count[2];
byte next_serial = 1;
byte frees;

/* Nothing in the code knows these. */
byte counts_for[2];   /* the generation whose counts the stripe's word holds */
bool resumed;         /* the first task has a living owner again, and was the one that counts when it got it */
bool killed;
bool running = true;
byte crashes;

inline repair() {
    do
    :: atomic { !(generation[0] & 1) && hash[0] -> hash[0] = false }
    :: atomic { !(generation[1] & 1) && hash[1] -> hash[1] = false }
    :: !((!(generation[0] & 1) && hash[0]) || (!(generation[1] & 1) && hash[1])) -> break
    od
}

/* Give slot `at` back. */
inline free(at) {
#ifndef MUTANT_FREES_AFTER_GENERATION
    frees++;
#endif
    d_step { assert(!(resumed && at == 0 && generation[0] == 1)); generation[at] = generation[at] + 1 };
#ifdef MUTANT_FREES_AFTER_GENERATION
    frees++;
#endif
    hash[at] = false
}

inline fill(at) {
#ifdef MUTANT_GENERATION_FIRST
    generation[at] = generation[at] + 1;
    hash[at] = true;
#endif
    d_step {
#ifdef MUTANT_GENERATION_FIRST
        fresh = generation[at];
#else
        fresh = generation[at] + 1;
#endif
        tag[at] = tag_of(fresh); count[at] = 0; counts_for[at] = fresh
    };
    state[at] = RUNNING;
    d_step { next_serial++; serial[at] = next_serial };
#ifndef MUTANT_GENERATION_FIRST
    hash[at] = true;
    generation[at] = generation[at] + 1
#endif
}

proctype Restarter() {
    byte old, new, fresh, restarts;
start:
    {
        repair();
        do
        :: restarts < RESTARTS ->
            d_step { /* under the structural lock nobody else changes these */
                if
                :: (generation[0] & 1) && (generation[1] & 1) -> old = (serial[0] > serial[1] -> 0 : 1); fresh = 1
                :: else -> old = (generation[0] & 1 -> 0 : 1); fresh = 0
                fi;
                new = 1 - old
            };
            if
            :: fresh == 1 ->
                if
                :: atomic { lock[new] == 0 -> lock[new] = 1 }; free(new); lock[new] = 0
                :: atomic { lock[new] != 0 -> goto leave } /* it stays until the next claim */
                fi
            :: else
            fi;
#ifdef MUTANT_OLD_TASK_NOT_LOCKED
            if
            :: state[old] == RUNNING && resumed && old == 0 && generation[0] == 1 -> goto leave /* HW_EXISTS */
            :: else
            fi;
#else
            if
            :: atomic { lock[old] == 0 -> lock[old] = 1 }
            :: atomic { lock[old] != 0 -> goto leave }
            fi;
            if
            :: state[old] == RUNNING && resumed && old == 0 && generation[0] == 1 -> lock[old] = 0; goto leave
            :: else
            fi;
#endif
            if
            :: atomic { lock[new] == 0 -> lock[new] = 1 }
            :: atomic { lock[new] != 0 -> lock[old] = (lock[old] == 1 -> 0 : lock[old]); goto leave }
            fi;
            fill(new);
            lock[new] = 0;
#ifdef MUTANT_OLD_TASK_NOT_LOCKED
            if
            :: atomic { lock[old] == 0 -> lock[old] = 1 }
            :: atomic { lock[old] != 0 -> goto leave }
            fi;
#endif
            free(old);
            lock[old] = 0;
            state[new] = ENDED; /* so that it can be started anew */
            d_step { restarts++; old = 0; new = 0; fresh = 0 }
        :: else -> break
        od;
leave:
        running = false
    } unless {
        atomic {
            killed ->
            lock[0] = (lock[0] == 1 -> 0 : lock[0]);
            lock[1] = (lock[1] == 1 -> 0 : lock[1]);
            old = 0; new = 0; fresh = 0;
            killed = false;
            goto start
        }
    }
}

/* What is found is whole. */
inline holds(at) {
    d_step {
        found = (seen & 1) && generation[at] == seen;
        assert(!found || tag[at] == tag_of(seen))
    }
}

proctype Finder() {
    byte before, seen;
    bool found;
    do
    :: before = frees;
#ifdef MUTANT_SEARCHED_ONCE
       before = 0;
#endif
       if
       :: hash[0] -> seen = generation[0]; holds(0)
       :: else
       fi;
       if
       :: !found && hash[1] -> seen = generation[1]; holds(1)
       :: else
       fi;
       if
       :: found -> break
#ifdef MUTANT_SEARCHED_ONCE
       :: !found -> assert(false)
#else
       :: atomic { !found && frees == before -> assert(false) } /* HW_ABSENT */
       :: !found && frees != before -> skip
#endif
       fi
    od
}

/* Counts on the first task: slot 0, generation 1. */
proctype Adder() {
    byte had, adds;
    do
    :: adds < ADDS ->
#ifdef MUTANT_COUNT_WITHOUT_TAG
       if
       :: generation[0] == 1 -> d_step { assert(counts_for[0] == 1); count[0]++; adds++ }
       :: else -> break
       fi
#else
       if
       :: atomic { tag[0] == tag_of(1) -> had = count[0] };
          d_step {
              if
              :: tag[0] == tag_of(1) && count[0] == had -> assert(counts_for[0] == 1); count[0]++; adds++
              :: else
              fi;
              had = 0
          }
       :: tag[0] != tag_of(1) -> break /* HW_STALE */
       fi
#endif
    :: else -> break
    od
}

/* Resumes the first task, if it is still that one and has ended. */
proctype Resumer() {
    atomic { lock[0] == 0 -> lock[0] = 2 };
    if
#ifdef MUTANT_WRITE_WITHOUT_GENERATION
    :: state[0] == ENDED -> d_step { assert(generation[0] == 1); state[0] = RUNNING; resumed = newest }
#else
    :: generation[0] == 1 ->
        if
        :: state[0] == ENDED -> d_step { assert(generation[0] == 1); state[0] = RUNNING; resumed = newest }
        :: else
        fi
#endif
    :: else
    fi;
    lock[0] = 0
}

proctype Killer() {
end:
    do
    :: atomic { crashes < CRASHES && running && !killed -> killed = true; crashes++ }
    od
}

init {
    atomic {
        generation[0] = 1; hash[0] = true; serial[0] = 1; state[0] = ENDED; counts_for[0] = 1;
        run Restarter();
        run Finder();
        run Adder();
        run Resumer();
        run Killer()
    }
}
