"""Soft mouths and eyes that *small* is told where it cannot see any: sketches that it draws out.

While *small* learns, the sketch of a hidden part is the truth's own, blurred, and means of those are kept: of each kind
of mouth and of both eyes, for three turns of the head. When it has learnt, the eyes become those of a few typical faces
(`facefill settle`). Then the sketch is painted into the hole, in the tone of the skin that a first drawing without any
has there: eyes, so that both are alike, and a mouth if noise chooses one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.nets.hints import KINDS, TURNS, blur, in_small, kind_of, luminance, share_of_turns, side_of_turn, turn

SOFT = 0.7
"""Standard deviation of a kept sketch in pixels of the small picture. What it has beside the skin's tone is kept,
relative to how bright that is."""
WIDE = (9, 11, 9)
"""Sides of the means that make the tone, one of another: nearly a Gaussian of 4.8 pixels, and compiled at once, where
OpenVINO takes minutes for one of more than 13."""
DARKEST = 1.1
"""Is added to that brightness, which is on [-1, 1]."""
CLEARER_MOUTHS = 1.2, 2.0, 1.1
"""How much stronger means of each kind of mouth are painted than they are: a mean is softer than one, most of all that
of smiles, whose teeth are not in one place. Chosen by eye."""
OPEN = 0.12
"""Kept are eyes that are at least so much darker in the middle than beside it; others squint."""
TYPICAL = 4
"""Power of the cosine between a mouth and the mean that says how far the mean follows it."""
TYPICAL_EYES, TYPICAL_SOFT, TYPICAL_SHARE = 400, 0.4, 0.7
"""Pairs whose mean becomes the sketch, the standard deviation that they are blurred with, and how much of it is kept,
by eye. A mean of thousands has no white, and brows without an edge; one of fewer, or all of it, looks made-up."""
TURNED_ALIKE, WIDE_OPEN, EVENLY = 0.7, 0.15, 0.3
"""They are at least so far of a turn, and so open, where enough are; from the front, how alike both eyes are weighs so
much beside their cosine with the mean."""
RATE = 1e-3
"""How far a mean goes towards each that is seen."""
SOFTEST, STRENGTH, TINT, GRAIN, SHIFT = 1.8, (0.6, 1.3), 0.03, 0.06, 1
"""How the truth's own sketches differ from each other: standard deviations of up to so many pixels, contrast between
these two, standard deviations of a tint of the whole and of noise, and pixels by which they are moved."""


@dataclass(frozen=True)
class Part:
    """A part of the face in a frame of its own: from the viewer's left to the right along x, in units of an axis."""

    along: tuple[int, int]
    """The landmarks between which the axis runs."""
    middle: tuple[int, ...]
    """The landmarks around whose mean it lies."""
    wide: float
    """Half its width, over the axis."""
    high: float
    """Half its height, over the axis."""
    down: float
    """How far its middle is below that of the landmarks, over the axis."""
    size: tuple[int, int]
    """Rows and columns of its sketch."""
    edge: float
    """Where it has faded, over half of the size."""
    fade: float
    """Over how much of half the size it fades."""

    def places(self, landmarks: Tensor, like: Tensor) -> Tensor:
        """(N, h, w, 2): where in the part each pixel of a small picture (N, C, h, w) is, on [-1, 1] within."""
        points = in_small(landmarks)
        axis = points[:, self.along[1]] - points[:, self.along[0]]
        middle = points[:, self.middle].mean(1)
        x = torch.cumsum(torch.ones_like(like[:, :1]), 3) - 1 - middle[:, 0, None, None, None]
        y = torch.cumsum(torch.ones_like(like[:, :1]), 2) - 1 - middle[:, 1, None, None, None]
        right, below = (axis[:, index, None, None, None] for index in (0, 1))
        square = axis.square().sum(1).clamp_min(1)[:, None, None, None]
        u, v = (x * right + y * below) / square, (y * right - x * below) / square
        return torch.cat([u / self.wide, (v - self.down) / self.high], 1).permute(0, 2, 3, 1)

    def window(self, places: Tensor) -> Tensor:
        """(N, 1, h, w): 1 within the part, fading to 0 at its edge."""
        return ((self.edge - places.abs().amax(3)) / self.fade).clamp(0, 1)[:, None]

    def cut(self, small: Tensor, landmarks: Tensor) -> Tensor:
        """(N, C, rows, columns): the part of small pictures."""
        points = in_small(landmarks)
        axis = (points[:, self.along[1]] - points[:, self.along[0]])[:, None, None]
        rows, columns = (torch.linspace(-1, 1, count, device=small.device) for count in self.size)
        right = self.wide * columns[None, None, :, None]
        below = (self.high * rows + self.down)[None, :, None, None]
        where = points[:, self.middle].mean(1)[:, None, None] + right * axis + below * turn(axis)
        on = (where + 0.5) / small.new_tensor((small.shape[3], small.shape[2])) * 2 - 1
        return F.grid_sample(small, on, padding_mode="border", align_corners=False)


