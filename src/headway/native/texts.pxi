# Texts and numbers that come from Python: into the fields of a slot, and out of them.

cdef int _put_text(char *to, Py_ssize_t room, str text) except -1:
    """Copy a text for people: without NUL, cut at a character boundary with an ellipsis."""
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
    for i in range(size):
        if to[i] == 0:
            to[i] = b" "
    memset(to + size, 0, room - size)
    return 0


cdef int _put_key(char *to, Py_ssize_t room, text, str what) except -1:
    """Copy a text that is a key: never cut, refused when it does not fit."""
    cdef Py_ssize_t size
    cdef const char *data
    _str(text, what)
    try:
        data = PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        raise ValueError(f"{what} {text!r} is not valid Unicode: give it without lone surrogates") from None
    if size == 0:
        raise ValueError(f"{what} is empty: give it 1 to {room - 1} bytes of UTF-8")
    if memchr(data, 0, size) is not NULL:
        raise ValueError(f"{what} {text!r} contains a NUL character: leave it out")
    if size >= room:
        raise ValueError(f"{what} {text!r} has {size} bytes of UTF-8: shorten it to {room - 1}")
    memcpy(to, data, size)
    memset(to + size, 0, room - size)
    return 0


cdef str _text(const char *data, size_t room):
    cdef size_t size = 0
    while size < room and data[size]:
        size += 1
    return data[:size].decode("utf-8", "replace")


def check_id(id):
    """Raise TypeError or ValueError unless `id` is 1 to 95 bytes of UTF-8 without NUL."""
    cdef char room[HW_ID_BYTES]
    _put_key(room, sizeof(room), id, "task id")


cdef int64_t _total(total) except? -2:
    if total is None:
        return HW_NO_TOTAL
    n = _whole(total, "total", f"give 0 to {HW_COUNT_LIMIT - 1}, or None if it is unknown")
    if n < 0 or n >= HW_COUNT_LIMIT:
        raise ValueError(f"total {n} is out of range: give 0 to {HW_COUNT_LIMIT - 1}, or None if it is unknown")
    return n


cdef str _str(text, str what):
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {text!r:.60} ({type(text).__name__})")
    return text


cdef object _whole(value, str what, str remedy):
    """A whole number: an int, what stands for one, or a float without a fraction."""
    try:
        return operator.index(value)
    except TypeError:
        if isinstance(value, float) and value.is_integer():
            return int(value)
    raise TypeError(f"{what} {value!r:.60} is not a whole number: {remedy}")
