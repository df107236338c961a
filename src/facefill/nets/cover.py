"""The cover network: which pixels around a face are covered, and by what. Trained by the same loop as the methods."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.nets.layers import UNet, conv, highest, residuals
from facefill.nets.trainable import Helper

KINDS = 4
"""Kinds of covers, in the order of `runtime.cover.KINDS`."""
UNKNOWN, IGNORED = 9, 255
"""What a label says beside 0 = nothing and 1 to `KINDS` = a cover of that kind: a cover of a kind that nobody told, and
a pixel that does not count."""

THIN_PX, BESIDE_PX = 13, 7
"""What is narrower than this is thin, as ear straps are; and how wide what lies beside it is."""
THIN, BESIDE = 4.0, 2.0
"""So much more than others its pixels count, and those beside it: few as they are, a strap left on a face is seen."""


class CoverConfig(Frozen):
    widths: tuple[int, ...] = (32, 32, 64, 128)
    """Channels at 1/4, 1/8, 1/16 and 1/32 of the picture's side."""
    bottom_dilations: tuple[int, ...] = (1, 2, 4)
    """One residual block each, at 1/32 of the side."""
    block: int = 4
    """The U-Net works on blocks of so many pixels."""
    passed: int = 4
    """Channels that the U-Net gives each pixel; edges are then drawn at half the side with four times as many."""
    fine_dilations: tuple[int, ...] = (1, 2)
    """One residual block each, at half the side."""


class CoverGenerator(nn.Module):
    """(N, 3, H, W) to (N, `KINDS`, H, W) logits over "nothing covers this pixel", whose own logit is 0."""

    def __init__(self, config: CoverConfig) -> None:
        super().__init__()
        self.trunk = UNet(3, 4 * config.passed, config.widths, config.bottom_dilations, config.block, finest=2)
        self.stem = conv(3, 4 * config.passed, kernel=6, stride=2)
        self.fine = residuals(4 * config.passed, config.fine_dilations)
        self.head = conv(4 * config.passed, 4 * KINDS)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.head(self.fine(self.stem(x) + self.trunk(x))), 2)


class CoverNet(Helper):
    """From a (N, 3, H, W) picture in [-1, 1] to (N, `KINDS`, H, W), the probability that each kind covers a pixel."""

    Config = CoverConfig
    inputs: ClassVar[tuple[str, ...]] = ("worn",)

    def __init__(self, config: CoverConfig) -> None:
        super().__init__(config)
        self.generator = CoverGenerator(config)

    def forward(self, **inputs: Tensor) -> Tensor:
        """The probability of each kind at each pixel, (N, `KINDS`, H, W); their sum is that of any cover."""
        odds = self.generator(inputs["worn"]).float().clamp(max=60).exp()
        covered: Tensor = odds / (1 + odds.sum(1, keepdim=True))
        return covered

    def losses(self, player: str, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy over the pixels that count, thin parts most, and 1 - Dice (Milletari et al. 2016, equation for
        D) of any cover, which weighs a small cover like a large one. batch: `worn`, and `kinds` (N, H, W), see
        `UNKNOWN`."""
        logits, kinds = self.generator(batch["worn"]).float(), batch["kinds"]
        logs = F.pad(logits, (0, 0, 0, 0, 1, 0)).log_softmax(1)
        any_log = logs[:, 1:].logsumexp(1)
        named = torch.where(kinds <= KINDS, kinds, 0).long()
        log = torch.where(kinds == UNKNOWN, any_log, logs.gather(1, named[:, None])[:, 0])
        counts = (kinds != IGNORED).float()
        weights = counts * weights_of(kinds)
        covered, mask = any_log.exp() * counts, ((kinds > 0) & (kinds != IGNORED)).float()
        overlap = (covered * mask).sum((1, 2)) + 8
        dice = 2 * overlap / ((covered.square() + mask).sum((1, 2)) + 16)
        return {"entropy": -(log * weights).sum() / counts.sum().clamp_min(1), "dice": 0.5 * (1 - dice.mean())}

    def show(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Pictures for a sample sheet: the covered face; the probabilities of the kinds as colours; the label."""
        kinds = batch["kinds"]
        label = torch.stack([kinds == kind for kind in range(1, KINDS + 1)], 1).float()
        label[(kinds == IGNORED)[:, None].expand_as(label)] = 0.5
        return [batch["worn"], *(_colours(planes) * 2 - 1 for planes in (self.forward(worn=batch["worn"]), label))]

    def score(self, batch: dict[str, Tensor]) -> Tensor:
        """Intersection over union of each picture's cover of any kind, (N,), over the pixels that count; 1 where
        both are empty."""
        kinds = batch["kinds"]
        counts, mask = kinds != IGNORED, (kinds > 0) & (kinds != IGNORED)
        found = (self.forward(worn=batch["worn"]).sum(1) > 0.5) & counts
        both, either = (found & mask).sum((1, 2)), (found | mask).sum((1, 2))
        return (both + 1e-6) / (either + 1e-6)


def _colours(planes: Tensor) -> Tensor:
    """(N, `KINDS`, H, W) in [0, 1] as (N, 3, H, W): a mask red, sunglasses green, another thing blue, a hand yellow."""
    mask, glasses, other, hand = planes.unbind(1)
    return torch.stack([mask + hand, glasses + hand, other], 1).clamp(max=1)


def weights_of(kinds: Tensor) -> Tensor:
    """(N, H, W) float, how much each pixel of a label counts: 1, and more in and beside thin covers."""
    mask = (kinds > 0).float()[:, None]
    opened = highest(-highest(-mask, THIN_PX), THIN_PX)
    thin = mask * (1 - opened) * (kinds != IGNORED)[:, None]
    return (1 + BESIDE * highest(thin, BESIDE_PX) + (THIN - BESIDE) * thin)[:, 0]
