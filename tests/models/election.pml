/* election.pml - who records a board, and how it is removed while others come (src/headway/recorder.py, _segment.py).
 *
 * Runs: safety -DWORKERS=2 -DRECORDERS=2 -DCRASHES=1 -DUNLINKS=1
 * Runs: safety -DWORKERS=2 -DRECORDERS=1 -DCRASHES=0 -DUNLINKS=2
 * Runs: safety -DWORKERS=2 -DRECORDERS=1 -DCRASHES=0 -DTIDIERS=1
 * Runs: safety -DWORKERS=1 -DRECORDERS=3 -DCRASHES=2
 *
 * Workers open a board, see to it that somebody records it, and leave. Recorders are elected, write, and remove the
 * board when nobody uses it. Whoever opens it then makes a new segment. Anybody can be killed between any two steps.
 *
 * Step of the model            Line of the code
 *   join                       _segment._join: the file `segment`, the lock on our byte, then header.retired
 *   create                     _segment.end_unfinished, _create under board.lock: a note, the segment, one rename
 *   ensure                     core may_start_recorder: recorder word, is it alive, CAS of the deadline; _launch
 *   elect                      core elect: load, ask the kernel, CAS; then the deadline is taken back
 *   file lock                  Recorder.elected: recorder.lock, tried again for three seconds
 *   write                      Recorder._looked: board.lock, retired and `segment` looked at, the snapshot
 *   finish                     Recorder.finish: board.lock, announce, look who is present, last snapshot, remove
 *   unlink                     _segment.unlink by a program: board.lock, retire, remove, whoever uses it
 *   Tidier                     maintenance.remove without force: board.lock, announce, look who is present, remove
 *
 * Promised, and asserted below
 *   1. Of one segment there is never more than one living recorder.                     `elected`
 *   2. No two snapshots are written at once, and none of a segment that `segment` does not name.   `writing`
 *   3. A recorder never removes a board on which somebody is at home.                   `at home`
 *   4. Who opens a board gets one that is not removed, unless a program unlinked it; nobody is told that another
 *      machine uses the directory when none does.                                      `elsewhere`
 *   5. A worker at home always gets a recorder, whoever was killed on the way to it: it is never left waiting where
 *      nobody may start one (no invalid end state).
 *   6. What somebody has opened and nobody unlinked is what the next one opens.
 *   7. Whoever makes a segment leaves none in shared memory but the one that `segment` names.
 *
 * Left out: how long waits are (a deadline may pass at any time, a wait for a lock may be given up at any time where the
 * code gives up); the rows and slots of a board; `gc`; machines that share the directory and not the segment.
 */
#ifndef WORKERS
#define WORKERS 2
#define RECORDERS 2
#define CRASHES 1
#endif
#ifndef UNLINKS
#define UNLINKS 0
#endif
#ifndef TIDIERS
#define TIDIERS 0
#endif
#define SEGMENTS (WORKERS + UNLINKS + CRASHES + 2)
#define PEOPLE (WORKERS + RECORDERS + TIDIERS + 1) /* 1..WORKERS are workers, above them recorders, then tidiers */

byte reference;              /* the file `segment`: a segment, 0 = none */
byte next_segment = 1;
byte board_lock;             /* board.lock: who holds it */
byte file_lock;              /* recorder.lock: who holds it */
byte recorder[SEGMENTS];     /* header.recorder */
bool claimed[SEGMENTS];      /* header.recorder_deadline_ns lies in the future */
byte retired[SEGMENTS];      /* header.retired: 1 announced, 2 for good */
bool note[SEGMENTS];         /* a file .segment.*: made, or being removed, by somebody who may have been killed over it */
bool removed[SEGMENTS];      /* unlinked */
byte present[PEOPLE];        /* the segment on which the byte of this process is locked; 0 = none, or dead */

/* Nothing in the code knows these. */
bool running[PEOPLE];
bool killed[PEOPLE];
byte home[PEOPLE];           /* the segment that an `open` returned, until the worker leaves */
bool unlinked[SEGMENTS];     /* by a program, whoever uses it */
byte elected[PEOPLE];        /* the segment whose recorder this process takes itself for */
byte writing;
byte started;                /* recorders */
byte crashes, unlinks;

#define dead(who) (present[who] == 0)

inline take_board_lock() { atomic { board_lock == 0 -> board_lock = me } }
inline release_board_lock() { d_step { assert(board_lock == me); board_lock = 0 } }

/* Removing takes three steps; board.lock is held. */
inline remove(which) {
    retired[which] = 2;
    d_step {
#ifdef MUTANT_UNLINKS_ANY_REFERENCE
        reference = 0
#else
        if
        :: reference == which -> reference = 0; note[which] = true
        :: else
        fi
#endif
    };
    d_step {
        removed[which] = true;
        note[which] = false;
        for (one : 1 .. WORKERS) { /* promise 6 */
            assert(home[one] == 0 || home[one] == reference || removed[home[one]])
        };
        one = 0
    }
}

