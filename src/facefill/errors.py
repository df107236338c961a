"""The one exception that the person using facefill can cause, and can fix."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class InputError(ValueError):
    """Something that the person using this can fix; the command line prints it as one line and exits with 2.

    expected: what would have been right. got: what came instead. fix: what to do now.

    >>> print(InputError("a mask of 640x480", "one of 64x48", "draw it on the photo itself"))
    expected a mask of 640x480, got one of 64x48: draw it on the photo itself
    """

    def __init__(self, expected: str, got: str, fix: str) -> None:
        self.expected, self.got, self.fix = (" ".join(part.split()) for part in (expected, got, fix))
        super().__init__(f"expected {self.expected}, got {self.got}: {self.fix}")

    def __reduce__(self) -> tuple["type[InputError]", tuple[Any, ...]]:
        """Three parts survive the way back from a worker process."""
        return type(self), (self.expected, self.got, self.fix)


class TooLarge(InputError):
    """Something is over a limit of bytes, pixels or pieces."""


class NotAPhoto(InputError):
    """A file is of a kind that no photo has."""


class NothingCompleted(InputError):
    """No face of a photo could be completed. reasons: why not, a sentence for each face."""

    def __init__(self, expected: str, fix: str, reasons: tuple[str, ...]) -> None:
        super().__init__(expected, "; ".join(reasons) or "none", fix)
        self.reasons = reasons

    def __reduce__(self) -> tuple["type[InputError]", tuple[Any, ...]]:
        return type(self), (self.expected, self.fix, self.reasons)


@contextmanager
def explained(expected: str, what: object, fix: str) -> Iterator[None]:
    """Turn the system's errors in a block into an InputError. what: the file or folder that they are about."""
    try:
        yield
    except OSError as error:
        raise InputError(expected, f"{what} ({error.strerror})", fix) from None


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
