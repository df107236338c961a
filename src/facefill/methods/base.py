"""The contract: all that a method is beside what every `Trainable` is. Evaluation and the command line know nothing
more."""

from typing import ClassVar

import torch
from torch import Tensor

from facefill.nets.trainable import Trainable

Batch = dict[str, Tensor]
"""Pictures (N, 3, H, W) float32 in [-1, 1]: `worn` (the covered picture; grey in a hole that is no cover), `image`
(that, with `hole_value` in the hole), `truth`; `mask` (N, 1, H, W) float32, 1 = missing; `landmarks` (N, 5, 2)
in pixels, nan where unknown; `outside` (N, 1, H, W), only in recipes with `edges`, 1 beyond the photo: missing, and not
to be judged; `seed` (N,) int64, the source of all randomness."""


class Method(Trainable):
    """One way to fill holes: `forward` gives the filled picture, (N, 3, H, W); values beyond [-1, 1] are clipped by
    whoever makes a picture of it."""

    inputs: ClassVar[tuple[str, ...]] = ("image", "mask")

    def shown(self, batch: Batch) -> Batch:
        """The part of a batch that the method is allowed to see at inference."""
        return {name: batch[name] for name in self.inputs}

    def complete(self, batch: Batch) -> Tensor:
        """Fill, then put the known pixels of `image` back bit for bit."""
        filled = self(**self.shown(batch))
        return torch.where(batch["mask"] > 0.5, filled.float().clamp(-1, 1), batch["image"])

    def show(self, batch: Batch) -> list[Tensor]:
        """What the method saw, what it made of it, the truth."""
        return [batch["image"], self.complete(batch), batch["truth"]]

    def score(self, batch: Batch) -> Tensor:
        """PSNR of each completion in dB, over the whole picture."""
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
