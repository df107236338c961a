"""DCGAN (Radford et al. 2016) for faces of 64 pixels, and an encoder that inverts its generator.

As printed there: strided convolutions only, batch normalisation except where the generator ends and the critic begins,
ReLU and tanh in the generator, leaky ReLU in the critic, weights drawn from a normal distribution of 0.02. The critic's
last layer has two classes.
"""

import copy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facefill.nets.layers import conv


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)
        nn.init.zeros_(module.bias)


class FaceGenerator(nn.Module):
    """(N, code_length) in [-1, 1] to faces (N, 3, 64, 64) in [-1, 1]. width: channels before the last layer."""

    def __init__(self, code_length: int, width: int) -> None:
        super().__init__()
        widths = [8 * width, 4 * width, 2 * width, width]
        layers: list[nn.Module] = [nn.ConvTranspose2d(code_length, widths[0], 4, bias=False)]
        for before, after in zip(widths, [*widths[1:], 3], strict=True):
            layers += [nn.BatchNorm2d(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=after == 3)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        self.apply(_start)

    def forward(self, codes: Tensor) -> Tensor:
        faces: Tensor = self.layers(codes[:, :, None, None])
        return faces


class FaceCritic(nn.Module):
    """(N, 3, 64, 64) to the logits (N, 2) of generated and true. width: channels after the first layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for before in (width, 2 * width, 4 * width):
            half = nn.Conv2d(before, 2 * before, 4, 2, 1, bias=False)
            layers += [half, nn.BatchNorm2d(2 * before), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 2, 4))
        self.apply(_start)

    def forward(self, faces: Tensor) -> Tensor:
        logits: Tensor = self.layers(faces)
        return logits.flatten(1)


class CodeEncoder(nn.Module):
    """A face with a hole, (N, 3, 64, 64), and its mask, 1 = missing, to a code (N, code_length) in [-1, 1]."""

    def __init__(self, code_length: int, width: int) -> None:
        super().__init__()
        widths = (4, width, 2 * width, 4 * width, 8 * width)
        self.stages = nn.ModuleList(conv(a, b, 4, 2) for a, b in pairwise(widths))
        self.head = nn.Linear(8 * width * 16, code_length)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        x = torch.cat([image, mask], 1)
        for stage in self.stages:
            x = F.leaky_relu(stage(x), 0.2)
        return torch.tanh(self.head(x.flatten(1)))


def folded(layers: nn.Sequential, kind: torch.dtype) -> nn.Sequential:
    """A frozen copy for inference in another precision: each normalisation goes into the convolution before it."""
    done: list[nn.Module] = []
    for layer in copy.deepcopy(layers).eval():
        if isinstance(layer, nn.BatchNorm2d):
            before = done.pop()
            done.append(fuse_conv_bn_eval(before, layer, isinstance(before, nn.ConvTranspose2d)))  # type: ignore[type-var]
        else:
            done.append(layer)
    frozen = nn.Sequential(*done).to(kind).requires_grad_(False)
    return frozen.to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload]
