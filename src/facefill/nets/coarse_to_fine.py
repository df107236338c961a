"""Networks of Yu et al. 2018: a coarse and a refining encoder-decoder, and the two critics of Iizuka et al. 2017."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.nets.attention import Borrowed, PatchAttention
from facefill.nets.layers import conv


class UpConv(nn.Module):
    """Nearest-neighbour enlargement to twice the size and a 3x3 convolution, as one transposed 4x4 convolution.

    Enlarging is a transposed convolution with 2x2 ones; what follows it adds up to a kernel of 4x4, at 4 instead of 9
    products per pixel and channel.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layer = conv(inputs, outputs)
        assert layer.bias is not None
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        weight = F.pad(self.weight.flip(2, 3).transpose(0, 1), (1, 1, 1, 1))
        wide = weight[:, :, :, :-1] + weight[:, :, :, 1:]
        enlarged = F.conv_transpose2d(x, wide[:, :, :-1] + wide[:, :, 1:], stride=2, padding=1)
        # As the operation's own, the bias would cost as much in the backward pass as the kernel does.
        return enlarged + self.bias.to(enlarged.dtype)[:, None, None]


def convs(*layers: tuple[int, ...]) -> nn.Sequential:
    """Convolutions with ELU, each (inputs, outputs, kernel, stride, dilation), the last three 3, 1, 1 by default."""
    return nn.Sequential(*(part for layer in layers for part in (conv(*layer), elu())))


def elu() -> nn.ELU:
    """In place, so that the derivative comes from its result, without another exponential."""
    return nn.ELU(inplace=True)


def encoder(inputs: int, width: int) -> nn.Sequential:
    """(N, inputs, H, W) to (N, 4 width, H/4, W/4)."""
    half, quarter = 2 * width, 4 * width
    return convs((inputs, width, 5), (width, half, 3, 2), (half, half), (half, quarter, 3, 2), (quarter, quarter))


def decoder(width: int) -> nn.Sequential:
    """(N, 4 width, H/4, W/4) to a picture (N, 3, H, W), not clipped."""
    half, quarter = 2 * width, 4 * width
    small = [conv(quarter, quarter), elu(), convs((quarter, quarter)), UpConv(quarter, half), elu()]
    large = [convs((half, half)), UpConv(half, width), elu(), convs((width, width // 2)), conv(width // 2, 3)]
    return nn.Sequential(*small, *large)


def dilated(width: int) -> nn.Sequential:
    """Four convolutions with dilations 2 to 16, on 4 width channels. The last begins with its middle alone: in small
    pictures the rest of its kernel lies outside, learns nothing, and would be noise in larger ones."""
    layers = convs(*((4 * width, 4 * width, 3, 1, dilation) for dilation in (2, 4, 8, 16)))
    widest = layers[6]
    assert isinstance(widest, nn.Conv2d)
    middle = torch.zeros(3, 3)
    middle[1, 1] = 3
    widest.weight.data *= middle
    return layers


class Coarse(nn.Sequential):
    """A picture with its mask, (N, 4, H, W), to a first guess (N, 3, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__(encoder(4, width), convs((4 * width, 4 * width)), dilated(width), decoder(width))


class Refinement(nn.Module):
    """The guess in its surroundings, with the mask, (N, 4, H, W), to the filled picture: one encoder looks at content
    through dilations, the other borrows from known places; one decoder joins them."""

    def __init__(self, width: int, scale: float, *, attends: bool) -> None:
        super().__init__()
        self.content = nn.Sequential(encoder(4, width), convs((4 * width, 4 * width)), dilated(width))
        self.context = nn.Sequential(encoder(4, width), convs((4 * width, 4 * width)))
        self.attention = PatchAttention(scale) if attends else None
        self.after = convs((4 * width, 4 * width), (4 * width, 4 * width))
        # The decoder's first convolution, of both encoders' features side by side, as a sum of two.
        self.beside = conv(4 * width, 4 * width)
        self.decoder = decoder(width)
        nn.init.zeros_(self.beside.weight)

    def begin_as(self, coarse: Coarse) -> None:
        """Take the coarse stage's own layers wherever there are equal ones, so that what one learns both hold."""
        for place in (0, 1, 2):
            self.content[place] = coarse[place]
        for place in (0, 1):
            self.context[place] = coarse[place]
        last = coarse[3]
        assert isinstance(last, nn.Sequential)
        self.decoder = last

    def forward(self, x: Tensor) -> tuple[Tensor, Borrowed | None]:
        features = self.context(x)
        borrowed = self.attention(features, x[:, 3:]) if self.attention else None
        context = self.after(borrowed.features if borrowed else features)
        first, rest = self.decoder[0], self.decoder[1:]
        return rest(first(self.content(x)) + self.beside(context)), borrowed


class Critic(nn.Module):
    """Scores (N,) of pictures (N, 3, S, S): 5x5 convolutions of stride 2, a dilated one, ELU behind each, and a linear
    layer. Without normalisation, which a gradient penalty on single pictures does not allow."""

    def __init__(self, width: int, side_cells: int = 4) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        self.stages = nn.ModuleList(conv(a, b, 5, 2) for a, b in pairwise(widths))
        self.dilated = conv(4 * width, 4 * width, 3, dilation=2)
        self.cells = side_cells
        self.score = nn.Linear(4 * width * side_cells**2, 1)

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = F.elu(stage(x))
        x = F.elu(self.dilated(x))
        score: Tensor = self.score(F.adaptive_avg_pool2d(x, self.cells).flatten(1))
        return score[:, 0]


def crop_around(mask: Tensor, pictures: list[Tensor]) -> list[Tensor]:
    """The square of half the side that holds a picture's hole, from each of the pictures (N, 3, S, S); a hole that
    is wider is taken whole and shrunk to that size. mask: (N, 1, S, S)."""
    side = mask.shape[-1]
    missing = mask > 0.5
    places, sizes = [], []
    for axis in (3, 2):
        line = missing.any(axis).flatten(1).float()
        first, last = line.argmax(1), side - 1 - line.flip(1).argmax(1)
        places.append((first, last))
        sizes.append(last - first + 1)
    size = torch.maximum(torch.maximum(sizes[0], sizes[1]), torch.full_like(sizes[0], side // 2))
    inside = (torch.arange(side // 2, device=mask.device) + 0.5) / (side // 2)
    lines = []
    for first, last in places:
        start = torch.minimum(((first + last + 1 - size) // 2).clamp_min(0), side - size)
        lines.append((start[:, None] + inside * size[:, None]) * 2 / side - 1)
    down, across = lines
    grid = torch.stack([across[:, None].expand(-1, side // 2, -1), down[:, :, None].expand(-1, -1, side // 2)], -1)
    return [F.grid_sample(picture.float(), grid, align_corners=False) for picture in pictures]
