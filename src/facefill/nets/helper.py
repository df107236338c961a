"""What the helper networks (finder, second look, cover) have in common."""

from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.nets.layers import conv, residuals


class Helper(nn.Module):
    """A network that the training loop moves like a method, but that fills nothing and is in no registry."""

    Config: ClassVar[type[Frozen]]
    inputs: ClassVar[tuple[str, ...]] = ("image",)
    hole_value: ClassVar[float] = 0.0
    size: ClassVar[int | None] = None
    stride: ClassVar[int] = 32
    exports: ClassVar[bool] = True
    generator: nn.Module

    def __init__(self, config: Frozen) -> None:
        super().__init__()
        self.config = config

    @property
    def players(self) -> dict[str, nn.Module]:
        """Only the network itself."""
        return {"generator": self.generator}

    def forward(self, **inputs: Tensor) -> Tensor:
        """What the network returns."""
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
        """See the class."""
        x = self.act(self.stem(F.pixel_unshuffle(image, 2)))
        found = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(self.act(down(x)))
            found.append(x)
        return found
