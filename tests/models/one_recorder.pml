/* one_recorder.pml - one recorder for all boards of a directory: how boards come to it, and how it leaves
 * (process/address.py, process/launch.py, recorder/desk.py, recorder/recorder_process.py).
 *
 * Runs: safety -DPROGRAMS=3 -DCRASHES=0 -DSTOPS=0
 * Runs: safety -DPROGRAMS=3 -DCRASHES=0 -DSTOPS=0 -DSTAY
 * Runs: safety -DPROGRAMS=2 -DCRASHES=1 -DSTOPS=0
 * Runs: safety -DPROGRAMS=2 -DCRASHES=0 -DSTOPS=1
 * Long runs: safety -DPROGRAMS=2 -DCRASHES=1 -DSTOPS=1
 *
 * Each program has a board of its own, which wants a recorder; the election of a board, its removal, and who opens it
 * meanwhile are in election.pml. At the address of the directory (a socket of that name) listens the recorder that takes
 * up boards. Whoever has the socket holds the name: the program that takes it hands it to the process that it starts.
 *
 * Step of the model            Line of the code
 *   may start                  core may_start_recorder: recorder word, is it alive, CAS of the deadline, what it was
 *   tell                       address.tell: connect (refused where nobody has the name, or who has it leaves), send
 *   take the name              address.take: bind; at once where it was told before, in vain
 *   start                      launch.beside, with the socket as descriptor 3; then the program closes its own
 *   elect                      core elect: load, ask the kernel, CAS; then the deadline is taken back
 *   take up                    Desk: accept, read
 *   leave                      Desk.leave: no board in hand, shutdown, accept what is there, close
 *
 * Promised, and asserted below
 *   1. Of one board there is never more than one living recorder.                            `elected`
 *   2. While nobody is killed or stopped, who told a recorder of its board is recorded without another look, and
 *      nobody starts a recorder for its board alone: what was told is never lost.   (no invalid end state, `alone`)
 *   3. While, besides, no recorder leaves, one is started for all (-DSTAY: nobody's board comes to rest).  `started`
 *   4. Whoever was killed or stopped: a program that looks again has its board recorded in the end.
 *   5. Nobody has the name who does not listen: else all that is told there is told to nobody.        `nobody listens`
 *
 * Left out: how long waits are (a deadline may pass at any time once somebody was killed or stopped); a recorder whose
 * name was taken from it goes on with its boards.
 */
#ifndef PROGRAMS
#define PROGRAMS 3
#define CRASHES 0
#define STOPS 0
#endif
#define RECORDERS 3
#define PEOPLE (PROGRAMS + RECORDERS + 1) /* 1..PROGRAMS are programs, each with the board of its number */
#define LOOKS (2 + CRASHES + STOPS)
#define trouble (crashes + stops > 0)
#define towards(one, board) (toward[PROGRAMS + one] == board && !stopped[PROGRAMS + one])
#define reads(one) (has_name[one] && alive[one] && !stopped[one])
#define on_the_way(board) (towards(1, board) || towards(2, board) || towards(3, board) || (told[board] && (reads(1) || \
    reads(2) || reads(PROGRAMS) || reads(PROGRAMS + 1) || reads(PROGRAMS + 2) || reads(PROGRAMS + 3))))
#define some_told (told[1] || told[2] || told[PROGRAMS])
#define some_in_hand (hand[1] || hand[2] || hand[PROGRAMS])

bool has_name[PEOPLE];      /* who has a descriptor of the socket; the name is free when nobody has */
bool shut;                  /* no more is taken at the socket */
bool told[PROGRAMS + 1];    /* what lies in it: boards */
byte recorder[PROGRAMS + 1];/* header.recorder */
bool asked[PROGRAMS + 1];   /* header.recorder_deadline_ns is not 0 */
bool waiting[PROGRAMS + 1]; /* ... and lies in the future */
bool in_use[PROGRAMS + 1];  /* the program is at home on its board */

/* Nothing in the code knows these. */
bool alive[PEOPLE];
bool killed[PEOPLE];
bool stopped[PEOPLE];       /* for ever */
byte elected[PROGRAMS + 1];
byte toward[PEOPLE];        /* the board that a recorder is about to be elected on */
byte started, crashes, stops;

