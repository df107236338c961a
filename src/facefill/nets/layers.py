"""Blocks that several networks share. Tensors are (N, C, H, W); nothing here keeps batch statistics."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sizes = tuple[int, ...]


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (or divides it by `stride`), with He initialisation and zero bias."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel - 1) // 2, dilation)
    nn.init.kaiming_normal_(layer.weight, a=0.2, nonlinearity="leaky_relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class Residual(nn.Module):
    """x + gain · conv(act(conv(act(x)))) with a learned gain that starts small, so that depth needs no normalisation.

    The idea of starting a residual branch near zero: De & Smith 2020 (SkipInit), Bachlechner et al. 2020 (ReZero).
    """

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = conv(channels, channels, dilation=dilation)
        self.second = conv(channels, channels)
        self.gain = nn.Parameter(torch.full((1,), 0.2))
        self.act = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.second(self.act(self.first(self.act(x))))
        # A float32 gain would make all that follows float32 under autocast, which costs a twentieth of a step.
        return x + self.gain.to(branch.dtype) * branch


def residuals(channels: int, dilations: Sizes) -> nn.Sequential:
    return nn.Sequential(*(Residual(channels, d) for d in dilations))


class Down(nn.Sequential):
    """Half the size: 2×2 space-to-depth and a 1×1 convolution, written as one 2×2 convolution of stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(conv(inputs, outputs, kernel=2, stride=2))


class Up(nn.Sequential):
    """Twice the size: a 1×1 convolution first (at the small size, where it is cheap), then enlargement. mode: bilinear,
    or nearest, which is cheaper but leaves blocks of the smaller sizes in a picture's skin."""

    def __init__(self, inputs: int, outputs: int, mode: str = "bilinear") -> None:
        super().__init__(conv(inputs, outputs, kernel=1), nn.Upsample(scale_factor=2, mode=mode))


class UNet(nn.Module):
    """(N, inputs, H, W) to (N, outputs, H, W), H and W multiples of block times 2 to the power of len(widths) - 1.

    widths: channels at 1/block of the side, at half of that, ... bottom_dilations: one residual block each at the
    smallest size. Space-to-depth at the door and depth-to-space at the exit, of block × block pixels: no convolution
    works at full size. Additive skips.
    """

    def __init__(
        self, inputs: int, outputs: int, widths: Sizes, bottom_dilations: Sizes, block: int = 2, finest: int = 1
    ) -> None:
        super().__init__()
        self.block = block
        sides, bottom = widths[:-1], widths[-1]
        self.stem = conv(block * block * inputs, widths[0])
        self.encoders = nn.ModuleList(residuals(c, (1,)) for c in sides)
        self.downs = nn.ModuleList(Down(a, b) for a, b in pairwise(widths))
        self.bottom = residuals(bottom, bottom_dilations)
        self.ups = nn.ModuleList(Up(b, a) for a, b in pairwise(widths))
        self.skips = nn.ModuleList(conv(c, c, kernel=1) for c in sides)
        self.decoders = nn.ModuleList(residuals(c, (1,)) for c in sides)
        self.out_block = block // finest
        self.head = conv(widths[0], self.out_block**2 * outputs)

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """added: joins what arrives at the smallest size."""
        x = self.stem(F.pixel_unshuffle(x, self.block))
        passed = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            passed.append(x)
            x = down(x)
        x = self.bottom(x if added is None else x + added)
        for level in reversed(range(len(passed))):
            x = self.decoders[level](self.ups[level](x) + self.skips[level](passed[level]))
        return F.pixel_shuffle(self.head(x), self.out_block)


def highest(picture: Tensor, side: int) -> Tensor:
    """(N, C, H, W): the highest value in the square of that odd side around each pixel: of rows, and then of those."""
    along = F.max_pool2d(picture, (1, side), 1, (0, side // 2))
    return F.max_pool2d(along, (side, 1), 1, (side // 2, 0))
