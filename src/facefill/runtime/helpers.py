"""The networks that help a method: what finds faces, and what finds what covers them."""

from pathlib import Path
from typing import Protocol

from facefill.arrays import U8
from facefill.catalog import find_weights
from facefill.runtime.cover import Cover
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import Face, Finder
from facefill.runtime.model import Model, load
from facefill.runtime.second_look import SecondLook
from facefill.runtime.yunet import YuNet

HELPERS = ("finder", "second_look", "cover")
"""Shipped networks beside the methods that decide what becomes of a whole photo."""


class Finds(Protocol):
    """What finds faces: the shipped `Finder`, YuNet, or a detector of your own."""

    def find(self, photo: U8) -> list[Face]:
        """The faces of a (H, W, 3) uint8 RGB photo, which it leaves as it is."""


def open_finder(
    file: Path | None = None, *, device: str = "cpu", threads: int | None = None, exact: bool = False
) -> Finds:
    """The shipped finder, or that of a YuNet file. Options and errors as in `facefill.load`."""
    if file is not None:
        return YuNet(file, threads=threads)
    finder, second = (
        load_engine(find_weights(name)[0], device=device, threads=threads, exact=exact)
        for name in ("finder", "second_look")
    )
    return Finder(finder, SecondLook(second).look)


def open_camera(*, device: str = "cpu", threads: int | None = None, exact: bool = False) -> Model:
    """swift for the frames of a camera: drawn once, 2.5 times as fast. Options as in `facefill.load`."""
    return load(find_weights("camera")[0], device=device, threads=threads, exact=exact)


def open_cover(*, device: str = "cpu", threads: int | None = None, exact: bool = False) -> Cover:
    """The shipped cover network. Options as in `facefill.load`."""
    return Cover(load_engine(find_weights("cover")[0], device=device, threads=threads, exact=exact))
