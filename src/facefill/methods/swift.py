"""swift: facefill's own method, the default. No paper; a convolution-only U-Net that a laptop runs in milliseconds.

What it is made of, and why:
- 2×2 space-to-depth at the door and depth-to-space at the exit: the convolutions at full size are the dearest and
  the least useful, so there are none.
- Residual blocks without normalisation (a learned small gain instead): nothing depends on what shares the batch.
- The bottom works at 1/16 of the size with dilations 1, 2, 4: there each place sees the whole face.
- Widths in multiples of 32, which matrix units like.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, cat, nn

from facefill.config import Frozen
from facefill.methods.base import Batch, Method
from facefill.nets.critics import PatchCritic, critic_hinge, feature_distance, generator_hinge
from facefill.nets.layers import UNet
from facefill.nets.losses import HOLE_SHARE, hole_l1
from facefill.nets.perceptual import Perceptual, open_perceptual


class SwiftConfig(Frozen):
    """Sizes of the network and weights of the loss terms."""

    widths: tuple[int, ...] = (32, 64, 128, 256)
    """Channels at 1/2, 1/4, 1/8 and 1/16 of the picture's side."""
    bottom_dilations: tuple[int, ...] = (1, 2, 4, 1)
    """One residual block each, at 1/16 of the side."""
    critic_width: int = 32
    """Channels of the critic's first layer."""
    critic_scales: int = Field(1, ge=1, le=3)
    """How many critics judge, each the picture at half the side of the one before (Wang et al. 2018, section 3.2): one
    sees 80 px around each place, two also 160, which is the whole of what a mask hides."""
    adversarial: float = 0.0
    """Weight of the hinge loss (Lim & Ye 2017); 0 trains without a critic."""
    feature_matching: float = 0.0
    """Weight of the distance between the critic's features of truth and completion (Wang et al. 2018)."""
    perceptual: float = 0.0
    """Weight of the distance between features of a network that somebody else trained (Zhang et al. 2018)."""
    perceptual_net: Path | None = None
    """Its file, squeezenet_v1.1.npz; needed in training only, where `perceptual` is above 0."""


class Swift(Method):
    """The U-Net above against a patch critic that judges the completed picture and knows where the hole was."""

    Config = SwiftConfig
    inputs: ClassVar[tuple[str, ...]] = ("image", "mask")
    stride: ClassVar[int] = 16

    def __init__(self, config: SwiftConfig) -> None:
        super().__init__(config)
        self.config: SwiftConfig = config
        self.generator = UNet(4, 3, config.widths, config.bottom_dilations)
        self.critic = nn.ModuleList(PatchCritic(4, config.critic_width) for _ in range(config.critic_scales))
        self._perceptual: list[Perceptual] = []

    @property
    def players(self) -> dict[str, nn.Module]:
        if self.config.adversarial or self.config.feature_matching:
            return {"generator": self.generator, "critic": self.critic}
        return {"generator": self.generator}

    def forward(self, **inputs: Tensor) -> Tensor:
        filled: Tensor = self.generator(cat([inputs["image"], inputs["mask"]], 1))
        return filled

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        truth, mask = batch["truth"], batch["mask"]
        if player == "critic":
            # The generator's turn leaves its picture in the batch, which saves a third of its work.
            completed = batch["completed"] if "completed" in batch else self.complete(batch).detach()
            looks = zip(self.judge(truth, mask), self.judge(completed, mask), strict=True)
            return {"critic": torch.stack([critic_hinge(real[-1], fake[-1], mask) for real, fake in looks]).sum()}
        filled = self(**self.shown(batch))
        terms = {"l1": hole_l1(filled, truth, mask)}
        completed = filled * mask + truth * (1 - mask)
        if self.config.perceptual:
            distance = self.perceptual(truth.device)(completed, truth).mean() / HOLE_SHARE
            terms["perceptual"] = self.config.perceptual * distance
        if "critic" in self.players:
            batch["completed"] = completed.detach()
            fakes = self.judge(completed, mask)
            with torch.no_grad():
                reals = self.judge(truth, mask)
            hinge = torch.stack([generator_hinge(fake[-1], mask) for fake in fakes]).sum()
            pairs = zip(fakes, reals, strict=True)
            distance = torch.stack([feature_distance(fake[:-1], real[:-1]) for fake, real in pairs]).mean()
            terms["adversarial"] = self.config.adversarial * hinge
            terms["feature_matching"] = self.config.feature_matching * distance
        return terms

    def perceptual(self, device: torch.device) -> Perceptual:
        """The perceptual distance, loaded when training first needs it; kept out of the module's own tensors.

        Raises InputError when its weight is above 0 and no file is named.
        """
        if not self._perceptual:
            self._perceptual.append(open_perceptual(self.config.perceptual_net).to(device))
        return self._perceptual[0]

    def judge(self, picture: Tensor, mask: Tensor) -> list[list[Tensor]]:
        """Of each critic the features of a picture, (N, C, h, w) each, its map of scores last."""
        looks, shown = [], cat([picture, mask], 1)
        for index, critic in enumerate(self.critic):
            if index:
                shown = F.avg_pool2d(shown, 2)
            looks.append(critic(shown))
        return looks