MOUTH = Part((3, 4), (3, 4), 0.75, 0.5, 0.0, (16, 24), 0.95, 0.2)
EYES = tuple(Part((0, 1), (eye,), 0.36, 0.3, -0.06, (16, 16), 1.0, 0.25) for eye in (0, 1))


class Sketches(nn.Module):
    """The means: of mouths for each kind and turn of the head, of both eyes for each turn; of a head that is turned to
    the viewer's right, else they are mirrored."""

    mouths: Tensor
    eyes: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Kinds and turns, eyes and turns in one dimension: four can lie channels last in memory, five cannot.
        self.register_buffer("mouths", torch.zeros(len(KINDS) * len(TURNS), 3, *MOUTH.size))
        self.register_buffer("eyes", torch.zeros(len(EYES) * len(TURNS), 3, *EYES[0].size))

    def paint(self, average: Tensor, undecided: Tensor, landmarks: Tensor, kinds: Tensor, told: Tensor) -> Tensor:
        """Small pictures (N, 3, h, w) with the kept sketches in it.

        undecided: what was drawn of them without any. kinds: (N, K), how much of each kind of mouth. told:
        (N, 2, h, w), 1 where the mouth and where the eyes may be painted.
        """
        turns, left = share_of_turns(landmarks), side_of_turn(landmarks) < 0
        none = torch.zeros_like(turns)
        much = kinds * kinds.new_tensor(CLEARER_MOUTHS)
        mix = "nm,mcyx->ncyx"
        mouth = torch.einsum(mix, (much[..., None] * turns[:, None]).flatten(1), self.mouths)
        eyes = [torch.einsum(mix, torch.cat(shares, 1), self.eyes) for shares in ((turns, none), (none, turns))]
        tone = tone_of(undecided)
        bright = luminance(tone) + DARKEST
        ways = ((MOUTH, mouth, mouth), (EYES[0], eyes[0], eyes[1]), (EYES[1], eyes[1], eyes[0]))
        for index, (part, sketch, mirrored) in enumerate(ways):
            drawn = torch.where(left[:, None, None, None], mirrored.flip(3), sketch)
            places = part.places(landmarks, average)
            beside = bright * F.grid_sample(drawn, places, padding_mode="border", align_corners=True)
            may = told[:, 1:] if index else told[:, :1]
            average = average.lerp(tone + beside, part.window(places) * may)
        return average

    @torch.no_grad()
    def learn(self, small: Tensor, landmarks: Tensor) -> None:
        """Move the means towards the mouths and eyes of small pictures (N, 3, h, w) whose landmarks are known."""
        relative, left = _relative(small, SOFT), (side_of_turn(landmarks) < 0)[:, None, None, None]
        mouth = MOUTH.cut(relative, landmarks)
        mouth = torch.where(left, mouth.flip(3), mouth)
        turns, eyes = share_of_turns(landmarks), _eyes(relative, landmarks)
        mouths, both = _split(self.mouths, len(KINDS)), _split(self.eyes, len(EYES))
        _follow(mouths, kind_of(small, landmarks), turns, mouth, (mouth + mouth.flip(3)) / 2)
        open_eyes = (openness(eyes[0]) + openness(eyes[1]) > 2 * OPEN).to(small)[:, None]
        for index, (eye, frontal) in enumerate(zip(eyes, _even(eyes), strict=True)):
            _follow(both[index : index + 1], open_eyes, turns, eye, frontal)

    @torch.no_grad()
    def keep_typical_eyes(self, small: Tensor, landmarks: Tensor) -> None:
        """Replace the means of eyes by those of the few among small pictures (N, 3, h, w) that are most like them."""
        turns, eyes = share_of_turns(landmarks), _eyes(_relative(small, SOFT), landmarks)
        clear = _eyes(_relative(small, TYPICAL_SOFT), landmarks)
        wide = openness(eyes[0]) + openness(eyes[1])
        even = F.cosine_similarity(eyes[0].flatten(1), eyes[1].flip(3).flatten(1))
        both = _split(self.eyes, len(EYES))
        for turn_of in range(len(TURNS)):
            pairs = zip(eyes, both[:, turn_of], strict=True)
            like = sum(F.cosine_similarity(eye.flatten(1), mean.flatten()[None]) for eye, mean in pairs) / len(EYES)
            unfit = (turns[:, turn_of] < TURNED_ALIKE).to(small) + (wide < 2 * WIDE_OPEN).to(small)
            score = like + EVENLY * even * (turn_of == 0) - 10 * unfit  # who does not fit comes where too few do
            best = score.topk(min(TYPICAL_EYES, len(small))).indices
            for index, (eye, frontal) in enumerate(zip(clear, _even(clear), strict=True)):
                both[index, turn_of] = TYPICAL_SHARE * (eye if turn_of else frontal)[best].mean(0)


