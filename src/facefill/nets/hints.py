"""What *small* is told of a face that it cannot see: where the landmarks are, and how parts look.

A hidden mouth may be open, closed or smiling. Asked for one picture of all of them, a network draws something between;
told which, as a sketch (`sketches.py`), it draws that one. Points are in pixels of the full picture, a small one has a
quarter of its side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, cat

FACTOR = 4
"""Pixels of the picture on a pixel of the small one, along each side."""
UNKNOWN = -1e4
"""Where an unknown landmark is put: its heat map is 0."""
REACH = 2.0
"""Standard deviation of a landmark's heat map in pixels of the small picture."""
UNSEEN = 31.5 / 32
"""Where more than this share of a block is missing, its average tells nothing."""
WIDER, LOWER = 0.04, 0.04
"""How far noise moves the corners of the mouth at one standard deviation, over the distance of the eyes. Mouths differ
in width by 0.04 and in height by 0.05 (1,832 frontal faces that learn); moved six times as far, the face turns pale."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luminance (ITU-R BT.601)."""

Box = tuple[float, float, float, float]
"""Left, right, top and bottom beside a place, over the distance that goes with it."""
MIDDLE: Box = (-0.22, 0.22, -0.06, 0.16)
CHEEKS: tuple[Box, Box] = ((-0.75, -0.6, -0.35, -0.1), (0.6, 0.75, -0.35, -0.1))
"""Around the middle of the mouth, over its width."""
USUAL = ((-0.112, 0.23), (0.027, 0.089))
"""Mean and standard deviation of what `see_mouth` measures, on [-1, 1], over 4,000 faces that learn."""
KINDS = ((-torch.inf, -0.1, 0.2, torch.inf), (0.6, torch.inf, -torch.inf, -0.2), (-torch.inf, -0.9, -torch.inf, -0.5))
"""Mouths that are closed, smile and are open: least and most of how bright and how red their middle is, in standard
deviations."""
DECIDED = 10.0
"""By how much a standard deviation of noise changes the logarithm of the odds of a kind."""
TURNS = (0.04, 0.185, 0.33)
"""How far the nose is beside the middle, over the distance of the eyes, of faces as the three kept sketches show."""
HIDDEN = 0.9
"""A part's looks are told where this share of it is hidden: a mouth half seen has its own."""
PROFILE = 0.5
"""Where the nose is further than this from the middle, over the distance of the eyes, nothing is told of the mouth."""


def heat_maps(landmarks: Tensor, like: Tensor) -> Tensor:
    """(N, points, h, w), a Gaussian of `REACH` around each landmark (N, points, 2), in pixels of the full picture.

    like: (N, 1, h, w), any tensor of the small picture's size.
    """
    places = in_small(landmarks.nan_to_num(UNKNOWN, UNKNOWN, UNKNOWN))[..., None]
    # Counted from the tensor itself, so that an exported file does it for any size.
    across = torch.cumsum(torch.ones_like(like[:, :, 0]), -1) - 1
    down = torch.cumsum(torch.ones_like(like[:, :, :, 0]), -1) - 1
    x, y = (torch.exp(-((line - places[:, :, axis]) / REACH).square() / 2) for axis, line in enumerate((across, down)))
    return y[..., None] * x[..., None, :]


def near(places: Tensor, like: Tensor, deviation: float) -> Tensor:
    """(N, 1, h, w), how near the next of some places (N, P, 2) is: 1 at it, a Gaussian of that standard deviation in
    pixels of the small picture around. like: see `heat_maps`."""
    nearest: Tensor = heat_maps(places, like).amax(1, keepdim=True)
    return nearest ** (REACH / deviation) ** 2


def move_mouth(landmarks: Tensor, noise: Tensor) -> Tensor:
    """Landmarks (N, 5, 2) with the corners of the mouth moved, over the distance of the eyes: by `WIDER` apart and half
    as much up, as in a smile, and by `LOWER` down, each times a number of its own of the noise (N, 1, H, W)."""
    across = landmarks[:, 1] - landmarks[:, 0]
    down = turn(across)
    apart, lower = (WIDER * noise[:, 0, 0, :1], LOWER * noise[:, 0, 0, 1:2])
    aside, below = apart * across, (lower - apart / 2) * down
    moved = landmarks[:, 3:] + torch.stack([below - aside, below + aside], 1)
    return cat([landmarks[:, :3], moved], 1)


def choose_mouth(noise: Tensor) -> Tensor:
    """(N, 3): how much of each kind of mouth numbers of the noise (N, 1, H, W) choose."""
    return torch.softmax(DECIDED * noise[:, 0, 0, 2:5], 1)


