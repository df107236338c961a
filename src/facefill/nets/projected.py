"""A critic that reads the features of a network that somebody else trained (Sauer et al. 2021, "Projected GANs")."""

import torch
import torch.nn.functional as F
from torch import Tensor, cat, nn
from torch.nn.utils.parametrizations import spectral_norm

from facefill.nets.perceptual import Perceptual

LAYERS = (0, 1, 2, 6)
"""Places in `Perceptual.features`: conv1, fire3, fire5, fire9."""
CHANNELS = (64, 128, 256, 512)
SCALES = (0.0316, 0.0158, 0.0164, 0.0977)
"""What brings the features of faces of 96 px to unit mean square."""
WIDTH, HEAD_WIDTH = 64, 96
SIDE_PX = 96
"""Faces are brought to this side: at 64 px the last map would be of 3 x 3 places."""


class ProjectedCritic(nn.Module):
    """Four maps of features, mixed by frozen random 1x1 convolutions to `WIDTH` channels and, from coarse to fine, with
    one another (section 3.2), a small spectrally normalised head each. The heads also see which share is missing."""

    def __init__(self) -> None:
        super().__init__()
        for index, channels in enumerate(CHANNELS):
            self.register_buffer(f"mix{index}", torch.randn(WIDTH, channels, 1, 1) * (2 / channels) ** 0.5)
            if index:
                self.register_buffer(f"down{index}", torch.randn(WIDTH, WIDTH, 1, 1) * (1 / WIDTH) ** 0.5)
        self.heads = nn.ModuleList(_head(stride=1 if index else 2) for index in range(len(CHANNELS)))

    def forward(self, net: Perceptual, picture: Tensor, mask: Tensor) -> list[Tensor]:
        """Scores (N, 1, h, w) at four scales. net: frozen. picture: (N, 3, H, W) in [-1, 1]."""
        seen = F.interpolate(picture, size=(SIDE_PX, SIDE_PX), mode="bilinear").contiguous(
            memory_format=torch.channels_last
        )
        maps = net.features(seen)
        mixed = [
            F.conv2d(maps[layer] * scale, self.get_buffer(f"mix{index}"))
            for index, (layer, scale) in enumerate(zip(LAYERS, SCALES, strict=True))
        ]
        for index in reversed(range(len(mixed) - 1)):
            coarser = F.conv2d(mixed[index + 1], self.get_buffer(f"down{index + 1}"))
            coarser = F.interpolate(coarser, size=mixed[index].shape[-2:], mode="bilinear")
            mixed[index] = (mixed[index] + coarser) * 0.5**0.5
        return [
            head(cat([mix, F.adaptive_avg_pool2d(mask, (mix.shape[-2], mix.shape[-1])).to(mix.dtype)], 1))
            for head, mix in zip(self.heads, mixed, strict=True)
        ]


def _head(stride: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(WIDTH + 1, HEAD_WIDTH, 3, stride, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(HEAD_WIDTH, HEAD_WIDTH, 3, 1, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(HEAD_WIDTH, 1, 1)),
    )


def shift_and_tone(picture: Tensor, mask: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
    """Picture (N, 3, H, W) and mask, moved by up to a tenth of the side, brightened and contrasted, each by its seed:
    the same for a true and a drawn picture, so that the critic does not learn a few faces by heart (Zhao et al. 2020,
    "Differentiable augmentation")."""
    reach = round(0.095 * picture.shape[-1])
    moved, masks = [], []
    for face, hole, seed in zip(picture.float(), mask, seeds.tolist(), strict=True):
        generator = torch.Generator().manual_seed(seed)
        bright, contrast = (torch.rand(2, generator=generator) - 0.5).tolist()
        across, down = (int(n) for n in torch.randint(-reach, reach + 1, (2,), generator=generator))
        both = F.pad(cat([face * (1 + 0.6 * contrast) + 0.4 * bright, hole])[None], (reach,) * 4, mode="reflect")[0]
        cut = both[:, reach + down :, reach + across :][:, : face.shape[1], : face.shape[2]]
        moved.append(cut[:3])
        masks.append(cut[3:])
    return torch.stack(moved), torch.stack(masks)
