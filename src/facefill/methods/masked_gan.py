"""masked_gan: a face mask is found, then a conditional GAN draws the face under it (Sharma, Nath, Kar & Khasim 2024,
*Masked GANs for Face Completion*).

Written and kept: two stages, of which the first finds the region of the mask (here `cover`, which every method shares)
and the second draws the face; 256×256; a generator of down-sampling convolutions, then transposed ones; a critic that
sees pairs of the input and a picture, concatenated along channels, convolves them down and through a last convolution
to one scalar, how likely the picture is true; both trained in turns, 200,000 steps. The input is the covered face
itself with the mask that was found, so that colour and folds of the cover can tell what is under it.

Left open, and what we took, pix2pix's (Isola et al. 2017) where it has an answer:
- Kernels of 4×4 with stride 2, LeakyReLU 0.2 down and ReLU up, skips by concatenation (`skips`), batch 1, Adam at 2e-4
  with momentum 0.5, the logistic loss with l1 at 100:1. Six levels, not eight: any multiple of 64 px goes.
- The critic's scalar, the default, is the mean over what its last convolution leaves (4×4 places at 256 px, each of
  which sees the whole face). `critic="patch"` judges patches by themselves, as pix2pix does, weighed by their share of
  the hole; what ships learnt from that (docs/masked-gan.md compares).
- No batch normalisation, which would let a picture depend on its batch: He initialisation, spectral normalisation in
  the critic (Miyato et al. 2018).
- l1 over the hole, and the critic sees completed pictures: what is drawn elsewhere is thrown away.
- What ships is narrower (configs/masked_gan.toml), its critic too (`critic_width` 32), and learnt in batches of 8, with
  a perceptual distance and feature matching besides (Wang et al. 2018); what these change was not measured.

Where it contradicts itself: the generator takes "a random noise vector" (section 3) or "an input picture" (section 5).
It takes both: noise joins where the picture is smallest, in a third of training's pictures; without any comes the
default drawing. Pix2pix found that such noise is soon ignored; `diversity` asks two drawings of one face to differ
(mode seeking, Mao et al. 2019). The critic's pairs are "of actual and produced pictures" or, as we read it, of the
input and one of the two. Pictures are "resized" and "cropped", by how much is not said: configs/paper turns, scales and
shifts them (`jitter`), the nearest that training has to pix2pix's random 256 of 286 px. 7,030 and 3,030 pictures are
called a 70/30 split; the abstract's "performance can be improved using larger dataset" is tested in
docs/masked-gan.md.
"""

from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, cat, nn
from torch.nn.utils.parametrizations import spectral_norm

from facefill.config import Frozen
from facefill.methods.base import Batch, Method, draw_noise, redraw
from facefill.nets.critics import feature_distance, share_of_hole
from facefill.nets.layers import conv
from facefill.nets.losses import HOLE_SHARE, hole_l1
from facefill.nets.perceptual import open_perceptual

LEVELS = 6


class MaskedGanConfig(Frozen):
    widths: tuple[int, ...] = Field(default=(64, 128, 256, 512, 512, 512), min_length=1, max_length=LEVELS)
    """Channels at 1/2, 1/4 ... of the picture's side, down; the same up."""
    skips: bool = True
    """Pass what each level saw on the way down to the way up."""
    noise: int = Field(default=8, ge=1)
    """Channels of noise where the picture is smallest."""
    sees_cover: bool = True
    """False: the cover is blanked, for an ablation."""
    critic: Literal["scalar", "patch"] = "scalar"
    """One judgement of the picture, or one of each patch."""
    critic_width: int = 64
    """Channels of the critic's first layer; they double, to eight times as many."""
    l1: float = 1.0
    """Weight of the distance to the truth inside the hole."""
    adversarial: float = 0.01
    """Weight of the logistic loss; 0, with `feature_matching`, trains without a critic."""
    feature_matching: float = 0.0
    """Weight of the distance between the critic's features of truth and completion (Wang et al. 2018)."""
    perceptual: float = 0.0
    """Weight of the distance between features of a network that somebody else trained (Zhang et al. 2018)."""
    perceptual_net: Path | None = None
    """Its file, squeezenet_v1.1.npz; needed in training only, where `perceptual` or `diversity` is above 0."""
    loudness: float = 1.0
    """Standard deviation of the noise."""
    diversity: float = 0.0
    """Weight of what two drawings of a face with different noise lack of `apart`."""
    apart: float = 0.4
    """The perceptual distance between two drawings that is enough, over that from the truth."""
    attack: float = 0.0
    """How far, on [-1, 1], known pixels are moved against the generator in training (adversarial robustness)."""


