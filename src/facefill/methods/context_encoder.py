"""context_encoder: an autoencoder that must forget the hole, against a critic (Han, Jiang & Ju 2022, *GAN-based
Algorithm for Efficient Image Inpainting*; its model follows Pathak et al. 2016).

Written and kept: six encoder units of two convolutions (3×3, then 2×2) with ELU, a max pooling behind each but the
last; three channels at the bottleneck, reshaped into the latent vector; six decoder units in reverse order without
pooling; a critic of six such units, "fully connected with each other", with a sigmoid at its end; l2 over the whole
picture plus the negative logistic likelihood, 1:1 (equation 1); Adam at 1e-4, the critic first; black holes.

Left open, and what we took:
- Widths: 8 to 256, few where pictures are large. Up-sampling, which the decoder must do somewhere: nearest, before
  every unit but the first.
- Padding of 2×2 convolutions: one row and column, below and right in the encoder, above and left in the decoder, so
  that the picture does not wander.
- l2 is a sum over the picture's values on [0, 1]. The paper also says "mean square error", but its figure 2 settles
  near 70: as a sum over 128×128×3 values that is 28.5 dB; as a mean it would be below 1, and the adversarial term would
  outweigh it. `adversarial=49152` has the mean's proportion at 128 px (docs/context-encoder.md: one seed, at 64 px).
- "Fully connected": convolutions within a unit, as it describes them, and one linear layer from all 4×4 places of the
  last to the score; other sides than 128 px are brought to 4×4 by means. What ships was trained against a mean over
  those places instead; what that changes was not measured.
- The generator minimises -log D(G), not log(1 - D(G)) (Goodfellow et al. 2014, section 3): at first the critic always
  wins, and the latter has no gradient there.
- Latent size: what three channels leave, 48 numbers for 128×128. `bottleneck` gives it more channels; what ships has
  128, and learnt in smaller batches at a higher, falling rate (configs/context_encoder.toml).
- Batch normalisation, the paper's proposal, is an option. The paper works at 128×128 and says that it is meant for
  512×512: any multiple of 32 goes.

Where it contradicts itself: CelebA or "Influencer" faces (we train on our own), a split of 0.9:0.11 (of its 50,000
pictures configs/paper holds 5,000 back, which leaves its 704 steps of 64), 10 h or 21 h of training, 50,000 pictures or
2,500. It speaks of holes "blurred or blacked out": ours are black only, blurred ones were not measured.
"""

from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from facefill.config import Frozen
from facefill.methods.base import Batch, Method
from facefill.nets.layers import conv

CELLS = 4
"""Places along the side of what the critic's linear layer sees: 128 px after five poolings."""


class ContextEncoderConfig(Frozen):
    widths: tuple[int, ...] = (8, 24, 48, 96, 160, 256)
    """Channels of the six units of encoder and critic; the decoder has them in reverse order."""
    bottleneck: int = 3
    """Channels of the latent vector before it is reshaped."""
    batch_norm: bool = False
    """Normalise behind every hidden convolution (the paper's proposal)."""
    adversarial: float = 1.0
    """Weight of the generator's adversarial term against the sum of squares."""


class Unit(nn.Sequential):
    """Two convolutions, 3×3 and 2×2, with ELU. before: the 2×2 one is padded above and left, else below and right."""

    def __init__(self, inputs: int, outputs: int, normed: bool, *, before: bool = False) -> None:
        def norm(channels: int) -> list[nn.Module]:
            return [nn.BatchNorm2d(channels)] if normed else []

        pad = nn.ZeroPad2d((1, 0, 1, 0) if before else (0, 1, 0, 1))
        second = conv(outputs, outputs, kernel=2)
        second.padding = (0, 0)
        super().__init__(conv(inputs, outputs), *norm(outputs), nn.ELU(), pad, second, *norm(outputs), nn.ELU())


def encoder(widths: tuple[int, ...], normed: bool, *last: nn.Module) -> nn.Sequential:
    parts: list[nn.Module] = [Unit(3, widths[0], normed)]
    for before, after in pairwise(widths):
        parts += [nn.MaxPool2d(2), Unit(before, after, normed)]
    return nn.Sequential(*parts, *last)


class Autoencoder(nn.Module):
    """(N, 3, H, W) through a latent vector to (N, 3, H, W)."""

    def __init__(self, config: ContextEncoderConfig) -> None:
        super().__init__()
        widths = config.widths[::-1]
        self.channels = config.bottleneck
        self.encoder = encoder(config.widths, config.batch_norm, conv(widths[0], config.bottleneck, kernel=1))
        parts: list[nn.Module] = [Unit(config.bottleneck, widths[0], config.batch_norm, before=True)]
        for before, after in pairwise(widths):
            parts += [nn.Upsample(scale_factor=2), Unit(before, after, config.batch_norm, before=True)]
        self.decoder = nn.Sequential(*parts, conv(widths[-1], 3, kernel=1))

    def encode(self, image: Tensor) -> Tensor:
        """The latent vector, (N, channels · H/32 · W/32)."""
        latent: Tensor = self.encoder(image).flatten(1)
        return latent

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2] // 32, image.shape[-1] // 32
        filled: Tensor = self.decoder(self.encode(image).view(-1, self.channels, height, width))
        return filled


class ContextEncoder(Method):
    Config = ContextEncoderConfig
    inputs: ClassVar[tuple[str, ...]] = ("image",)
    hole_value: ClassVar[float] = -1.0
    stride: ClassVar[int] = 32

    def __init__(self, config: ContextEncoderConfig) -> None:
        super().__init__(config)
        self.config: ContextEncoderConfig = config
        self.generator = Autoencoder(config)
        last = nn.AdaptiveAvgPool2d(CELLS), nn.Flatten(), nn.Linear(CELLS**2 * config.widths[-1], 1)
        self.critic = encoder(config.widths, config.batch_norm, *last)

    @property
    def players(self) -> dict[str, nn.Module]:
        return {"critic": self.critic, "generator": self.generator}

    def forward(self, **inputs: Tensor) -> Tensor:
        filled: Tensor = self.generator(inputs["image"])
        return filled

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        truth, filled = batch["truth"], self(**self.shown(batch))
        if player == "critic":
            real, fake = self.judge(truth), self.judge(filled.detach())
            return {"critic": (F.softplus(-real) + F.softplus(fake)).mean()}
        squares = ((filled.float() - truth) / 2).square().sum((1, 2, 3))
        adversarial = self.config.adversarial * F.softplus(-self.judge(filled)).mean()
        return {"reconstruction": squares.mean(), "adversarial": adversarial}

    def judge(self, picture: Tensor) -> Tensor:
        """How true each picture looks, (N,), before the sigmoid."""
        scores: Tensor = self.critic(picture).float()
        return scores[:, 0]
