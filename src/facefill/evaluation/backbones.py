"""The networks that features come from, in plain torch, on weights that the user gives by file.

Each takes pictures (N, 3, H, W) float32 in 0 to 255, RGB, and gives the activations that LPIPS compares and one vector
per picture for distances of sets. Names of layers are those of the weights' files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]
Seen = tuple[list[Tensor], Tensor]

# Of ImageNet's pictures, 0 to 1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone:
    """A network for features."""

    title: ClassVar[str]
    layers: ClassVar[tuple[int, ...]]
    """Channels of the activations, first to last; empty where LPIPS has no heads for the network."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def look(self, pictures: Tensor) -> Seen:
        """Activations (N, C, h, w) each, and vectors (N, D)."""
        raise NotImplementedError

    def _conv(self, x: Tensor, name: str, stride: int = 1, padding: int | tuple[int, int] = 0) -> Tensor:
        return F.relu(F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], stride, padding))


class SqueezeNet(Backbone):
    """SqueezeNet 1.1 (Iandola et al. 2016) in the layout of its Caffe release: BGR less a mean."""

    title = "SqueezeNet 1.1"
    layers = (64, 128, 256, 384, 384, 512, 512)

    def __init__(self, weights: Weights) -> None:
        super().__init__({name.replace(".w", ".weight").replace(".b", ".bias"): w for name, w in weights.items()})

    def look(self, pictures: Tensor) -> Seen:
        x = pictures.flip(1) - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1)
        x = self._conv(x, "conv1", 2)
        found = [x]
        for number in range(2, 10):
            if number in (2, 4, 6):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            name = f"fire{number}"
            squeezed = self._conv(x, f"{name}/squeeze1x1")
            wide = self._conv(squeezed, f"{name}/expand3x3", padding=1)
            x = torch.cat([self._conv(squeezed, f"{name}/expand1x1"), wide], 1)
            if number not in (2, 4):
                found.append(x)
        return found, x.mean((2, 3))


class AlexNet(Backbone):
    """AlexNet (Krizhevsky 2014, "One weird trick") in torchvision's layout."""

    title = "AlexNet"
    layers = (64, 192, 384, 256, 256)

    def look(self, pictures: Tensor) -> Seen:
        x = _lpips_scaled(pictures)
        found: list[Tensor] = []
        for place, stride, padding, pooled in ((0, 4, 2, 0), (3, 1, 2, 1), (6, 1, 1, 1), (8, 1, 1, 0), (10, 1, 1, 0)):
            x = F.max_pool2d(x, 3, 2) if pooled else x
            x = self._conv(x, f"features.{place}", stride, padding)
            found.append(x)
        return found, x.mean((2, 3))


class Vgg16(Backbone):
    """VGG-16 (Simonyan & Zisserman 2015) in torchvision's layout."""

    title = "VGG-16"
    layers = (64, 128, 256, 512, 512)

    def look(self, pictures: Tensor) -> Seen:
        x = _lpips_scaled(pictures)
        found: list[Tensor] = []
        for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
            x = F.max_pool2d(x, 2) if found else x
            for place in block:
                x = self._conv(x, f"features.{place}", padding=1)
            found.append(x)
        return found, x.mean((2, 3))


