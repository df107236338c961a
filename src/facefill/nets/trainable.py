"""What the training loop and the exporter know of whatever they train: a method, or a helper network."""

from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.nets.layers import conv, residuals


class Trainable(nn.Module):
    """A generator, the players that train it, and their losses."""

    Config: ClassVar[type[Frozen]]
    """Its settings; of a method the defaults are the paper's."""
    inputs: ClassVar[tuple[str, ...]]
    """What `forward` and the exported file take, of: image, mask, worn, landmarks, noise."""
    outputs: ClassVar[tuple[str, ...]] = ("filled",)
    """What `explain` returns and the exported file gives, what `forward` returns first."""
    hole_value: ClassVar[float] = 0.0
    """What missing pixels of `image` hold: the paper's (black -1, white +1), else 0."""
    size: int | None = None
    """The only side in pixels that it takes; None: any multiple of `stride`."""
    stride: ClassVar[int] = 1
    exports: ClassVar[bool] = True
    """False: needs gradients at inference and stays in torch."""
    generator: nn.Module
    """All that inference, averaging and export need."""

    def __init__(self, config: Frozen) -> None:
        super().__init__()
        self.config = config

    @property
    def players(self) -> dict[str, nn.Module]:
        """Networks with an optimizer of their own, in the order they move."""
        return {"generator": self.generator}

    def forward(self, **inputs: Tensor) -> Tensor:
        """What the exported file gives first."""
        raise NotImplementedError

    def explain(self, **inputs: Tensor) -> tuple[Tensor, ...]:
        """That, and what else can be shown of how it came about."""
        return (self(**inputs),)

    def losses(self, player: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weighted terms, scalars; their sum is what `player` minimises. Each is a mean over the batch's pictures, none
        depends on what else is in the batch: then parts of a batch and several processes add up to the same."""
        raise NotImplementedError

    def show(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Pictures for a sample sheet, (N, 1 or 3, H, W) each."""
        raise NotImplementedError

    def score(self, batch: dict[str, Tensor]) -> Tensor:
        """How good the result for each picture of a batch is, (N,), higher is better; training watches it on the
        validation pictures."""
        raise NotImplementedError


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
