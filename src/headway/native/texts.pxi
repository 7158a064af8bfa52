# Checks texts and numbers from Python, writes texts to the fields of a slot, and reads them.

cdef inline str _str(text, str what):
    if not isinstance(text, str):
        raise _not_a_str(text, what)
    return <str>text


cdef int _put_text(char *to, Py_ssize_t room, str text) except -1:
    """Copy a text for people: NUL becomes a space; a text too long is cut at a character, with an ellipsis."""
    cdef Py_ssize_t size
    cdef const char *data
    cdef bytes whole
    try:
        data = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        whole = text.encode("utf-8", "replace")
        data, size = whole, len(whole)
    if size >= room:
        size = room - 1 - 3
        while size > 0 and (data[size] & 0xC0) == 0x80:
            size -= 1
        memcpy(to, data, size)
        memcpy(to + size, b"\xe2\x80\xa6", 3)
        size += 3
    else:
        memcpy(to, data, size)
    cdef Py_ssize_t i
    if memchr(to, 0, size) is not NULL:  # rare; the C library looks at many bytes at a time
        for i in range(size):
            if to[i] == 0:
                to[i] = b" "
    memset(to + size, 0, room - size)
    return 0


cdef int _put_key(char *to, Py_ssize_t room, text, str what) except -1:
    """Copy a text that identifies something: it is never cut, but refused if it does not fit."""
    cdef Py_ssize_t size
    cdef const char *data
    _str(text, what)
    try:
        data = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        raise _not_unicode(text, what) from None
    if size == 0:
        raise _empty_key(what, room - 1)
    if memchr(data, 0, size) is not NULL:
        raise _nul_in_key(text, what)
    if size >= room:
        raise _long_key(text, what, size, room - 1)
    memcpy(to, data, size)
    memset(to + size, 0, room - size)
    return 0


cdef str _text(const char *data, size_t room):
    """The text of a field, up to its first NUL or its end."""
    cdef size_t size = 0
    while size < room and data[size]:
        size += 1
    return data[:size].decode("utf-8", "replace")


def check_id(id):
    """Raise TypeError or ValueError unless `id` is 1 to 95 bytes of UTF-8 without NUL."""
    cdef char room[HW_ID_BYTES]
    _put_key(room, sizeof(room), id, "task id")


cdef object _whole(value, str what, str remedy):
    """A whole number: an int, an object with __index__, or a float without a fraction."""
    try:
        return operator.index(value)
    except TypeError:
        try:
            if value.is_integer():
                return int(value)
        except (AttributeError, TypeError):  # not a number; or a class, which has only the method
            pass
    raise _not_whole(value, what, remedy)


cdef int64_t _total(total) except? -2:
    if total is None:
        return HW_NO_TOTAL
    number = _whole(total, "total", _total_remedy())
    if not 0 <= number <= INT64_MAX:
        raise _total_out_of_range(number)
    return number


cdef uint32_t _state_bits(states) except? 0xFFFFFFFF:
    """A bit set of states, which are given by name."""
    cdef uint32_t bits = 0
    for state in states:
        bits |= <uint32_t>1 << _state_number(state)
    return bits


cdef int _state_number(state) except -1:
    number = _STATE_NUMBERS.get(state)
    if number is None:
        raise _unknown_state(state)
    return number
