"""Critics: networks that tell completed pictures from true ones, and the adversarial losses that go with them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, cat, nn

from facefill.nets.layers import Down, Residual, Sizes, conv

ROUGHEN = 0.05
"""Standard deviation of the noise, on [-1, 1], under which a critic's scores should stay."""
SHIFT, TONE, CONTRAST, TINT = 1 / 12, 0.2, 0.25, 0.075
"""How far at most `move_and_tone` goes: over the side; on [-1, 1]; as a factor; on [-1, 1] for each channel."""


class ResidualCritic(nn.Module):
    """Scores patches of (N, inputs, H, W) at 1/8 and at 1/16 of the size, (N, 1, h, w) each.

    widths: channels at 1/2, 1/4, 1/8 and 1/16 of the side. Neither normalised nor spectrally so: a critic bounded in
    that way stayed near chance on completed faces where such a one told 87 of 100 pairs after 13,000.
    """

    def __init__(self, inputs: int, widths: Sizes) -> None:
        super().__init__()
        self.stem = conv(4 * inputs, widths[0])
        self.blocks = nn.ModuleList(Residual(width) for width in widths)
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))
        scores = [conv(width, 1) for width in widths[-2:]]
        for score in scores:
            nn.init.normal_(score.weight, std=0.01)
        self.scores = nn.ModuleList(scores)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.blocks[0](self.stem(F.pixel_unshuffle(x, 2)))
        passed = []
        for down, block in zip(self.downs, self.blocks[1:], strict=True):
            x = block(down(x))
            passed.append(x)
        return [score(F.leaky_relu(x, 0.2)) for score, x in zip(self.scores, passed[-2:], strict=True)]


def share_of_hole(mask: Tensor, scores: Tensor) -> Tensor:
    """How much of each patch is missing, (N, 1, h, w) in [0, 1]: the weight of that patch's score."""
    return F.adaptive_avg_pool2d(mask, (scores.shape[-2], scores.shape[-1]))


def relative_loss(better: Sequence[Tensor], worse: Sequence[Tensor], mask: Tensor) -> Tensor:
    """softplus(worse - better) of each patch, weighed by its share of the hole, summed over maps, the mean over
    pictures: a true picture is judged beside the completion of the same one, place by place (Jolicoeur-Martineau 2019;
    Huang et al. 2024, "The GAN is dead", equation 2)."""
    return sum_over_maps([F.softplus(b.float() - a.float()) for a, b in zip(better, worse, strict=True)], mask).mean()


def sum_over_maps(values: list[Tensor], mask: Tensor) -> Tensor:
    """The sum over maps (N, 1, h, w) of the mean over patches, weighted by their share of the hole, (N,)."""
    means = []
    for at in values:
        weight = share_of_hole(mask, at)
        means.append((at * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(0.05))
    return torch.stack(means).sum(0)


def move_and_tone(pictures: list[Tensor], others: Tensor, seeds: Tensor) -> tuple[list[Tensor], Tensor]:
    """Pictures (N, 3, H, W) and what belongs to them (N, C, H, W), moved, and the pictures brightened, contrasted and
    tinted, each by its seed and all alike, so that a critic does not learn a few faces by heart (Zhao et al. 2020,
    "Differentiable augmentation")."""
    side = others.shape[-1]
    reach = round(SHIFT * side)
    together = cat([*(picture.float() for picture in pictures), others], 1)
    padded = F.pad(together, (reach,) * 4, mode="reflect")
    moved, factors, tones = [], [], []
    for planes, seed in zip(padded, seeds.tolist(), strict=True):
        generator = torch.Generator().manual_seed(seed + 3)
        across, down = (int(n) for n in torch.randint(0, 2 * reach + 1, (2,), generator=generator))
        contrast, tone, *tint = (2 * torch.rand(5, generator=generator) - 1).tolist()
        moved.append(planes[:, down : down + side, across : across + side])
        factors.append(1 + CONTRAST * contrast)
        tones.append([TONE * tone + TINT * channel for channel in tint])
    cut = torch.stack(moved)
    factor, added = cut.new_tensor(factors)[:, None, None, None], cut.new_tensor(tones)[:, :, None, None]
    channels = 3 * len(pictures)
    toned = [part * factor + added for part in torch.split(cut[:, :channels], 3, 1)]
    return toned, cut[:, channels:]


def feature_distance(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """Mean over layers of the mean absolute difference of their features (Wang et al. 2018, equation 4)."""
    layers = zip(fake, real, strict=True)
    return torch.stack([(a - b).abs().mean(dtype=torch.float32) for a, b in layers]).mean()
