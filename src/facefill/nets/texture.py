"""Texture that a network leaves out of what it draws: sharp features, and grain.

Grain, the fine unevenness of skin, film and sensor, is measured on the known skin of the picture, and as much as a
completion lacks is laid over it. Both are added to all channels alike, so that no colour comes of them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, cat

from facefill.nets.enlargement import BILINEAR, enlarge
from facefill.nets.hints import FACTOR, luminance, near
from facefill.nets.layers import highest

Ellipse = tuple[tuple[float, float], tuple[float, float]]
SOFT, NEAR_PX = 1.4, 5
"""What is finer than a Gaussian of that many pixels is made stronger, in the range of the square of so many pixels
around, so that no rim comes beside an edge."""
SHARPER, BESIDE = 1.7, 0.35
"""How much stronger, within and beside `FEATURES`: jaws and hair, which are soft where nothing tells their place, would
be ragged."""
FEATURES = (0.5, 0.56), (0.22, 0.28)
"""Middle and half axes of an ellipse around eyes and mouth of the aligned face, (across, down)."""
COMB = 0.7
"""Standard deviation in pixels of the Gaussian that smooths all that *detail* adds: lips are striped in its blocks."""
NOTCHES = 1.1
"""The same for what is beside `FEATURES`: notches in jaws are as wide as a pixel of the small picture."""
CORNER, SOFTER = 2.2, 0.8
"""Standard deviation of a place around a corner of the mouth, in pixels of the small picture, and how far what is drawn
there is as soft as what is beside features: or dark corners become blocks."""
FADE = 5
"""Nothing is sharper at the hole's edge, and all from half so many small pixels inside."""
FINE, COARSE = 0.8, 1.6
"""Standard deviations in pixels of the Gaussians between which grain is measured: finer than the first, and between."""
LEVEL = 2 / 255
"""A grey level on [-1, 1]."""
LEAST = 0.3 * LEVEL
"""Grain that is hardly seen. Of the variances around all pixels the harmonic mean with this one's square is taken: it
is that of plain skin, whatever edges there are."""
SHARE, MOST = 0.85, 6 * LEVEL
"""So much of what is lacking is laid over it, by eye, and at most grain of that standard deviation."""
TONE, SHADE = 0.06, 0.5
"""Distance from the mean skin at which something is hardly skin any more: of the shares of red, green and blue in a
colour, and of the logarithm of its brightness."""
FACE = (0.5, 0.55), (0.3, 0.37)
"""Middle and half axes of an ellipse in the aligned face, (across, down), in which skin is looked for."""
EDGE = 2
"""Small pixels beside the hole that tell nothing: what is known there is blended with the cover."""
FEW = 12.0
"""Small pixels of skin from which the measure is half trusted."""
TILE_PX = 128
"""Side of the noise that is repeated."""


def _gaussians(*sigmas: float) -> Tensor:
    """(S, 1, 1, K), along a row, as wide as the widest needs."""
    radius = math.ceil(3 * max(sigmas))
    away = torch.arange(-radius, radius + 1.0)
    lines = torch.stack([torch.exp(-((away / sigma) ** 2) / 2) for sigma in sigmas])
    return (lines / lines.sum(1, keepdim=True))[:, None, None]


GAUSSIANS = _gaussians(FINE, SOFT, COARSE)
AROUND = GAUSSIANS.shape[3] // 2
SMOOTH = _gaussians(COMB, NOTCHES)


def _blurred(padded: Tensor) -> tuple[Tensor, ...]:
    """(N, 1, H, W) each, what is `AROUND` wider under each Gaussian."""
    lines = GAUSSIANS.to(padded)
    return F.conv2d(F.conv2d(padded, lines), lines.mT, groups=3).chunk(3, 1)


def _noise() -> Tensor:
    """(1, 2, T, T): random values of both kinds of grain, tiled without a seam, with standard deviation 1."""
    white = torch.randn((1, 1, TILE_PX, TILE_PX), generator=torch.Generator().manual_seed(3))
    fine, _, coarse = _blurred(F.pad(white, (AROUND,) * 4, mode="circular"))
    parts = cat([white - fine, fine - coarse], 1)
    return (parts / parts.std((2, 3), keepdim=True)).half().float()  # as it is stored in an exported file


NOISE = _noise()


def sharp_places(like: Tensor, corners: Tensor) -> Tensor:
    """(N, 1, H, W), like a mask: 1 at eyes, nose and mouth of the aligned face, 0 beside them, and little at the
    corners of the mouth (N, 2, 2), nan where unknown."""
    place = enlarge(near(corners, F.avg_pool2d(like, FACTOR), CORNER), BILINEAR)
    return at_features(like) * (1 - SOFTER * place)


def at_features(like: Tensor) -> Tensor:
    """(1, 1, H, W), 1 at eyes, nose and mouth of the aligned face, 0 beside them."""
    return ((1.25 - _away(FEATURES, like)) * 2).clamp(0, 1)


