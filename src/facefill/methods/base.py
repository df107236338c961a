"""The contract: all that a method is. Training, evaluation, export and the command line know nothing more."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from facefill.config import Frozen

Batch = dict[str, Tensor]
"""Pictures (N, 3, H, W) float32 in [-1, 1]: `worn` (the covered picture; grey in a hole that is no cover), `image`
(that, with `hole_value` in the hole), `truth`; `mask` (N, 1, H, W) float32, 1 = missing; `landmarks` (N, 5, 2)
in pixels, nan where unknown; `outside` (N, 1, H, W), only in recipes with `edges`, 1 beyond the photo: missing, and not
to be judged; `seed` (N,) int64, the source of all randomness."""


class Method(nn.Module):
    """One way to fill holes: a generator, the players that train it, and their losses."""

    Config: ClassVar[type[Frozen]]
    """The method's settings; the defaults are the paper's."""
    inputs: ClassVar[tuple[str, ...]] = ("image", "mask")
    """What `forward` and the exported file take, of: image, mask, worn, landmarks, noise."""
    outputs: ClassVar[tuple[str, ...]] = ("filled",)
    """What `explain` returns and the exported file gives, the filled picture first."""
    hole_value: ClassVar[float] = 0.0
    """What missing pixels of `image` hold: the paper's (black -1, white +1), else 0."""
    size: ClassVar[int | None] = None
    """The only side in pixels that the method takes; None: any multiple of `stride`."""
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
        raise NotImplementedError

    def forward(self, **inputs: Tensor) -> Tensor:
        """The filled picture, (N, 3, H, W); values beyond [-1, 1] are clipped by whoever makes a picture of it."""
        raise NotImplementedError

    def explain(self, **inputs: Tensor) -> tuple[Tensor, ...]:
        """The filled picture, and what else the method can show of how it came about."""
        return (self(**inputs),)

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms, scalars; their sum is what `player` minimises. Each is a mean over the batch's pictures, none
        depends on what else is in the batch: then parts of a batch and several processes add up to the same."""
        raise NotImplementedError

    def shown(self, batch: Batch) -> Batch:
        """The part of a batch that the method is allowed to see at inference."""
        return {name: batch[name] for name in self.inputs}

    def complete(self, batch: Batch) -> Tensor:
        """Fill, then put the known pixels of `image` back bit for bit."""
        filled = self(**self.shown(batch))
        return torch.where(batch["mask"] > 0.5, filled.float().clamp(-1, 1), batch["image"])

    def show(self, batch: Batch) -> list[Tensor]:
        """Pictures for a sample sheet, (N, 3, H, W) each: what the method saw, what it made of it, the truth."""
        return [batch["image"], self.complete(batch), batch["truth"]]

    def score(self, batch: Batch) -> Tensor:
        """How good each completion of a batch is, (N,), higher is better: PSNR in dB over the whole picture. Training
        watches it on the validation faces."""
        error = ((self.complete(batch) - batch["truth"]) * 127.5).square().mean((1, 2, 3))
        return 10 * torch.log10(255**2 / error.clamp_min(1e-4))


def draw_noise(seeds: Tensor, mask: Tensor) -> Tensor:
    """Normal noise of the masks' shape (N, 1, H, W), a picture's from its own seed."""
    noise = torch.empty(len(seeds), *mask.shape[1:])
    for plane, seed in zip(noise, seeds, strict=True):
        plane.normal_(generator=torch.Generator().manual_seed(int(seed)))
    return noise.to(mask.device)


def redraw(method: Method, shown: Batch, batch: Batch, noisy: Tensor) -> Tensor:
    """What pictures where `noisy` (N,) is True become with other noise, completed, (n, 3, H, W), without a gradient.

    shown: what the method saw of the batch.
    """
    others = {name: value[noisy] for name, value in shown.items()}
    with torch.no_grad():
        filled = method(**others | {"noise": draw_noise(batch["seed"][noisy] + 1, others["mask"])})
    return torch.where(others["mask"] > 0.5, filled, batch["truth"][noisy])