class Inception(Backbone):
    """Inception v3 (Szegedy et al. 2016) in torchvision's layout; the vector is what FID compares (2048 means).

    Weights with 1008 classes are those of the TensorFlow release that FID is defined by: their pooling leaves padding
    out of means and takes a maximum in the last block. Pictures are resized to 299 px, bilinear, to [-1, 1].
    """

    title = "Inception v3"
    layers = ()

    def look(self, pictures: Tensor) -> Seen:
        x = F.interpolate(pictures, (299, 299), mode="bilinear", align_corners=False) / 127.5 - 1
        for name, stride, padding in (("1a", 2, 0), ("2a", 1, 0), ("2b", 1, 1)):
            x = self._norm(x, f"Conv2d_{name}_3x3", stride, padding)
        x = self._norm(F.max_pool2d(x, 3, 2), "Conv2d_3b_1x1")
        x = F.max_pool2d(self._norm(x, "Conv2d_4a_3x3"), 3, 2)
        for name in ("5b", "5c", "5d"):
            x = self._block_a(x, f"Mixed_{name}.")
        x = self._block_b(x)
        for name in ("6b", "6c", "6d", "6e"):
            x = self._block_c(x, f"Mixed_{name}.")
        x = self._block_d(x)
        x = self._block_e(x, "Mixed_7b.", self._mean_pool)
        original = self.weights["fc.weight"].shape[0] == 1008
        x = self._block_e(x, "Mixed_7c.", self._max_pool if original else self._mean_pool)
        return [], x.mean((2, 3))

    def _norm(self, x: Tensor, name: str, stride: int = 1, padding: int | tuple[int, int] = 0) -> Tensor:
        w = self.weights
        x = F.conv2d(x, w[f"{name}.conv.weight"], None, stride, padding)
        statistics = w[f"{name}.bn.running_mean"], w[f"{name}.bn.running_var"]
        return F.relu(F.batch_norm(x, *statistics, w[f"{name}.bn.weight"], w[f"{name}.bn.bias"], eps=0.001))

    def _mean_pool(self, x: Tensor) -> Tensor:
        counted = self.weights["fc.weight"].shape[0] != 1008
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=counted)

    def _max_pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 1, 1)

    def _chain(self, x: Tensor, steps: Sequence[tuple[str, int, int | tuple[int, int]]]) -> Tensor:
        for name, stride, padding in steps:
            x = self._norm(x, name, stride, padding)
        return x

    def _block_a(self, x: Tensor, at: str) -> Tensor:
        five = self._chain(x, [(f"{at}branch5x5_1", 1, 0), (f"{at}branch5x5_2", 1, 2)])
        three = self._chain(
            x, [(f"{at}branch3x3dbl_1", 1, 0), (f"{at}branch3x3dbl_2", 1, 1), (f"{at}branch3x3dbl_3", 1, 1)]
        )
        pooled = self._norm(self._mean_pool(x), f"{at}branch_pool")
        return torch.cat([self._norm(x, f"{at}branch1x1"), five, three, pooled], 1)

    def _block_b(self, x: Tensor) -> Tensor:
        at = "Mixed_6a."
        double = self._chain(
            x, [(f"{at}branch3x3dbl_1", 1, 0), (f"{at}branch3x3dbl_2", 1, 1), (f"{at}branch3x3dbl_3", 2, 0)]
        )
        return torch.cat([self._norm(x, f"{at}branch3x3", 2), double, F.max_pool2d(x, 3, 2)], 1)

    def _block_c(self, x: Tensor, at: str) -> Tensor:
        wide, tall = (0, 3), (3, 0)
        seven = self._chain(
            x, [(f"{at}branch7x7_1", 1, 0), (f"{at}branch7x7_2", 1, wide), (f"{at}branch7x7_3", 1, tall)]
        )
        double = self._chain(
            x,
            [
                (f"{at}branch7x7dbl_1", 1, 0),
                (f"{at}branch7x7dbl_2", 1, tall),
                (f"{at}branch7x7dbl_3", 1, wide),
                (f"{at}branch7x7dbl_4", 1, tall),
                (f"{at}branch7x7dbl_5", 1, wide),
            ],
        )
        pooled = self._norm(self._mean_pool(x), f"{at}branch_pool")
        return torch.cat([self._norm(x, f"{at}branch1x1"), seven, double, pooled], 1)

    def _block_d(self, x: Tensor) -> Tensor:
        at = "Mixed_7a."
        three = self._chain(x, [(f"{at}branch3x3_1", 1, 0), (f"{at}branch3x3_2", 2, 0)])
        seven = self._chain(
            x,
            [
                (f"{at}branch7x7x3_1", 1, 0),
                (f"{at}branch7x7x3_2", 1, (0, 3)),
                (f"{at}branch7x7x3_3", 1, (3, 0)),
                (f"{at}branch7x7x3_4", 2, 0),
            ],
        )
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)

    def _block_e(self, x: Tensor, at: str, pool: Callable[[Tensor], Tensor]) -> Tensor:
        def split(y: Tensor, name: str) -> list[Tensor]:
            return [self._norm(y, f"{name}a", 1, (0, 1)), self._norm(y, f"{name}b", 1, (1, 0))]

        three = split(self._norm(x, f"{at}branch3x3_1"), f"{at}branch3x3_2")
        double = self._chain(x, [(f"{at}branch3x3dbl_1", 1, 0), (f"{at}branch3x3dbl_2", 1, 1)])
        pooled = self._norm(pool(x), f"{at}branch_pool")
        return torch.cat([self._norm(x, f"{at}branch1x1"), *three, *split(double, f"{at}branch3x3dbl_3"), pooled], 1)


def _lpips_scaled(pictures: Tensor) -> Tensor:
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, DEVIATION))
    return (pictures / 255 - mean) / deviation


def which(weights: Weights) -> type[Backbone] | None:
    """The network that weights belong to, by their names and shapes; None for none of these."""
    first = weights.get("features.0.weight")
    if "fire2/squeeze1x1.w" in weights:
        return SqueezeNet
    if "Conv2d_1a_3x3.conv.weight" in weights:
        return Inception
    if first is not None and first.shape == (64, 3, 11, 11):
        return AlexNet
    if first is not None and first.shape == (64, 3, 3, 3) and "features.28.weight" in weights:
        return Vgg16
    return None
