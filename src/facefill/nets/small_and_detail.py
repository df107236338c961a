"""A face drawn small, then in detail: the two networks of swift and what joins them.

*small* decides what the face is, at a quarter of the side, where a picture costs a sixteenth; *detail* adds what that
leaves out. Everything between them (averages of known pixels, heat maps, enlargement) is part of what is exported.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, cat, nn

from facefill.arrays import MIRRORED
from facefill.nets.enlargement import BILINEAR, enlarge
from facefill.nets.hints import (
    FACTOR,
    REACH,
    UNKNOWN,
    UNSEEN,
    choose_mouth,
    heat_maps,
    luminance,
    move_mouth,
    tellable,
    turn,
)
from facefill.nets.layers import UNet
from facefill.nets.sketches import Sketches
from facefill.nets.texture import add_texture, sharp_places, smooth

STEP = FACTOR * 16
"""The picture's side is a multiple of this: the small network halves its picture four times."""
POINTS = 5
"""Landmarks: the viewer's left and right eye, the nose, the left and right corner of the mouth."""
BRIGHTER = 4 / 127.5
"""How much brighter than the small picture around it *detail* may make something, on [-1, 1]."""
CORNER = 1.6
"""Standard deviation of a place around a corner of the mouth, in pixels of the small picture."""
FADED, SMILING = (0.55, 0.25), (-0.18, 0.0)
"""How much of what is darker there than its surroundings is taken away, of a closed mouth and of one that smiles: by
how much brighter than the cheeks its middle is, on [-1, 1]. Teeth end at dark corners, lips do not."""
CHEEKS = (0.68, -0.22)
"""Where cheeks are from the middle of the mouth, along it and down, over its width."""
GREY = 1 / 127.5
"""Known pixels whose channels are less than this apart on average, on [-1, 1], are those of a grey photo."""


class SmallNet(nn.Module):
    """The known average, the share missing and the landmarks' heat maps to the whole face, at 1/`FACTOR` of the side.

    Noise joins at the bottom, times the hole's share there; without it comes the default face.
    """

    def __init__(self, widths: tuple[int, ...], bottom_dilations: tuple[int, ...], noise: int) -> None:
        super().__init__()
        self.net = UNet(4 + POINTS, 3, widths, bottom_dilations)
        self.step = self.net.block * 2 ** (len(widths) - 1)
        self.noise = nn.Conv2d(noise, widths[-1], 1, bias=False)
        nn.init.normal_(self.noise.weight, std=0.05)

    def forward(self, average: Tensor, share: Tensor, heat: Tensor, noise: Tensor) -> Tensor:
        """average (N, 3, h, w), share (N, 1, h, w), heat (N, 5, h, w), noise (N, C, h/step, w/step): (N, 3, h, w)."""
        added = self.noise(noise) * F.avg_pool2d(share, self.step)
        drawn: Tensor = self.net(cat([average, share, heat], 1), added)
        return drawn


class SmallAndDetail(nn.Module):
    """Picture (N, 3, H, W) with 0 in the hole, mask (N, 1, H, W), landmarks (N, 5, 2), nan where unknown, and noise
    (N, 1, H, W) to the filled picture; H and W multiples of `STEP`."""

    def __init__(self, small: SmallNet, detail: UNet) -> None:
        super().__init__()
        self.small, self.detail = small, detail
        self.sketches = Sketches()

    def forward(self, image: Tensor, mask: Tensor, landmarks: Tensor, noise: Tensor) -> Tensor:
        """The filled picture; grey where everything known is grey."""
        small = self.draw(image, mask, landmarks, noise)
        corners = move_mouth(landmarks, noise)[:, 3:]
        small = fade_corners(small, F.avg_pool2d(mask, FACTOR), corners)
        most, sharp = brightest_near(small), sharp_places(mask, corners)
        coarse = enlarge(small)
        added = smooth(self.refine(image, mask, coarse) - coarse, mask, sharp)
        filled = torch.minimum(coarse + added, most)
        filled = torch.minimum(add_texture(image, mask, small, filled, sharp), most)
        return torch.where(is_grey(image, mask), luminance(filled), filled)

    def draw(self, image: Tensor, mask: Tensor, landmarks: Tensor, noise: Tensor) -> Tensor:
        """The completed small picture (N, 3, H/4, W/4): the mean of what is drawn of the picture and, mirrored back, of
        the mirrored one, so that what a network tends to do to one corner of every mouth fades. Both are told
        sketches of hidden eyes and, where there is noise, of a hidden mouth, in the tone of a first drawing."""
        average, share = shrink(image, mask)
        unseen, heat = hidden(share), heat_maps(move_mouth(landmarks, noise), share)
        bottom = self.noise_at_bottom(noise)
        points = landmarks.nan_to_num(UNKNOWN, UNKNOWN, UNKNOWN)
        undecided = self.draw_undecided(average, share, heat, bottom)
        kinds, other = choose_mouth(noise), noise.flatten(1).any(1).to(unseen)
        told = tellable(landmarks, unseen) * torch.stack([other, torch.ones_like(other)], 1)
        told = unseen * told[..., None, None]
        sketched = self.sketches.paint(average, undecided, move_mouth(points, noise), kinds, told)
        average = torch.where(told.any(), sketched, average)  # exported as a branch: mostly nothing is told
        once, again = self.draw_twice(average, share, heat, bottom)
        mean: Tensor = (once + again) / 2
        return mean

    def draw_undecided(self, average: Tensor, share: Tensor, heat: Tensor, bottom: Tensor) -> Tensor:
        """What is drawn without any sketch: once, of picture and mirrored picture the one that is brighter to
        the left, so that both have the same."""
        given, middle = (average, share, heat, bottom), average.shape[3] // 2
        bright = average.mean((1, 2))
        to_left = (bright[:, :middle].sum(1) > bright[:, middle:].sum(1))[:, None, None, None]
        drawn = self.complete(*(torch.where(to_left, *pair) for pair in zip(given, mirror(*given), strict=True)))
        return torch.where(to_left, drawn, drawn.flip(3))

    def draw_twice(self, average: Tensor, share: Tensor, heat: Tensor, bottom: Tensor) -> tuple[Tensor, Tensor]:
        """What is drawn of a small picture and, mirrored back, of the mirrored one."""
        given = (average, share, heat, bottom)
        both = self.complete(*(cat(pair) for pair in zip(given, mirror(*given), strict=True)))
        return both[: average.shape[0]], both[average.shape[0] :].flip(3)

    def noise_at_bottom(self, noise: Tensor) -> Tensor:
        """Noise (N, 1, H, W) as it joins at the bottom of *small*."""
        return F.pixel_unshuffle(noise, FACTOR * self.small.step)[:, : self.small.noise.in_channels]

    def complete(self, average: Tensor, share: Tensor, heat: Tensor, bottom: Tensor) -> Tensor:
        """The small picture, drawn once, from its own pixels and heat maps."""
        drawn = self.small(average, share, heat, bottom)
        completed: Tensor = drawn * share + average * (1 - share)
        return completed.clamp(-1, 1)

    def refine(self, image: Tensor, mask: Tensor, coarse: Tensor) -> Tensor:
        """The filled picture from the enlarged small one."""
        filled: Tensor = coarse + self.detail(cat([image, mask, coarse], 1))
        return filled


