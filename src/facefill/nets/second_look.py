"""The second look: whether an aligned square shows a face, and where exactly its five landmarks are."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.nets.layers import Down, conv, residuals

OUTPUTS = 11
"""The score before the sigmoid; x, y of five landmarks as shares of the picture's side, from its middle."""


class SecondLookConfig(Frozen):
    """Sizes of the network and the weight of its landmarks."""

    widths: tuple[int, ...] = (32, 64, 96, 112)
    """Channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side."""
    dilations: tuple[tuple[int, ...], ...] = ((1,), (1,), (1, 2), (1,))
    """One residual block each, at these sizes."""
    hidden: int = 48
    landmarks: float = 6.0


class SecondLookGenerator(nn.Module):
    """(N, 3, 160, 160) in [-1, 1] to (N, `OUTPUTS`)."""

    def __init__(self, config: SecondLookConfig) -> None:
        super().__init__()
        widths = config.widths
        self.stem = conv(48, widths[0])
        self.stages = nn.ModuleList(residuals(c, d) for c, d in zip(widths, config.dilations, strict=True))
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))
        self.act = nn.LeakyReLU(0.2)
        self.first = nn.Linear(widths[-1] * 25, config.hidden)
        self.last = nn.Linear(config.hidden, OUTPUTS)
        nn.init.normal_(self.last.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(F.pixel_unshuffle(x, 4))
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index < len(self.downs):
                x = self.downs[index](self.act(x))
        said: Tensor = self.last(self.act(self.first(self.act(x).flatten(1))))
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
        return {"score": F.binary_cross_entropy_with_logits(said[:, 0], faces),
                "landmarks": self.config.landmarks * (near * faces).sum() / faces.sum().clamp_min(1)}

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