class Hourglass(nn.Module):
    """(N, 3, H, W) worn, (N, 1, H, W) mask and noise to (N, 3, H, W); H and W are multiples of 2 to the power of
    len(widths)."""

    def __init__(self, config: MaskedGanConfig) -> None:
        super().__init__()
        widths = config.widths
        self.skips, self.noise, self.loudness = config.skips, config.noise, config.loudness
        self.step = 2 ** len(widths)
        self.downs = nn.ModuleList(conv(a, b, kernel=4, stride=2) for a, b in pairwise((4, *widths)))
        before = [widths[-1] + config.noise, *((2 if config.skips else 1) * width for width in widths[-2::-1])]
        self.ups = nn.ModuleList(_up(a, b) for a, b in zip(before, (*widths[-2::-1], 3), strict=True))

    def forward(self, worn: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        x = cat([worn, mask], 1)
        passed = []
        for down in self.downs:
            x = F.leaky_relu(down(x), 0.2)
            passed.append(x)
        drawn = F.pixel_unshuffle(noise, self.step)[:, : self.noise]
        x = cat([x, self.loudness * drawn.to(x.dtype)], 1)
        for up, level in zip(self.ups, reversed(range(len(passed))), strict=True):
            x = up(x)
            if level:
                x = F.relu(x)
                x = cat([x, passed[level - 1]], 1) if self.skips else x
        return x


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Twice the size; each pixel adds up 2×2 of the kernel's places, by which it is initialised (He et al. 2015)."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)
    nn.init.normal_(layer.weight, std=(2 / (4 * inputs)) ** 0.5)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class PairCritic(nn.Module):
    """Features of (N, 7, H, W), a covered picture, its mask and a picture, at 1/2, 1/4 ... of the size; scores last."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        widths = (7, *(min(2**level, 8) * width for level in range(levels)))
        self.stages = nn.ModuleList(spectral_norm(conv(a, b, kernel=4, stride=2)) for a, b in pairwise(widths))
        self.score = spectral_norm(conv(widths[-1], 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
            features.append(x)
        return [*features, self.score(x)]


class MaskedGan(Method):
    Config = MaskedGanConfig
    inputs: ClassVar[tuple[str, ...]] = ("worn", "mask", "noise")
    stride: ClassVar[int] = 2**LEVELS

    def __init__(self, config: MaskedGanConfig) -> None:
        super().__init__(config)
        self.config: MaskedGanConfig = config
        self.generator = Hourglass(config)
        self.critic = PairCritic(config.critic_width, 4 if config.critic == "patch" else LEVELS)

    @property
    def players(self) -> dict[str, nn.Module]:
        if self.config.adversarial or self.config.feature_matching:
            return {**super().players, "critic": self.critic}
        return super().players

    def shown(self, batch: Batch) -> Batch:
        noise = batch["noise"] if "noise" in batch else torch.zeros_like(batch["mask"])
        return {"worn": batch["worn"], "mask": batch["mask"], "noise": noise}

    def show(self, batch: Batch) -> list[Tensor]:
        return [batch["worn"], self.complete(batch), batch["truth"]]

    def forward(self, **inputs: Tensor) -> Tensor:
        filled: Tensor = self.generator(self.look(inputs), inputs["mask"], inputs["noise"])
        return filled

    def look(self, batch: Batch) -> Tensor:
        """The covered picture, (N, 3, H, W), as the settings allow to see it."""
        return batch["worn"] if self.config.sees_cover else batch["worn"] * (1 - batch["mask"])

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        truth, mask = batch["truth"], batch["mask"]
        if player == "critic":
            # The generator's turn leaves its picture in the batch, which saves a third of its work.
            completed = batch["completed"] if "completed" in batch else self.complete(batch).detach()
            real, fake = self.judge(truth, batch)[-1], self.judge(completed, batch)[-1]
            return {"critic": self.mean(F.softplus(-real.float()) + F.softplus(fake.float()), mask)}
        noisy = batch["seed"] % 3 == 0
        shown = self.shown(batch) | {"noise": draw_noise(batch["seed"], mask) * noisy[:, None, None, None]}
        if self.config.attack:
            shown = self.attacked(shown, batch)
        filled = self(**shown)
        completed = filled * mask + truth * (1 - mask)
        terms = {"l1": self.config.l1 * hole_l1(filled, truth, mask)}
        if self.config.perceptual:
            distance = open_perceptual(self.config.perceptual_net, truth.device)(completed, truth).mean() / HOLE_SHARE
            terms["perceptual"] = self.config.perceptual * distance
        if self.config.diversity:
            lack = F.relu(self.lack(completed, shown, batch, noisy)).sum() / (len(truth) * HOLE_SHARE)
            terms["diversity"] = self.config.diversity * lack
        if "critic" in self.players:
            batch["completed"] = completed.detach()
            drawn = self.judge(completed, batch)
            wanted = [feature.detach() for feature in self.judge(truth, batch)]
            terms["adversarial"] = self.config.adversarial * self.mean(F.softplus(-drawn[-1].float()), mask)
            terms["feature_matching"] = self.config.feature_matching * feature_distance(drawn[:-1], wanted[:-1])
        return terms

    def lack(self, completed: Tensor, shown: Batch, batch: Batch, noisy: Tensor) -> Tensor:
        """What the completions where `noisy` (N,) is True lack of being `apart` from those with other noise. Distances
        are those of a quarter of the side, or spots that change their colour would do."""
        if not noisy.any():
            return completed.new_zeros(0)
        pictures = (completed[noisy], redraw(self, shown, batch, noisy), batch["truth"][noisy])
        one, two, true = (F.avg_pool2d(picture.float(), 4) for picture in pictures)
        distance = open_perceptual(self.config.perceptual_net, completed.device)
        wanted: Tensor = self.config.apart * distance(one, true).detach() - distance(one, two)
        return wanted

    def attacked(self, shown: Batch, batch: Batch) -> Batch:
        """What the generator sees, with known pixels moved to where its l1 rises: from a random place one step along
        the sign of the gradient (Wong et al. 2020, algorithm 3)."""
        reach, known = self.config.attack, 1 - batch["mask"]
        start = torch.erf(draw_noise(batch["seed"] + 2, batch["mask"]) / 2**0.5).expand_as(batch["worn"])
        moved = (reach * start).requires_grad_()
        loss = hole_l1(self(**shown | {"worn": shown["worn"] + moved * known}), batch["truth"], batch["mask"])
        (gradient,) = torch.autograd.grad(loss, moved)
        moved = (moved.detach() + 1.25 * reach * gradient.sign()).clamp(-reach, reach)
        return shown | {"worn": (shown["worn"] + moved * known).clamp(-1, 1)}

    def judge(self, picture: Tensor, batch: Batch) -> list[Tensor]:
        """The critic's features of a picture with its input, (N, C, h, w) each, then how true it looks, before the
        sigmoid: (N, 1, 1, 1), or (N, 1, H/16, W/16) of patches."""
        *features, scores = self.critic(cat([self.look(batch), batch["mask"], picture], 1))
        return [*features, scores.mean((2, 3), keepdim=True) if self.config.critic == "scalar" else scores]

    def mean(self, losses: Tensor, mask: Tensor) -> Tensor:
        """Mean of the critic's losses; patches weigh as much as their share of the hole."""
        if self.config.critic == "scalar":
            return losses.mean()
        return (losses * share_of_hole(mask, losses)).mean() / HOLE_SHARE