def _relative(small: Tensor, soft: float) -> Tensor:
    """What small pictures have beside the tone of the skin, blurred, over how bright that is."""
    tone = tone_of(small)
    return (blur(small, soft) - tone) / (luminance(tone) + DARKEST)


def _eyes(relative: Tensor, landmarks: Tensor) -> list[Tensor]:
    """Both eyes, as of heads that are turned to the viewer's right."""
    left = (side_of_turn(landmarks) < 0)[:, None, None, None]
    eyes = [part.cut(relative, landmarks) for part in EYES]
    return [torch.where(left, other.flip(3), eye) for eye, other in (eyes, eyes[::-1])]


def _even(eyes: list[Tensor]) -> tuple[Tensor, Tensor]:
    alike = (eyes[0] + eyes[1].flip(3)) / 2
    return alike, alike.flip(3)


def _split(means: Tensor, count: int) -> Tensor:
    """A view of means of so many kinds or eyes and each turn with a dimension for either."""
    return means.view(count, len(TURNS), *means.shape[1:])


def tone_of(picture: Tensor) -> Tensor:
    """What is left of small pictures without their parts: skin and light."""
    for side in WIDE:
        picture = F.avg_pool2d(F.pad(picture, (side // 2,) * 4, mode="replicate"), side, 1)
    return picture


def openness(eyes: Tensor) -> Tensor:
    """(N,): how much darker the middle of eyes (N, 3, 16, 16) is than the white to its left and right."""
    row = luminance(eyes)[:, 0, 8:11].mean(1)
    return (row[:, 3:6].mean(1) + row[:, 10:13].mean(1)) / 2 - row[:, 7:9].mean(1)


def _follow(means: Tensor, kinds: Tensor, turns: Tensor, seen: Tensor, frontal: Tensor) -> None:
    """Move means (K, 3, ...) towards pictures (N, ...), each as far as it is of a kind (N, K) and a turn (N, 3), and
    like them: of mouths that differ much a mean is none."""
    for index, pictures in enumerate((frontal, seen, seen)):
        mean = means[:, index].flatten(1)
        alike = F.cosine_similarity(pictures.flatten(1)[:, None], mean, dim=2).clamp_min(0) ** TYPICAL
        share = kinds * turns[:, index, None] * torch.where(mean.any(1), alike, 1.0)
        towards, much = torch.einsum("nk,ncyx->kcyx", share, pictures), share.sum(0)
        if torch.distributed.is_available() and torch.distributed.is_initialized():  # each process sees its part
            torch.distributed.all_reduce(towards)
            torch.distributed.all_reduce(much)
        means[:, index] += RATE * (towards - much[:, None, None, None] * means[:, index])


def trace(average: Tensor, truth: Tensor, landmarks: Tensor, told: Tensor, seeds: Tensor) -> Tensor:
    """Small pictures (N, 3, h, w) with the truth's own mouth and eyes in it as sketches, a little different each.

    told: (N, 2, h, w), 1 where the mouth and where the eyes may be painted.
    """
    tone, sharpest, softest = tone_of(truth), blur(truth, 1.0), blur(truth, SOFTEST)
    drawn = []
    for index, seed in enumerate(seeds.tolist()):
        generator = torch.Generator().manual_seed(seed + 5)
        soft, strong = torch.rand(2, generator=generator).tolist()
        tint, grain = (torch.randn(3, *size, generator=generator).to(truth) for size in ((1, 1), truth.shape[2:]))
        sketch = sharpest[index].lerp(softest[index], soft) - tone[index]
        sketch = tone[index] + (STRENGTH[0] + strong * (STRENGTH[1] - STRENGTH[0])) * sketch
        sketch = sketch + TINT * tint + GRAIN * blur(grain[None], 1.0)[0]
        moved = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
        drawn.append(torch.roll(sketch, moved, (1, 2)))
    mouth, *eyes = (part.window(part.places(landmarks, average)) for part in (MOUTH, *EYES))
    where = torch.maximum(mouth * told[:, :1], torch.maximum(*eyes) * told[:, 1:])
    return average.lerp(torch.stack(drawn), where)