def see_mouth(small: Tensor, landmarks: Tensor) -> Tensor:
    """(N, 2), in standard deviations, of a small picture (N, 3, h, w): how bright and how red the middle of the mouth
    is beside the cheeks."""
    places = in_small(landmarks)
    mouth, wide = places[:, 3:].mean(1), places[:, 4] - places[:, 3]
    cheeks = (colour_of(small, mouth, wide, CHEEKS[0]) + colour_of(small, mouth, wide, CHEEKS[1])) / 2
    middle = colour_of(small, mouth, wide, MIDDLE) - cheeks
    measured = [luma(middle), middle[:, 0] - luma(middle)]
    usual = [(value - mean) / spread for value, (mean, spread) in zip(measured, USUAL, strict=True)]
    return torch.stack(usual, 1).nan_to_num(0).clamp(-2.5, 2.5)


def kind_of(small: Tensor, landmarks: Tensor) -> Tensor:
    """(N, 3), 1 where the mouth of a small picture is of that kind; of some it is none."""
    bright, red = see_mouth(small, landmarks)[..., None].unbind(1)
    low, high, least, most = small.new_tensor(KINDS).unbind(1)
    return ((bright >= low) & (bright <= high) & (red >= least) & (red <= most)).to(small)


def colour_of(small: Tensor, place: Tensor, along: Tensor, box: Box) -> Tensor:
    """(N, 3), the mean colour of a box beside a place (N, 2), its axes along (N, 2) and across, in small pixels."""
    x, y = (torch.linspace(*span, 5, device=small.device) for span in (box[:2], box[2:]))
    step_y, step_x = (steps.reshape(1, 25, 1) for steps in torch.meshgrid(y, x, indexing="ij"))
    places = place[:, None] + step_x * along[:, None] + step_y * turn(along)[:, None]
    where = (places + 0.5) / small.new_tensor((small.shape[3], small.shape[2])) * 2 - 1
    return F.grid_sample(small, where[:, None], padding_mode="border", align_corners=False).mean((2, 3))


def tellable(landmarks: Tensor, hidden: Tensor) -> Tensor:
    """(N, 2), 1 where the whole mouth, not a profile's, and both eyes are hidden (N, 1, h, w), else 0."""
    left, right, _, *corners = landmarks.nan_to_num(UNKNOWN, UNKNOWN, UNKNOWN).unbind(1)
    places = torch.stack([left, right, corners[0], (corners[0] + corners[1]) / 2, corners[1]], 1)
    maps = heat_maps(places, hidden)
    share = (maps * hidden).sum((2, 3)) / maps.sum((2, 3)).clamp_min(1)
    mouth = torch.where(side_of_turn(landmarks).abs() < PROFILE, share[:, 2:].amin(1), 0.0)
    return (torch.stack([mouth, share[:, :2].amin(1)], 1) > HIDDEN).to(hidden.dtype)


def side_of_turn(landmarks: Tensor) -> Tensor:
    """(N,): how far the nose is to the right of the middle of eyes and mouth, over the distance of the eyes."""
    across = landmarks[:, 1] - landmarks[:, 0]
    beside = landmarks[:, 2] - (landmarks[:, :2].mean(1) + landmarks[:, 3:].mean(1)) / 2
    return (beside * across).sum(1) / across.square().sum(1)


def share_of_turns(landmarks: Tensor) -> Tensor:
    """(N, 3): how near a face's turn is to each of `TURNS`; sums to 1."""
    beside = side_of_turn(landmarks).abs().nan_to_num(0)
    frontal = (1 - (beside - TURNS[0]) / (TURNS[1] - TURNS[0])).clamp(0, 1)
    far = ((beside - TURNS[1]) / (TURNS[2] - TURNS[1])).clamp(0, 1)
    return torch.stack([frontal, 1 - frontal - far, far], 1)


def in_small(landmarks: Tensor) -> Tensor:
    """Points of the full picture in pixels of the small one."""
    return (landmarks + 0.5) / FACTOR - 0.5


def turn(vectors: Tensor) -> Tensor:
    """Vectors (..., 2) a quarter turned: what goes right goes down."""
    return torch.stack([-vectors[..., 1], vectors[..., 0]], -1)


def luma(colours: Tensor) -> Tensor:
    return colours @ colours.new_tensor(LUMA)


def luminance(picture: Tensor) -> Tensor:
    """(N, 1, H, W): luma of pictures (N, 3, H, W)."""
    return (picture * picture.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def blur(picture: Tensor, sigma: float) -> Tensor:
    """Under a Gaussian of that standard deviation in pixels, edges repeated."""
    channels, radius = picture.shape[1], round(3 * sigma)
    away = torch.arange(-radius, radius + 1, device=picture.device, dtype=picture.dtype)
    line = torch.exp(-((away / sigma) ** 2) / 2)
    line = (line / line.sum()).expand(channels, 1, 1, -1)
    padded = F.pad(picture, (radius,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, line, groups=channels), line.mT, groups=channels)
