"""manifest.jsonl: one line for each photo, in the order in which they were done; only ever appended to while a run
lasts, so that it is right after a kill at any byte."""

import errno
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from facefill.batch.bucket import Bucket, Folder
from facefill.batch.folder import MANIFEST, STATE, Unwritable
from facefill.batch.table import NameTable, hash64
from facefill.errors import InputError
from facefill.files.whole import beside

KeptStatus = Literal["completed", "refused", "failed"]
Status = KeptStatus | Literal["unchanged", "unwritable"]
STATUSES: tuple[KeptStatus, ...] = get_args(KeptStatus)
LINES = "lines"
FLUSH_S, FLUSH_LINES = 5.0, 1000
"""Seconds, and number of lines, that wait before an upload into a bucket."""


@dataclass(frozen=True)
class Outcome:
    """What became of a photo."""

    photo: str
    """Its name in IN; that of its result in OUT is the same."""
    status: Status
    """completed: its result is in OUT. refused: there is nothing in it that could be completed. failed: it could not be
    read or written; tried again by the next run. Never in the file: unchanged (only its time was new) and unwritable
    (OUT takes nothing more; the run ends)."""
    reason: str = ""
    stamp: str = ""
    """Changes when the source or its mask changes."""
    source_sha256: str = ""
    mask_sha256: str = ""
    """Hash of its file in --mask-dir."""
    result_sha256: str = ""
    faces_found: int = 0
    faces_completed: int = 0
    faces_refused: tuple[str, ...] = ()
    """The reasons, one sentence each."""
    hole_share: float = 0.0
    """Share of the photo's pixels that were completed, 0 to 1."""
    seconds: float = 0.0
    """Work on this photo, without waiting."""
    method: str = ""
    model_sha256: str = ""
    seed: int = 0
    recipe: str = ""
    """Hash of everything that the result depends on beside the photo."""
    warnings: tuple[str, ...] = ()
    """What the file could not keep."""
    covers: tuple[tuple[str, ...], ...] = ()
    """Of each face the kinds of what covered it and was taken off, the largest first; empty with masks, and where the
    photo was not completed."""
    left_on: tuple[tuple[str, ...], ...] = ()
    """Likewise the kinds that stayed."""

    def encode(self) -> bytes:
        """A line of JSON, ending in a newline."""
        return _encode(vars(self))

    @classmethod
    def decode(cls, line: bytes) -> "Outcome":
        """What `encode` wrote, also before there were kinds of covers."""
        said = json.loads(line)
        kinds = {name: tuple(map(tuple, said.get(name, ()))) for name in ("covers", "left_on")}
        texts = {name: tuple(said[name]) for name in ("faces_refused", "warnings")}
        return cls(**{**said, **texts, **kinds})


@dataclass(frozen=True)
class Known:
    """What the manifest says about a photo."""

    status: KeptStatus
    stamp: int
    sources: int
    """See `hash_sources`."""


def hash_sources(source_sha256: str, mask_sha256: str, recipe: str) -> int:
    """64 bits of everything that a result was made from."""
    return hash64(f"{source_sha256} {mask_sha256} {recipe}")


