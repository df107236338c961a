"""Directories of tags, which TIFF files and EXIF blocks are made of: reading and writing.

Reading counts every byte of a block once: directories that point at themselves, or whose values share bytes, end where
the block's length is used up, and `broken` says so.

Sources: TIFF 6.0; BigTIFF (AWare Systems); EXIF 2.32 (CIPA DC-008).
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

_BYTES = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), 1)) | {16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


class Tag(NamedTuple):
    """One entry. value: bytes in the block's byte order, or the entries of a directory. at: where its value stands."""

    number: int
    kind: int
    length: int
    value: "bytes | tuple[Tag, ...]"
    at: int = 0


class Directories:
    """What can be read of a TIFF file or EXIF block. order: "<" or ">". first: the first directory's tags by number.

    broken: something points outside the block, or into what another has read.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data, self._left, self._seen = data, len(data), set[int]()
        self.order = ">" if data[:2] == b"MM" else "<"
        self.big = data[2:3] == b"+" or data[3:4] == b"+"
        self.broken = data[:2] not in (b"II", b"MM")
        self.start = 0 if self.broken else self._number(8 if self.big else 4, "Q" if self.big else "I")
        self.first, self.next = self.read(self.start)

    def read(self, at: int) -> tuple[dict[int, Tag], int]:
        """The tags of the directory at that offset by number, the first of each; the offset of the next one, or 0."""
        head, step, inline = ("Q", 20, 8) if self.big else ("H", 12, 4)
        if self.broken or not at or at in self._seen:
            return {}, 0
        self._seen.add(at)
        count, at = self._number(at, head), at + struct.calcsize("=" + head)
        if not self._spend(at, count * step):
            return {}, 0
        tags: dict[int, Tag] = {}
        for position in range(at, at + count * step, step):
            layout = self.order + ("HHQ" if self.big else "HHI")
            number, kind, length = struct.unpack_from(layout, self._data, position)
            size, start = _BYTES.get(kind, 1) * length, position + step - inline
            if size > inline:
                start = self._number(start, "Q" if self.big else "I")
                if start + size > len(self._data):
                    continue  # damaged makers' entries are common in photos that every viewer opens
                if not self._spend(start, size):
                    return tags, 0
            tags.setdefault(number, Tag(number, kind, length, bytes(self._data[start : start + size]), start))
        end = at + count * step
        return tags, self._number(end, "Q" if self.big else "I") if end + inline <= len(self._data) else 0

    def pages(self) -> list[tuple[int, dict[int, Tag]]]:
        """The offset and tags of all directories in the chain that the first one begins."""
        found, following = [(self.start, self.first)], self.next
        while following and len(self._seen) < 1000:
            at = following
            tags, following = self.read(at)
            if tags:
                found.append((at, tags))
        return found

    @property
    def exhausted(self) -> bool:
        """Whether more was claimed than the block has bytes."""
        return self._left < 0

    def _number(self, at: int, kind: str) -> int:
        if at + struct.calcsize("=" + kind) > len(self._data):
            self.broken = True
            return 0
        (value,) = struct.unpack_from(self.order + kind, self._data, at)
        return int(value)

    def _spend(self, at: int, size: int) -> bool:
        self._left -= size
        self.broken |= self._left < 0 or at + size > len(self._data)
        return not self.broken


def numbers(order: str, tag: Tag | None) -> tuple[int, ...]:
    """The unsigned numbers of an entry; none where it holds others, or there is no entry."""
    if tag is None or not isinstance(tag.value, bytes) or tag.kind not in _NUMBERS:
        return ()
    return struct.unpack(f"{order}{tag.length}{_NUMBERS[tag.kind]}", tag.value)


def number_of(order: str, tag: Tag | None, default: int = 0) -> int:
    """The first of an entry's unsigned numbers."""
    return next(iter(numbers(order, tag)), default)


def tag_numbers(listed: str) -> frozenset[int]:
    """Numbers of tags and ranges of them: "270-272 274"."""
    ends = [part.partition("-") for part in listed.split()]
    return frozenset(number for low, _, high in ends for number in range(int(low), int(high or low) + 1))


def tag_of(order: str, number: int, kind: int, *values: int) -> Tag:
    """An entry of unsigned numbers. kind: 1 byte, 3 short, 4 long."""
    return Tag(number, kind, len(values), struct.pack(f"{order}{len(values)}{_NUMBERS[kind]}", *values))


def build_block(order: str, tags: Iterable[Tag]) -> bytes:
    """An EXIF block, which is a TIFF of one directory without samples."""
    body = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8))
    write_directory(body, order, tags)
    return bytes(body)


def write_directory(body: bytearray, order: str, tags: Iterable[Tag]) -> int:
    """Appends a directory and what it points to. Returns its offset."""
    tags = sorted(tags, key=lambda tag: tag.number)
    at = len(body)
    body += struct.pack(order + "H", len(tags)) + bytes(12 * len(tags) + 4)
    for position, (number, kind, count, value, _) in enumerate(tags):
        if not isinstance(value, bytes):
            kind, count = 4, 1
            value = struct.pack(order + "I", write_directory(body, order, value))
        elif len(value) > 4:
            pointer = len(body)
            body += value + b"\0" * (len(value) % 2)
            value = struct.pack(order + "I", pointer)
        struct.pack_into(order + "HHI4s", body, at + 2 + 12 * position, number, kind, count, value)
    return at
