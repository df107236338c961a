"""Clear outlines of a face that *small* drew soft.

Where a hidden jaw ends is not known to a pixel, so the mean of all that it may be has a ramp there, of which *detail*
makes a haze. An edge in its place it draws as sharp as the photo's. Sharpening by moving pixels, not by changing them:
Arad and Gotsman 1999, "Enhancement by image-dependent warping".

Small pictures are (N, 3, h, w) on [-1, 1], completed; share is (N, 1, h, w), how much of each pixel is missing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, cat

from facefill.nets.hints import blur, near
from facefill.nets.layers import highest
from facefill.nets.texture import at_features, see_skin

SMOOTH, RAMP = 2.0, 5.5
"""Standard deviation of the Gaussian under which slopes are measured, and the variance of a ramp under it. All lengths
are pixels of the small picture."""
STEEPER, FURTHEST = 0.8, 3.0
"""How much steeper a ramp gets, and how far a pixel takes its colour from."""
TOGETHER, AGAIN = 1.0, 1.8
"""Standard deviation of the Gaussian under which neighbours move alike, or an outline is in steps, and what makes up
for it: both sides of a ramp move apart."""
SLOPES = (0.02, 0.05)
"""Slopes on [-1, 1] between which a ramp is more and more taken for an outline."""
BESIDE, SKIN = 5, (0.15, 0.5)
"""Side of the square in which an outline has two ends, and how much more like skin one is than the other: none is taken
for an outline below, all above."""
EYE, PART, INNER = 7.5, 5.5, 0.7
"""Standard deviations of a place around an eye and of one around nose and mouth, where no outlines are, and how little
of one is taken for one within the aligned face's features; none, where landmarks are unknown."""
ASIDE = 2.0
"""From slopes whose square is in so many parts one to the side on all of an outline is sharpened: below a chin, where
neck or collar are anybody's guess, least."""
CRISP, FINE, EDGE = (1.3, 1.9), 1.2, 5
"""By how much a Gaussian of the second number divides the squares of slopes of known pixels: in a blurred photo, whose
outlines stay, and in a clear one. The third is the side of the square in which all must be known: covers end there."""


def sharpen_outlines(small: Tensor, share: Tensor, landmarks: Tensor) -> Tensor:
    """With the edges between skin and what is beside it as steep as a photo's. landmarks: (N, 5, 2) in pixels of the
    full picture, nan where unknown."""
    across, down, bent = _curve(blur(small, SMOOTH))
    squares = (across.square() + down.square()).sum(1, keepdim=True)
    # Of an edge under a Gaussian, slope and second derivative tell how far away its middle is.
    away = cat([(bent * slope).sum(1, keepdim=True) for slope in (across, down)], 1) / (squares + 1e-4)
    away = STEEPER * RAMP * away
    far = away.square().sum(1, keepdim=True).sqrt()
    aside = (ASIDE * across.square().sum(1, keepdim=True) / (squares + 1e-6)).clamp(max=1)
    trusted = _trusted(small, share, landmarks) * aside * _from_to((squares / 3).sqrt(), SLOPES)
    moved = (
        AGAIN
        * share
        * crispness(small, share)
        * blur(trusted * away * far.clamp(max=FURTHEST) / (far + 1e-6), TOGETHER)
    )
    ones = torch.ones_like(share[:, 0])
    places = [
        2 * (torch.cumsum(ones, axis) - 0.5 - by) / ones.sum(axis, keepdim=True) - 1
        for axis, by in zip((2, 1), moved.unbind(1), strict=True)
    ]
    return F.grid_sample(small, torch.stack(places, -1), padding_mode="border", align_corners=False)


def crispness(small: Tensor, share: Tensor) -> Tensor:
    """(N, 1, 1, 1), from 0, where the known pixels are those of a blurred photo, to 1."""
    known = 1 - highest((share > 0).to(share), EDGE)
    slopes = []
    for picture in (small, blur(small, FINE)):
        across, down, _ = _curve(picture)
        slopes.append(((across.square() + down.square()) * known).sum((1, 2, 3), keepdim=True) + 1e-6)
    return _from_to(slopes[0] / slopes[1], CRISP)


def _curve(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 3, h, w) each: the slope to the right and downwards, and the second derivative along the slope."""
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    above, below = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    across, down = (right - left) / 2, (below - above) / 2
    twist = (padded[..., 2:, 2:] + padded[..., :-2, :-2] - padded[..., 2:, :-2] - padded[..., :-2, 2:]) / 4
    bent = across.square() * (left + right - 2 * picture) + down.square() * (above + below - 2 * picture)
    bent = bent + 2 * across * down * twist
    return across, down, bent / (across.square() + down.square()).clamp_min(1e-8)


def _trusted(small: Tensor, share: Tensor, landmarks: Tensor) -> Tensor:
    """(N, 1, h, w), 1 where skin ends, well within the hole and beside the features of the face, else 0."""
    skin = see_skin(small, share)[0]
    ends = _from_to(highest(cat([skin, -skin], 1), BESIDE).sum(1, keepdim=True), SKIN)
    parts = cat([landmarks[:, 2:], landmarks[:, 3:].mean(1, keepdim=True)], 1)
    unknown = landmarks.isnan().to(small).amax((1, 2))[:, None, None, None]
    inner = (INNER + (1 - INNER) * unknown) * at_features(small)
    inner = torch.maximum(inner, torch.maximum(near(landmarks[:, :2], share, EYE), near(parts, share, PART)))
    within = (2 * F.avg_pool2d(share, 3, 1, 1) - 1).clamp_min(0)
    return share * within * ends * (1 - inner)


def _from_to(value: Tensor, span: tuple[float, float]) -> Tensor:
    """0 below the span, 1 above, between them in proportion."""
    return ((value - span[0]) / (span[1] - span[0])).clamp(0, 1)
