"""Files that appear whole or not at all: written beside, then renamed."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facefill.errors import InputError, explained


def path_of(name: object, expected: str) -> Path:
    """The path that a caller names. Raises InputError for what is no name, with what was expected."""
    if isinstance(name, str | bytes | os.PathLike):
        return Path(os.fsdecode(name))
    raise InputError(expected, f"the type {type(name).__name__}", "give another")


@contextmanager
def beside(path: Path, part: Path | None = None) -> Iterator[Path]:
    """The path of a file to write; it takes the place of `path` when the context ends, and is gone after an error.

    part: that path, on the same disk; None for one in the same folder, with the same suffix.
    """
    part = part or path.with_name(f".facefill-{secrets.token_hex(8)}.part{path.suffix}")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """As `beside`; its folder is made. Raises InputError where the file cannot be written."""
    fix = "free some space or choose another folder, then run again"
    with explained("a folder that can be written", path, fix):
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            yield part


def write_whole(path: Path, data: bytes) -> None:
    """A file of these bytes. Raises InputError where it cannot be written."""
    with whole(path) as part:
        part.write_bytes(data)
