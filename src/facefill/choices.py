"""Choosing from a table by name."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from facefill.errors import InputError

T = TypeVar("T")


def pick(table: Mapping[str, T], key: str, what: str, *, nearness: float = 0.6) -> T:
    """Return `table[key]`, or say which key was probably meant.

    what: the noun for the message, such as "method". nearness: how alike a key must be to be guessed, 0 to 1.
    Raises InputError when the key is not there.

    >>> pick({"swift": 1, "telea": 2}, "swfit", "method")
    Traceback (most recent call last):
    facefill.errors.InputError: expected a method of swift, telea, got 'swfit': did you mean 'swift'?
    """
    if key in table:
        return table[key]
    near = difflib.get_close_matches(key, table, n=1, cutoff=nearness)
    fix = f"did you mean {near[0]!r}?" if near else "choose one of these"
    raise InputError(f"a {what} of {', '.join(table)}", repr(key), fix)
