"""What *small* tends to draw wrongly, at the same place of many faces, mended before *detail* sharpens it.

Small pictures are (N, 3, h, w) on [-1, 1], completed; share is (N, 1, h, w), how much of each pixel is missing;
landmarks are (N, 5, 2) in pixels of the full picture, nan where unknown, and corners the last two, those of the mouth.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, cat

from facefill.nets.hints import heat_maps, luminance, near, turn
from facefill.nets.outlines import sharpen_outlines
from facefill.nets.texture import at_features, see_skin

CORNER = 1.6
"""Standard deviation of a place around a corner of the mouth, in pixels of the small picture."""
FADED, SMILING = (0.55, 0.25), (-0.18, 0.0)
"""How much of what is darker there than its surroundings is taken away, of a closed mouth and of one that smiles: by
how much brighter than the cheeks its middle is, on [-1, 1]. Teeth end at dark corners, lips do not."""
CHEEKS = (0.68, -0.22)
"""Where cheeks are from the middle of the mouth, along it and down, over its width."""
ALONG, LIPS = (0.0, 0.12, 0.25, 0.37, 0.63, 0.75, 0.88, 1.0), 2.5
"""Where blots are looked for, over the mouth's width, and the standard deviation of each place."""
ROW, SLIGHT, BLOTS = 11, 0.02, 0.6
"""Pixels of a row whose mean is taken twice, how much darker than it something may be, on [-1, 1], and how much of what
is more than that is taken away."""
WALL, WALL_AROUND = 9, 3
"""Side of the square whose mean is taken so many times to know the wall behind a jaw."""
EVEN, HALO = 14 / 127.5, 2 / 127.5
"""Standard deviation from which a wall is not even, and how much brighter than it something may be."""


def mend(small: Tensor, share: Tensor, landmarks: Tensor) -> Tensor:
    """The small picture without blots, dark corners of the mouth and halos, and with clear outlines."""
    corners = landmarks[:, 3:]
    small = dim_halos(fade_corners(fade_blots(small, share, corners), share, corners), share)
    return sharpen_outlines(small, share, landmarks)


def fade_blots(small: Tensor, share: Tensor, corners: Tensor) -> Tensor:
    """Without dark blots in a mouth, most often the nearer half of one that is turned: a mouth's line goes on."""
    bright = luminance(small)
    row = bright
    for _ in range(2):
        row = F.avg_pool2d(row, (1, ROW), 1, (0, ROW // 2), count_include_pad=False)
    along = corners.new_tensor(ALONG)[:, None]
    places = corners[:, :1] + along * (corners[:, 1:] - corners[:, :1])
    return small + BLOTS * share * near(places, share, LIPS) * F.relu(row - bright - SLIGHT)


def fade_corners(small: Tensor, share: Tensor, corners: Tensor) -> Tensor:
    """With hidden corners of the mouth less dark. Where they are is known, not what is between them: the mean of all
    mouths has a dark spot at either, which *detail* would make a knot."""
    bright = luminance(small)
    around = bright
    for _ in range(2):  # about a Gaussian of two pixels
        around = F.avg_pool2d(around, 5, 1, 2, count_include_pad=False)
    faded = FADED[0] + (FADED[1] - FADED[0]) * _is_smiling(bright, corners)
    return small + faded * share * near(corners, share, CORNER) * F.relu(around - bright)


def dim_halos(small: Tensor, share: Tensor) -> Tensor:
    """With nothing beside the face brighter than an even wall behind it, which the brightest known pixels tell."""
    bright, skin = luminance(small), see_skin(small, share)[0]
    known = (1 - F.max_pool2d((share > 0).to(share), 3, 1, 1)) * (1 - skin) * torch.exp(6 * bright - 3)
    sums = cat([known, known * bright, known * bright.square()], 1)
    for _ in range(WALL_AROUND):
        sums = F.avg_pool2d(sums, WALL, 1, WALL // 2)
    seen, once, twice = sums.chunk(3, 1)
    wall = once / seen.clamp_min(1e-6)
    uneven = F.relu(twice / seen.clamp_min(1e-6) - wall.square())
    trusted = torch.exp(-uneven / EVEN**2) * seen / (seen + 1e-3)
    beside = 1 - torch.maximum(skin, at_features(small))
    return small - trusted * beside * share * F.relu(bright - wall - HALO)


def _is_smiling(bright: Tensor, corners: Tensor) -> Tensor:
    """(N, 1, 1, 1), from 0, a mouth that is closed, to 1, in a luma picture (N, 1, h, w)."""
    middle, along = corners.mean(1), corners[:, 1] - corners[:, 0]
    aside, down = CHEEKS[0] * along, CHEEKS[1] * turn(along)
    maps = heat_maps(torch.stack([middle, middle + down - aside, middle + down + aside], 1), bright)
    mouth, *cheeks = ((maps * bright).sum((2, 3)) / maps.sum((2, 3)).clamp_min(1)).unbind(1)
    brighter = mouth - (cheeks[0] + cheeks[1]) / 2
    share: Tensor = ((brighter - SMILING[0]) / (SMILING[1] - SMILING[0])).clamp(0, 1)
    return share[:, None, None, None]
