"""The networks that help a method: what finds faces, and what finds what covers them."""

from os import PathLike
from pathlib import Path
from typing import Protocol

from facefill.arrays import U8
from facefill.catalog import find_weights
from facefill.errors import InputError
from facefill.runtime.cover import Cover
from facefill.runtime.detector import CheckedDetector, Detects
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import Check, Face, Finder
from facefill.runtime.model import Model, load
from facefill.runtime.second_look import SecondLook
from facefill.runtime.yunet import YuNet

HELPERS = ("finder", "second_look", "cover")
"""Shipped networks beside the methods that decide what becomes of a whole photo."""


class Finds(Protocol):
    """What finds faces: the shipped `Finder`, or a detector whose faces are checked as the finder's are."""

    def find(self, photo: U8) -> list[Face]:
        """The faces of a (H, W, 3) uint8 RGB photo, which it leaves as it is."""


def open_finder(
    finder: str | PathLike[str] | Detects | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    exact: bool = False,
) -> Finds:
    """The shipped finder, that of a YuNet file, or a detector of your own. The second look checks and aligns what any
    of them finds. Options and errors as in `facefill.load`; also raises InputError for what has no `find`."""

    def check() -> Check:
        return SecondLook(load_engine(find_weights("second_look")[0], device=device, threads=threads, exact=exact)).look

    if finder is None:
        return Finder(load_engine(find_weights("finder")[0], device=device, threads=threads, exact=exact), check())
    if isinstance(finder, str | PathLike):
        return CheckedDetector(YuNet(Path(finder), threads=threads), check())
    if not callable(getattr(finder, "find", None)):
        got, fix = f"a {type(finder).__name__}", "give it one that returns the faces of (H, W, 3) uint8 RGB pixels"
        raise InputError("a YuNet file, or a finder with a method find", got, fix)
    return finder if isinstance(finder, CheckedDetector | Finder) else CheckedDetector(finder, check())


def open_camera(*, device: str = "cpu", threads: int | None = None, exact: bool = False) -> Model:
    """swift for the frames of a camera: drawn once, 2.5 times as fast. Options as in `facefill.load`."""
    return load(find_weights("camera")[0], device=device, threads=threads, exact=exact)


def open_cover(*, device: str = "cpu", threads: int | None = None, exact: bool = False) -> Cover:
    """The shipped cover network. Options as in `facefill.load`."""
    return Cover(load_engine(find_weights("cover")[0], device=device, threads=threads, exact=exact))
