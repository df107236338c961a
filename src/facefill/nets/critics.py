"""Critics: networks that tell completed pictures from true ones, and the adversarial losses that go with them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from facefill.nets.layers import conv
from facefill.nets.losses import HOLE_SHARE


class PatchCritic(nn.Module):
    """Scores overlapping patches of (N, inputs, H, W) at 1/16 of the size (Isola et al. 2017), spectrally normalised
    (Miyato et al. 2018). Returns every layer's features and the (N, 1, H/16, W/16) scores last."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        self.stages = nn.ModuleList()
        before = 4 * inputs
        for index, after in enumerate(widths):
            layer = conv(before, after) if index == 0 else conv(before, after, kernel=4, stride=2)
            self.stages.append(spectral_norm(layer))
            before = after
        self.score = spectral_norm(conv(before, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        x = F.pixel_unshuffle(x, 2)
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
            features.append(x)
        return [*features, self.score(x)]


def share_of_hole(mask: Tensor, scores: Tensor) -> Tensor:
    """How much of each patch is missing, (N, 1, h, w) in [0, 1]: the weight of that patch's score."""
    return F.adaptive_avg_pool2d(mask, (scores.shape[-2], scores.shape[-1]))


def critic_hinge(real: Tensor, fake: Tensor, mask: Tensor) -> Tensor:
    """max(0, 1 - real) + max(0, 1 + fake), weighing patches by their share of the hole (Lim & Ye 2017)."""
    loss = F.relu(1 - real.float()) + F.relu(1 + fake.float())
    return (loss * share_of_hole(mask, real)).mean() / HOLE_SHARE


def generator_hinge(fake: Tensor, mask: Tensor) -> Tensor:
    """-fake, weighing patches by their share of the hole (Lim & Ye 2017)."""
    return -(fake.float() * share_of_hole(mask, fake)).mean() / HOLE_SHARE


def feature_distance(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """Mean over layers of the mean absolute difference of their features (Wang et al. 2018, equation 4)."""
    layers = zip(fake, real, strict=True)
    return torch.stack([(a - b).abs().mean(dtype=torch.float32) for a, b in layers]).mean()


def gradient_penalty(judge: Callable[[Tensor], list[Tensor]], truth: Tensor, mask: Tensor) -> Tensor:
    """R1 (Mescheder et al. 2018, equation 9) of each picture, (N,): the squared gradient, in the hole, of its scores at
    the truth, weighed by their share of the hole."""
    shown = truth.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        total = torch.stack([(at.float() * share_of_hole(mask, at)).sum() for at in judge(shown)]).sum()
        (gradient,) = torch.autograd.grad(total, shown, create_graph=True)
    return (gradient * mask).square().sum((1, 2, 3))
