"""The second look: whether an aligned square shows a face, and where exactly its five landmarks are."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.nets.layers import conv, residuals

OUTPUTS = 11
"""The score before the sigmoid; x, y of five landmarks as shares of the picture's side, from its middle."""


class SecondLookConfig(Frozen):
    """Sizes of the network and the weight of its landmarks."""

    widths: tuple[int, int, int, int] = (32, 48, 96, 112)
    """Channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side: those of `nets.finder`, whose weights are a start."""
    dilations: tuple[tuple[int, ...], ...] = ((1,), (1,), (2,))
    """One residual block for each number, at 1/8, 1/16 and 1/32."""
    hidden: int = 48
    """Of the layer that sees the whole picture."""
    landmarks: float = 6.0


class SecondLookGenerator(nn.Module):
    """(N, 3, 160, 160) in [-1, 1] to (N, `OUTPUTS`)."""

    def __init__(self, config: SecondLookConfig) -> None:
        super().__init__()
        quarter, *widths = config.widths
        self.stem = conv(12, quarter, stride=2)
        self.downs = nn.ModuleList(conv(a, b, stride=2) for a, b in pairwise(config.widths))
        self.stages = nn.ModuleList(residuals(c, d) for c, d in zip(widths, config.dilations, strict=True))
        self.side = conv(widths[1], 16, kernel=1)
        self.act = nn.LeakyReLU(0.2)
        self.first = nn.Linear(widths[2] * 25 + 16 * 100, config.hidden)
        self.last = nn.Linear(config.hidden, OUTPUTS)
        nn.init.normal_(self.last.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.stem(F.pixel_unshuffle(x, 2)))
        seen = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(self.act(down(x)))
            seen.append(x)
        whole = torch.cat([self.act(seen[2]).flatten(1), self.act(self.side(self.act(seen[1]))).flatten(1)], 1)
        said: Tensor = self.last(self.act(self.first(whole)))
        return said


class SecondLook(nn.Module):
    """The network as a player."""

    Config = SecondLookConfig
    inputs: ClassVar[tuple[str, ...]] = ("image",)
    hole_value: ClassVar[float] = 0.0
    size: ClassVar[int | None] = 160
    stride: ClassVar[int] = 32
    exports: ClassVar[bool] = True

    def __init__(self, config: SecondLookConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = SecondLookGenerator(config)

    @property
    def players(self) -> dict[str, nn.Module]:
        """Only the network itself."""
        return {"generator": self.generator}

    def forward(self, **inputs: Tensor) -> Tensor:
        """What `SecondLookGenerator` returns."""
        said: Tensor = self.generator(inputs["image"])
        return said

    def losses(self, player: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """batch: `image`; `faces` (N,) 1 or 0; `landmarks` (N, 5, 2) in the units of `OUTPUTS`."""
        said = self(image=batch["image"]).float()
        faces, points = batch["faces"].float(), batch["landmarks"]
        apart = (points[:, 0] - points[:, 1]).norm(dim=1).clamp_min(0.02)
        off = (said[:, 1:].view(-1, 5, 2) - points) / apart[:, None, None]
        near = F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.03, reduction="none").mean((1, 2))
        return {
            "score": F.binary_cross_entropy_with_logits(said[:, 0], faces),
            "landmarks": self.config.landmarks * (near * faces).sum() / faces.sum().clamp_min(1),
        }

    def show(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Pictures for a sample sheet: what is seen; what is taken for a face."""
        image = batch["image"]
        sure = self(image=image)[:, 0].float().sigmoid()[:, None, None, None]
        return [image, (image + 1) * sure - 1]

    def score(self, batch: dict[str, Tensor]) -> Tensor:
        """(N,): of a face 1 less the mean distance of its landmarks in eye distances, of another picture 1 where it is
        taken for none; 0 where it is taken for the other."""
        said = self(image=batch["image"]).float()
        points = batch["landmarks"]
        apart = (points[:, 0] - points[:, 1]).norm(dim=1).clamp_min(0.02)
        off = (said[:, 1:].view(-1, 5, 2) - points).norm(dim=2).mean(1) / apart
        faces = batch["faces"] > 0
        right = (said[:, 0] > 0) == faces
        return torch.where(right, torch.where(faces, (1 - off).clamp_min(0), torch.ones_like(off)), 0)
