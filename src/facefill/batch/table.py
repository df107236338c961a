"""A compact table from a million names to a few numbers each."""

import hashlib
from array import array
from collections.abc import Iterable

import numpy as np


def hash64(text: str) -> int:
    """64 bits of a text. Two of a million names share theirs with a chance of 3e-8."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class NameTable:
    """A read-only map from names to a few numbers of 64 bits, in 8 bytes each; what comes later counts."""

    def __init__(self, rows: Iterable[tuple[str, tuple[int, ...]]] = (), numbers: int = 1) -> None:
        flat = array("Q")
        for name, values in rows:
            flat.append(hash64(name))
            flat.extend(values)
        whole = np.frombuffer(flat, np.uint64).reshape(-1, numbers + 1) if flat else np.empty((0, numbers + 1), "u8")
        order = np.argsort(whole[:, 0], kind="stable")
        keys = whole[order, 0]
        last = np.append(keys[1:] != keys[:-1], True)[: len(keys)]
        self._keys, self._values = keys[last], whole[order[last], 1:]

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, name: str) -> tuple[int, ...] | None:
        """The numbers of a name, None where it is not there."""
        key = np.uint64(hash64(name))
        place = int(np.searchsorted(self._keys, key))
        if place == len(self._keys) or self._keys[place] != key:
            return None
        return tuple(int(value) for value in self._values[place])

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None