inline somebody_has_it(answer) {
    d_step {
        answer = false;
        for (other : 1 .. PEOPLE - 1) { answer = answer || has_name[other] };
        other = 0
    }
}

/* The kernel: with the last descriptor the socket goes, and what lies in it. */
inline close_name() {
    has_name[me] = false;
    somebody = false;
    for (other : 1 .. PEOPLE - 1) { somebody = somebody || has_name[other] };
    if
    :: !somebody ->
        shut = false;
        for (other : 1 .. PROGRAMS) { told[other] = false }
    :: else
    fi;
    other = 0; somebody = false
}

inline take_name(done) {
    d_step {
        done = true;
        for (other : 1 .. PEOPLE - 1) { done = done && !has_name[other] };
        other = 0;
        if
        :: done -> has_name[me] = true
        :: else
        fi
    }
}

inline elect(which) {
    seen = recorder[which];
    atomic {
        toward[me] = 0;
        if
#ifdef MUTANT_ELECTS_BESIDE_THE_LIVING
        :: false
#else
        :: seen != 0 && alive[seen] -> seen = 0
#endif
        :: else ->
            if
            :: recorder[which] == seen ->
                assert(elected[which] == 0 || !alive[elected[which]]); /* promise 1 */
                recorder[which] = me;
                elected[which] = me;
                hand[which] = true;
                seen = 0;
                asked[which] = false;
                waiting[which] = false
            :: else -> seen = 0
            fi
        fi
    }
}

proctype Recorder(byte me; byte first; bool listens) {
    byte seen, other, which;
    bool somebody, hand[PROGRAMS + 1], idle;
    {
        if
        :: first != 0 -> elect(first)
        :: else
        fi;
end_work: /* it waits for boards to come, or to be left */
        do
        :: atomic { /* take up */
                listens && !stopped[me] && some_told ->
                which = 1;
                do
                :: told[which] -> break
                :: else -> which++
                od;
                told[which] = false; toward[me] = which
            };
            elect(which)
        :: atomic { /* nobody uses a board any more: it is removed */
                !stopped[me] && (hand[1] && !in_use[1] || hand[2] && !in_use[2] || hand[PROGRAMS] && !in_use[PROGRAMS]) ->
                which = 1;
                do
                :: hand[which] && !in_use[which] -> break
                :: else -> which++
                od;
                hand[which] = false; elected[which] = 0;
                if
                :: recorder[which] == me -> recorder[which] = 0
                :: else
                fi
            }
        :: atomic { !listens && !stopped[me] && some_in_hand &&
                    !(has_name[1] || has_name[2] || has_name[PROGRAMS] || has_name[PROGRAMS + 1] ||
                      has_name[PROGRAMS + 2] || has_name[PROGRAMS + 3]) ->
                    take_name(listens) } /* it tries now and then */
        :: atomic { !stopped[me] && !some_in_hand &&
                    !(listens && some_told) -> break }
        od;
        /* leave */
        if
        :: !listens -> goto over
        :: else
        fi;
#ifdef MUTANT_LEAVES_WITHOUT_A_LAST_LOOK
        skip;
#else
#ifdef MUTANT_LOOKS_BEFORE_IT_SHUTS
        idle = !some_told;
        shut = true;
#else
        shut = true;
        idle = !some_told;
#endif
end_leaving: /* stopped for ever, that is */
        do
        :: atomic { !stopped[me] && !idle && some_told ->
                which = 1;
                do
                :: told[which] -> break
                :: else -> which++
                od;
                told[which] = false; toward[me] = which
            };
            elect(which)
        :: atomic { !stopped[me] && (idle || !some_told) -> break }
        od;
#endif
        skip;
        d_step {
            close_name(); listens = false;
            for (other : 1 .. PEOPLE - 1) { somebody = somebody || has_name[other] };
            assert(!somebody || trouble); /* promise 5 */
            other = 0; somebody = false
        };
        if
        :: some_in_hand -> take_name(listens); goto end_work
        :: else
        fi;
over:
        skip
    } unless {
        atomic { killed[me] -> skip }
    };
    atomic { /* the kernel takes what it held */
        alive[me] = false; toward[me] = 0;
        d_step { close_name() };
        for (other : 1 .. PROGRAMS) {
            if
            :: elected[other] == me -> elected[other] = 0
            :: else
            fi
        };
        killed[me] = false; seen = 0; other = 0; which = 0; idle = false; listens = false; first = 0;
        for (other : 1 .. PROGRAMS) { hand[other] = false };
        other = 0
    }
}

