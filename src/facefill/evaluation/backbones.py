"""The networks that features come from, in plain torch, on weights that the user gives by file.

Each takes pictures (N, 3, H, W) float32 in 0 to 255, RGB, and gives the activations that LPIPS compares and one vector
per picture for distances of sets. Names of layers are those of the weights' files.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from facefill.nets.perceptual import squeezenet

Weights = Mapping[str, Tensor]
Looked = tuple[list[Tensor], Tensor]

# Of ImageNet's pictures, 0 to 1.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Backbone:
    title: ClassVar[str]
    layers: ClassVar[tuple[int, ...]]
    """Channels of the activations, first to last; empty where LPIPS has no heads for the network."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def look(self, pictures: Tensor) -> Looked:
        """Activations (N, C, h, w) each, and vectors (N, D)."""
        raise NotImplementedError

    def _conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        return F.relu(F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], stride, padding))


class SqueezeNet(Backbone):
    """SqueezeNet 1.1 (Iandola et al. 2016) in the layout of its Caffe release: BGR less a mean."""

    title = "SqueezeNet 1.1"
    layers = (64, 128, 256, 384, 384, 512, 512)

    def __init__(self, weights: Weights) -> None:
        super().__init__({name.replace(".w", ".weight").replace(".b", ".bias"): w for name, w in weights.items()})

    def look(self, pictures: Tensor) -> Looked:
        found = squeezenet(pictures, self._conv)
        return found, found[-1].mean((2, 3))


class AlexNet(Backbone):
    """AlexNet (Krizhevsky 2014, "One weird trick") in torchvision's layout."""

    title = "AlexNet"
    layers = (64, 192, 384, 256, 256)

    def look(self, pictures: Tensor) -> Looked:
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

    def look(self, pictures: Tensor) -> Looked:
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

    def look(self, pictures: Tensor) -> Looked:
        original = self.weights["fc.weight"].shape[0] == 1008

        def mean(x: Tensor) -> Tensor:
            return F.avg_pool2d(x, 3, 1, 1, count_include_pad=not original)

        def largest(x: Tensor) -> Tensor:
            return F.max_pool2d(x, 3, 1, 1)

        x = F.interpolate(pictures, (299, 299), mode="bilinear", align_corners=False) / 127.5 - 1
        for name, stride in (("1a", 2), ("2a", 1), ("2b", 1)):
            x = self._norm(x, f"Conv2d_{name}_3x3", stride)
        x = self._norm(F.max_pool2d(x, 3, 2), "Conv2d_3b_1x1")
        x = F.max_pool2d(self._norm(x, "Conv2d_4a_3x3"), 3, 2)
        for name in ("5b", "5c", "5d"):
            x = self._block(x, name, mean, branch1x1=0, branch5x5=2, branch3x3dbl=3)
        x = self._halving(x, "6a", branch3x3=0, branch3x3dbl=3)
        for name in ("6b", "6c", "6d", "6e"):
            x = self._block(x, name, mean, branch1x1=0, branch7x7=3, branch7x7dbl=5)
        x = self._halving(x, "7a", branch3x3=2, branch7x7x3=4)
        x = self._split_block(x, "7b", mean)
        x = self._split_block(x, "7c", largest if original else mean)
        return [], x.mean((2, 3))

    def _norm(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """Convolution, normalisation, ReLU; the size stays, but for strides and two layers without padding."""
        w = self.weights
        kernel = w[f"{name}.conv.weight"]
        unpadded = stride == 2 or name in ("Conv2d_2a_3x3", "Conv2d_4a_3x3")
        padding = (0, 0) if unpadded else (kernel.shape[2] // 2, kernel.shape[3] // 2)
        x = F.conv2d(x, kernel, None, stride, padding)
        statistics = w[f"{name}.bn.running_mean"], w[f"{name}.bn.running_var"]
        return F.relu(F.batch_norm(x, *statistics, w[f"{name}.bn.weight"], w[f"{name}.bn.bias"], eps=0.001))

    def _branch(self, x: Tensor, name: str, count: int, stride: int = 1) -> Tensor:
        """One layer, or `count` called name_1, name_2 ..., of which the last has the stride."""
        names = [f"{name}_{number}" for number in range(1, count + 1)] or [name]
        for layer in names:
            x = self._norm(x, layer, stride if layer == names[-1] else 1)
        return x

    def _block(self, x: Tensor, name: str, pool: Callable[[Tensor], Tensor], **branches: int) -> Tensor:
        """Branches of so many layers beside each other, and a pooled one."""
        found = [self._branch(x, f"Mixed_{name}.{branch}", count) for branch, count in branches.items()]
        return torch.cat([*found, self._norm(pool(x), f"Mixed_{name}.branch_pool")], 1)

    def _halving(self, x: Tensor, name: str, **branches: int) -> Tensor:
        found = [self._branch(x, f"Mixed_{name}.{branch}", count, 2) for branch, count in branches.items()]
        return torch.cat([*found, F.max_pool2d(x, 3, 2)], 1)

    def _split_block(self, x: Tensor, name: str, pool: Callable[[Tensor], Tensor]) -> Tensor:
        at = f"Mixed_{name}.branch"
        three, double = self._norm(x, f"{at}3x3_1"), self._branch(x, f"{at}3x3dbl", 2)
        ends = [(three, "3x3_2a"), (three, "3x3_2b"), (double, "3x3dbl_3a"), (double, "3x3dbl_3b")]
        split = [self._norm(part, at + end) for part, end in ends]
        return torch.cat([self._norm(x, f"{at}1x1"), *split, self._norm(pool(x), f"{at}_pool")], 1)


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
