/* structural_lock.pml - the structural lock of a board (src/headway/_native/lock.h) and what it protects.
 *
 * Runs: safety -DPROCESSES=2 -DCRASHES=3
 * Runs: safety -DPROCESSES=3 -DCRASHES=1
 * Runs: liveness -DPROCESSES=2 -DCRASHES=2 -DLIVENESS
 *
 * PROCESSES contend for the lock. Whoever has it changes the structure: it claims a slot for the one id there is, or
 * frees the slot that holds it. A process can be killed between any two steps, ends for the others when the kernel
 * releases its byte (some time later), and starts again as a new incarnation. A stopped process needs no step of its
 * own: any process may pause anywhere, for as long as the others take to give up.
 *
 * Step of the model            Line of C
 *   draw, hold                 identity.h hw_register: fetch_add, F_OFD_SETLK, page[0]; here in one step, since nobody
 *                              else meets the number before it is an owner
 *   wait                       lock.h hw_lock: sem_clockwait, which ends with a token, by time, or by a signal
 *   look, ask, swap            hw_load(lock_owner); hw_dead; hw_cas(lock_owner, seen, me)
 *   repair                     hw_repair, store by store
 *   give up                    return HW_TIMEOUT
 *   claim, free                claim.h hw_fill: hash, then generation; slots.h hw_free_locked: generation, then hash
 *   clear, count, post         hw_unlock: hw_cas(lock_owner, me, 0); sem_getvalue; sem_post
 *   release                    the kernel, after a kill; hw_leave otherwise
 *
 * Promised, and asserted below
 *   1. Never two living owners.                      `inside`
 *   2. The living are never robbed.                  `owner == me` at every store
 *   3. An id is unique.                              `unique`
 *   4. Half-done changes are repaired before use.    `consistent`
 *   5. Who gives up has looked at a living holder, or lost the swap to another process: a dead holder is taken over and
 *      a lost token costs one timeout. No process stays blocked (no invalid end state).
 *   6. With LIVENESS, where nobody gives up and every process gets its turns: all come to their end.
 *
 * Left out: the length of waits and the jitter; the nap without a semaphore (a wait that ends by time); a second thread
 * of the holder, which shares its incarnation and so waits for it as for any living process; the order of memory (every
 * word is a C11 atomic, and owner words order the rest by acquire and release); a process that leaves the board while
 * one of its threads is under the lock.
 */
#ifndef PROCESSES
#define PROCESSES 2
#define CRASHES 2
#endif
#define ROUNDS 1 /* that each process gets on with; the rounds of killed incarnations come on top */
#define LOOKS 2
#define SLOTS 2
#define PEOPLE (PROCESSES + CRASHES + 1)

byte owner;                /* header.lock_owner: an incarnation, 0 = free */
byte tokens;               /* the semaphore */
byte next = 1;             /* header.next_incarnation */
bool alive[PEOPLE];        /* the byte of this incarnation is locked */
bool live[SLOTS];          /* generation is odd */
bool hash[SLOTS];          /* hashes[i] is not 0 */

/* Nothing in the code knows these. */
byte inside;               /* living processes that hold the lock */
bool running[PROCESSES];
bool killed[PROCESSES];
byte crashes;
byte finished;

#define consistent (live[0] == hash[0] && live[1] == hash[1])
#define unique (!(live[0] && live[1]))

/* Each of the following is one step for the others; several where it says so. */

inline register_() {
    d_step {
#ifdef MUTANT_IDENTITY_REUSED
        me = number + 1;
#else
        me = next;
        next++;
#endif
#ifndef MUTANT_OWNER_BEFORE_ALIVE
        alive[me] = true
#endif
    }
}

inline wait_() {
    atomic {
        if
        :: tokens > 0 -> tokens--; token = true
#ifndef MUTANT_UNTIMED_WAIT
        :: true
#endif
        fi
    }
}

