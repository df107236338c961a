"""Which kinds of covers are told and taken off."""

import numpy as np
import pytest

from facefill.errors import InputError
from facefill.files.photo import read_photo
from facefill.runtime.cover import KINDS, SIDE_PX, Cover, read_kinds
from facefill.runtime.engine import Arrays
from facefill.runtime.face_warnings import why_untouched
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import load
from tests.runtime.test_cover import drawn
from tests.runtime.test_inpainter import FindsAt


class Kinds:
    """A network that sees a mask in the lower half of its picture, sunglasses over the eyes and a hand beside a cheek:
    with three outputs it calls that another thing."""

    def __init__(self, outputs: int = 3, hand: bool = False) -> None:
        self.outputs, self.hand = outputs, hand

    def run(self, inputs: Arrays) -> Arrays:
        said = np.full((1, self.outputs, SIDE_PX, SIDE_PX), 0.01, np.float32)
        said[0, -1, 60:140, 20:70] = 0.97 * self.hand
        said[0, 0, 150:240, 100:220] = 0.97
        said[0, 1, 100:135, 90:230] = 0.97
        return {"filled": said}


def test_kinds_are_told_and_others_than_those_asked_for_stay() -> None:
    photo, face = drawn(None)
    cover = Cover(Kinds())
    both, mask, dark, other = (
        cover.find(photo, [face], kinds)[0] for kinds in (KINDS, ("mask",), ("sunglasses",), ("other",))
    )
    assert both.kinds == ("mask", "sunglasses")
    assert (mask.kinds, dark.kinds, other.kinds) == (("mask",), ("sunglasses",), ())
    assert (mask.left_on, dark.left_on, other.left_on) == (("sunglasses",), ("mask",), ("mask", "sunglasses"))
    assert both.left_on == ()
    together = mask.mask(photo.shape) | dark.mask(photo.shape)
    assert (both.mask(photo.shape) == together).mean() > 0.999
    assert not other.missing.any()
    assert dark.window[0].stop < mask.window[0].stop


@pytest.mark.parametrize(("outputs", "called"), [(3, "other"), (4, "hand")])
def test_a_hand_is_a_kind_of_its_own_where_the_network_has_an_output_for_it(outputs: int, called: str) -> None:
    photo, face = drawn(None)
    cover = Cover(Kinds(outputs, hand=True))
    found = {kinds: cover.find(photo, [face], kinds)[0].kinds for kinds in (KINDS, ("hand",), ("other",), ("mask",))}
    assert set(found[KINDS]) == {"mask", "sunglasses", called}
    for kind in ("hand", "other", "mask"):
        assert found[(kind,)] == ((kind,) if kind in ("mask", called) else ())


def test_a_network_that_tells_nothing_apart_leaves_nothing_on() -> None:
    class One:
        def run(self, inputs: Arrays) -> Arrays:
            return {"filled": Kinds().run(inputs)["filled"].max(1, keepdims=True)}

    photo, face = drawn(None)
    found, whole = (Cover(One()).find(photo, [face], kinds)[0] for kinds in (("hand",), KINDS))
    assert (found.kinds, found.left_on) == ((), ())
    assert (found.missing == whole.missing).all()


def test_a_face_is_told_what_stays_on_it_and_is_not_said_to_be_bare() -> None:
    photo, face = drawn(None)
    inpainter = Inpainter(load("telea"), lambda: FindsAt([face.landmarks]), lambda: Cover(Kinds()))
    (told,) = inpainter.plan_unmask(read_photo(photo), covers=("sunglasses",)).faces
    assert (told.covers, told.left_on, told.warnings) == (("sunglasses",), ("mask",), ())
    with pytest.raises(
        InputError, match="only a mask and sunglasses cover it, which stay: name what stays in --covers"
    ):
        inpainter.plan_unmask(read_photo(photo), covers=("other", "hand"))


def test_it_is_said_in_words_what_stays() -> None:
    assert why_untouched(()) == "nothing covers it, left as it is"
    assert why_untouched(("mask",)) == "only a mask covers it, which stays"
    assert why_untouched(("sunglasses",)) == "only sunglasses cover it, which stay"
    assert why_untouched(KINDS) == "only a mask, sunglasses, another thing and a hand cover it, which stay"


def test_names_of_kinds_are_read_and_a_wrong_one_is_guessed() -> None:
    assert read_kinds("mask, sunglasses") == ("mask", "sunglasses")
    assert read_kinds("all") == read_kinds("mask,all") == KINDS
    with pytest.raises(InputError, match="sunglasses"):
        read_kinds("sunglases")
