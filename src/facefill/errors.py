"""The one exception that the person using facefill can cause, and can fix."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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
