/* archive.pml - a task that ended loses its slot, while a straggler counts on, others archive it, and its counters are
 * opened again (src/headway/native/stripes.h and slots.h, files/archive.py, files/history.py, files/schema.py).
 *
 * Runs: safety -DADDS=1 -DORDER=1
 * Runs: safety -DADDS=2
 * Runs: safety -DADDS=1 -DCRASHES=1
 * Runs: safety -DADDS=1 -DREOPENS=1
 * Runs: safety -DADDS=1 -DRESUMES=1
 * Long runs: safety -DADDS=1 -DORDER=1 -DCRASHES=1
 * Long runs: safety -DADDS=1 -DCRASHES=2
 * Long runs: safety -DADDS=0 -DREOPENS=1 -DCRASHES=1
 * Long runs: safety -DADDS=0 -DRESUMES=1 -DCRASHES=1
 *
 * One task with two stripes, which has ended. A straggler adds to both, up and down, as long as it is told that it counted.
 * Who needs the slot closes the counters, adds them up, and frees the slot if the history has that sum. Two archivers read
 * the number of the next copy, copy, begin and insert within a transaction, and mark. Freer and archivers may be killed
 * between any two steps, and go on as the next ones; an archiver killed before its commit is also one whose disk was full.
 * A process may open the counters of the lost task again and count, without a write; somebody may resume the task, count
 * on it, and end it again.
 *
 * Step of the model            Line of C or Python
 *   add                        headway.h hw_count: one compare and swap of tag and count
 *   seal, close                stripes.h hw_seal, slots.h hw_close: under the slot lock
 *   free                       slots.h hw_free_locked
 *   number                     slots.h hw_is_owed: no lock of the board
 *   copy                       copy.h hw_try_task: no lock of the board
 *   open and commit            files/history.py add_begun: BEGIN IMMEDIATE, COMMIT; SQLite lets one write at a time
 *   begin                      slots.h hw_begin_archive, under the slot lock, if the number is still the next one
 *   insert                     files/schema.py ADD: the last one stays
 *   mark                       slots.h hw_mark_archived, under the slot lock, if it was not written to since the copy, and
 *                              no other copy was begun
 *   reopen                     bind.h hw_bind_free with hw_unseal, under the slot lock
 *   resume, end                status.h hw_write with hw_unseal, under the slot lock
 *
 * Promised, and asserted below
 *   1. When the slot is free, the history has the task in its last status, with every count that was acknowledged, of
 *      stragglers, too.
 *   2. Who has resumed the task counts on it.
 *   3. A row is replaced only by that of a copy which was begun after the copy of that row was done.
 *
 * Left out: how the slot lock is taken over (at once here, see latch.pml), the texts of the status. The number of a copy is
 * only compared with the last one: here it is two bits of each archiver, whether none was begun since it read its number,
 * and whether its copy is the last that was begun.
 */
#ifndef ADDS
#define ADDS 1
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef RESUMES
#define RESUMES 0
#endif
#ifndef ORDER /* is promise 3 asserted? */
#define ORDER 0
#endif
#ifndef REOPENS
#define REOPENS 0
#endif
#define OPEN 0
#define CLOSED 1
#define NOBODY 0 /* else an archiver, 1 or 2, or: */
#define OTHER 3
#define FREER 4

bit tag[2];           /* of each stripe's word: OPEN is the generation's, CLOSED the next one */
byte count[2];
byte acknowledged;
byte sealed;          /* 0 no, 1 begun, 2 done */
byte locked;          /* who has the slot lock */
byte writing;         /* the archiver whose transaction is open */
byte last;            /* the archiver whose copy is the last that was begun */
bool next[3];         /* of each archiver: is the number that it read still the next one? */
#if ORDER
bool copying[3];      /* has it begun a copy that it may still insert? */
bool early[3];        /* was that before the end of the other one's copy? */
bool older[3];        /* has the other one inserted that copy? */
#endif
bool archived;
byte archived_count;
byte writes;          /* of the status */
bool running;         /* it was resumed and has not ended again */
bool freed;
bool kept;            /* the row of the history, as committed */
byte kept_count;
byte kept_writes;
#ifdef MUTANT_CLOSED_COUNTERS_HAVE_THE_LAST_WORD
bit kept_sealed;
bit was_sealed[3];    /* when each archiver copied it */
#endif
byte killed;          /* who takes no further step */

