"""A perceptual distance on a network that the user points to; it is never part of the weights that come out."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facefill.errors import InputError

MEAN = (104.0, 117.0, 123.0)
"""What SqueezeNet's pictures, BGR of 0 to 255, are less."""


def squeezenet(pictures: Tensor, conv: Callable[..., Tensor]) -> list[Tensor]:
    """Seven maps (N, C, h, w) of (N, 3, H, W) RGB, 0 to 255: SqueezeNet 1.1 (Iandola et al. 2016) up to fire9.

    conv: (x, name, stride=, padding=) to a layer of the Caffe release with its ReLU.
    """
    x = conv(pictures.flip(1) - torch.tensor(MEAN, device=pictures.device).view(1, 3, 1, 1), "conv1", stride=2)
    maps = [x]
    for index in range(2, 10):
        if index in (2, 4, 6):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        squeezed = conv(x, f"fire{index}/squeeze1x1")
        wide = conv(squeezed, f"fire{index}/expand3x3", padding=1)
        x = torch.cat([conv(squeezed, f"fire{index}/expand1x1"), wide], 1)
        if index not in (2, 4):
            maps.append(x)
    return maps


class Perceptual(nn.Module):
    """SqueezeNet 1.1 up to fire9, frozen.

    path: .npz with the arrays of the Caffe release by layer, `conv1.w`, `fire2/squeeze1x1.w`, ... and `.b`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        with np.load(path) as stored:
            for name in stored.files:
                tensor = torch.from_numpy(stored[name].astype(np.float32))
                self.register_buffer(name.replace("/", "_").replace(".", "_"), tensor, persistent=False)

    def features(self, picture: Tensor) -> list[Tensor]:
        """Seven maps (N, C, h, w) of a (N, 3, H, W) picture in [-1, 1]."""
        return squeezenet((picture + 1) * 127.5, self._conv)

    def forward(self, picture: Tensor, truth: Tensor) -> Tensor:
        """Mean squared distance of features of unit length, summed over the maps, (N,): the distance of Zhang et al.
        2018 (LPIPS, equation 1) with all channels weighing the same."""
        with torch.no_grad():
            wanted = self.features(truth)
        pairs = zip(self.features(picture), wanted, strict=True)
        return torch.stack([unit_distance(a, b).mean((1, 2)) for a, b in pairs]).sum(0)

    def _conv(self, x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = (self.get_buffer(f"{name}_{part}".replace("/", "_")) for part in "wb")
        return F.relu(F.conv2d(x, weight, bias, stride, padding))


def unit_distance(a: Tensor, b: Tensor) -> Tensor:
    """(N, C, h, w) twice to (N, h, w) float32: |a/|a| - b/|b||² at each place, lengths below 1e-3 taken as that.

    Multiplied out, a² + b² - 2ab, because maps of unit length would be four more of the largest tensors of a step.
    """
    aa, bb, ab = ((x * y).sum(1, dtype=torch.float32) for x, y in ((a, a), (b, b), (a, b)))
    long_a, long_b = (squared.clamp_min(1e-6).sqrt() for squared in (aa, bb))
    return aa / long_a.square() + bb / long_b.square() - 2 * ab / (long_a * long_b)


@lru_cache(2)
def open_perceptual(path: Path | None, device: torch.device) -> Perceptual:
    """The distance on the network in a file, which is read once and belongs to no method, so that no weights hold it.

    Raises InputError when no file is named, or there is none.
    """
    if path is None or not path.is_file():
        fix = "name it with --set, or set model.perceptual=0"
        raise InputError("the file of model.perceptual_net", str(path or "none"), fix)
    return Perceptual(path).to(device)