def smooth(added: Tensor, mask: Tensor, sharp: Tensor) -> Tensor:
    """What *detail* adds (N, 3, H, W), its luma smoothed over missing pixels (N, 1, H, W), more where not sharp."""
    with torch.autocast(added.device.type, enabled=False):
        added = added.float()
        bright, lines = luminance(added), SMOOTH.to(added).repeat(2, 1, 1, 1)
        both = F.pad(cat([bright * mask, mask], 1), (SMOOTH.shape[3] // 2,) * 4)
        sums, weights = F.conv2d(F.conv2d(both, lines, groups=2), lines.mT, groups=4).chunk(2, 1)
        little, much = (sums / weights.clamp_min(1e-3)).chunk(2, 1)
        return added + torch.lerp(much, little, sharp) - bright


def add_texture(image: Tensor, mask: Tensor, small: Tensor, filled: Tensor, sharp: Tensor) -> Tensor:
    """The filled picture (N, 3, H, W) with the texture that it lacks.

    image: (N, 3, H, W) on [-1, 1], 0 in the hole. mask: (N, 1, H, W), 1 = missing. small: (N, 3, h, w), the completed
    small picture. sharp: see `sharp_places`.
    """
    whole, share = luminance(torch.lerp(image, filled, mask)), F.avg_pool2d(mask, FACTOR)
    fine, soft, coarse = _blurred(F.pad(whole, (AROUND,) * 4, mode="replicate"))
    grain = cat([whole - fine, fine - coarse], 1)
    return filled + _sharpening(whole, whole - soft, share, sharp) + _grain(grain, share, small)


def _sharpening(whole: Tensor, edges: Tensor, share: Tensor, sharp: Tensor) -> Tensor:
    """(N, 1, H, W), what makes features in the hole of a luma picture sharper."""
    inside = enlarge((2 * F.avg_pool2d(share, FADE, 1, FADE // 2) - 1).clamp(0, 1), BILINEAR)
    more = inside * (BESIDE + (SHARPER - BESIDE) * sharp) * edges
    most, least = highest(whole, NEAR_PX), -highest(-whole, NEAR_PX)
    return torch.maximum(torch.minimum(more, most - whole), least - whole)


def _grain(grain: Tensor, share: Tensor, small: Tensor) -> Tensor:
    """(N, 1, H, W), what the hole lacks of both kinds (N, 2, H, W)."""
    height, width = grain.shape[2:]
    variance = F.avg_pool2d(grain.square(), 2 * FACTOR, FACTOR, FACTOR // 2)
    skin, face, inside = see_skin(small, share)
    known = skin * face * (1 - F.max_pool2d((share > 0).to(share), 2 * EDGE + 1, 1, EDGE))
    wanted, there = (_plain(variance, weight) for weight in (known, skin * inside))
    trusted = torch.minimum(*(weight.sum((1, 2, 3)) for weight in (known, inside)))
    lacking = (SHARE * F.relu(wanted - there).sqrt()).clamp(max=MOST) * (trusted / (trusted + FEW))[:, None]
    times = math.ceil(height / TILE_PX), math.ceil(width / TILE_PX)
    noise = NOISE.to(grain).repeat(1, 1, *times)[..., :height, :width]
    return (lacking[..., None, None] * noise).sum(1, keepdim=True) * enlarge(F.avg_pool2d(skin, 3, 1, 1), BILINEAR)


def see_skin(small: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How much each pixel of a completed small picture (N, 3, h, w) has the colour of drawn skin, (N, 1, h, w), which
    pixels are the aligned face, and which of these are drawn, with nothing known beside them."""
    face = (_away(FACE, small) <= 1).to(small)
    inside = face * (1 - F.max_pool2d(1 - share, 3, 1, 1))
    tone = (small * inside).sum((2, 3), keepdim=True) / inside.sum((2, 3), keepdim=True).clamp_min(1e-3)
    return _alike(small, tone), face, inside


def _away(ellipse: Ellipse, like: Tensor) -> Tensor:
    """(1, 1, H, W), how far each pixel is from the middle of an ellipse, over its half axis in that direction."""
    (x, y), (across, down) = ellipse
    columns, rows = ((torch.arange(count).to(like) + 0.5) / count for count in (like.shape[3], like.shape[2]))
    return (((columns - x) / across).square() + ((rows[:, None] - y) / down).square()).sqrt()[None, None]


def _alike(small: Tensor, tone: Tensor) -> Tensor:
    """(N, 1, h, w), 1 where something has the colour of the tone, and 0 far from it."""
    (shares, brightness), (skin, bright) = (_colour(colour) for colour in (small, tone))
    apart = (shares - skin).abs().sum(1, keepdim=True) / TONE
    darker = (brightness - bright) / SHADE
    return torch.exp(-(apart.square() + darker.square()))


def _colour(colour: Tensor) -> tuple[Tensor, Tensor]:
    """What share of a colour is red, green and blue, and the logarithm of their sum."""
    light = (colour + 1) / 2 + 0.02
    total = light.sum(1, keepdim=True)
    return light / total, total.log()


def _plain(variance: Tensor, weight: Tensor) -> Tensor:
    """(N, 2), the variance of both kinds of grain where there is little else."""
    least = LEAST**2
    inverse = (weight / (variance + least)).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-3)
    return F.relu(1 / inverse.clamp_min(1e-3) - least)