inline take(me) { atomic { locked == NOBODY -> locked = me } }
inline give() { locked = NOBODY }

inline unseal() {
    if
    :: sealed ->
        sealed = 1;
        tag[0] = OPEN;
        tag[1] = OPEN;
        sealed = 0
    :: else
    fi
}

/* Up or down; where the slot is another task's the word has a later tag. */
inline add(stripe) {
    atomic {
        if
        :: tag[stripe] == OPEN && !freed -> count[stripe]++; acknowledged++
        :: tag[stripe] == OPEN && !freed && count[stripe] > 0 -> count[stripe]--; acknowledged--
        :: tag[stripe] == OPEN && freed -> acknowledged++ /* counted on a slot that nobody looks at any more */
        :: else
        fi
    }
}

proctype Straggler() {
    byte adds;
    bit stripe;
    do
    :: adds < ADDS -> if :: stripe = 0 :: stripe = 1 fi; add(stripe); adds++
    :: break
    od
}

proctype Freer() {
    byte sum;
start:
    {
        do
        :: freed -> break
        :: !freed && archived ->
            take(FREER);
            if
            :: running || !archived
            :: else ->
#ifdef MUTANT_SUM_BEFORE_SEAL
                sum = count[0];
                sum = sum + count[1];
#endif
                if
                :: sealed != 2 ->
                    sealed = 1;
#ifndef MUTANT_NEVER_SEALED
                    tag[0] = CLOSED;
#ifndef MUTANT_SEALS_ONE_STRIPE
                    tag[1] = CLOSED;
#endif
#endif
                    sealed = 2
                :: else
                fi;
#ifndef MUTANT_SUM_BEFORE_SEAL
                sum = count[0];
                sum = sum + count[1];
#endif
                if
#ifdef MUTANT_COUNT_NOT_COMPARED
                :: true ->
#else
                :: sum == archived_count ->
#endif
                    assert(kept && kept_count == acknowledged && kept_writes == writes);
                    freed = true
#ifndef MUTANT_COUNT_NOT_COMPARED
                :: else
#endif
                fi
            fi;
            sum = 0;
            give()
        od
    } unless { atomic { killed == FREER } };
    if
    :: killed == FREER -> /* the next one takes the slot lock over */
        atomic { if :: locked == FREER -> give() :: else fi; sum = 0; killed = NOBODY; goto start }
    :: else -> assert(kept && kept_count == acknowledged && kept_writes == writes)
    fi
}

inline forget(me) {
    next[me] = false;
#if ORDER
    copying[me] = false;
    early[me] = false;
    older[me] = false;
#endif
    begun = false;
    ended = false;
    copied = 0;
    written = 0
}

inline number(me) { next[me] = true }

inline copy(me) {
    atomic {
#if ORDER
        copying[me] = true;
        early[me] = false;
        older[me] = false;
#endif
#ifdef MUTANT_CLOSED_COUNTERS_HAVE_THE_LAST_WORD
        was_sealed[me] = (sealed == 2 -> 1 : 0);
#endif
        written = writes;
        ended = !running && !freed
    };
    copied = count[0];
    atomic {
        copied = copied + count[1];
#if ORDER
        early[3 - me] = early[3 - me] || copying[3 - me];
#endif
        ended = ended && !freed
    }
}

inline begin(me) {
#ifndef MUTANT_BEGINS_WITHOUT_THE_LOCK
    take(me);
#endif
    if
    :: freed -> skip
#ifndef MUTANT_NUMBER_NOT_COMPARED
    :: !freed && !next[me] -> skip
    :: !freed && next[me] ->
#else
    :: !freed ->
#endif
        looked = count[0];
        looked = looked + count[1];
        if
        :: archived && archived_count == looked -> skip /* the history has it as it is */
        :: else ->
#ifndef MUTANT_OLD_MARK_STAYS
            archived = false;
#endif
            atomic { last = me; next[1] = false; next[2] = false };
            begun = true
        fi;
        looked = 0
    fi;
#ifndef MUTANT_BEGINS_WITHOUT_THE_LOCK
    give()
#endif
}