class DrawnOnce(SmallAndDetail):
    """The same for a film's frames: *small* draws once, and is told no sketch."""

    def draw(self, image: Tensor, mask: Tensor, landmarks: Tensor, noise: Tensor) -> Tensor:
        average, share = shrink(image, mask)
        return self.complete(average, share, heat_maps(landmarks, share), self.noise_at_bottom(noise))


def mirror(average: Tensor, share: Tensor, heat: Tensor, bottom: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What *small* is given of the mirrored picture."""
    return average.flip(3), share.flip(3), heat[:, MIRRORED].flip(3), bottom.flip(3)


def shrink(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The average of each block's known pixels, 0 where hardly any is known, and the share of it that is missing.

    image: (N, 3, H, W), 0 in the hole.
    """
    share = F.avg_pool2d(mask, FACTOR)
    average = F.avg_pool2d(image, FACTOR) / (1 - share).clamp_min(1e-6)
    return torch.where(share > UNSEEN, 0.0, average), share


def hidden(share: Tensor) -> Tensor:
    """1 where of a block too little is known to tell anything."""
    return (share > UNSEEN).to(share.dtype)


def fade_corners(small: Tensor, share: Tensor, corners: Tensor) -> Tensor:
    """The small picture (N, 3, h, w) with hidden corners (N, 2, 2) of the mouth less dark. Where they are is known, not
    what is between them: the mean of all mouths has a dark spot at either, which *detail* would make a knot."""
    bright = luminance(small)
    around = bright
    for _ in range(2):  # about a Gaussian of two pixels
        around = F.avg_pool2d(around, 5, 1, 2, count_include_pad=False)
    place = heat_maps(corners, share).amax(1, keepdim=True) ** (REACH / CORNER) ** 2
    faded = FADED[0] + (FADED[1] - FADED[0]) * is_smiling(bright, corners)
    return small + faded * place * share * F.relu(around - bright)


def is_smiling(bright: Tensor, corners: Tensor) -> Tensor:
    """(N, 1, 1, 1), from 0, a mouth between corners (N, 2, 2) that is closed, to 1, in a luma picture (N, 1, h, w)."""
    middle, along = corners.mean(1), corners[:, 1] - corners[:, 0]
    aside, down = CHEEKS[0] * along, CHEEKS[1] * turn(along)
    maps = heat_maps(torch.stack([middle, middle + down - aside, middle + down + aside], 1), bright)
    mouth, *cheeks = ((maps * bright).sum((2, 3)) / maps.sum((2, 3)).clamp_min(1)).unbind(1)
    brighter = mouth - (cheeks[0] + cheeks[1]) / 2
    share: Tensor = ((brighter - SMILING[0]) / (SMILING[1] - SMILING[0])).clamp(0, 1)
    return share[:, None, None, None]


def brightest_near(small: Tensor) -> Tensor:
    """(N, 3, H, W): of each channel the most that the small picture has around, and `BRIGHTER`. What is to sharpen the
    edge of a soft jaw would else leave a pale rim on the wall behind it."""
    return enlarge(F.max_pool2d(small, 3, 1, 1) + BRIGHTER, BILINEAR)


def is_grey(image: Tensor, mask: Tensor) -> Tensor:
    """(N, 1, 1, 1): whether the known pixels of each picture have no colour."""
    known = 1 - mask
    chroma = (image.amax(1, keepdim=True) - image.amin(1, keepdim=True)) * known
    grey: Tensor = chroma.sum((2, 3), keepdim=True) < GREY * known.sum((2, 3), keepdim=True)
    return grey
