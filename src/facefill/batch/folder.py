"""A folder of photos, on this machine or in a bucket: listed as a stream, read, and written whole.

Names are paths inside the folder with "/" between their parts, whatever the system.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from facefill.errors import InputError, explained
from facefill.files.photo import FORMATS
from facefill.files.whole import beside

STATE = ".facefill"
"""The folder in OUT for the lock and for unfinished files."""
MANIFEST = "manifest.jsonl"
SUFFIXES = frozenset(suffix for entry in FORMATS.values() for suffix in entry.suffixes)
MOST_BYTES = 200_000_000
"""A larger file is no photo; it is not even read."""
_LEFT_OUT = frozenset({"@eaDir", ".thumbnails"})
"""Folders in which storage boxes and desktops keep small copies of photos."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""Errors after which no other file can be written either."""


class Unwritable(InputError):
    """Nothing can be written to OUT any more: going on would compute in vain."""


@dataclass(frozen=True)
class ListedFile:
    """A file of a folder."""

    name: str
    size: int
    stamp: str
    """Changes when the file changes."""
    problem: str = ""
    """Why it cannot be read."""

    @property
    def unfit(self) -> str:
        """Why it is not opened; "" if it is."""
        too_large = f"it has {self.size:,} bytes, more than {MOST_BYTES:,}" if self.size > MOST_BYTES else ""
        return self.problem or too_large or check_name(self.name)


@dataclass(frozen=True)
class Selection:
    """Which files are photos: by their suffix, or what `include` names; never what `exclude` names.

    Patterns are the shell's, for the whole name or its last part; "*" also stands for "/". Small copies that storage
    boxes and desktops leave (@eaDir, .thumbnails) and what macOS keeps beside files (._*) are no photos.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether the file of that name is wanted."""
        *folders, last = name.split("/")
        if last.startswith("._") or not _LEFT_OUT.isdisjoint(folders):
            return False

        def named(patterns: tuple[str, ...]) -> bool:
            return any(fnmatchcase(name, pattern) or fnmatchcase(last, pattern) for pattern in patterns)

        wanted = named(self.include) if self.include else os.path.splitext(last)[1].lower() in SUFFIXES
        return wanted and not named(self.exclude)

    def misses(self, name: str) -> bool:
        """Whether a file is left out only because its name has no suffix."""
        last = name.rpartition("/")[2]
        return not self.include and "." not in last and self.takes(f"{name}.jpg")


EVERYTHING = Selection(include=("*",))


def check_name(name: str) -> str:
    """Why no file of that name may be written into a folder; "" where it may. Buckets allow any key."""
    if any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name or os.path.isabs(name):
        return "a name that leads out of the folder, or has an empty part"
    if name == MANIFEST or name.startswith(f"{STATE}/"):
        return "the name of a file that belongs to facefill itself"
    return ""


class LocalFolder:
    """A folder on this machine. without: a folder in it whose files are not listed. What fails raises InputError."""

    def __init__(self, root: Path, without: Path | None = None) -> None:
        self.root = root
        self._without = without

    def __str__(self) -> str:
        return str(self.root)

    def entries(self, select: Selection, missed: Callable[[], None] = lambda: None) -> Iterator[ListedFile]:
        """Wanted files, in any order, without holding them all. What cannot be looked at is an entry with a problem.

        missed: called for each file that is left out because its name has no suffix.
        """
        for name, found, problem in self._walk():
            if problem:
                yield ListedFile(name, 0, "", problem)
            elif select.misses(name):
                missed()
            elif found and select.takes(name):
                try:
                    about = found.stat()
                except OSError as error:
                    yield ListedFile(name, 0, "", f"it cannot be looked at ({error.strerror})")
                    continue
                if not stat.S_ISREG(about.st_mode):
                    yield ListedFile(name, 0, "", "it is no ordinary file")
                    continue
                # The time of change cannot be set back, as that of modification can.
                yield ListedFile(name, about.st_size, f"{about.st_size}-{about.st_mtime_ns}-{about.st_ctime_ns}")

    def _walk(self) -> Iterator[tuple[str, os.DirEntry[str] | None, str]]:
        """Files as (name, entry, ""), folders that cannot be listed as (name, None, why).

        Links to files count as files. Links to folders are not followed, so that there are no loops.
        """
        waiting = [""]
        while waiting:
            inside = waiting.pop()
            try:
                with os.scandir(self.root / inside) as found:
                    for entry in found:
                        name = f"{inside}{entry.name}"
                        if entry.is_dir(follow_symlinks=False):
                            left_out = name == STATE or entry.name in _LEFT_OUT
                            if Path(entry.path) != self._without and not left_out:
                                waiting.append(f"{name}/")
                        elif not (entry.is_symlink() and os.path.isdir(entry.path)):
                            yield name, entry, ""
            except OSError as error:
                yield inside or ".", None, f"the folder cannot be listed ({error.strerror})"

    def has(self, name: str) -> bool:
        return os.path.lexists(self.root / name)

    def read(self, name: str) -> bytes:
        with explained("a readable file", name, "check it, then run again"):
            return (self.root / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Make or replace a file, whole or not at all. Raises Unwritable where nothing more fits, or it is gone."""
        try:
            (self.root / STATE).mkdir(exist_ok=True)
            with beside(self.root / name, self.root / STATE / f"{secrets.token_hex(8)}.part") as part:
                part.write_bytes(data)
                self._check_links(name)
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            kind = Unwritable if error.errno in _FULL or not self.root.is_dir() else InputError
            fix = "make room, then run again: the same command goes on"
            raise kind("a folder that can be written", f"{name} ({error.strerror})", fix) from None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        self._check_links(name)
        with explained("a folder that can be written", name, "check its rights"):
            (self.root / name).unlink(missing_ok=True)

    def _check_links(self, name: str) -> None:
        """A folder in OUT that is a link may lead anywhere, also to the photos themselves."""
        for folder in (self.root / name).relative_to(self.root).parents:
            if (self.root / folder).is_symlink():
                raise InputError("folders of its own in OUT", f"{folder}, a link", "remove the link, then run again")

    def other_file(self) -> str:
        """The name of a file that is not a batch's, and could be replaced; "" where a batch has written, or nobody.
        Raises InputError where one of facefill's own files is a link, which would be written through."""
        for name in (STATE, f"{STATE}/lock", MANIFEST):
            if (self.root / name).is_symlink():
                raise InputError(f"a {name} of its own in OUT", "a link", "remove the link, or choose another OUT")
        # Where only the manifest is missing, a batch has been here, and somebody removed it.
        if not (self.has(MANIFEST) or self.has(STATE)):
            with explained("a folder for the results", self, "choose another"), suppress(FileNotFoundError):
                return next(iter(os.listdir(self.root)), "")
        return ""

    def ignores_case(self) -> bool:
        """Whether A.jpg and a.jpg are one file in it."""
        return self.has(STATE.upper())

    def clean(self) -> None:
        """Remove unfinished files of killed runs. Only the holder of the lock may call it."""
        for part in (self.root / STATE).glob("*.part"):
            part.unlink(missing_ok=True)