proctype Program(byte me) {
    byte other, child, looks;
    bool somebody, earlier, mine, alone;
    {
        in_use[me] = true;
look:
        do
        :: atomic { recorder[me] != 0 && alive[recorder[me]] -> break }
        :: atomic { (recorder[me] == 0 || !alive[recorder[me]]) && !waiting[me] ->
                earlier = asked[me]; asked[me] = true; waiting[me] = true /* CAS */
            };
            alone = false; mine = false;
#ifdef MUTANT_STARTS_WITHOUT_THE_NAME
            somebody_has_it(somebody);
            if
            :: somebody && !shut -> told[me] = true
            :: else -> alone = true
            fi;
#else
            do
#ifndef MUTANT_NEVER_ALONE
            :: earlier -> take_name(mine); alone = !mine; break /* it was told in vain */
#endif
            :: atomic { /* tell */
#ifndef MUTANT_NEVER_ALONE
                    !earlier ->
#endif
                    somebody_has_it(somebody);
                    if
                    :: somebody && !shut -> somebody = false; told[me] = true; break
                    :: else -> somebody = false
                    fi
                };
                skip;
                take_name(mine);
                if
                :: mine -> break
                :: else
                fi;
                if
                :: trouble -> alone = true; break /* whoever leaves was stopped over it */
                :: true
                fi
            od;
#endif
            if
            :: mine || alone ->
                atomic {
                    if
                    :: started < RECORDERS ->
#ifndef MUTANT_STARTS_WITHOUT_THE_NAME
                        assert(mine || trouble); /* promise 2: `alone` */
#endif
                        started++;
#ifdef STAY
                        assert(started == 1); /* promise 3 */
#endif
                        child = PROGRAMS + started;
                        alive[child] = true;
                        has_name[child] = mine;
                        toward[child] = me;
                        run Recorder(child, me, mine)
                    :: else /* there are no more in this model */
                    fi
                };
#ifndef MUTANT_KEEPS_THE_NAME
                d_step { close_name() }
#endif
            :: else
            fi;
            earlier = false; child = 0; mine = false; alone = false
        :: atomic { trouble && waiting[me] && (recorder[me] == 0 || !alive[recorder[me]]) && !on_the_way(me) &&
                    started < RECORDERS ->
                waiting[me] = false; /* it passes */
                looks++;
                assert(looks <= LOOKS) /* promise 4 */
            }
        :: atomic { trouble && started == RECORDERS -> break } /* nobody can be started in this model any more */
        od;
#ifdef STAY
end_at_home: false
#else
        /* It counts for a while; if its recorder dies meanwhile, it looks again; then it leaves. */
        if
        :: atomic { crashes > 0 && (recorder[me] == 0 || !alive[recorder[me]]) && started < RECORDERS -> goto look }
        :: true
        fi
#endif
    } unless {
        atomic { killed[me] -> skip }
    };
    atomic {
        alive[me] = false; in_use[me] = false; killed[me] = false;
        d_step { close_name() };
        other = 0; child = 0; looks = 0; earlier = false; mine = false; alone = false
    }
}

proctype Fate() {
end_of_all:
    do
    :: atomic { crashes < CRASHES ->
            if
            :: alive[1] -> killed[1] = true; crashes++
            :: alive[PROGRAMS] -> killed[PROGRAMS] = true; crashes++
            :: alive[PROGRAMS + 1] -> killed[PROGRAMS + 1] = true; crashes++
            :: alive[PROGRAMS + 2] -> killed[PROGRAMS + 2] = true; crashes++
            :: else -> break
            fi
        }
    :: atomic { stops < STOPS ->
            if
            :: alive[PROGRAMS + 1] -> stopped[PROGRAMS + 1] = true; stops++
            :: alive[PROGRAMS + 2] -> stopped[PROGRAMS + 2] = true; stops++
            :: else -> break
            fi
        }
    :: true -> break
    od
}

init {
    byte one;
    atomic {
        for (one : 1 .. PROGRAMS) { alive[one] = true; run Program(one) };
        run Fate()
    }
}
