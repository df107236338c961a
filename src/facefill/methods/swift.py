"""swift: facefill's own method, the default. No paper; a convolution-only U-Net that a laptop runs in milliseconds.

What it is made of, and why:
- 2×2 space-to-depth at the door and depth-to-space at the exit: the convolutions at full size are the dearest and
  the least useful, so there are none.
- Residual blocks without normalisation (a learned small gain instead): nothing depends on what shares the batch.
- The bottom works at 1/16 of the size with dilations 1, 2, 4: there each place sees the whole face.
- Widths in multiples of 32, which matrix units like.
- Noise may join at the bottom, where the hole is. Without it comes the default completion; a quarter of training's
  pictures have it, and are pushed away from what other noise gives (mode seeking, Mao et al. 2019).
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, cat, nn

from facefill.config import Frozen
from facefill.methods.base import Batch, Method, draw_noise, redraw
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
    noise: int = Field(8, ge=1, le=256)
    """Channels of noise at 1/16 of the side."""
    diversity: float = 0.0
    """Weight of what two completions of one face with different noise lack of `apart`; needs `perceptual`."""
    apart: float = 0.4
    """The perceptual distance between two completions that is enough, over that from the truth."""
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


class SwiftNet(UNet):
    """(N, 4, H, W) picture and mask, and noise (N, 1, H, W), to (N, 3, H, W); H and W multiples of `step`."""

    def __init__(self, config: SwiftConfig) -> None:
        super().__init__(4, 3, config.widths, config.bottom_dilations)
        self.step = self.block * 2 ** (len(config.widths) - 1)
        self.noise = nn.Conv2d(config.noise, config.widths[-1], 1, bias=False)
        nn.init.normal_(self.noise.weight, std=0.05)

    def forward(self, shown: Tensor, noise: Tensor) -> Tensor:  # type: ignore[override]
        drawn = F.pixel_unshuffle(noise, self.step)[:, : self.noise.in_channels]
        missing = F.max_pool2d(shown[:, 3:], self.step)
        return super().forward(shown, self.noise(drawn) * missing)


class Swift(Method):
    """The U-Net above against a patch critic that judges the completed picture and knows where the hole was."""

    Config = SwiftConfig
    inputs: ClassVar[tuple[str, ...]] = ("image", "mask", "noise")
    stride: ClassVar[int] = 16

    def __init__(self, config: SwiftConfig) -> None:
        super().__init__(config)
        self.config: SwiftConfig = config
        self.generator = SwiftNet(config)
        self.critic = nn.ModuleList(PatchCritic(4, config.critic_width) for _ in range(config.critic_scales))
        self._perceptual: list[Perceptual] = []

    @property
    def players(self) -> dict[str, nn.Module]:
        if self.config.adversarial or self.config.feature_matching:
            return {"generator": self.generator, "critic": self.critic}
        return {"generator": self.generator}

    def shown(self, batch: Batch) -> Batch:
        """The picture with its hole, the mask, and no noise where none is given."""
        noise = batch["noise"] if "noise" in batch else torch.zeros_like(batch["mask"])
        return {"image": batch["image"], "mask": batch["mask"], "noise": noise}

    def forward(self, **inputs: Tensor) -> Tensor:
        filled: Tensor = self.generator(cat([inputs["image"], inputs["mask"]], 1), inputs["noise"])
        return filled

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        truth, mask = batch["truth"], batch["mask"]
        if player == "critic":
            # The generator's turn leaves its picture in the batch, which saves a third of its work.
            completed = batch["completed"] if "completed" in batch else self.complete(batch).detach()
            looks = zip(self.judge(truth, mask), self.judge(completed, mask), strict=True)
            return {"critic": torch.stack([critic_hinge(real[-1], fake[-1], mask) for real, fake in looks]).sum()}
        shown = self.shown(batch)
        if self.config.diversity:
            noisy = batch["seed"] % 4 == 0
            shown["noise"] = draw_noise(batch["seed"], mask) * noisy[:, None, None, None]
        filled = self(**shown)
        terms = {"l1": hole_l1(filled, truth, mask)}
        completed = filled * mask + truth * (1 - mask)
        if self.config.perceptual:
            perceptual = self.perceptual(truth.device)
            distance = perceptual(completed, truth)
            terms["perceptual"] = self.config.perceptual * distance.mean() / HOLE_SHARE
            if self.config.diversity:
                lack = completed.new_zeros(0)
                if noisy.any():
                    between = perceptual(completed[noisy], redraw(self, shown, batch, noisy))
                    lack = F.relu(self.config.apart * distance[noisy].detach() - between)
                terms["diversity"] = self.config.diversity * lack.sum() / (len(truth) * HOLE_SHARE)
        if "critic" in self.players:
            batch["completed"] = completed.detach()
            fakes = self.judge(completed, mask)
            with torch.no_grad():
                reals = self.judge(truth, mask)
            hinge = torch.stack([generator_hinge(fake[-1], mask) for fake in fakes]).sum()
            pairs = zip(fakes, reals, strict=True)
            features = torch.stack([feature_distance(fake[:-1], real[:-1]) for fake, real in pairs]).mean()
            terms["adversarial"] = self.config.adversarial * hinge
            terms["feature_matching"] = self.config.feature_matching * features
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