inline announce(which) { /* CAS: never over "for good" */
    d_step {
        if
        :: retired[which] == 0 -> retired[which] = 1
        :: else
        fi
    }
}
inline withdraw(which) {
    d_step {
#ifdef MUTANT_WITHDRAWS_BLINDLY
        retired[which] = 0
#else
        if
        :: retired[which] == 1 -> retired[which] = 0
        :: else
        fi
#endif
    }
}

/* One after the other: the file, the segment, our byte, the word. Sets `on`, 0 if there is nothing to join. With board.lock, what says
 * that the segment is being retired was left by somebody who was killed over it: withdrawn, or ended. */
inline join(locked) {
    on = reference;
    if
    :: on == 0
    :: on != 0 ->
#ifdef MUTANT_LOOKS_BEFORE_IT_IS_PRESENT
        meant = retired[on] != 0;
#endif
        if
        :: removed[on] -> on = 0 /* no such file */
        :: else -> present[me] = on /* it is open, and may have been removed since */
        fi;
        if
        :: on == 0
        :: else ->
#ifndef MUTANT_BELIEVES_THE_DEAD
            if
            :: locked && retired[on] == 2 -> remove(on)
            :: locked && retired[on] == 1 -> withdraw(on)
            :: else
            fi;
#endif
#ifndef MUTANT_LOOKS_BEFORE_IT_IS_PRESENT
            d_step { meant = retired[on] != 0; assert(meant || !removed[on]) }; /* promise 4 */
#endif
            d_step {
                if
                :: meant -> present[me] = 0; on = 0
                :: else -> home[me] = on
                fi;
                meant = false
            }
        fi
    fi
}

/* board.lock is held. What is unfinished ends first: then nothing is left but what `segment` names. After that the note, the
 * new segment with us on it, and its publication by one rename. */
inline create() {
    d_step {
#ifndef MUTANT_LEAVES_THE_UNFINISHED
        for (one : 1 .. next_segment - 1) {
            if
            :: note[one] -> assert(one != reference); removed[one] = true; note[one] = false
            :: else
            fi
        };
#endif
        for (one : 1 .. next_segment - 1) {
            assert(removed[one] || one == reference) /* promise 7 */
        };
        one = 0
    };
    d_step {
        on = next_segment;
        next_segment++;
        note[on] = true
    };
    present[me] = on;
    d_step { reference = on; note[on] = false; home[me] = on }
}

inline others_present(which) {
    d_step {
        in_use = false;
        for (other : 1 .. PEOPLE - 1) {
            in_use = in_use || (other != me && other != recorder[which] && present[other] == which)
        };
        other = 0
    }
}

proctype Recorder(byte me; byte which) {
    byte seen, other, one;
    bool in_use, locked;
    {
        atomic {
            if
            :: removed[which] -> goto over
            :: else -> present[me] = which
            fi
        };
        /* elect */
        seen = recorder[which];
        atomic {
            if
#ifdef MUTANT_ELECTS_BESIDE_THE_LIVING
            :: false
#else
            :: seen != 0 && !dead(seen) -> goto over
#endif
            :: else
            fi
        };
        atomic {
            if
            :: recorder[which] == seen ->
                recorder[which] = me;
                seen = 0;
                for (other : WORKERS + 1 .. PEOPLE - 1) { /* promise 1 */
                    assert(elected[other] != which || dead(other))
                };
                elected[me] = which;
                other = 0
            :: else -> seen = 0; goto over
            fi
        };
        claimed[which] = false;
        /* file lock: given up only while somebody has it, who is asked again and again */
        if
        :: atomic { file_lock == 0 -> file_lock = me; locked = true }
        :: atomic { file_lock != 0 -> skip } -> goto resign
        fi;
        do
        :: /* write */
#ifndef MUTANT_WRITES_WITHOUT_THE_LOCK
            take_board_lock();
#endif
            if
            :: retired[which] == 2 || reference != which ->
#ifndef MUTANT_WRITES_WITHOUT_THE_LOCK
                release_board_lock();
#endif
                goto resign
            :: else
            fi;
            d_step { assert(writing == 0 && !removed[which]); writing = me };
            d_step { assert(reference == which); writing = 0 };
#ifndef MUTANT_WRITES_WITHOUT_THE_LOCK
            release_board_lock();
#endif
            /* finish */
            others_present(which);
            if
            :: in_use
            :: else ->
#ifndef MUTANT_REMOVES_WITHOUT_THE_LOCK
                take_board_lock();
#endif
#ifdef MUTANT_LOOKS_BEFORE_IT_ANNOUNCES
                others_present(which);
                announce(which);
#else
                announce(which);
                others_present(which);
#endif
                if
                :: in_use || reference != which ->
                    withdraw(which);
#ifndef MUTANT_REMOVES_WITHOUT_THE_LOCK
                    release_board_lock();
#endif
                    in_use = false
                :: else ->
                    d_step { assert(writing == 0); writing = me };
                    d_step { assert(reference == which); writing = 0 };
                    d_step {
                        for (other : 1 .. WORKERS) { assert(home[other] != which) }; /* promise 3 */
                        other = 0
                    };
                    remove(which);
                    d_step { file_lock = 0; locked = false };
#ifndef MUTANT_REMOVES_WITHOUT_THE_LOCK
                    release_board_lock();
#endif
                    break
                fi
            fi
        od;
resign:
        skip;
        d_step {
            elected[me] = 0;
            if
            :: recorder[which] == me -> recorder[which] = 0
            :: else
            fi
        };
        present[me] = 0;
        d_step {
            if
            :: locked -> file_lock = 0; locked = false
            :: else
            fi
        };
over:
        skip
    } unless {
        atomic { killed[me] -> skip }
    };
    atomic { /* the kernel takes what it held */
        present[me] = 0;
        if
        :: board_lock == me -> board_lock = 0
        :: else
        fi;
        if
        :: file_lock == me -> file_lock = 0
        :: else
        fi;
        if
        :: writing == me -> writing = 0
        :: else
        fi;
        elected[me] = 0; running[me] = false; killed[me] = false; seen = 0; other = 0; one = 0; in_use = false; locked = false
    }
}

