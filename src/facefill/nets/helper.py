"""What the helper networks (finder, second look, cover) have in common."""

from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from facefill.nets.layers import conv, residuals
from facefill.nets.trainable import Trainable


class Helper(Trainable):
    """A network that fills nothing and is in no registry of methods."""

    inputs: ClassVar[tuple[str, ...]] = ("image",)
    stride: ClassVar[int] = 32

    def forward(self, **inputs: Tensor) -> Tensor:
        found: Tensor = self.generator(inputs[self.inputs[0]])
        return found


class Trunk(nn.Module):
    """(N, 3, H, W) to features at 1/8, 1/16 and 1/32 of the side, before their activation.

    widths: channels at 1/4, 1/8, 1/16 and 1/32. dilations: one residual block for each number at the last three.
    """

    def __init__(self, widths: tuple[int, ...], dilations: tuple[tuple[int, ...], ...]) -> None:
        super().__init__()
        self.stem = conv(12, widths[0], stride=2)
        self.downs = nn.ModuleList(conv(a, b, stride=2) for a, b in pairwise(widths))
        self.stages = nn.ModuleList(residuals(c, d) for c, d in zip(widths[1:], dilations, strict=True))
        self.act = nn.LeakyReLU(0.2)

    def levels(self, image: Tensor) -> list[Tensor]:
        x = self.act(self.stem(F.pixel_unshuffle(image, 2)))
        found = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(self.act(down(x)))
            found.append(x)
        return found
