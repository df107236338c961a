"""The second look: whether an aligned square shows a face, and where exactly its five landmarks are."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.nets.layers import conv
from facefill.nets.trainable import Helper, Trunk

OUTPUTS = 11
"""The score before the sigmoid; x, y of five landmarks as shares of the picture's side, from its middle."""


class SecondLookConfig(Frozen):
    widths: tuple[int, int, int, int] = (32, 48, 96, 112)
    """Channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side: those of `nets.finder`, whose weights are a start."""
    dilations: tuple[tuple[int, ...], ...] = ((1,), (1,), (2,))
    """One residual block for each number, at 1/8, 1/16 and 1/32."""
    hidden: int = 48
    """Width of the layer that sees the whole picture."""
    landmarks: float = 6.0


class SecondLookGenerator(Trunk):
    """(N, 3, 160, 160) in [-1, 1] to (N, `OUTPUTS`)."""

    def __init__(self, config: SecondLookConfig) -> None:
        super().__init__(config.widths, config.dilations)
        self.side = conv(config.widths[2], 16, kernel=1)
        self.first = nn.Linear(config.widths[3] * 25 + 16 * 100, config.hidden)
        self.last = nn.Linear(config.hidden, OUTPUTS)
        nn.init.normal_(self.last.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        _, middle, last = self.levels(x)
        whole = torch.cat([self.act(last).flatten(1), self.act(self.side(self.act(middle))).flatten(1)], 1)
        said: Tensor = self.last(self.act(self.first(whole)))
        return said


class SecondLookNet(Helper):
    Config = SecondLookConfig
    size = 160

    def __init__(self, config: SecondLookConfig) -> None:
        super().__init__(config)
        self.config: SecondLookConfig = config
        self.generator = SecondLookGenerator(config)

    def losses(self, player: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """batch: `image`; `faces` (N,) 1 or 0; `landmarks` (N, 5, 2) in the units of `OUTPUTS`."""
        said = self(image=batch["image"]).float()
        faces, points = batch["faces"].float(), batch["landmarks"]
        apart = (points[:, 0] - points[:, 1]).norm(dim=1).clamp_min(0.02)
        off = (said[:, 1:].view(-1, 5, 2) - points) / apart[:, None, None]
        near = F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.03, reduction="none").mean((1, 2))
        return {
            "face": F.binary_cross_entropy_with_logits(said[:, 0], faces),
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
