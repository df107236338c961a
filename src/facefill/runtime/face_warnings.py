"""What is said of a face before anything is drawn: why it may look wrong, or why there is nothing to complete."""

from collections.abc import Sequence

import cv2
import numpy as np

from facefill.arrays import U8, Bool
from facefill.imaging.crop import Crop, turn_of
from facefill.runtime.finder import Face

# Chosen on 76 faces in real masks that somebody graded with an earlier generator: they meet 28 of the 52 bad and 1 of
# the 24 good or usable ones. Of 85 others, graded with swift 1.1.0 and 1.2.0: 17 of 41 and 8 of 44.
TURNED = 0.30
"""`turn_of` from which a face is seen from the side."""
WEAK = 0.87
"""The finder's score below which a face is uncertain."""
CUT_OFF = 0.12
"""Share of a face that lies outside the photo."""
MOVED = 0.075
"""How far landmarks lie apart at a second look, from which nobody knows where the face is, see `Face.moved`."""
DARK_LEVELS = 45
"""Mean grey level of what is seen of a face; no graded face was as dark."""
_SIDE_PX = 64
_MIDDLE, _HALF = np.array([0.5, 0.555]), np.array([0.27, 0.365])
"""Middle and axes of the ellipse of a face in its aligned crop, as shares of the side."""


NAMES = {"mask": "a mask", "sunglasses": "sunglasses", "other": "another thing", "hand": "a hand"}
"""What is said of the kinds of covers (`runtime.cover.KINDS`)."""


def why_untouched(left_on: Sequence[str]) -> str:
    """Why nothing of a face is completed. left_on: the kinds that cover it and are not to be taken off.

    >>> why_untouched(["mask", "sunglasses"])
    'only a mask and sunglasses cover it, which stay'
    """
    if not left_on:
        return "nothing covers it, left as it is"
    *first, last = (NAMES[kind] for kind in left_on)
    what, several = f"{', '.join(first)} and {last}" if first else last, first or last.endswith("s")
    return f"only {what} cover it, which stay" if several else f"only {what} covers it, which stays"


def reasons_for_doubt(face: Face, photo: U8, missing: Bool) -> list[str]:
    """What makes a good completion unlikely, in words after "it is". photo: (H, W, 3). missing: (H, W), its hole."""
    crop = Crop.around_face(face.landmarks, _SIDE_PX)
    place = np.stack(np.meshgrid(np.arange(_SIDE_PX), np.arange(_SIDE_PX)), -1) + 0.5
    oval = (((place / _SIDE_PX - _MIDDLE) / _HALF) ** 2).sum(-1) < 1
    outside = crop.outside(photo.shape)
    seen = oval & ~outside & ~crop.take_mask(missing)
    reasons = []
    if turn_of(face.landmarks) > TURNED:
        reasons.append("turned far to the side")
    if (share := float(outside[oval].mean())) > CUT_OFF:
        reasons.append(f"cut off by the photo's edge ({share:.0%})")
    if seen.any() and float(cv2.cvtColor(crop.take(photo), cv2.COLOR_RGB2GRAY)[seen].mean()) < DARK_LEVELS:
        reasons.append("very dark")
    if face.score < WEAK or face.moved > MOVED:
        reasons.append(f"hard to make out (score {face.score:.2f})")
    return reasons