class Manifest:
    """The manifest of a folder that is written; keeps 32 bytes for each photo that it had. recipe: of this run."""

    def __init__(self, folder: Folder, recipe: str, *, writes: bool = True) -> None:
        self._journal: FileJournal | BucketJournal = (
            BucketJournal(folder) if isinstance(folder, Bucket) else FileJournal(folder.root / MANIFEST, writes)
        )
        self._recipe = recipe
        self.damaged = 0
        """Lines that are no JSON; what they were about is done again."""
        self.other: dict[str, Any] | None = None
        """A line of a run with another recipe, if there is one."""
        self._known = NameTable(self._known_rows(), 3)
        self._double = self.damaged > 0

    def __len__(self) -> int:
        return len(self._known)

    def _known_rows(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        for said in self._read():
            if said["recipe"] != self._recipe:
                self.other = said
            stamp = hash64(said["stamp"] + said["recipe"])
            sources = hash_sources(said["source_sha256"], said["mask_sha256"], said["recipe"])
            yield said["photo"], (STATUSES.index(said["status"]), stamp, sources)

    def _read(self) -> Iterator[dict[str, Any]]:
        for line in self._journal.lines():
            if said := _parse(line):
                yield said
            else:
                self.damaged += 1

    def known(self, name: str) -> Known | None:
        """What a run before this one said of a photo."""
        found = self._known.get(name)
        return Known(STATUSES[found[0]], found[1], found[2]) if found else None

    def is_stamp(self, known: Known, stamp: str) -> bool:
        """Whether the photo has still that stamp, and this run the same recipe."""
        return known.stamp == hash64(stamp + self._recipe)

    def add(self, outcome: Outcome) -> None:
        """Write a line. It survives the end of this process when this returns (in a bucket: at the next upload)."""
        self._double = self._double or self._known.get(outcome.photo) is not None
        self._journal.append(outcome.encode())

    def close(self) -> None:
        """Leave one line for each photo, the latest."""
        if self._double or isinstance(self._journal, BucketJournal):
            last = NameTable((said["photo"], (index,)) for index, said in enumerate(self._read()))
            lines = enumerate(self._read())
            self._journal.replace(_encode(said) for index, said in lines if last.get(said["photo"]) == (index,))
        self._journal.close()

    def abandon(self) -> None:
        """Close after a failure: everything that was added stays, nothing else is done."""
        self._journal.close()


def _encode(said: dict[str, Any]) -> bytes:
    try:
        return json.dumps(said, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # a file name that is no text
        return json.dumps(said).encode() + b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        said = json.loads(line)
        texts = [said[key] for key in ("photo", "stamp", "recipe", "source_sha256", "mask_sha256")]
        if said["status"] in STATUSES and all(isinstance(text, str) for text in texts):
            return dict(said)
    return None


class FileJournal:
    """Lines at the end of a file. What a killed process left of its last line is cut off."""

    def __init__(self, path: Path, writes: bool = True) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        if not writes:
            return
        try:
            self._file = path.open("ab", buffering=0)
            self._end = sum(map(len, self.lines()))
            self._file.truncate(self._end)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> InputError:
        got, fix = f"{self._path} ({error.strerror})", "see to that, then run again: the same command goes on"
        return Unwritable("a manifest that can be written", got, fix)

    def lines(self) -> Iterator[bytes]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            yield from (line for line in file if line.endswith(b"\n"))

    def append(self, line: bytes) -> None:
        assert self._file
        try:
            if not os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path)):
                raise FileNotFoundError(errno.ENOENT, "another file, or folder, is there now")
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            self._file.truncate(self._end)
            raise self._failed(error) from None
        self._end += len(line)

    def replace(self, lines: Iterable[bytes]) -> None:
        """As one step: a kill leaves the old lines or the new ones."""
        state = self._path.parent / STATE
        try:
            state.mkdir(exist_ok=True)
            with beside(self._path, state / "manifest.part") as part:
                with part.open("wb") as file:
                    file.writelines(lines)
                self.close()
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        if self._file:
            self._file.close()


class BucketJournal:
    """Objects never grow: lines are uploaded a few at a time, and become one object at the end."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._waiting: list[bytes] = []
        self._since = time.monotonic()

    def lines(self) -> Iterator[bytes]:
        for name in [MANIFEST, *self._bucket.list_state(LINES)]:
            yield from self._bucket.lines(name)
        yield from self._waiting

    def append(self, line: bytes) -> None:
        self._waiting.append(line)
        if len(self._waiting) >= FLUSH_LINES or time.monotonic() - self._since >= FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._bucket.write(f"{STATE}/{LINES}/{time.time_ns():020d}.jsonl", b"".join(self._waiting))
            self._waiting = []
        self._since = time.monotonic()

    def replace(self, lines: Iterable[bytes]) -> None:
        """The new manifest is there before the pieces go; a kill in between leaves both, which say the same."""
        self._flush()
        pieces = self._bucket.list_state(LINES)
        with tempfile.TemporaryDirectory() as folder:
            beside = Path(folder) / MANIFEST
            with beside.open("wb") as file:
                file.writelines(lines)
            self._bucket.upload(MANIFEST, beside)
        for name in pieces:
            self._bucket.remove(name)

    def close(self) -> None:
        self._flush()