/* Three steps: look at the owner word, ask the kernel, and take it where nobody alive holds it. */
inline look_() {
    seen = owner;
    d_step {
        can = seen == 0 || seen != me && !alive[seen];
        excused = !can && seen != me;
#if defined(MUTANT_NO_TAKEOVER) || defined(MUTANT_LIVENESS_NO_TAKEOVER)
        can = seen == 0;
#endif
#ifdef MUTANT_TOKEN_GRANTS
        can = can || token;
#endif
#ifdef MUTANT_ROBBED_WHILE_STOPPED
        can = can || looks == LOOKS - 1;
#endif
        token = false
    };
#ifdef MUTANT_OWNER_IN_TWO_STEPS
    d_step { excused = excused || can && owner != seen; can = can && owner == seen };
#define SWAPS can
#else
#define SWAPS (can && owner == seen)
#endif
    d_step {
        if
        :: SWAPS ->
            owner = me;
            mine = true;
            inside++;
            assert(inside == 1);
            looks = 0
        :: else ->
            excused = excused || can; /* somebody else got on */
            seen = 0;
#ifndef LIVENESS
            looks++
#endif
        fi;
        can = false
    }
}

/* A step for each store. */
inline repair_() {
    do
    :: atomic { !live[0] && hash[0] -> assert(owner == me); hash[0] = false }
    :: atomic { !live[1] && hash[1] -> assert(owner == me); hash[1] = false }
    :: atomic { live[0] && !hash[0] -> assert(owner == me); hash[0] = true }
    :: atomic { live[1] && !hash[1] -> assert(owner == me); hash[1] = true }
    :: consistent -> break
    od
}

/* Two steps, one for each store. */
inline change_() {
    if
    :: atomic { live[0] -> assert(consistent && owner == me); live[0] = false };
       atomic { assert(owner == me); hash[0] = false }
    :: atomic { live[1] -> assert(consistent && owner == me); live[1] = false };
       atomic { assert(owner == me); hash[1] = false }
    :: atomic { !live[0] && !live[1] && !hash[0] -> assert(consistent && owner == me); hash[0] = true };
       atomic { assert(owner == me); live[0] = true; assert(unique) }
    :: atomic { !live[0] && !live[1] && !hash[1] -> assert(consistent && owner == me); hash[1] = true };
       atomic { assert(owner == me); live[1] = true; assert(unique) }
#ifdef MUTANT_NO_REPAIR
    :: atomic { !live[0] && !live[1] && hash[0] && hash[1] -> assert(consistent) }
#endif
    fi
}

/* Three steps: clear the owner, count the tokens, post one. */
inline unlock_() {
    atomic { assert(owner == me); owner = 0; mine = false; inside-- };
    if
    :: tokens < 1 -> tokens++
    :: else
    fi
}

/* One process, again and again: the incarnation that ends and the one that follows are the same `number`. */
proctype Process(byte number) {
    byte me, seen, looks, rounds;
    bool mine, can, excused, token;
start:
    {
        register_();
        do
        :: rounds < ROUNDS ->
            do
            :: !mine && looks < LOOKS -> wait_(); look_()
            :: atomic { !mine && looks == LOOKS -> assert(excused); looks = 0; break }
            :: mine ->
#ifdef MUTANT_OWNER_BEFORE_ALIVE
                alive[me] = true;
#endif
#ifndef MUTANT_NO_REPAIR
                if
                :: seen != 0 -> repair_()
                :: seen == 0
                fi;
#endif
                change_();
                unlock_();
                break
            od;
            atomic { rounds++; seen = 0; excused = false }
        :: else -> break
        od;
        running[number] = false
    } unless {
        atomic {
            killed[number] ->
            inside = inside - (mine -> 1 : 0);
            mine = false; seen = 0; looks = 0; can = false; excused = false; token = false
        };
        atomic { alive[me] = false; me = 0; killed[number] = false }; /* a large process takes a while to go */
        goto start
    };
    atomic { alive[me] = false; me = 0; rounds = 0; finished++ }
}

/* Kills whom it likes, when it likes, or nobody. */
active proctype Killer() {
    byte victim;
end:
    do
    :: atomic {
        crashes < CRASHES ->
        select(victim : 0 .. PROCESSES - 1);
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
        if /* tokens that earlier crashes lost or left over */
        :: tokens = 1
#ifndef MUTANT_UNTIMED_WAIT
        :: tokens = 0
        :: tokens = 2
#endif
        fi;
        for (number : 0 .. PROCESSES - 1) {
            running[number] = true;
            run Process(number)
        }
    }
}

#ifdef LIVENESS
ltl all_come_to_their_end { <> (finished == PROCESSES) }
#endif