proctype Worker(byte me) {
    byte on, seen, one;
    bool meant;
    {
        skip;
open:
        join(false);
        if
        :: on != 0
        :: else ->
            take_board_lock();
            join(true);
            if
            :: on != 0
            :: else ->
                assert(reference == 0 || file_lock == 0); /* promise 4: else it would say "elsewhere" */
                create()
            fi;
            release_board_lock()
        fi;
        assert(!removed[on] || unlinked[on]); /* promise 4 */
        /* ensure, again and again: the task counts, and looks at the recorder's beat now and then */
        do
        :: atomic { retired[on] == 2 -> break } /* unlinked: counts into the void */
        :: seen = recorder[on];
            if
            :: atomic { seen != 0 && !dead(seen) -> seen = 0; break }
            :: atomic { seen == 0 || dead(seen) -> seen = 0 };
                if
                :: atomic { recorder[on] != 0 && !dead(recorder[on]) -> skip } /* another was quicker */
                :: atomic { retired[on] != 0 -> skip }
                :: atomic { started == RECORDERS -> break } /* there are no more in this model */
                :: atomic { /* CAS: free, or taken by one that had its time: nobody is on the way any more */
                    !claimed[on] && retired[on] == 0 && started < RECORDERS -> claimed[on] = true
                    };
                    atomic {
                        if
                        :: started < RECORDERS ->
                            started++;
                            running[WORKERS + started] = true;
                            run Recorder(WORKERS + started, on)
                        :: else
                        fi
                    }
#ifndef MUTANT_A_DEADLINE_WITHOUT_END
                :: atomic { claimed[on] -> claimed[on] = false } /* it passes */
#endif
                fi
            fi
        od;
        /* unlink */
        if
        :: atomic { unlinks < UNLINKS -> unlinks++; unlinked[on] = true };
            take_board_lock();
            remove(on);
            release_board_lock();
            d_step { home[me] = 0; present[me] = 0; on = 0 };
            goto open
        :: true
        fi
    } unless {
        atomic { killed[me] -> skip }
    };
    atomic {
        home[me] = 0; present[me] = 0;
        if
        :: board_lock == me -> board_lock = 0
        :: else
        fi;
        running[me] = false; killed[me] = false; on = 0; seen = 0; one = 0; meant = false
    }
}

/* headway rm, without force */
proctype Tidier(byte me) {
    byte on, other, one;
    bool in_use;
#ifdef MUTANT_RM_READS_BEFORE_IT_HAS_THE_LOCK
    on = reference;
    take_board_lock();
#else
    take_board_lock();
    on = reference;
#endif
    if
    :: on == 0 || removed[on]
    :: else ->
#ifdef MUTANT_RM_LOOKS_BEFORE_IT_ANNOUNCES
        others_present(on);
        announce(on);
#else
        announce(on);
        others_present(on);
#endif
        if
        :: in_use -> withdraw(on)
        :: else ->
            d_step {
                for (other : 1 .. WORKERS) { assert(home[other] != on) }; /* promise 3 */
                other = 0
            };
            remove(on)
        fi
    fi;
#ifdef MUTANT_RM_READS_BEFORE_IT_HAS_THE_LOCK
    d_step {
        reference = 0; /* whatever it names by now */
        for (one : 1 .. WORKERS) { assert(home[one] == 0 || removed[home[one]]) }
    };
#endif
    release_board_lock();
    d_step { on = 0; in_use = false; one = 0 }
}

active proctype Killer() {
    byte victim;
end:
    do
    :: atomic {
        crashes < CRASHES ->
        select(victim : 1 .. PEOPLE - 1);
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
        for (number : 1 .. WORKERS) {
            running[number] = true;
            run Worker(number)
        };
        for (number : PEOPLE - TIDIERS .. PEOPLE - 1) { run Tidier(number) }
    }
}
