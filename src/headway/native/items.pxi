# Items in hand: their names, and the block in which one is.

cdef enum: _NAMELESS, _A_TEXT, _A_NUMBER, _A_BOOL, _A_PATH, _A_TUPLE, _OF_NUMPY

cdef dict _kinds = {}  # of types: few are iterated over in one program
cdef int _KINDS_MOST = 256
cdef int _NESTED_MOST = 3  # enumerate(zip(a, b)) has tuples in tuples
cdef Py_ssize_t _PARTS_MOST = 8
cdef Py_ssize_t _LETTERS_MOST = 64  # more have no room
cdef int _BITS_MOST = 150


cdef int _kind_of(kind) except -1:
    """How items of this type are named. Nothing that may be expensive is asked for its name."""
    found = _kinds.get(kind)
    if found is not None:
        return found
    paths = getattr(sys.modules.get("pathlib"), "PurePath", None)
    if issubclass(kind, str):
        found = _A_TEXT
    elif issubclass(kind, bool):
        found = _A_BOOL
    elif issubclass(kind, int):
        found = _A_NUMBER
    elif issubclass(kind, tuple):
        found = _A_TUPLE
    elif paths is not None and issubclass(kind, paths):
        found = _A_PATH
    elif type(kind) is type and kind.__module__ == "numpy" and kind.__name__.startswith(("int", "uint")):
        found = _OF_NUMPY
    else:
        found = _NAMELESS
    if len(_kinds) >= _KINDS_MOST:
        _kinds.clear()
    _kinds[kind] = found
    return found


cdef str _named(item):
    """The name of an item that is a number, a text, a path or a tuple of those; else None.

    No loop and no call may stop because of a name: what goes wrong in the item's own code means that it has none.
    """
    try:
        return _name_of(item, 0)
    except Exception:
        return None


def item_name(item):
    """item_name(item)\n--\n\nWhat an item is shown by: a number, a text, a path or a tuple of those; None for others."""
    return _named(item)


cdef str _name_of(item, int nested):
    """As _named. The methods are those of the types themselves: a subclass may do anything in its own."""
    cdef int kind = _kind_of(type(item))
    cdef str text
    if kind == _A_TEXT:
        text = PyUnicode_FromObject(item)
        return text if len(text) <= _LETTERS_MOST else text[:_LETTERS_MOST]
    if kind == _A_NUMBER:
        return int.__repr__(item) if int.bit_length(item) <= _BITS_MOST else None
    if kind == _OF_NUMPY:
        return str(int(item))
    if kind == _A_BOOL:
        return "True" if item else "False"
    if kind == _A_PATH:
        return _end_of(sys.modules["pathlib"].PurePath.__str__(item))
    if kind == _A_TUPLE and nested < _NESTED_MOST:
        return _listed(<tuple>item, nested + 1)
    return None


cdef str _listed(tuple items, int nested):
    """The names of those that have one."""
    cdef Py_ssize_t i
    names = []
    for i in range(min(PyTuple_GET_SIZE(items), _PARTS_MOST)):
        name = _name_of(<object>PyTuple_GET_ITEM(items, i), nested)
        if name is not None:
            names.append(name)
    return ", ".join(names) if names else None


cdef str _end_of(str path):
    """The end of a path, as much as there is room for: it tells more than the beginning."""
    if len(path) < HW_ITEM_BYTES // 4:
        return path
    whole = path.encode("utf-8", "replace")
    if len(whole) < HW_ITEM_BYTES:
        return path
    return "\u2026" + whole[4 - HW_ITEM_BYTES:].decode("utf-8", "ignore")


cdef str _called(str function, tuple arguments):
    """The name of a call."""
    names = _named(arguments)
    return function if names is None else f"{function[:_LETTERS_MOST]}({names})"


cdef inline bint _takes(Counter slot) except -1:
    """May this handle write an item? Also takes a stripe first, if needed, and looks at the board, as a count does."""
    if hw_peek(slot.handle.identity) != slot.handle.worker:
        slot.add(0)
        if hw_peek(slot.handle.identity) != slot.handle.worker:
            return False
    return hw_may_take(&slot.handle) == HW_OK


cdef int _take(Counter slot, item, uint64_t ordinal, uint64_t now) except -1:
    """Write the item that is taken up now: by its name, else by its ordinal. The handle has a stripe."""
    cdef int64_t number
    if type(item) is int and hw_small(item, &number):
        hw_put_number(slot.handle.stripe, slot.handle.tag, HW_ITEM_NUMBER, number, now)
        return 0
    name = _named(item)
    if name is not None:
        return _take_text(slot, name, now)
    if ordinal:
        hw_put_number(slot.handle.stripe, slot.handle.tag, HW_ITEM_ORDINAL, <int64_t>ordinal, now)
    else:
        hw_drop_item(&slot.handle.stripe.name, slot.handle.tag)
    return 0


cdef int _take_text(Counter slot, str text, uint64_t now) except -1:
    cdef char words[HW_ITEM_BYTES]
    _put_text(words, sizeof(words), text)
    hw_put_text_item(slot.handle.stripe, slot.handle.tag, words, hw_since(slot.handle.tag, now))
    return 0


cdef int _take_labelled(Counter slot, label, item, uint64_t now) except -1:
    name = label(item)
    return _take_text(slot, name if type(name) is str else str(name), now)


cdef class ItemBlock:
    """ItemBlock(slot, item, function=None, ordinal=0)\n--\n\nA block in which this process has an item in hand; counts one at its end.

    Left by an exception, nothing is counted. The item that was in hand before is so again afterwards. function: a name;
    then `item` is the tuple of the arguments of its call. ordinal: its number, by which an item without a name is shown.
    """

    def __init__(self, Slot slot not None, item, str function=None, uint64_t ordinal=0):
        self.slot = slot
        self.item = item
        self.function = function
        self.ordinal = ordinal
        self.counted = True
        self.open = NULL
        self.name = 0

    def __dealloc__(self):
        _forget(self.open)

    @property
    def counts(self):
        """Does the end of the block count one?"""
        return self.counted

    @counts.setter
    def counts(self, bint counts):
        self.counted = counts

    def __enter__(self):
        cdef uint64_t now
        if self.open is not NULL or not _takes(self.slot):
            return self
        self.open = hw_open_item(&self.slot.last, self.slot.handle.stripe, self.slot.handle.tag)
        now = hw_now(&self.slot.handle)
        if self.function is not None:
            _take_text(self.slot, _called(self.function, self.item), now)
        else:
            _take(self.slot, self.item, self.ordinal, now)
        self.name = hw_peek(&self.slot.handle.stripe.name)
        return self

    def __exit__(self, kind, error, trace):
        if kind is None and self.counted:
            _count(self.slot, 1)
        _put_back(self.slot, self.name, self.open)
        self.open = NULL


cdef int _put_back(Counter slot, uint64_t name, hw_nested *one) noexcept:
    """What was in hand before is so again, unless something else is in hand by now."""
    cdef hw_in_hand outer
    if one is not NULL and hw_close_item(&slot.last, one, &outer):
        if hw_may_take(&slot.handle) == HW_OK and hw_is_named(slot.handle.stripe, name):
            hw_put_back(slot.handle.stripe, &outer, slot.handle.tag)
    return 0


cdef int _forget(hw_nested *one) noexcept:
    """It was dropped without being left. The slot lets go of it when it opens or closes another one."""
    if one is not NULL:
        one.is_open = 0
        hw_let_go(one)
    return 0
