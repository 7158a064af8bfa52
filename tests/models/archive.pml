/* archive.pml - a task that ended loses its slot, while stragglers count on and others archive it
 * (src/headway/native/stripes.h and slots.h, files/archive.py, files/schema.py).
 *
 * Runs: safety -DADDS=2 -DCRASHES=1
 * Runs: safety -DADDS=1 -DRESUMES=1
 *
 * One task with two stripes, which has ended. A straggler counts on each, with a handle, as long as it is told that it
 * counted. Who needs the slot closes the counters, adds them up, and frees the slot if the history has that sum; it may be
 * killed between any two steps, and who comes after it goes on. An archiver copies, inserts, and marks. Somebody may
 * resume the task, count on it, and end it again.
 *
 * Step of the model            Line of C or Python
 *   add                        headway.h hw_count: one compare and swap of tag and count
 *   seal, close                stripes.h hw_seal, slots.h hw_close: under the slot lock
 *   free                       slots.h hw_free_locked
 *   copy                       copy.h hw_try_task: `sealed`, then the counts; no lock
 *   insert                     files/schema.py ADD: the copy of the higher version stays, of equal ones the later one
 *   mark                       slots.h hw_mark_archived, under the slot lock, if it was not written to since the copy
 *   resume, end                status.h hw_write with hw_unseal, under the slot lock
 *
 * Promised, and asserted below
 *   1. When the slot is free, the history has every count that was acknowledged, of stragglers, too.
 *   2. Who has resumed the task counts on it.
 *
 * Left out: how the slot lock is taken over (at once here, see latch.pml), the copy of the status, negative counts,
 * a second archiver at the same time, for whom copies of one version may be inserted in another order than they were
 * read in.
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
#define OPEN 0
#define CLOSED 1

bool tag[2];          /* of each stripe's word: OPEN is the generation's, CLOSED the next one */
byte count[2];
byte acknowledged;
byte sealed;          /* 0 no, 1 begun, 2 done */
bool locked;          /* the slot lock */
bool archived;
byte archived_count;
byte writes;          /* of the status: the version without the sealed bit */
bool running;         /* it was resumed and has not ended again */
bool freed;
byte kept_version;    /* the row of the history; 0 = none */
byte kept_count;
byte crashes;

#define version_of(writes, sealed) (2 * writes + 2 + sealed)

inline take() { atomic { !locked -> locked = true } }

inline unseal() {
    sealed = (sealed -> 1 : 0);
    atomic { tag[0] = OPEN };
    atomic { tag[1] = OPEN };
    sealed = 0
}

proctype Straggler(byte mine) {
    byte adds;
    do
    :: adds < ADDS ->
        atomic {
            if
            :: tag[mine] == OPEN && !freed -> count[mine]++; acknowledged++
            :: tag[mine] == OPEN && freed -> acknowledged++ /* counted on a slot that nobody looks at any more */
            :: else -> break
            fi
        };
        adds++
    :: break
    od
}

proctype Freer() {
    byte sum, i;
start:
    {
        do
        :: freed -> break
        :: !freed ->
            take();
            if
            :: running || !archived -> locked = false
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
                    freed = true; locked = false
#ifndef MUTANT_COUNT_NOT_COMPARED
                :: else -> locked = false
#endif
                fi
            fi
        od
    } unless { atomic { crashes < CRASHES && !freed -> crashes++ } };
    if
    :: freed -> assert(kept_version && kept_count == acknowledged)
    :: else -> atomic { locked = false; sum = 0; goto start } /* the next one takes the lock over */
    fi
}

proctype Archiver() {
    byte copied, version, written, has;
    do
    :: freed -> break
    :: !freed && !running ->
        d_step { written = writes; has = (sealed == 2 -> 1 : 0) };
        copied = count[0];
        copied = copied + count[1];
        version = version_of(written, has);
        if
        :: freed -> break /* the generation is another one: no copy */
        :: else
        fi;
        atomic {
            if
            :: version >= kept_version -> kept_version = version; kept_count = copied
            :: else
            fi
        };
        if
        :: atomic { !locked && !freed -> locked = true };
            if
#ifdef MUTANT_MARKS_WHAT_WAS_WRITTEN_TO
            :: !running ->
#else
            :: writes == written && !running ->
#endif
#ifdef MUTANT_MARKS_THE_PRESENT_COUNT
                archived_count = count[0] + count[1];
#else
                archived_count = copied;
#endif
                archived = true
            :: else
            fi;
            locked = false
        :: freed -> break
        fi
    od
}

proctype Resumer() {
    byte resumes;
    do
    :: resumes < RESUMES && !freed ->
        atomic { (!locked || freed) -> if :: freed -> break :: else -> locked = true fi };
        if
        :: freed -> locked = false; break
        :: else
        fi;
        archived = false;
#ifndef MUTANT_RESUMED_STAYS_SEALED
        unseal();
#endif
        d_step { running = true; writes++ };
        locked = false;
        atomic { assert(tag[0] == OPEN); count[0]++; acknowledged++ }; /* the owner is told so */
        take();
        archived = false;
        d_step { running = false; writes++ };
        locked = false;
        resumes++
    :: break
    od
}

init {
    atomic {
        run Straggler(0);
        run Straggler(1);
        run Freer();
        run Archiver();
        run Resumer()
    }
}
