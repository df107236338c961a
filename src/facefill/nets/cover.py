"""The cover network: which pixels of an aligned face are covered. Trained by the same loop as the methods."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.nets.layers import UNet


class CoverConfig(Frozen):
    """Sizes of the network."""

    widths: tuple[int, ...] = (32, 32, 64, 128)
    """Channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side."""
    bottom_dilations: tuple[int, ...] = (1, 2, 4)
    """One residual block each, at 1/32 of the side."""
    block: int = 4
    """The network works on blocks of so many pixels: it decides for each pixel at the price of fewer."""


class CoverNet(nn.Module):
    """A small U-Net from a (N, 3, H, W) picture in [-1, 1] to the (N, 1, H, W) probability that a pixel is covered."""

    Config = CoverConfig
    inputs: ClassVar[tuple[str, ...]] = ("worn",)
    hole_value: ClassVar[float] = 0.0
    size: ClassVar[int | None] = 256
    stride: ClassVar[int] = 32
    exports: ClassVar[bool] = True

    def __init__(self, config: CoverConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = UNet(3, 1, config.widths, config.bottom_dilations, config.block)

    @property
    def players(self) -> dict[str, nn.Module]:
        """Only the network itself."""
        return {"generator": self.generator}

    def forward(self, **inputs: Tensor) -> Tensor:
        """The probability that each pixel is covered, (N, 1, H, W) in [0, 1]."""
        scores: Tensor = self.generator(inputs["worn"])
        covered: Tensor = scores.float().sigmoid()
        return covered

    def losses(self, player: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy over all pixels, and 1 - Dice (Milletari et al. 2016, equation for D) over the batch, which
        weighs a small cover like a large one."""
        scores, mask = self.generator(batch["worn"]).float(), batch["mask"]
        covered = scores.sigmoid()
        overlap = (covered * mask).sum((1, 2, 3)) + 8
        dice = 2 * overlap / ((covered.square() + mask.square()).sum((1, 2, 3)) + 16)
        return {"entropy": F.binary_cross_entropy_with_logits(scores, mask), "dice": 0.5 * (1 - dice.mean())}

    def show(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Pictures for a sample sheet: the covered face, the probability that each pixel is covered, the true mask."""
        return [batch["worn"], self.forward(worn=batch["worn"]) * 2 - 1, batch["mask"] * 2 - 1]

    def score(self, batch: dict[str, Tensor]) -> Tensor:
        """Intersection over union of each picture's mask, (N,); 1 where both are empty."""
        found, mask = self.forward(worn=batch["worn"]) > 0.5, batch["mask"] > 0.5
        both, either = (found & mask).sum((1, 2, 3)), (found | mask).sum((1, 2, 3))
        return (both + 1e-6) / (either + 1e-6)
