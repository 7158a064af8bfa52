/* identity.pml - the identity of a process that only watches: borrowed for a call, and given back (native/presence.pxi).
 *
 * Runs: safety -DWATCHERS=3 -DKEEPERS=0
 * Runs: safety -DWATCHERS=2 -DKEEPERS=1
 * Runs: safety -DWATCHERS=2 -DKEEPERS=1 -DFORKS=1
 * Long runs: safety -DWATCHERS=3 -DKEEPERS=1 -DFORKS=1
 *
 * WATCHERS are threads of one process. Each copies the board ROUNDS times, by a call without the GIL that may take a slot
 * lock with the identity of the process. KEEPERS are threads that do more than watch, once: with them the process has
 * become somebody to stay. With FORKS a signal handler of a watcher that is in its call forks, and we go on with the
 * child, whose identity the kernel wiped and in which there is no other thread: its handler copies the board, too, and
 * then the call that it interrupted comes to its end.
 *
 * Step of the model            Line of the code
 *   look, register             come_alive: between them `_process_name` runs Python code, so another thread may run
 *   count                      borrow: from the second look of come_alive on without any Python code: one step
 *   inside                     _outside: the native call, without the GIL
 *   give back                  give_back, one step, hw_leave with it
 *   keep                       become: as register, and nobody gives it back
 *
 * Promised, and asserted below
 *   1. No identity is left while a call that may hold a slot lock with it is on its way.           `leave`
 *   2. What a keeper has become it stays.                                                           `kept`
 *   3. When all calls are done, a process that only watched is nobody, also in the child of a handler.   `nobody`
 *
 * Left out: rows of the table of processes; `close` and `leave`, which wait until no call is on its way; what a call does.
 */
#ifndef WATCHERS
#define WATCHERS 2
#define KEEPERS 1
#endif
#ifndef FORKS
#define FORKS 0
#endif
#define ROUNDS 2
#define THREADS (WATCHERS + KEEPERS)

byte me;        /* page[0]: the identity of this process, 0 = none */
byte borrowed;  /* Presence._borrowed */
byte borrowers; /* Presence._borrowers */
byte next = 1;  /* header.next_incarnation */

/* Nothing in the code knows these. */
byte inside[THREADS]; /* the identity with which a thread is in a call that may hold a slot lock */
byte kept;            /* the identity of a process that does more than watch */
byte done;
byte forks;
bool child;           /* of a handler: in it there is one thread, the survivor */
byte survivor;
byte i;

inline leave() {
    for (i : 0 .. THREADS - 1) { assert(inside[i] == 0 || inside[i] != me) };
    assert(kept == 0 || kept != me);
    i = 0;
    me = 0
}

/* Sets `mine`. Two steps, of which the first is left out where there is an identity already. */
inline borrow(mine) {
    if
    :: me == 0 -> skip /* _process_name: another thread may run */
    :: me != 0
    fi;
    atomic {
        if
#ifndef MUTANT_DOES_NOT_LOOK_AGAIN
        :: me != 0
#else
        :: me != 0 -> borrowed = me; borrowers = 0
#endif
        :: me == 0 -> me = next; next++; borrowed = me; borrowers = 0
        fi;
        mine = me;
        if
        :: mine == borrowed -> borrowers++
        :: else
        fi
    }
}

inline give_back(mine) {
    atomic {
#ifdef MUTANT_GIVES_BACK_WHAT_STAYS
        if
        :: mine == 0 -> skip
        :: else ->
#else
        if
        :: mine == 0 || mine != borrowed -> skip
        :: else ->
#endif
#ifndef MUTANT_FIRST_LEAVES
            borrowers--;
#endif
            if
#ifdef MUTANT_FIRST_LEAVES
            :: true ->
#elif defined(MUTANT_NOBODY_LEAVES)
            :: false ->
#else
            :: borrowers == 0 ->
#endif
                borrowed = 0;
                if
                :: me == mine -> leave()
                :: else /* in a child that has none */
                fi
            :: else
            fi
        fi;
        mine = 0
    }
}

proctype Watcher(byte my) {
    byte mine, nested, round;
    {
        do
        :: round < ROUNDS ->
            borrow(mine);
            inside[my] = mine;
            if
            :: atomic { forks < FORKS && !child ->
                   forks++;
                   survivor = my;
                   child = true; /* from here on the others are gone */
                   me = 0; /* the page is wiped, all else is inherited */
                   kept = 0;
                   done = 0;
                   for (i : 0 .. THREADS - 1) { inside[i] = 0 };
                   i = 0
               };
               borrow(nested); /* the handler */
               inside[my] = nested;
               atomic { inside[my] = 0; give_back(nested) }
            :: true
            fi;
            atomic { inside[my] = 0; give_back(mine) };
            round++
        :: else -> break
        od;
        done++
    } unless { child && survivor != my }
}

proctype Keeper(byte my) {
    {
        if
        :: me == 0 -> skip /* _process_name */
        :: me != 0
        fi;
        atomic {
            if
            :: me == 0 -> me = next; next++; borrowers = 0
            :: me != 0
            fi;
#ifndef MUTANT_BECOME_LEAVES_IT_BORROWED
            borrowed = 0;
#endif
            kept = me;
            inside[my] = me
        };
        atomic { assert(me == kept); inside[my] = 0 };
        done++
    } unless { child }
}

init {
    byte t;
    atomic {
        for (t : 0 .. WATCHERS - 1) { run Watcher(t) };
        for (t : WATCHERS .. THREADS - 1) { run Keeper(t) }
    };
    atomic {
        done == (child -> 1 : THREADS);
        assert(me == kept) /* nobody, if all only watched */
    }
}