inline commit(me) {
    atomic {
        writing = NOBODY;
#if ORDER
        assert(!older[me]);
        older[3 - me] = older[3 - me] || early[3 - me];
#endif
#ifdef MUTANT_CLOSED_COUNTERS_HAVE_THE_LAST_WORD
        if
        :: kept && kept_writes == written && kept_sealed && !was_sealed[me] -> goto inserted
        :: else -> kept_sealed = was_sealed[me]
        fi;
#endif
        kept = true;
        kept_count = copied;
        kept_writes = written;
        assert(!freed || (kept_count == acknowledged && kept_writes == writes));
#ifdef MUTANT_CLOSED_COUNTERS_HAVE_THE_LAST_WORD
inserted:
#endif
        skip
    }
}

inline mark(me) {
    take(me);
    if
    :: !freed && !running &&
#ifndef MUTANT_MARKS_WHAT_WAS_WRITTEN_TO
       writes == written &&
#endif
#ifndef MUTANT_MARKS_ANY_COPY
       last == me &&
#endif
       true ->
#ifdef MUTANT_MARKS_THE_PRESENT_COUNT
        archived_count = count[0] + count[1];
#else
        archived_count = copied;
#endif
        archived = true
    :: else
    fi;
    give()
}

proctype Archiver(byte me) {
    byte copied, written, looked;
    bool begun, ended;
start:
    {
        do
        :: freed -> break
        :: !freed && !running ->
#ifndef MUTANT_NUMBER_READ_AFTER_THE_COPY
            number(me);
#endif
            copy(me);
#ifdef MUTANT_NUMBER_READ_AFTER_THE_COPY
            number(me);
#endif
#ifdef MUTANT_BEGINS_BEFORE_THE_TRANSACTION
            if :: ended -> begin(me) :: else fi;
#endif
            if
            :: ended ->
                atomic { writing == NOBODY -> writing = me };
#ifndef MUTANT_BEGINS_BEFORE_THE_TRANSACTION
                begin(me);
#endif
                if
                :: begun ->
#ifdef MUTANT_MARKS_BEFORE_THE_COMMIT
                    mark(me);
                    commit(me)
#else
                    commit(me);
                    mark(me)
#endif
                :: else -> writing = NOBODY
                fi
            :: else
            fi;
            atomic { forget(me) }
        od
    } unless { killed == me };
    if
    :: killed != me
    :: else -> /* the kernel lets go of the history, and the next one takes the slot lock over */
        atomic {
            if :: writing == me -> writing = NOBODY :: else fi;
            if :: locked == me -> give() :: else fi;
            forget(me);
            looked = 0;
            killed = NOBODY;
            goto start
        }
    fi
}

proctype Reopener() {
    byte reopens;
    do
    :: reopens < REOPENS && !freed ->
        take(OTHER);
        if
        :: !freed && !running -> unseal()
        :: else
        fi;
        give();
        add(0);
        reopens++
    :: break
    od
}

proctype Resumer() {
    byte resumes;
    do
    :: resumes < RESUMES && !freed ->
        take(OTHER);
        if
        :: freed -> give(); break
        :: else
        fi;
        archived = false;
#ifndef MUTANT_RESUMED_STAYS_SEALED
        unseal();
#endif
        atomic { running = true; writes++ };
        give();
        atomic { assert(tag[0] == OPEN); count[0]++; acknowledged++ }; /* the owner is told so */
        take(OTHER);
        archived = false;
        atomic { running = false; writes++ };
        give();
        resumes++
    :: break
    od
}

/* A process of its own: an escape that can be taken always is, so a kill must come at any time, not at once. */
proctype Killer() {
    byte kills;
    do
    :: atomic { kills < CRASHES && killed == NOBODY -> if :: killed = 1 :: killed = 2 :: killed = FREER fi; kills++ }
    :: break
    od
}

init {
    atomic {
        count[0] = 1; /* so that it can go down */
        acknowledged = 1;
        run Straggler();
        run Freer();
        run Archiver(1);
        run Archiver(2);
#if CRASHES
        run Killer();
#endif
#if REOPENS
        run Reopener();
#endif
#if RESUMES
        run Resumer()
#endif
    }
}
