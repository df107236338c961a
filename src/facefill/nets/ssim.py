"""SSIM (Wang et al. 2004) with a gradient, for batches of small pictures."""

import torch
from torch import Tensor, nn

C1, C2 = 0.01**2, 0.03**2
"""Their stabilising constants, for values on [0, 1]."""


class Likeness(nn.Module):
    """SSIM of pictures (N, C, S, S) on [0, 1] with a Gaussian window of 11 pixels and sigma 1.5, over whole windows.

    The window is applied as a product with a banded matrix from both sides, which for small pictures is faster than a
    convolution of each channel by itself.
    """

    def __init__(self, side_px: int, window_px: int = 11, sigma: float = 1.5) -> None:
        super().__init__()
        offsets = torch.arange(side_px)[None] - torch.arange(side_px - window_px + 1)[:, None] - window_px // 2
        weights = torch.exp(-offsets.square() / (2 * sigma**2)) * (offsets.abs() <= window_px // 2)
        self.register_buffer("band", weights / weights.sum(1, keepdim=True), persistent=False)
        self.band: Tensor

    def local_mean(self, picture: Tensor) -> Tensor:
        """(N, C, S, S) to the windows' weighted means, (N, C, S - 10, S - 10)."""
        return self.band @ picture @ self.band.T

    def forward(self, picture: Tensor, other: Tensor) -> Tensor:
        """Mean SSIM of each pair, (N,)."""
        # Variances are differences of means of squares: bfloat16 would leave nothing of them.
        with torch.autocast(picture.device.type, enabled=False):
            picture, other = picture.float(), other.float()
            return self.compare(picture, other, self.local_mean(other), self.local_mean(other.square()))

    def compare(self, picture: Tensor, other: Tensor, mean: Tensor, square: Tensor) -> Tensor:
        """As `forward`, where the local means of `other` and of its square are there already."""
        ours = self.local_mean(picture)
        variance = self.local_mean(picture.square()) - ours.square() + square - mean.square()
        covariance = self.local_mean(picture * other) - ours * mean
        light = (2 * ours * mean + C1) / (ours.square() + mean.square() + C1)
        return (light * (2 * covariance + C2) / (variance + C2)).mean((1, 2, 3))
