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
from facefill.nets.hints import FACTOR, UNKNOWN, UNSEEN, choose_mouth, heat_maps, luminance, move_mouth, tellable
from facefill.nets.layers import UNet
from facefill.nets.mending import mend
from facefill.nets.sketches import Sketches
from facefill.nets.texture import add_texture, sharp_places, smooth

STEP = FACTOR * 16
"""The picture's side is a multiple of this: the small network halves its picture four times."""
POINTS = 5
"""Landmarks: the viewer's left and right eye, the nose, the left and right corner of the mouth."""
BRIGHTER = 4 / 127.5
"""How much brighter than the small picture around it *detail* may make something, on [-1, 1]."""
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
        points = move_mouth(landmarks, noise)
        small = mend(small, F.avg_pool2d(mask, FACTOR), points)
        most, sharp = brightest_near(small), sharp_places(mask, points[:, 3:])
        filled = torch.minimum(self.refine(image, mask, enlarge(small), sharp), most)
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

    def refine(self, image: Tensor, mask: Tensor, coarse: Tensor, sharp: Tensor) -> Tensor:
        """The filled picture from the enlarged small one. sharp: see `texture.sharp_places`."""
        added: Tensor = self.detail(cat([image, mask, coarse], 1))
        return coarse + smooth(added, mask, sharp)


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
