/* late_stores.h - a memory that stores reach late, for models that define VARS words and WRITERS.
 *
 * Every store goes into the buffer of its writer, and reaches memory at some later step. A release waits there until all
 * stores before it have gone; any other store may overtake those to other words. Each writer has a process Buffer(me).
 */
#define DEPTH 4 /* stores under way, of each writer */

byte mem[VARS];
byte var[WRITERS * DEPTH];
byte value[WRITERS * DEPTH];
bool release[WRITERS * DEPTH];
byte many[WRITERS];

#define at(i) (me * DEPTH + (i))

inline store(where, what, order) {
    atomic {
        many[me] < DEPTH ->
        var[at(many[me])] = where;
        value[at(many[me])] = what;
        release[at(many[me])] = order;
        many[me]++
    }
}

/* May the store at place i of the buffer reach memory before those at the places before it? */
#define free_of(i, j) (var[at(i)] != var[at(j)])
#define may_go(i) (many[me] > i && (i == 0 || (!release[at(i)] && free_of(i, 0) \
                   && (i < 2 || free_of(i, 1)) && (i < 3 || free_of(i, 2)))))

inline move(i) {
    var[at(i)] = var[at(i + 1)];
    value[at(i)] = value[at(i + 1)];
    release[at(i)] = release[at(i + 1)]
}

inline reach(i) {
    mem[var[at(i)]] = value[at(i)];
    many[me]--;
    if
    :: i < 1 && many[me] > 0 -> move(0)
    :: else
    fi;
    if
    :: i < 2 && many[me] > 1 -> move(1)
    :: else
    fi;
    if
    :: i < 3 && many[me] > 2 -> move(2)
    :: else
    fi;
    var[at(many[me])] = 0;
    value[at(many[me])] = 0;
    release[at(many[me])] = false
}

proctype Buffer(byte me) {
end:
    do
    :: atomic { may_go(0) -> reach(0) }
    :: atomic { may_go(1) -> reach(1) }
    :: atomic { may_go(2) -> reach(2) }
    :: atomic { may_go(3) -> reach(3) }
    od
}
